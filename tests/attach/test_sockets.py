"""What a program does with sockets while it is watched, and with those that it had before: to the byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.attach.targets import BYTES, CALLS, SIZE, Told, attached, moved, unheld

pytestmark = pytest.mark.live


@pytest.mark.parametrize("family", ["AF_INET", "AF_INET6"])
def test_a_connection_that_was_there_is_counted_from_then_on(tmp_path: Path, family: str) -> None:
    """What it had moved before is in no figure, and its books balance all the same."""
    with Told() as target:
        target.tell(f"a, b = pair(socket.{family}); send(a, 101, 4099, b); send(b, 7, 1009, a)")
        with attached(tmp_path, "-p", target.pid) as nettrace:
            target.tell(f"send(a, {CALLS}, {SIZE}, b)")
            recording = nettrace.end()

    assert moved(recording) == (BYTES, BYTES)
    assert {socket.born for socket in recording.sockets} == {"before"}
    assert unheld(recording) == []
    assert (nettrace.code, recording.lost) == (0, 0)


def test_data_that_was_queued_in_both_directions_is_read_and_not_sent(tmp_path: Path) -> None:
    """It is in the reader's figures, which took it while it was watched; who had sent it before sends nothing."""
    with Told() as target:
        target.tell("a, b = pair(); a.sendall(bytes(5003)); b.sendall(bytes(4001))")
        with attached(tmp_path, "-p", target.pid) as nettrace:
            target.tell("take(b, 5003); take(a, 4001)")
            recording = nettrace.end()

    assert moved(recording) == (0, 5003 + 4001)
    assert sorted(socket.before.unread for socket in recording.sockets if socket.before) == [4001, 5003]
    assert unheld(recording) == []


def test_of_a_send_that_waits_in_the_middle_the_rest_is_counted(tmp_path: Path) -> None:
    """What it had handed over before is left out, it says so, and all that had been is accounted for."""
    whole = 30_000_001
    with Told() as target:
        target.tell(
            "a, b = pair(); a.setblocking(False); queued = 0\n"
            "try:\n    while True: queued += a.send(bytes(10007))\nexcept BlockingIOError: pass\n"
            "a.setblocking(True)\n"
            f"t = threading.Thread(target=lambda: a.sendall(bytes({whole}))); t.start()\n"
            # What was there before is taken and a part of the call's, which is larger than all buffers.
            "take(b, queued + 10007)"
        )
        with attached(tmp_path, "-p", target.pid) as nettrace:
            target.tell(f"take(b, {whole} - 10007); t.join()")
            recording = nettrace.end()

    sender = next(socket for socket in recording.sockets if socket.left.bytes)
    assert sender.before is not None
    assert "had begun before the watching did" in nettrace.report
    assert nettrace.code == 0
    if recording.hooks.calls != "fexit":
        assert sender.before.was_sending
        assert 0 < sender.sent_bytes == sender.left.bytes - sender.left.again - sender.before.unsent < whole
        assert unheld(recording) == []


def test_connections_that_are_made_later_are_counted_from_their_first_byte(tmp_path: Path) -> None:
    """New ones on an old listener and on a new one, and one that waited to be accepted when the watching began."""
    with Told() as target:
        target.tell(
            "old = socket.create_server(('127.0.0.1', 0)); waiting = socket.create_connection(old.getsockname());"
            "waiting.sendall(bytes(1009))"
        )
        with attached(tmp_path, "-p", target.pid) as nettrace:
            target.tell("b = old.accept()[0]; take(b, 1009); b.sendall(bytes(31)); take(waiting, 31)")
            target.tell("c = socket.create_connection(old.getsockname()); d = old.accept()[0]")
            target.tell(f"send(c, {CALLS}, {SIZE}, d); e, f = pair(); send(e, 1, 4099, f); send(d, 1, 7, c)")
            recording = nettrace.end()

    assert moved(recording) == (31 + BYTES + 4099 + 7, 1009 + 31 + BYTES + 4099 + 7)
    assert sorted(socket.born for socket in recording.sockets) == ["before"] * 2 + ["in-window"] * 4
    assert unheld(recording) == []


def test_sockets_that_end_while_they_are_watched_balance(tmp_path: Path) -> None:
    """Closed by either end; the watching ends with the program."""
    with Told() as target:
        target.tell("a, b = pair(); c, d = pair(); send(a, 3, 4099, b)")
        with attached(tmp_path, "-p", target.pid) as nettrace:
            target.tell(f"send(a, {CALLS}, {SIZE}, b); send(d, 1, 1009, c); a.close(); b.recv(1); b.close(); d.close()")
            target.end()
            recording = nettrace.wait()

    assert moved(recording) == (BYTES + 1009, BYTES + 1009)
    assert unheld(recording) == []
    assert recording.subject.exit_status == 0


def test_udp_sockets_that_were_there_and_new_ones_are_counted(tmp_path: Path) -> None:
    """Connected or not, datagram by datagram."""
    make = "{0} = socket.socket(type=socket.SOCK_DGRAM); {0}.bind(('127.0.0.1', 0));"
    talk = f"for _ in range({CALLS}): {{0}}.sendto(bytes(1009), {{1}}.getsockname()); {{1}}.recv(2000)"
    with Told() as target:
        target.tell(make.format("a") + make.format("b") + "a.sendto(bytes(9), b.getsockname()); b.recv(100)")
        with attached(tmp_path, "-p", target.pid) as nettrace:
            target.tell(talk.format("a", "b"))
            target.tell(make.format("c") + make.format("d") + "\n" + talk.format("c", "d"))
            recording = nettrace.end()

    assert moved(recording) == (2 * CALLS * 1009, 2 * CALLS * 1009)
    assert unheld(recording) == []


