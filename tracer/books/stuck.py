"""Why a pass in which nothing moves any more is stuck, from what both sides last said; pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from tracer.books.results import Reply, Role
from tracer.errors import WorkloadError

_PEER_QUEUE = "ss -tmi shows its queue"
_OWN_QUEUES = "look for what holds or drops them: tc -s qdisc; ip -s link; nft list ruleset; ss -tmi"


def stuck(
    patience_s: float, pulses: Mapping[Role, Reply], stopped: Collection[Role], silent: Collection[Role]
) -> WorkloadError:
    """What does not move.

    Args:
        patience_s: The deadline that passed without any progress.
        pulses: The last one of each side that gave one.
        stopped: Processes of ours that a signal or a debugger holds.
        silent: Processes of ours that had not ended.
    """
    who, why, fix = _culprit(pulses, stopped, silent)
    return WorkloadError(f"nothing has moved for {patience_s:g} s: {who}", why, fix)


def _culprit(pulses: Mapping[Role, Reply], stopped: Collection[Role], silent: Collection[Role]) -> tuple[str, str, str]:
    sender = pulses.get("sender")
    for role in sorted(stopped):
        why = "a signal (SIGSTOP) or a debugger has stopped it" + (f"; {_waiting(sender)}" if sender else "")
        return f"the {role}'s process is stopped", why, "let it run, and run this again"
    if sender is None:
        return "the sender does not answer", "it is hung, or this machine is overloaded", "run it again"
    if sender["closed_windows"] and not _has_read_all(sender, pulses.get("receiver")):
        why = f"its queue is full: {_waiting(sender)}"
        return "the peer has stopped reading", why, f"look at the receiving program; {_PEER_QUEUE}"
    if sender["unacked"] or sender["notsent_bytes"]:
        return "packets do not get through", _waiting(sender), _OWN_QUEUES
    if is_unnotified(sender):
        who = f"{sender['outstanding']:,} of {sender['sends']:,} zero-copy sends were never notified"
        why = "every byte is acknowledged, and the kernel still holds the pages: a packet is held in a queue"
        return who, why, "tc -s qdisc shows the queues"
    late = " and the ".join(sorted(silent))
    return f"the {late} does not end", _waiting(sender), _PEER_QUEUE


def is_unnotified(sender: Reply) -> bool:
    """Whether all that it has sent has got through, and the kernel still holds pages of it."""
    return sender["outstanding"] > 0 and not (sender["unacked"] or sender["notsent_bytes"])


# The persist timer runs once in TCP_RTO_MIN, 0.2 s, and a pulse is a second after the last one, or somewhat more.
_MOST_PIECES = 10


def crawls(pulses: Mapping[Role, Reply], before: Reply) -> bool:
    """Whether a window stays below a segment though all is read that came, and no more gets through than by a timer.

    Args:
        before: The sender's pulse a second ago.
    """
    sender, acked_before = pulses.get("sender"), before.get("bytes_acked")
    if sender is None or acked_before is None or not sender["closed_windows"] or not sender["window"]:
        return False
    gained = sender["bytes_acked"] - acked_before
    most = _MOST_PIECES * sender["closed_windows"] * sender["segment"]
    # The receiver's pulse may be older than the sender's by one period, or two where either is late.
    return 0 < gained <= most and _has_read_all(sender, pulses.get("receiver"), slack=2 * gained)


def crawling(pulse: Reply) -> WorkloadError:
    """What a pass does that is not stuck, and will not end for long: tcp_write_wakeup(), net/ipv4/tcp_output.c.

    Args:
        pulse: The sender's last.
    """
    what = "the receiver's window is smaller than a segment: TCP sends one piece each time its persist timer runs"
    why = f"it has room for {pulse['window']:,} B, a segment has {pulse['segment']:,} B, and the timer takes 0.2 s"
    return WorkloadError(what, why, "a larger --rcvbuf; as it is, a smaller --size, and few --messages")


def _has_read_all(sender: Reply, receiver: Reply | None, slack: int = 0) -> bool:
    """Its window is closed only because the news that it is open again got lost: whatever came has been read.

    Args:
        slack: Bytes that may have come since it said so.
    """
    acked = sender["bytes_acked"]
    return receiver is not None and acked is not None and receiver["bytes"] >= acked - slack


def _waiting(sender: Reply) -> str:
    """Where the payload is, as TCP tells it."""
    told = f"the send calls took {sender['bytes']:,} B"
    if sender["bytes_acked"] is not None:
        told += f", the peer's TCP acknowledged {sender['bytes_acked']:,} B"
    if sender["unacked"]:
        told += f", {sender['unacked']:,} segments are in flight"
    return told
