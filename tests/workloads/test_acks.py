"""How many ACKs a sender was sent, by what its TCP says when the connection is over."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator

import pytest

from workloads.child.tcp import Info, acks_of, tcp_info

_SEGMENTS_OUT = slice(136, 140)  # struct tcp_info, tcpi_segs_out
_TIME_WAIT, _ESTABLISHED = 6, 1


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Who connected, and who accepted."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sending = socket.create_connection(listener.getsockname())
        receiving, _ = listener.accept()
    with sending, receiving:
        yield sending, receiving


def info(**known: int | None) -> Info:
    return {"segs_in": 100, "data_segs_in": 3, "state": _ESTABLISHED, **known}


def test_what_opened_and_closed_the_connection_is_no_ack() -> None:
    """SYN-ACK, and FIN where it has come; packets with payload acknowledge too, and are not of them."""
    assert acks_of(info()) == 96
    assert acks_of(info(state=_TIME_WAIT)) == 95
    assert acks_of(info(segs_in=1, data_segs_in=0)) == 0


@pytest.mark.parametrize("unknown", ["segs_in", "data_segs_in"])
def test_of_a_kernel_that_does_not_tell_they_are_not_known(unknown: str) -> None:
    """None, and not 0."""
    assert acks_of(info(**{unknown: None})) is None


@pytest.mark.system
def test_both_ends_count_the_same(ends: tuple[socket.socket, socket.socket]) -> None:
    """All that the receiving end sent but for FIN; its own count does not know of the SYN-ACK, which no socket sent."""
    sending, receiving = ends
    for _ in range(23):
        sending.sendall(bytes(10007))
        assert len(receiving.recv(10007, socket.MSG_WAITALL)) == 10007
    sending.shutdown(socket.SHUT_WR)
    assert receiving.recv(1) == b""
    receiving.shutdown(socket.SHUT_WR)
    assert sending.recv(1) == b""

    said = receiving.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    sent = int.from_bytes(said[_SEGMENTS_OUT], sys.byteorder)

    assert acks_of(tcp_info(sending)) == sent - 1 > 0