def test_unix_sockets_are_calls_of_the_processes(tmp_path: Path) -> None:
    """By process; another one's are not there."""
    work = f"a, b = socket.socketpair()\nfor _ in range({CALLS}): a.sendall(bytes(1009)); take(b, 1009)"
    with Told() as target, Told() as other, attached(tmp_path, "-p", target.pid) as nettrace:
        other.tell(work)
        target.tell(work)
        recording = nettrace.end()

    # Its own answers go by pipes.
    assert sorted((one.pid, one.way, one.calls, one.bytes) for one in recording.unix) == [
        (target.pid, "read copy", CALLS, CALLS * 1009),
        (target.pid, "send copy", CALLS, CALLS * 1009),
    ]
    assert moved(recording) == (0, 0)


def test_what_is_unread_on_a_connection_that_both_ends_have_closed_is_counted(tmp_path: Path) -> None:
    """TCP has forgotten it; the descriptor has not."""
    with Told() as target:
        target.tell("a, b = pair(); b.sendall(bytes(5003)); b.close(); a.shutdown(socket.SHUT_WR)")
        target.tell("while a.getsockopt(socket.SOL_TCP, socket.TCP_INFO, 1) != bytes([7]): pass")
        with attached(tmp_path, "-p", target.pid) as nettrace:
            target.tell("take(a, 5003)")
            recording = nettrace.end()

    assert moved(recording) == (0, 5003)
    assert unheld(recording) == []
    assert nettrace.code == 0


def test_a_socket_that_connects_later_is_counted_as_a_new_one(tmp_path: Path) -> None:
    """It was there and had moved nothing: nothing of its past is missing."""
    with Told() as target:
        target.tell("listener = socket.create_server(('127.0.0.1', 0)); a = socket.socket()")
        with attached(tmp_path, "-p", target.pid) as nettrace:
            target.tell(f"a.connect(listener.getsockname()); b = listener.accept()[0]; send(a, {CALLS}, {SIZE}, b)")
            target.tell("send(b, 1, 1009, a)")
            recording = nettrace.end()

    assert moved(recording) == (BYTES + 1009, BYTES + 1009)
    assert [socket.born for socket in recording.sockets] == ["in-window"] * 2
    assert unheld(recording) == []
    assert (nettrace.code, recording.findings) == (0, [])


def test_a_connection_that_is_being_made_is_counted_from_its_first_byte(tmp_path: Path) -> None:
    """Its SYN is not answered while another one fills the listener's queue, and sent again after a second."""
    with Told() as target:
        target.tell(
            "listener = socket.create_server(('127.0.0.1', 0), backlog=0)\n"
            "first = socket.create_connection(listener.getsockname())\n"
            "a = socket.socket(); a.setblocking(False); a.connect_ex(listener.getsockname())"
        )
        with attached(tmp_path, "-p", target.pid) as nettrace:
            target.tell("listener.accept(); b = listener.accept()[0]; a.setblocking(True)")
            target.tell(f"send(a, {CALLS}, {SIZE}, b); send(b, 1, 1009, a)")
            recording = nettrace.end()

    assert moved(recording) == (BYTES + 1009, BYTES + 1009)
    assert [socket.before.missed for socket in recording.sockets if socket.before] == [0, 0]
    assert unheld(recording) == []
    assert (nettrace.code, recording.findings) == (0, [])


def test_notifications_of_sends_before_are_not_among_those_that_are_counted(tmp_path: Path) -> None:
    """The kernel joins those of five sends before and of three since into one, and numbers them on."""
    sends = "for _ in range({0}): a.send(bytes(10007), 0x4000000); take(b, 10007)"  # MSG_ZEROCOPY
    with Told() as target:
        target.tell("a, b = pair(); a.setsockopt(socket.SOL_SOCKET, 60, 1)\n" + sends.format(5))  # SO_ZEROCOPY
        with attached(tmp_path, "-p", target.pid) as nettrace:
            target.tell(sends.format(3))
            recording = nettrace.end()

    assert [socket.completions.total for socket in recording.sockets if socket.completions] == [3]


MANY = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (10100, max(10100, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
listener = socket.create_server(("127.0.0.1", 0), backlog=64)
pairs = [(socket.create_connection(listener.getsockname()), listener.accept()[0]) for _ in range(5000)]
for a, b in pairs: a.sendall(bytes(101)); take(b, 101); b.sendall(bytes(13))
"""


def test_ten_thousand_sockets_are_counted_one_by_one(tmp_path: Path) -> None:
    """Each with its own beginning: what was queued then, and what each moved since."""
    with Told() as target:
        target.tell(MANY)
        with attached(tmp_path, "-p", target.pid) as nettrace:
            target.tell("for a, b in pairs: a.sendall(bytes(1009)); take(b, 1009); take(a, 13)")
            recording = nettrace.end()

    assert "10,000 connections" in nettrace.errors
    assert {(one.sent_bytes, one.read_bytes) for one in recording.sockets} == {(1009, 13), (0, 1009)}
    assert [one.before.unread for one in recording.sockets if one.before].count(13) == 5000
    assert (len(recording.sockets), unheld(recording), recording.lost, nettrace.code) == (10_000, [], 0, 0)
