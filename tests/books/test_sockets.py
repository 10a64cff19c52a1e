"""What follows from a socket's counters: pure, on literals."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.row_samples import raw_sender
from tests.samples import looped
from tests.socket_samples import reader, recording, sender
from tracer.books.copies import copied_of_sent
from tracer.books.groups import busiest, grouped, service_port
from tracer.books.later_copies import LaterCopies
from tracer.books.recording import encode
from tracer.books.skipped_calls import uncounted_calls
from tracer.books.socket_file import decode_sockets, document_of_sockets, encode_sockets, is_of_sockets
from tracer.books.socket_findings import findings_of
from tracer.books.socket_laws import balance, laws_of
from tracer.books.socket_ledger import ledger_of
from tracer.books.socket_rows import COUNTERS, FIELDS, ROW_BYTES, declaration, decode_row
from tracer.books.socket_verdict import sentences_of
from tracer.books.ways import Surroundings, copybuf, read_by_way, sent_by_way, socket_of, totals_of
from tracer.errors import RecordingError
from tracer.machine.recordings import load
from tracer.model import LawState, Stage
from tracer.model.sockets import Completions, DeferredCopy, Packets, Socket, TcpState, Tls, Totals, Transfer
from tracer.model.watching import Hooks


def state(socket: Socket, name: str) -> LawState:
    return next(law.state for law in laws_of(socket) if law.id == name)


@pytest.mark.parametrize("socket", [sender(), reader()])
def test_an_ordinary_socket_keeps_all_laws(socket: Socket) -> None:
    """SYN and FIN have sequence numbers, and break nothing."""
    assert {law.state for law in laws_of(socket)} == {LawState.HOLDS}


@pytest.mark.parametrize(
    ("name", "socket"),
    [
        ("S1", sender(sent={"copy": Transfer(calls=1, bytes=10008)})),
        ("S2", sender(tcp=TcpState(sent=10006, acked=10009))),
        ("S3", sender(left=Packets(copied=10010, again=3, packets=2), tcp=TcpState(sent=10010, acked=10009))),
        ("S4", sender(tcp=TcpState(sent=10007, acked=10006))),
        ("S5", sender(sent={"zerocopy": Transfer(calls=2, bytes=10007)})),
        ("R1", reader(came=Packets(copied=10006, packets=1))),
        ("R2", reader(consumed_bytes=10005)),
        ("R3", reader(read={"copy": Transfer(calls=1, bytes=10006)})),
        ("R4", reader(copied_out_bytes=10006)),
    ],
)
def test_one_byte_too_few_breaks_the_law_that_speaks_of_it(name: str, socket: Socket) -> None:
    """Each law bites."""
    assert state(socket, name) is LawState.BROKEN


@pytest.mark.parametrize(
    ("name", "holds", "breaks"),
    [
        # Of each connection a SYN and a FIN.
        ("S4", sender(connections=2, tcp=TcpState(sent=10007, acked=10011)), {"acked": 10012}),
        ("R1", reader(connections=2, came=Packets(copied=10006, packets=1)), {"received": 10009}),
    ],
)
def test_each_connection_of_a_socket_has_a_syn_and_a_fin(name: str, holds: Socket, breaks: dict[str, int]) -> None:
    """And not one more."""
    assert state(holds, name) is LawState.HOLDS
    assert holds.tcp is not None
    one_more = msgspec.structs.replace(holds, tcp=msgspec.structs.replace(holds.tcp, **breaks))
    assert state(one_more, name) is LawState.BROKEN


def test_an_urgent_byte_is_beside_the_stream() -> None:
    """It moves the position, and is not copied out of an skb; who reads it has one byte more."""
    taken = {"copy": Transfer(calls=2, bytes=10008)}
    with_urgent = reader(urgent_packets=1, read=taken)

    assert {law.state for law in laws_of(with_urgent)} == {LawState.HOLDS}
    assert state(reader(read=taken), "R4") is LawState.BROKEN
    assert state(msgspec.structs.replace(with_urgent, copied_out_bytes=10006), "R4") is LawState.BROKEN


def test_a_copy_that_ended_in_a_fault_is_not_called_broken() -> None:
    """Its beginning was counted; all else of the socket is judged as ever."""
    faulted = reader(faulted=True, copied_out_bytes=20011)

    assert {law.id: law.state for law in laws_of(faulted) if law.state is not LawState.HOLDS} == {
        "R4": LawState.UNKNOWN
    }
    assert state(msgspec.structs.replace(faulted, consumed_bytes=10005), "R2") is LawState.BROKEN


def test_what_was_stopped_before_it_left_is_sent_to_tcp() -> None:
    """Where nobody watched drops it may be so; where somebody did, it is counted or it is not."""
    tcp = TcpState(sent=10508, acked=10009)

    assert state(sender(tcp=tcp, stopped_bytes=501), "S2") is LawState.HOLDS
    assert state(sender(tcp=tcp, stopped_bytes=500), "S2") is LawState.BROKEN
    assert state(sender(tcp=tcp, stopped_bytes=None), "S2") is LawState.UNKNOWN
    assert state(sender(stopped_bytes=None), "S2") is LawState.HOLDS


def test_what_was_thrown_away_with_its_datagram_never_left() -> None:
    """UDP, corked and closed."""
    sent = Socket(
        cookie=1, protocol="udp", local="127.0.0.1:1", peer="127.0.0.1:2", ended=True,
        sent={"copy": Transfer(calls=3, bytes=131)}, left=Packets(linear=101, packets=1), discarded_bytes=30,
    )  # fmt: skip

    assert state(sent, "S1") is LawState.HOLDS
    assert state(msgspec.structs.replace(sent, discarded_bytes=29), "S1") is LawState.BROKEN


def test_a_local_drop_makes_the_law_of_retransmission_unknown() -> None:
    """An skb that a full queue here refuses goes out again, and TCP does not count it as sent again."""
    left = Packets(copied=10010, again=3, packets=2)
    tcp = TcpState(sent=10010, acked=10009)

    assert state(sender(left=left, tcp=tcp, dropped_bytes=3), "S3") is LawState.UNKNOWN
    assert state(sender(left=left, tcp=tcp, dropped_bytes=None), "S3") is LawState.UNKNOWN


def test_what_nobody_watched_makes_its_laws_unknown() -> None:
    """Absent is not zero."""
    blind = reader(consumed_bytes=None, copied_out_bytes=None)

    assert [state(blind, name) for name in ("R2", "R3", "R4")] == [LawState.UNKNOWN] * 3


def test_mptcp_makes_the_laws_of_its_subflows_unknown() -> None:
    """Calls are its own, on another socket."""
    assert [law.state for law in laws_of(sender(above="mptcp", left=Packets(copied=1)))] == [LawState.UNKNOWN]


def test_kernel_tls_leaves_packets_and_tcp_to_be_compared() -> None:
    """29 B a record are added to what the calls gave: that is not judged, and what TCP itself counts is."""
    tcp = TcpState(sent=10036, acked=10038)
    encrypting = sender(above="ulp", left=Packets(shared=10036, packets=1), tcp=tcp)

    states = {law.id: law.state for law in laws_of(encrypting)}
    holds, unknown = LawState.HOLDS, LawState.UNKNOWN
    assert states == {"S": unknown, "S2": holds, "S3": holds, "R1": holds}
    assert state(sender(above="ulp", left=Packets(shared=10035), tcp=tcp), "S2") is LawState.BROKEN


TLS = Tls(version="1.2", cipher="AES-GCM-128", record_adds=29, records_sent=1)


def test_what_each_record_adds_is_a_term_of_the_laws() -> None:
    """TCP counts records; how many there were and what each has beside its payload, kernel TLS itself says."""
    tcp = TcpState(sent=10036, acked=10038)
    encrypting = sender(above="ulp", tls=TLS, left=Packets(shared=10036, packets=1), tcp=tcp)

    assert {law.id: law.state for law in laws_of(encrypting)} == dict.fromkeys(
        ("S1", "S2", "S3", "S4", "R1", "R2"), LawState.HOLDS
    )
    one_more = msgspec.structs.replace(TLS, records_sent=2)
    assert state(msgspec.structs.replace(encrypting, tls=one_more), "S1") is LawState.BROKEN
    renewed = msgspec.structs.replace(one_more, version="1.3")
    assert state(msgspec.structs.replace(encrypting, tls=renewed), "S1") is LawState.UNKNOWN


def test_more_cannot_be_read_than_was_decrypted() -> None:
    """What is left in a record is no breach; what nobody can have decrypted is."""
    tls = msgspec.structs.replace(TLS, records_sent=0, records_read=1)
    came, tcp = Packets(shared=10036, packets=1), TcpState(received=10037, acked=1)
    decrypting = reader(above="ulp", tls=tls, came=came, tcp=tcp)

    assert state(decrypting, "R2") is LawState.HOLDS
    assert state(msgspec.structs.replace(decrypting, read={"copy": Transfer(calls=1, bytes=9)}), "R2") is LawState.HOLDS
    spliced = {"splice": Transfer(calls=1, bytes=10036)}
    assert state(msgspec.structs.replace(decrypting, read=spliced), "R2") is LawState.UNKNOWN
    more = {"copy": Transfer(calls=1, bytes=10009)}
    assert state(msgspec.structs.replace(decrypting, read=more), "R2") is LawState.BROKEN


def test_a_row_tells_the_version_and_the_cipher_of_kernel_tls() -> None:
    """By their names; 5 + 1 + 16 bytes a record in TLS 1.3."""
    data = raw_sender(1, 10007, has_protocol_above=1, tls_version=0x0304, tls_cipher=52, record_adds=22, records_out=3)

    assert socket_of(decode_row(data), Surroundings(by_functions=True)).tls == Tls(
        version="1.3", cipher="AES-GCM-256", record_adds=22, records_sent=3
    )
    assert socket_of(decode_row(raw_sender(1, 10007)), Surroundings(by_functions=True)).tls is None


def test_a_socket_that_lives_on_is_not_called_broken() -> None:
    """Its counters were read one after the other while it went on."""
    assert state(sender(ended=False, left=Packets(copied=9000, packets=1)), "S1") is LawState.UNKNOWN


def test_a_sender_that_was_killed_balances_with_what_never_left() -> None:
    """Bytes that waited in the queue, and the FIN behind them, are in TCP's own difference."""
    killed = sender(left=Packets(copied=7, packets=1), tcp=TcpState(sent=7, acked=8, unsent=10001, unacked=10001))

    assert state(killed, "S1") is LawState.HOLDS


