"""Sockets that were there are held until they are marked: whichever begins, none is missed, and none stays."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attach.targets import BYTES, CALLS, SIZE, Told, attached, moved, unheld
from tracer.machine.leftovers import cgroup2_mount
from tracer.observers import attached as attaching
from tracer.observers.attached import OF_PROCESSES, Attachment, no_cgroup
from tracer.observers.sockets import SocketObserver

pytestmark = pytest.mark.live


@contextlib.contextmanager
def watching() -> Iterator[tuple[SocketObserver, Attachment]]:
    root = cgroup2_mount()
    assert root is not None
    with contextlib.closing(SocketObserver(plan=OF_PROCESSES, elements=no_cgroup())) as observer:
        observer.attach(root)
        yield observer, Attachment(observer, None, children=True)


def test_a_socket_that_listens_later_hands_its_mark_on(tmp_path: Path) -> None:
    """It was there, bound to a port, and in no table of the kernel's."""
    with Told() as target:
        target.tell("old = socket.socket(); old.bind(('127.0.0.1', 0))")
        with attached(tmp_path, "-p", target.pid) as nettrace:
            target.tell("old.listen(); a = socket.create_connection(old.getsockname()); b = old.accept()[0]")
            target.tell(f"send(b, {CALLS}, {SIZE}, a)")
            recording = nettrace.end()

    assert moved(recording) == (BYTES, BYTES)
    assert {socket.born for socket in recording.sockets} == {"in-window"}
    assert (unheld(recording), recording.findings) == ([], [])


def test_what_is_accepted_while_the_sockets_are_looked_for_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """From a listener that has been found and has no mark yet: the second look finds it."""
    walk, looks = attaching._walk, []
    with Told() as target, watching() as (observer, attachment):
        target.tell("old = socket.create_server(('127.0.0.1', 0))")

        def walk_slowly(program: int) -> bytes:
            found = walk(program)
            if not looks:
                target.tell("a = socket.create_connection(old.getsockname()); b = old.accept()[0]")
            looks.append(program)
            return found

        monkeypatch.setattr(attaching, "_walk", walk_slowly)
        attachment.begin([target.pid])
        target.tell("send(b, 3, 1009, a); send(a, 1, 7, b)")
        rows = observer.so_far().living

    assert sorted(row.counters["sent_copy_bytes"] for row in rows) == [7, 3 * 1009]
    assert sorted(row.counters["read_copy_bytes"] for row in rows) == [7, 3 * 1009]


def test_what_is_closed_is_held_no_more() -> None:
    """Its address may be another process's socket next, which nobody asked about."""
    with Told() as target, watching() as (observer, attachment):
        maps = observer.programs.maps
        target.tell("a = socket.socket(type=socket.SOCK_DGRAM); c, d = pair()")
        attachment.begin([target.pid])
        target.tell("b = socket.socket(type=socket.SOCK_DGRAM); e = socket.socket()")
        held = len(list(maps.keys("held")))
        target.tell("a.close(); b.close(); c.close(); d.recv(1); d.close(); e.close()")

        assert held == 5
        assert list(maps.keys("held")) == []


@pytest.mark.parametrize(("made", "how"), [("a, b = pair()", 1), ("a = socket.socket(type=socket.SOCK_DGRAM)", 2)])
def test_sockets_of_others_are_looked_for_only_while_one_is_awaited(made: str, how: int) -> None:
    """A look-up at each call and packet of the machine: not where all that was there has its mark."""
    with Told() as target, watching() as (observer, attachment):
        target.tell(made)
        attachment.begin([target.pid])

        assert int.from_bytes(observer.programs.maps.element("holding", 0)[0], "little") == how


def test_a_connection_that_is_made_anew_has_no_past(tmp_path: Path) -> None:
    """Both ends had closed it, unread; connect() to AF_UNSPEC has thrown that away."""
    again = "import ctypes; ctypes.CDLL(None).connect(a.fileno(), bytes(16), 16); a.connect(old.getsockname())"
    with Told() as target:
        target.tell("a, b = pair(); b.sendall(bytes(5003)); b.close(); a.shutdown(socket.SHUT_WR)")
        target.tell("while a.getsockopt(socket.SOL_TCP, socket.TCP_INFO, 1) != bytes([7]): pass")
        target.tell("old = socket.create_server(('127.0.0.1', 0))")
        with attached(tmp_path, "-p", target.pid) as nettrace:
            target.tell(f"{again}; c = old.accept()[0]; send(a, {CALLS}, {SIZE}, c); send(c, 1, 7, a)")
            recording = nettrace.end()

    assert moved(recording) == (BYTES + 7, BYTES + 7)
    assert unheld(recording) == []
    assert {socket.born for socket in recording.sockets} == {"in-window"}


DATAGRAMS = [
    ("UDP-Lite", "socket.socket(type=socket.SOCK_DGRAM, proto=136)", ("127.0.0.1", 0)),
    ("IPv6", "socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)", ("::1", 0)),
]


@pytest.mark.parametrize(("made", "bound"), [row[1:3] for row in DATAGRAMS], ids=[row[0] for row in DATAGRAMS])
def test_what_is_no_connection_is_marked_when_it_moves(tmp_path: Path, made: str, bound: tuple[str, int]) -> None:
    """Whoever sends, or receives, or does so first."""
    with Told() as target:
        target.tell(f"a, b = {made}, {made}; b.bind({bound}); a.connect(b.getsockname()); a.send(bytes(9)); b.recv(9)")
        with attached(tmp_path, "-p", target.pid) as nettrace:
            target.tell(f"for _ in range({CALLS}): a.send(bytes(1009)); b.recv(2000)")
            recording = nettrace.end()

    assert moved(recording) == (CALLS * 1009, CALLS * 1009)
    assert unheld(recording) == []
    assert {socket.born for socket in recording.sockets} == {"before"}
