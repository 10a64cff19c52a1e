"""What follows from datagrams' tallies: nothing is sent again, and what is lost is missed by the reader."""

from __future__ import annotations

from typing import Any

import pytest

from tests.datagram_samples import UDP, by_functions, copied, pinned
from tests.function_samples import with_counted
from tests.samples import MESSAGES, PAYLOAD, changed, host, workload
from tracer.books.analysis import document_of
from tracer.books.ledger import ledger_of
from tracer.model import LawState, Link, Nic, Recording, Stage, Tally


def broken(base: Recording) -> list[str]:
    return [law.id for law in ledger_of(base).laws if law.state is LawState.BROKEN]


@pytest.mark.parametrize("base", [copied(), by_functions(zerocopy=False)])
def test_what_is_linear_from_the_beginning_was_made_so_by_the_send_call(base: Recording) -> None:
    """One copy on each side, and nothing between them."""
    found = document_of(base)
    stages = (Stage.COPY_IN, Stage.PIN, Stage.LINEARIZE, Stage.COPY_OUT)

    assert [found.ledger.bytes_of(stage) for stage in stages] == [PAYLOAD, 0, 0, PAYLOAD]
    assert (broken(base), found.verdict.code) == ([], "copied")


@pytest.mark.parametrize("base", [pinned(), by_functions(zerocopy=True)])
def test_a_pinned_datagram_that_is_looped_is_copied_after_all(base: Recording) -> None:
    """As TCP's packets are."""
    found = document_of(base)

    assert [found.ledger.bytes_of(stage) for stage in (Stage.COPY_IN, Stage.PIN)] == [0, PAYLOAD]
    assert found.ledger.bytes_of(Stage.DEFERRED_COPY) == PAYLOAD
    assert (broken(base), found.verdict.code) == ([], "copied-by-loopback")
    assert "udp copies just as often here" in " ".join(found.verdict.next)


def test_a_send_that_copies_at_once_says_so_and_why() -> None:
    """Over veth this message takes more than one packet: UDP copies it, and the flag is right."""
    base = changed(copied(Link.VETH), host=host(nic=Nic(**VETH)))
    asked = {"asked_bytes": PAYLOAD, "asked_sends": MESSAGES}
    base = changed(base, observed=workload("zerocopy", **UDP, **asked))
    found = document_of(base)

    assert found.verdict.code == "copied-at-once"
    assert "one of the device's holds 1,472 B (completions: 23 of 23 say copied)" in found.verdict.sentence


VETH: dict[str, Any] = {
    "device": "veth0", "driver": "veth", "scatter_gather": True, "tx_checksum": True, "tso": True, "mtu": 1500,
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "law"),
    [
        ("udp_sendmsg:return", "F.L1"),
        ("ip_send_skb:entry", "F.L2b"),
        ("net_dev_start_xmit:payload", "F.L2"),
        ("udp_recvmsg:return", "F.L6"),
        ("mm_account_pinned_pages:entry", "F.L7b"),
        ("skb_copy_ubufs:return", "F.L3"),
    ],
)
def test_one_byte_off_breaks_the_law(name: str, law: str) -> None:
    """Each row has a witness of its own."""
    assert law in broken(with_counted(by_functions(zerocopy=True), name, PAYLOAD - 1))


@pytest.mark.parametrize("place", ["received:SOCKET_RCVBUFF", "arriving:SOCKET_RCVBUFF", "arriving:PROTO_MEM"])
def test_a_datagram_that_finds_the_buffer_full_is_dropped_and_not_made_up(place: str) -> None:
    """It left, came, and was never read, whether it has forgotten its device; the verdict says that it was dropped."""
    base = with_dropped(place, 3, 10007)
    sentence = document_of(base).verdict.sentence

    assert broken(base) == []
    assert ledger_of(base).bytes_of(Stage.COPY_OUT) == PAYLOAD - 10007
    assert "On the way 10,007 B in 3 datagrams were dropped by" in sentence
    assert "what came to the reader once more by its recv()" in sentence
    assert "sent again" not in sentence


def test_a_datagram_dropped_before_its_socket_did_not_come() -> None:
    """By a filter of the link: what came is without it."""
    base = with_dropped("arriving:NETFILTER_DROP", 1, 10007)

    assert broken(base) == ["T.L3", "T.L6"]


def with_dropped(place: str, number: int, lost: int) -> Recording:
    """All left, and is counted as come; so much was dropped and not read."""
    base = copied(received_bytes=PAYLOAD - lost)
    seen = base.observations[0]
    dropped = {**seen.tallies, f"kfree_skb:{place}": Tally(events=number, bytes=lost)}
    return changed(base, observations=[changed(seen, tallies=dropped)])


def test_a_datagram_that_came_and_was_not_read_breaks_the_readers_law() -> None:
    """Nobody saw it dropped."""
    assert broken(copied(received_bytes=PAYLOAD - 1)) == ["E1", "T.L6"]