def test_balance_counts_each_socket_once_by_its_worst_law() -> None:
    """Two that hold, one that is broken in more than one law."""
    broken = sender(sent={"copy": Transfer(calls=1, bytes=1)})

    assert balance([sender(), reader(), broken]) == {LawState.HOLDS: 2, LawState.BROKEN: 1}


def counters(**some: int) -> dict[str, int]:
    return dict.fromkeys(COUNTERS, 0) | some


def test_a_row_is_decoded_in_the_order_that_c_is_told() -> None:
    """The declaration and the decoding are of one table; no padding hides between."""
    values = [*range(1, len(COUNTERS) + 1), *(b"\1" if field.code.endswith("s") else 1 for field in FIELDS)]
    data = struct.pack("<" + f"{len(COUNTERS)}Q" + "".join(field.code for field in FIELDS), *values)
    row = decode_row(data)

    assert [row.counters[name] for name in COUNTERS] == list(range(1, len(COUNTERS) + 1))
    assert declaration().index("SENT_COPY_CALLS") < declaration().index("TCP_ERROR_QUEUE")
    assert (len(data), ROW_BYTES % 8) == (ROW_BYTES, 0)


def test_udp_zero_copy_without_a_flagged_packet_was_copied() -> None:
    """For UDP the packets decide: a device that cannot checksum has the kernel copy at once."""
    asked = counters(sent_zerocopy_calls=2, sent_zerocopy_bytes=14)

    assert sent_by_way(asked, is_udp=True) == {"zerocopy_ignored": Transfer(calls=2, bytes=14)}
    assert set(sent_by_way(asked | {"left_mixed": 14}, is_udp=True)) == {"zerocopy"}
    assert set(sent_by_way(asked, is_udp=False)) == {"zerocopy"}


