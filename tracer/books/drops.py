"""Tallies of dropped packets: how they are named, and what they add up to. Pure."""

from __future__ import annotations

from tracer.books.tallies import total
from tracer.model import Entry, Observation, Stage

POINT = "kfree_skb"
_RECEIVED, _SENT = "received", "sent"


def drop_name(reason: str, *, received: bool) -> str:
    """The tally's name: "kfree_skb:sent:QDISC_DROP".

    Args:
        received: The packet had reached the receiver's socket, or was on its way into it.
    """
    return f"{POINT}:{_RECEIVED if received else _SENT}:{reason}"


def drops_of(observation: Observation, *, received: bool) -> dict[str, tuple[int, int]] | None:
    """Events and bytes by reason; None where nobody looked for drops."""
    if POINT not in observation.attached:
        return None
    start = drop_name("", received=received)
    return {
        name.removeprefix(start): (tally.events, tally.bytes)
        for name, tally in observation.tallies.items()
        if name.startswith(start)
    }


def dropped_bytes(observation: Observation, *, received: bool) -> int | None:
    """Payload that was dropped on one side; None where nobody looked for drops."""
    found = drops_of(observation, received=received)
    return None if found is None else total(*(size for _, size in found.values()))


# Reasons that end a packet before TCP has taken it in, where the observers count what arrives.
_BEFORE_TCP = frozenset({
    "TCP_CSUM", "SKB_CSUM", "IP_CSUM", "IP_INHDR", "OTHERHOST", "NETFILTER_DROP", "XFRM_POLICY", "IP_RPFILTER",
    "CPU_BACKLOG", "PTYPE_ABSENT", "UNHANDLED_PROTO", "NO_SOCKET", "PKT_TOO_SMALL",
})  # fmt: skip


def dropped_before_tcp(observation: Observation) -> int | None:
    """Payload that was dropped on its way into the receiver's TCP; None where nobody looked for drops."""
    found = drops_of(observation, received=True)
    return None if found is None else sum(size for reason, (_, size) in found.items() if reason in _BEFORE_TCP)


# The kernel's words are short; these say where it was. The first that fits.
_PLACES = {
    "QDISC_DROP": "queue discipline (qdisc)",
    "QDISC_OVERLIMIT": "queue discipline (qdisc)",
    "TC_EGRESS": "tc filter on the way out",
    "TC_INGRESS": "tc filter on the way in",
    "BPF_CGROUP_EGRESS": "a cgroup's BPF program, on the way out",
    "SOCKET_FILTER": "socket filter, or a cgroup's BPF program, on the way in",
    "SOCKET_BACKLOG": "the receiver's backlog (TCPBacklogDrop)",
    "SOCKET_RCVBUFF": "the receiver's buffer",
    "NETFILTER_DROP": "netfilter rule",
    "TCP_CSUM": "TCP, for a wrong checksum",
    "CPU_BACKLOG": "the CPU's backlog",
}


def entries_of_drops(observation: Observation) -> list[Entry]:
    """One entry for each reason; none where nothing was dropped or nobody looked."""
    return [
        Entry(
            stage=Stage.DROPPED,
            function=_PLACES.get(reason, reason),
            source=f"tracepoint:{POINT}",
            bytes=size,
            events=events,
            note=f"{reason}, on the {'receiving' if received else 'sending'} side",
        )
        for received in (False, True)
        for reason, (events, size) in (drops_of(observation, received=received) or {}).items()
        if reason not in _NO_LOSS
    ]


# TCP got these bytes once already, or the socket is going: nothing is missing.
_NO_LOSS = frozenset({"TCP_OLD_DATA", "TCP_OLD_SEQUENCE", "TCP_OFOMERGE", "QUEUE_PURGE", "TCP_ZEROWINDOW"})
