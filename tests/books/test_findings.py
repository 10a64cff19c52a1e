"""What an expert would say: each rule has evidence for it, evidence against it, and says nothing where nobody knows."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
import pytest

from tests.socket_samples import reader, recording, sender
from tracer.books.socket_findings import RULES, findings_of
from tracer.model.socket_recording import Finding, SocketRecording, Threshold
from tracer.model.sockets import Completions, DeferredCopy, Packets, Refused, Socket, TcpState, Tls, Totals, Transfer
from tracer.model.watching import Hooks, Subject

CALLS, SIZE = 23, 10007
BYTES = CALLS * SIZE


def whole(*sockets: Socket, **changes: Any) -> SocketRecording:
    """A recording whose totals are those of its one sender."""
    first = sockets[0]
    totals = Totals(
        sent=first.sent, read=first.read, left=first.left, refused=first.refused, completions=first.completions,
        dropped_bytes=first.dropped_bytes, deferred=first.deferred,
    )  # fmt: skip
    return recording(*sockets, totals=totals, **changes)


def pinning(done: Completions | None = None, *, queue: int = 0, **changes: Any) -> Socket:
    """A TCP socket that sent 23 x 10007 B by zero-copy over loopback."""
    done = done or Completions(total=CALLS, copied=0, reaped=CALLS, ranges=3, most_outstanding=9)
    fields: dict[str, Any] = {
        "sent": {"zerocopy": Transfer(calls=CALLS, bytes=BYTES)},
        "left": Packets(zerocopy=BYTES, packets=7, fragments=77),
        "tcp": TcpState(sent=BYTES, acked=BYTES + 2, zerocopy_ids=CALLS, error_queue=queue),
        "completions": done, "link": "lo", "first_s": 0.0, "last_s": 0.005,
    }  # fmt: skip
    return sender(**{**fields, **changes})


def done(**changes: Any) -> Completions:
    return Completions(**{"total": CALLS, "copied": 0, "reaped": CALLS, "ranges": 3, "most_outstanding": 9, **changes})


def ignoring(**changes: Any) -> Socket:
    fields = {
        "sent": {"zerocopy_ignored": Transfer(calls=CALLS, bytes=BYTES)},
        "left": Packets(copied=BYTES, packets=7), "tcp": TcpState(sent=BYTES, acked=BYTES + 2),
    }  # fmt: skip
    return sender(**{**fields, **changes})


def uring(**changes: Any) -> Socket:
    """By io_uring, which has no error queue: 23 notifications without the flag."""
    sent = {"uring_zerocopy": Transfer(calls=CALLS, bytes=BYTES)}
    tcp = TcpState(sent=BYTES, acked=BYTES + 2)
    return pinning(Completions(total=CALLS), sent=sent, tcp=tcp, **changes)


def copying(calls: int, packets: int, **changes: Any) -> Socket:
    """One that wrote 101 B a call."""
    number = calls * 101
    fields = {
        "sent": {"copy": Transfer(calls=calls, bytes=number)}, "left": Packets(copied=number, packets=packets),
        "tcp": TcpState(sent=number, acked=number + 2),
    }  # fmt: skip
    return sender(**{**fields, **changes})


def taking(calls: int, packets: int, **changes: Any) -> Socket:
    """One that read 101 B a call."""
    number = calls * 101
    return reader(
        read={"copy": Transfer(calls=calls, bytes=number)}, came=Packets(copied=number, packets=packets),
        consumed_bytes=number + 1, copied_out_bytes=number, tcp=TcpState(received=number + 1, acked=1), **changes,
    )  # fmt: skip


def mapping(**changes: Any) -> Socket:
    return reader(came=Packets(copied=SIZE, packets=7, fragments=10), **changes)


def hooks(**changes: Any) -> Hooks:
    return Hooks(calls="fexit", attached=[], refused={}, row_bytes=1, **changes)


def subject(**changes: Any) -> Subject:
    return Subject(kind="command", argv=["/usr/bin/curl"], pids=[7], exit_status=0, user=0, **changes)


COPY = [DeferredCopy(caller="__netif_receive_skb_core.constprop.0", events=7, bytes=BYTES)]
SMALL, LARGE = [0] * 10 + [CALLS], [0] * 14 + [CALLS]


class Case(NamedTuple):
    """Recordings that are for a rule, against it, and such as do not know; None where it is known at all times."""

    supporting: SocketRecording
    against: SocketRecording
    unknown: SocketRecording | None


CASES = {
    "no-socket": Case(recording(), recording(sender()), recording(unlisted_sockets=3)),
    "unused-socket": Case(recording(created_sockets=1), recording(sender(), created_sockets=1), recording()),
    "inherited-sockets": Case(
        recording(sender(), subject=subject(inherited_sockets=["fd 3"])), recording(sender()), None
    ),
    "left-running": Case(recording(sender(), subject=subject(left_running=[9])), recording(sender()), None),
    "lost": Case(recording(sender(), lost=3), recording(sender()), None),
    "skipped": Case(
        recording(sender(), hooks=hooks(skipped={"f": 1})),
        recording(sender(), hooks=hooks(skipped={})),
        recording(sender(), hooks=hooks(skipped=None)),
    ),
    "law-broken": Case(
        recording(sender(sent={"copy": Transfer(calls=1, bytes=1)})),
        recording(sender()),
        recording(sender(above="ulp", sent={"copy": Transfer(calls=1, bytes=1)})),
    ),
    "encrypted-in-kernel": Case(recording(sender(above="ulp")), recording(sender()), None),
    "zerocopy-ignored": Case(whole(ignoring()), whole(pinning()), None),
    "zerocopy-copied": Case(whole(pinning(deferred=COPY)), whole(pinning(deferred=[])), whole(pinning(done(copied=9)))),
    "zerocopy-flagged": Case(
        whole(pinning(done(copied=9))),
        whole(pinning()),
        whole(pinning(done(total=0, reaped=0, ranges=0))),
    ),
    "queue-never-read": Case(
        whole(pinning(done(reaped=0, ranges=0), queue=3)),
        whole(pinning()),
        # Nothing is left in it: somebody took them by a call that was not seen.
        whole(pinning(done(reaped=0, ranges=0), queue=0)),
    ),
    "queue-behind": Case(
        whole(pinning(done(reaped=7), queue=1)),
        whole(pinning(done(reaped=22), queue=1)),
        whole(pinning(done(reaped=7))),
    ),
    "one-by-one": Case(
        whole(pinning(done(ranges=CALLS))), whole(pinning()), whole(pinning(done(reaped=None, ranges=None)))
    ),
    "lockstep": Case(
        whole(pinning(done(ranges=CALLS, most_outstanding=1), last_s=0.03)),
        whole(pinning(done(ranges=CALLS, most_outstanding=9), last_s=0.03)),
        whole(pinning(done(reaped=None, ranges=None, most_outstanding=1), last_s=0.03)),
    ),
    "uring-unreported": Case(
        whole(uring(deferred=COPY)), whole(uring(deferred=[])), whole(uring(deferred=None)),
    ),
    "zerocopy-too-small": Case(
        whole(pinning(), sizes={"zerocopy": SMALL}), whole(pinning(), sizes={"zerocopy": LARGE}), whole(pinning())
    ),
    "mixed-packets": Case(
        whole(pinning(left=Packets(mixed=BYTES, packets=7, fragments=77))),
        whole(pinning()),
        whole(pinning(left=Packets())),
    ),
    "enobufs": Case(whole(pinning(refused=Refused(enobufs=3))), whole(pinning()), None),
    "small-writes": Case(whole(copying(211, 7)), whole(copying(211, 211)), whole(copying(211, 0))),
    "tiny-reads": Case(whole(taking(211, 7)), whole(taking(211, 211)), whole(taking(211, 0))),
    "nothing-mapped": Case(
        whole(mapping(copybuf_bytes=SIZE)),
        whole(mapping(read={"mapped": Transfer(calls=1, bytes=8192)}, copybuf_bytes=1815)),
        whole(mapping()),
    ),
    "dropped-here": Case(
        whole(sender(dropped_bytes=101)), whole(sender(dropped_bytes=0)), whole(sender(dropped_bytes=None))
    ),
    "small-skbs": Case(
        whole(pinning(left=Packets(zerocopy=BYTES, packets=211, fragments=211))),
        whole(pinning()),
        whole(pinning(left=Packets())),
    ),
}  # fmt: skip


def found(one: SocketRecording, code: str) -> list[Finding]:
    return [finding for finding in findings_of(one).findings if finding.code == code]


def test_every_rule_is_tested() -> None:
    """For, against and unknown, below."""
    assert sorted(rule.code for rule in RULES) == sorted(CASES)


@pytest.mark.parametrize("code", CASES)
def test_a_rule_speaks_with_evidence_alone(code: str) -> None:
    """Once where it is so, with its reason and a way out; not where it is not, nor where nobody knows."""
    case = CASES[code]
    (finding,) = found(case.supporting, code)

    assert all((finding.sentence, finding.why, finding.fix or code == "enobufs"))
    assert "{" not in f"{finding.sentence}{finding.why}{finding.fix}"
    assert found(case.against, code) == []
    assert case.unknown is None or found(case.unknown, code) == []


@pytest.mark.parametrize(
    ("so_zerocopy", "scatter_gather", "words"),
    [
        (False, True, "SO_ZEROCOPY is not set on the socket"),
        (False, False, "SO_ZEROCOPY is not set on the socket, and its device cannot scatter and gather"),
        (True, False, "the socket's device cannot scatter and gather (or checksum)"),
        (True, True, "SO_ZEROCOPY was set in the end, so probably after these sends"),
        (None, None, "the socket has no SO_ZEROCOPY, or its device cannot scatter, gather and checksum"),
    ],
)
def test_why_the_flag_was_ignored_is_read_from_the_socket(
    so_zerocopy: bool | None, scatter_gather: bool | None, words: str
) -> None:
    """What the socket shows is said; where it was not asked (UDP), both are named."""
    (finding,) = found(whole(ignoring(so_zerocopy=so_zerocopy, scatter_gather=scatter_gather)), "zerocopy-ignored")

    assert (finding.why, finding.figures) == (words, {"bytes": BYTES})


def test_each_cause_of_a_later_copy_is_a_finding_of_its_own() -> None:
    """With its own bytes, and the function that was seen."""
    copies = [*COPY, DeferredCopy(caller="tun_net_xmit", events=1, bytes=101)]
    findings = found(whole(pinning(deferred=copies)), "zerocopy-copied")

    assert [one.figures["bytes"] for one in findings] == [BYTES, 101]
    assert [one.why.rpartition(" ")[2] for one in findings] == ["(__netif_receive_skb_core)", "(tun_net_xmit)"]
    assert not any("probably" in one.why for one in findings)


def test_a_cause_that_is_inferred_is_said_to_be_probable() -> None:
    """Packets at both ends show that it was copied, not who did it."""
    other = reader(local="127.0.0.1:80", peer="127.0.0.1:40000", came=Packets(copied=BYTES, packets=7))
    (finding,) = found(whole(pinning(), other), "zerocopy-copied")

    assert finding.why.startswith("probably loopback delivers packets to a local socket")


def test_a_backlog_is_told_with_the_first_enobufs() -> None:
    """How many sends went well before the kernel had no memory for one more notification."""
    one = pinning(done(reaped=0, ranges=0), queue=3, refused=Refused(enobufs=5, enobufs_after=17))
    (finding,) = found(whole(one), "queue-never-read")

    assert finding.figures == {"backlog": CALLS, "enobufs": 5, "first_enobufs": 17, "sockets": 1}
    assert "5 sends were refused with ENOBUFS, the first after 17 sends" in finding.sentence


def test_what_pays_is_what_a_sweep_of_this_machine_found() -> None:
    """1 KiB to 2 KiB is too small where 10 KB pays, and not where a sweep found that 1 KiB does."""
    paid = Threshold(bytes=1024, source="a sweep")

    assert found(whole(pinning(), sizes={"zerocopy": SMALL}, zerocopy_pays=paid), "zerocopy-too-small") == []
    (finding,) = found(whole(pinning(), sizes={"zerocopy": SMALL}), "zerocopy-too-small")
    assert finding.figures == {"below": CALLS, "calls": CALLS, "limit": 8192, "pays": 10000}
    assert "msg_zerocopy.rst" in finding.why


@pytest.mark.parametrize("linear", [0, SIZE])
def test_why_nothing_was_mapped(linear: int) -> None:
    """Payload in the linear part has no page of its own; fragments are told by their size."""
    came = Packets(copied=SIZE - linear, linear=linear, packets=7, fragments=0 if linear else 10)
    (finding,) = found(whole(reader(came=came, copybuf_bytes=SIZE)), "nothing-mapped")

    assert ("linear part" if linear else "1,001 B a fragment") in finding.why


def test_skbs_full_of_fragments_are_small_ones() -> None:
    """17 fragments to an skb and 5 KB in it: the pieces are small, whatever the calls were."""
    (finding,) = found(whole(pinning(left=Packets(zerocopy=500_000, packets=100, fragments=1700))), "small-skbs")

    assert "MAX_SKB_FRAGS" in finding.why


def test_a_sound_recording_has_no_finding() -> None:
    """Nothing is said for the sake of saying something."""
    assert findings_of(whole(sender(), reader())).findings == []
    assert findings_of(whole(pinning(deferred=[]), sizes={"zerocopy": LARGE})).findings == []


def test_findings_are_stored_with_the_threshold() -> None:
    """The recording is judged where it was made."""
    one = findings_of(whole(pinning(), sizes={"zerocopy": SMALL}))

    assert msgspec.json.decode(msgspec.json.encode(one), type=SocketRecording) == one


def test_kernel_tls_is_named_where_it_was_told() -> None:
    """Version, cipher and what each record adds; of a socket of which it was not, the general word."""
    tls = Tls(version="1.3", cipher="AES-GCM-256", record_adds=22, records_sent=1)
    known, unknown = sender(above="ulp", tls=tls), sender(above="ulp")

    def told_of(*sockets: Socket) -> str:
        found = findings_of(recording(*sockets)).findings
        return next(one.sentence for one in found if one.code == "encrypted-in-kernel")

    assert "1 socket had kernel TLS (TLS 1.3, AES-GCM-256, 22 B a record) above TCP" in told_of(known)
    assert "2 sockets had a protocol such as kernel TLS above TCP" in told_of(known, unknown)