def test_what_could_not_be_mapped_was_copied() -> None:
    """TCP_ZEROCOPY_RECEIVE: by its own word, or as what no other read accounts for."""
    told = counters(read_mapped_calls=1, read_mapped_bytes=4096, read_copybuf=11)
    inferred = counters(read_mapped_calls=1, read_mapped_bytes=4107, copied_out=11)
    wanted = {"mapped": Transfer(calls=1, bytes=4096), "copy": Transfer(bytes=11)}

    assert read_by_way(told, by_functions=True) == read_by_way(inferred, by_functions=False) == wanted
    assert copybuf(counters(copied_out=11), by_functions=False) == 0


def test_a_probe_point_that_is_not_there_counts_none() -> None:
    """None, and not the 0 that its counter still holds."""
    row = decode_row(bytes(ROW_BYTES))._replace()
    row.fields.update(protocol=6, family=10)
    socket = socket_of(row, Surroundings(by_functions=True))

    assert (socket.consumed_bytes, socket.copied_out_bytes, socket.dropped_bytes, socket.deferred) == (None,) * 4
    assert (socket.comm, socket.pids, socket.local) == (None, [], "[::]:0")

    totals = totals_of(row.counters, [socket], False, True, frozenset(), None, {})
    assert (totals.consumed_bytes, totals.copied_out_bytes, totals.dropped_bytes) == (None,) * 3


