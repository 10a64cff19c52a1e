"""What the engine counted of each connection becomes the calls of its sockets."""

from __future__ import annotations

from typing import Any

import pytest

from tests.socket_samples import reader, sender
from tracer.books.connections import End, Witness, by_port
from tracer.books.modes import mode
from tracer.books.receiving import receive
from tracer.model.sockets import Transfer

THREAD = {
    "port": 40000, "sends": 5, "bytes": 10007, "asked_sends": 3, "asked_bytes": 9007, "enobufs": 2, "enomem": 1,
    "reads": 4, "peeked_bytes": 0, "mapped_bytes": 0, "leftover_bytes": 0,
}  # fmt: skip


def witness(name: str, way: str = "recv", **counts: Any) -> Witness:
    threads = by_port({"threads": [{**THREAD, **counts}, {**THREAD, "port": 40001, "bytes": 0, "sends": 0}]})
    return Witness(mode(name), receive(way), End(7, "python3", threads), End(8, "python3", threads))


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("onecopy", {"copy": Transfer(calls=5, bytes=10007)}),
        ("sendfile", {"splice": Transfer(calls=5, bytes=10007)}),
        ("zerocopy", {"zerocopy": Transfer(calls=5, bytes=10007)}),
        ("zerocopy-more", {"zerocopy": Transfer(calls=3, bytes=9007), "copy": Transfer(calls=2, bytes=1000)}),
    ],
)
def test_a_sender_s_calls_are_of_its_mode_s_way(name: str, sent: dict[str, Transfer]) -> None:
    """Found by its port, headers that went ahead apart; with who it is, and what the kernel refused."""
    found = witness(name).named(sender(sent={}, pids=[], comm=None))

    assert (found.sent, found.read, found.pids, found.comm) == (sent, {}, [7], "python3")
    assert (found.refused.enobufs, found.refused.other) == (2, 1)


def test_a_receiver_s_reads_are_its_own() -> None:
    """Found by the port of the other end."""
    found = witness("zerocopy").named(reader(read={}, pids=[], comm=None))

    assert (found.sent, found.read, found.pids) == ({}, {"copy": Transfer(calls=4, bytes=10007)}, [8])


@pytest.mark.parametrize(
    ("way", "counts", "read"),
    [
        ("discard", {}, {"discard": (4, 10007)}),
        ("splice", {}, {"splice": (4, 10007)}),
        ("peek", {"peeked_bytes": 10010}, {"copy": (4, 10007), "peek": (4, 10010)}),
        (
            "map", {"mapped_bytes": 8192, "mapped_reads": 1, "copied_reads": 2, "leftover_bytes": 1000},
            {"copy": (2, 1815), "mapped": (1, 8192)},
        ),
        ("map", {"mapped_reads": 0, "copied_reads": 4}, {"copy": (4, 10007)}),
    ],
)  # fmt: skip
def test_a_receiver_s_reads_are_of_its_way(way: str, counts: dict[str, int], read: dict[str, Any]) -> None:
    """What it looked at is besides; what was mapped, and what was copied in the same call, apart."""
    found = witness("zerocopy", way, **counts).named(reader(read={}, pids=[], comm=None))

    assert found.read == {name: Transfer(calls=calls, bytes=size) for name, (calls, size) in read.items()}
    assert found.copybuf_bytes == counts.get("leftover_bytes", 0)


@pytest.mark.parametrize("end", ["127.0.0.1:40001", "127.0.0.1:7"])
def test_what_moved_nothing_and_what_is_not_known_has_no_calls(end: str) -> None:
    """A connection that sent no byte used no way."""
    assert witness("onecopy").named(sender(sent={}, local=end)).sent == {}


def test_a_receiver_that_is_not_ours_says_nothing() -> None:
    """Its socket, if it is here, stays as it was."""
    there = reader()

    assert Witness(mode("onecopy"), receive("recv"), End(7, "python3", {}), None).named(there) is there
