"""Where the kernel refuses iterators: sockets that end are counted, and of the others TCP's own word is told."""

from __future__ import annotations

import os
import socket

import pytest

from tests.attach.targets import BYTES, CALLS, SIZE, Told
from tracer.books.evidence import judge_all
from tracer.books.expectations import parse_expectation
from tracer.machine.sock_diag import Connection, connections_of
from tracer.model import LawState
from tracer.model.socket_recording import SocketRecording
from tracer.observers import loading
from tracer.observers.loading import Kind, Refusal
from tracer.runs.attach import Target, attach_to


@pytest.fixture
def without_iterators(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that loads all but these, as one with a policy against them."""
    load = loading.load

    def refusing(code: bytes, name: str, kind: Kind, target: int | None) -> int:
        if kind is Kind.ITERATOR:
            raise Refusal(1, "Operation not permitted")
        return load(code, name, kind, target)

    monkeypatch.setattr(loading, "load", refusing)


def watched(target: Told, lines: str) -> SocketRecording:
    """What is recorded of a target that works as soon as it is watched."""
    return attach_to(Target([target.pid], most_s=0.0), lambda _words: target.tell(lines))


@pytest.mark.live
@pytest.mark.usefixtures("without_iterators")
def test_of_connections_that_were_there_tcp_itself_is_asked() -> None:
    """What they moved meanwhile, to the byte, and one accepted from a listener that was there; with no row."""
    with Told() as target:
        target.tell(
            "old = socket.create_server(('127.0.0.1', 0)); a, b = pair(); send(a, 3, 4099, b); c, d = pair()\n"
            "d.sendall(bytes(101)); take(c, 101)"
        )
        recording = watched(
            target,
            f"send(a, {CALLS}, {SIZE}, b); send(b, 1, 1009, a); c.close(); d.close()\n"
            "e = socket.create_connection(old.getsockname()); f = old.accept()[0]; send(e, 1, 7, f)",
        )

    finding = next(one for one in recording.findings if one.code == "past-not-seen")
    assert finding.figures == {
        "connections": 3, "ended": 2, "sent": BYTES + 1009, "received": BYTES + 1009 + 7
    }  # fmt: skip
    # The one that connected is counted from its first byte.
    assert [one.sent_bytes for one in recording.sockets] == [7]
    assert "Operation not permitted" in finding.why
    assert recording.hooks.refused["task_file"] == "Operation not permitted"


@pytest.mark.live
@pytest.mark.usefixtures("without_iterators")
def test_a_socket_that_is_made_and_ends_is_counted_as_ever() -> None:
    """By its calls; nothing is lost where nothing is left."""
    with Told() as target:
        recording = watched(
            target, f"a, b = pair(); send(a, {CALLS}, {SIZE}, b); a.close(); b.recv(1); b.close(); said = 1"
        )

    assert recording.totals.sent["copy"].bytes == BYTES
    assert recording.totals.read["copy"].bytes == BYTES
    assert recording.lost == 0


@pytest.mark.live
@pytest.mark.usefixtures("without_iterators")
def test_what_is_not_counted_makes_what_is_expected_unknown() -> None:
    """A figure that lacks connections is none that a program is held to."""
    with Told() as target:
        target.tell("a, b = pair()")
        recording = watched(target, "c, d = pair(); send(a, 1, 1009, b); send(c, 1, 1009, d)")

    (judged,) = judge_all([parse_expectation("send copies <= 1")], recording)
    assert recording.lost == 2
    assert judged.state is LawState.UNKNOWN


@pytest.mark.system
def test_inet_diag_knows_what_a_connection_has_moved() -> None:
    """In the process's own network namespace, by the socket's cookie."""
    lines = "import subprocess; subprocess.run(['ip', 'link', 'set', 'lo', 'up'], check=True)\n"
    lines += "a, b = pair(); send(a, 3, 4099, b); said = int.from_bytes(a.getsockopt(1, 57, 8), 'little')"  # SO_COOKIE
    with Told("unshare", "-n") as target:
        cookie = target.tell(lines)
        found = connections_of([target.pid])
        gone = target.pid

    assert (found[cookie], len(found)) == (Connection(sent=12297, received=0), 2)
    assert connections_of([gone]) == {}


@pytest.mark.system
def test_ours_are_not_among_somebody_elses() -> None:
    """Only those whose descriptors the processes hold."""
    with Told() as target, socket.create_server(("127.0.0.1", 0)) as listener:
        target.tell("'ready'")
        with socket.create_connection(listener.getsockname()):
            assert connections_of([target.pid]) == {}
            assert len(connections_of([os.getpid()])) == 1