def test_the_most_sends_outstanding_are_those_of_one_socket() -> None:
    """Not of all together, which need not have been outstanding at once; unknown where some sockets are not listed."""
    done = [Completions(total=5, most_outstanding=5), Completions(total=5, most_outstanding=3), Completions(total=5)]
    sockets = [msgspec.structs.replace(sender(), completions=one) for one in done]
    summed = counters(sent_zerocopy_calls=15, posted=15, most_outstanding=8)

    def most(unlisted: bool) -> int | None:
        totals = totals_of(summed, sockets, unlisted, True, frozenset(), None, {})
        assert totals.completions is not None
        return totals.completions.most_outstanding

    assert (most(unlisted=False), most(unlisted=True)) == (5, None)


@pytest.mark.parametrize(("from_before", "total", "copied"), [(0, 23, 23), (1, 3, 3)])
def test_what_the_program_took_was_posted(from_before: int, total: int, copied: int) -> None:
    """Where no program of ours saw the last of them posted; of sends from before it may have taken some."""
    row = decode_row(bytes(ROW_BYTES))._replace(
        counters=counters(sent_zerocopy_calls=23, posted=3, posted_copied=3, reaped=23, reaped_copied=23)
    )
    row.fields.update(protocol=6, family=2, before=from_before)
    socket = socket_of(row, Surroundings(by_functions=True))
    totals = totals_of(row.counters, [socket], False, True, frozenset(), None, {})

    for found in (socket.completions, totals.completions):
        assert found is not None
        assert (found.total, found.copied) == (total, copied)


def test_the_sentence_speaks_of_this_program_and_its_ways() -> None:
    """Shares by way; a share is never rounded to nothing or to all."""
    totals = Totals(sent={"splice": Transfer(calls=1, bytes=999_999), "copy": Transfer(calls=1, bytes=1)})

    assert sentences_of(recording(sender(), totals=totals)) == [
        "curl sent 1,000,000 B on 1 socket: over 99.9 % spliced (not copied), under 0.1 % copied by send; "
        "nothing was copied later."
    ]


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"deferred": []}, "nothing was copied later"),
        ({"deferred": [DeferredCopy(caller="f.constprop.0", events=1, bytes=9)]}, "9 B were copied later, for f"),
        ({"completions": Completions(total=5, copied=5)}, "all of these were copied later, by the kernel's flag"),
        ({"completions": Completions(total=5, copied=2)}, "2 of 5 zero-copy sends were copied later"),
        ({"completions": Completions(total=5)}, "nothing was copied later, by the kernel's flag"),
        ({}, "whether they were copied later was not observed"),
    ],
)
def test_later_copies_are_told_by_the_best_witness(changes: dict[str, Any], wanted: str) -> None:
    """The function itself, else the kernel's flag, labelled so; else it was not observed."""
    totals = Totals(sent={"zerocopy": Transfer(calls=5, bytes=50)}, **changes)

    assert wanted in sentences_of(recording(sender(), totals=totals))[0]


def test_a_way_that_could_not_be_told_makes_copy_in_unknown() -> None:
    """Unknown is never called a copy."""
    totals = Totals(sent={"copy": Transfer(calls=1, bytes=3), "unknown": Transfer(calls=1, bytes=4)})
    entry = ledger_of(totals, "fexit", LaterCopies(recording(totals=totals)).in_all())[0]

    assert (entry.stage, entry.bytes, entry.note) == (
        "copy_in",
        None,
        "at least 3 B; 4 B more in a way that could not be told",
    )


def test_a_deferred_copy_that_nobody_could_see_is_unknown() -> None:
    """A notification says that it was copied, not how many bytes."""
    totals = Totals(sent={"zerocopy": Transfer(calls=5, bytes=50)}, completions=Completions(total=5, copied=2))
    later = LaterCopies(recording(totals=totals)).in_all()

    assert (later.bytes, later.source, later.note) == (None, "the kernel's flag", "the flag: 2 of 5 sends copied")


def pinner(**changes: Any) -> Socket:
    """The sender again: its pages are pinned, and every notification says that they were copied."""
    return sender(
        sent={"zerocopy": Transfer(calls=1, bytes=10007)}, left=Packets(zerocopy=10007, packets=1),
        completions=Completions(total=1, copied=1), **changes,
    )  # fmt: skip


def test_packets_at_both_ends_tell_what_was_copied_between() -> None:
    """What left as the program's pages and came as the kernel's own was copied on the way; the cause is inferred."""
    both = recording(pinner(), reader(), totals=Totals(sent=pinner().sent))
    later = LaterCopies(both).in_all()

    assert (later.bytes, later.source) == (10007, "packets at both ends")
    assert later.cause == "local delivery (inferred: both ends are here)"
    assert "10,007 B were copied later, for local delivery" in sentences_of(both)[0]


@pytest.mark.parametrize(
    "other",
    [
        reader(came=Packets(copied=10006, packets=1)),
        reader(came=Packets(zerocopy=10007, packets=1)),
        reader(netns=7),
        reader(peer="127.0.0.1:40001"),
    ],
)
def test_packets_tell_nothing_where_they_do_not_tell_it_all(other: Socket) -> None:
    """A byte that did not come; pages that came as they were, though copied for a tap; somebody else's socket."""
    later = LaterCopies(recording(pinner(), other)).of(pinner())

    assert (later.bytes, later.source, later.note) == (None, "the kernel's flag", "the flag: 1 of 1 send copied")


def test_a_later_copy_that_was_seen_has_its_cause_and_its_place() -> None:
    """The caller of the copying function tells why; one that nobody knows is named as it is."""
    named = LaterCopies(recording(pinner(link="lo"))).named

    assert named("dev_queue_xmit_nit.part.0") == "packet tap (dev_queue_xmit_nit)"
    assert named("ip6_input_finish") == "local delivery (ip6_input_finish)"
    assert named("some_driver_xmit") == "some_driver_xmit"


@pytest.mark.parametrize(
    ("ends", "why"),
    [
        ([{"link": "lo"}], "local delivery (__netif_receive_skb_core)"),
        ([{"link": "veth0", "peer_pids": [7]}], "local delivery (__netif_receive_skb_core)"),
        ([{"link": "veth0"}], "__netif_receive_skb_core"),
        ([{"link": "lo"}, {"link": "veth0"}], "__netif_receive_skb_core"),
        ([], "__netif_receive_skb_core"),
    ],
)
def test_delivery_and_forwarding_by_one_function_are_told_by_the_other_ends(ends: list[Any], why: str) -> None:
    """Before 6.17 it takes the pages off what comes in, wherever that goes: a container's packets leave by a veth."""
    function = "__netif_receive_skb_core.constprop.0"
    pinners = [pinner(**end, deferred=[DeferredCopy(caller=function, events=1, bytes=9)]) for end in ends]
    later = LaterCopies(recording(*pinners))

    assert later.named(function) == why
    assert [("local delivery" in later.of(one).cause) for one in pinners] == [
        one.link == "lo" or bool(one.peer_pids) for one in pinners
    ]


def test_the_service_is_the_port_that_has_a_name() -> None:
    """A listener's side is its port, whatever number that has; a client's is where it went; of UDP the lower one."""
    high = reader(local="127.0.0.1:40000", peer="127.0.0.1:80")
    datagrams = sender(protocol="udp", local="127.0.0.1:53", peer="127.0.0.1:40000")

    assert (service_port(reader()), service_port(sender())) == (":80", "to :80")
    assert (service_port(high), service_port(datagrams)) == (":40000", ":53")


def test_groups_are_ordered_by_bytes_and_hold_every_socket_once() -> None:
    """By program and port; by peer."""
    sockets = [sender(), sender(cookie=3), reader()]

    assert [(group.name, len(group.sockets)) for group in grouped(sockets, "program")] == [
        ("curl to :80", 2),
        ("nginx :80", 1),
    ]
    assert [group.name for group in grouped(sockets, "peer")] == ["127.0.0.1"]
    assert [socket.cookie for socket in busiest(sockets, 1)[1]] == [2, 3]


def test_what_a_cipher_took_is_not_called_copied() -> None:
    """It may read the program's pages in place; of other sockets it is known."""
    ciphered, plain = sender(above="ulp"), sender()
    whole = recording(ciphered, plain, totals=Totals(sent=twice(plain.sent), ciphered_sent_bytes=ciphered.sent_bytes))
    copy_in = ledger_of(whole.totals, "fexit", LaterCopies(whole).in_all())[0]

    assert [copied_of_sent(one, 0) for one in (ciphered, plain, whole.totals)] == [None, plain.sent_bytes, None]
    assert (copy_in.stage, copy_in.bytes) == (Stage.COPY_IN, None)
    assert copy_in.note.startswith(f"at least {plain.sent_bytes:,} B; {ciphered.sent_bytes:,} B more to a cipher")
    assert "50.0 % by way of a cipher in the kernel" in sentences_of(whole)[0]


def twice(sent: dict[str, Transfer]) -> dict[str, Transfer]:
    return {way: Transfer(calls=2 * one.calls, bytes=2 * one.bytes) for way, one in sent.items()}


@pytest.mark.parametrize(
    ("rows", "missed"),
    [
        ([sender()], 0),
        ([sender(sent={"copy": Transfer(calls=1, bytes=1)})], 7),
        ([sender(above="ulp")], 7),
    ],
)
def test_a_bound_of_what_was_skipped_counts_where_the_books_do_not_exclude_it(rows: list[Socket], missed: int) -> None:
    """Where several stand at a hook, the kernel's count has others' calls in it; TCP knows of each socket's own."""
    hooks = Hooks(calls="fexit", attached=[], refused={}, row_bytes=1, skipped={"f": 7}, programs_per_hook=3)
    told = {finding.code: finding.sentence for finding in findings_of(recording(*rows, hooks=hooks)).findings}

    assert uncounted_calls(recording(*rows, hooks=hooks)) == missed
    assert ("up to 7 calls" in told.get("skipped", "")) == bool(missed)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"sockets": []}, "no-socket"),
        ({"lost": 3}, "lost"),
        ({"sockets": [sender(sent={"copy": Transfer(calls=1, bytes=1)})]}, "law-broken"),
        ({"hooks": Hooks(calls="fexit", attached=[], refused={}, row_bytes=1, skipped={"f": 1})}, "skipped"),
        ({"totals": Totals(sent={"zerocopy_ignored": Transfer(calls=1, bytes=1)})}, "zerocopy-ignored"),
    ],
)
def test_what_the_reader_should_know_is_a_finding(changes: dict[str, Any], code: str) -> None:
    """Each with a sentence, and a sound recording has none."""
    assert [finding.code for finding in findings_of(recording(sender(), **changes)).findings] == [code]
    assert findings_of(recording(sender())).findings == []


def test_a_recording_is_the_same_after_it_was_stored() -> None:
    """What is stored is read as it was; what is damaged is said to be."""
    found = recording(sender(), reader())

    assert decode_sockets(encode_sockets(found), "x") == found
    assert decode_sockets(document_of_sockets(found, 1), "x") == found
    with pytest.raises(RecordingError):
        decode_sockets(encode_sockets(found)[:-9], "x")


KEYS = {
    "": {
        "schema",
        "subject",
        "window",
        "sockets",
        "totals",
        "unlisted_sockets",
        "lost",
        "sizes",
        "samples",
        "findings",
    },
    "subject": {"kind", "argv", "pids", "exit_status", "user"},
    "window": {"started", "elapsed_s"},
    "socket": {
        *("cookie", "family", "protocol", "local", "peer", "pids", "comm", "netns", "cgroup", "link", "born", "ended"),
        *("in_progress", "sent", "read", "left_ip_bytes", "retransmitted_bytes", "dropped_bytes", "refused"),
        *("completions", "skbs", "ledger", "laws"),
    },
    "refused": {"eagain", "enobufs", "limit"},
    "completions": {"total", "copied", "zerocopy", "ranges", "reaped", "most_outstanding"},
    "skbs": {"packets", "fragments"},
}


def test_the_document_has_every_key_of_every_socket() -> None:
    """What is 0, or was not observed, is there too: who reads the document need not know what is left out."""
    document = json.loads(document_of_sockets(recording(sender(), reader(completions=Completions(total=1))), 1))
    quiet, busy = document["sockets"]

    assert document.keys() >= KEYS[""]
    assert all(document[part].keys() >= KEYS[part] for part in ("subject", "window"))
    assert all(socket.keys() >= KEYS["socket"] for socket in (quiet, busy))
    assert all(quiet[part].keys() >= KEYS[part] for part in ("refused", "skbs"))
    assert (quiet["completions"], quiet["netns"], quiet["dropped_bytes"], quiet["born"]) == (None, None, 0, "in-window")
    assert busy["completions"].keys() >= KEYS["completions"]
    assert (quiet["left_ip_bytes"], quiet["skbs"]) == (10007, {"packets": 1, "fragments": 1})
    assert [socket["ledger"] is None for socket in (quiet, busy)] == [False, True]
    assert document["totals"].keys() >= {"sent", "read", "left_ip_bytes", "skbs", "refused", "completions", "ledger"}


def test_a_call_that_has_not_returned_is_told_by_tcp() -> None:
    """A socket that lives on: TCP has taken 10007 B, the calls that returned 7; a FIN that waits is no call."""
    inside = sender(ended=False, sent={"copy": Transfer(calls=1, bytes=7)})
    closing = sender(ended=False, tcp=TcpState(sent=10007, acked=10008, unsent=1, unacked=1))

    assert (inside.in_progress, closing.in_progress, reader(ended=False).in_progress) == (True, False, False)


def test_each_kind_of_file_says_which_it_is(tmp_path: Path) -> None:
    """By its schema, wherever that stands in it; a verb that needs a run says what the file holds instead."""
    data = encode_sockets(recording(sender()))
    last = json.dumps(dict(sorted(json.loads(data).items(), reverse=True)))
    file = tmp_path / "sockets.json"
    file.write_bytes(data)

    assert is_of_sockets(data)
    assert is_of_sockets(last.encode())
    assert is_of_sockets(data[:300])
    assert not is_of_sockets(b'{"schema": "nettrace.recording/1"}')
    assert not is_of_sockets(encode(looped()))
    assert not is_of_sockets(encode(looped())[:300])
    with pytest.raises(RecordingError, match="sockets of a program"):
        load(file)


def test_a_file_leaves_out_what_did_not_happen() -> None:
    """30,000 sockets of one message each are 12 MB and no more: no empty part of a row is stored."""
    row = decode_row(bytes(ROW_BYTES))._replace()
    row.fields.update(protocol=6, family=2)
    stored = encode_sockets(recording(socket_of(row, Surroundings(by_functions=True))))

    assert b"{}" not in stored.partition(b'"sockets":')[2].partition(b'"totals"')[0].replace(b'"tcp":{}', b"")
    assert b'"born"' not in stored
