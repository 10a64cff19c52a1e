"""The engine as one more witness: what it counted is what record's rows tell of its sockets, call by call."""

from __future__ import annotations

import contextlib
import time

import pytest

from tests.command import IN_THE_CLEAR
from tracer.books import modes
from tracer.books.connections import Witness
from tracer.books.row_laws import row_laws
from tracer.machine.cgroups import open_cgroup
from tracer.machine.namespaces import netns_inode
from tracer.machine.processes import Workers
from tracer.model import Experiment, LawState, Link, Workload
from tracer.model.sockets import Socket
from tracer.observers.flow import Flow
from tracer.observers.tracepoints import TracepointObserver
from tracer.runs.dispatch import record
from tracer.runs.socket_recording import Books, books_of

pytestmark = pytest.mark.live

SIZE, MESSAGES = 10007, 97


def watched(mode: str, threads: int) -> tuple[Books, Workload, Witness]:
    """One pass, its calls watched too."""
    own, asked = netns_inode(None), Experiment(mode=mode, size=SIZE, threads=threads)
    with contextlib.ExitStack() as stack:
        cgroup = stack.enter_context(open_cgroup())
        workers = stack.enter_context(Workers(asked, address="127.0.0.1", cgroup=cgroup))
        flow = Flow(workers.port, own, own, cgroup, transport=workers.transport)
        observer = TracepointObserver(flow, calls=True)
        stack.callback(observer.close)
        began_s = time.monotonic()
        observer.attach()
        workers.prepare(MESSAGES, None)
        workers.release()
        workload = workers.collect()
        observer.detach()
        assert observer.watched is not None
        books, witness = books_of(observer.watched, (began_s, own), lambda socket: socket), workers.witness()
        assert witness is not None
        # A listener has a row where payload comes before it has accepted, all of which it hands down.
        sockets = [one for one in books.sockets if one.sent or one.read or not one.peer.endswith(":0")]
        return books._replace(sockets=sockets), workload, witness


def ways_of(mode: str) -> set[str]:
    """Of the socket that sends."""
    asked = modes.mode(mode)
    # Of datagrams, both ends find each other, and end, by empty ones.
    return {asked.way, "copy"} if asked.header or asked.is_datagrams else {asked.way}


def laws_of(mode: str) -> set[str]:
    """TCP's books are a second witness of its sockets alone."""
    of_tcp = set() if modes.mode(mode).is_datagrams else {"S2", "S3", "S4", "R2", "R3", "R4"}
    return {"E1", "E2", "E3", "E4", "S1", "R1"} | of_tcp


def moved(socket: Socket) -> dict[str, tuple[int, int]]:
    """By direction and way: calls and bytes; one of the engine's is several of the kernel's where it splices.

    Of datagrams, it does not count the empty ones.
    """
    both = {f"sent {way}": one for way, one in socket.sent.items()}
    both |= {f"read {way}": one for way, one in socket.read.items()}
    uncounted = [way for way in both if way == "sent splice" or socket.protocol == "udp"]
    return {way: (0 if way in uncounted else one.calls, one.bytes) for way, one in both.items() if one.bytes}


@pytest.mark.parametrize("threads", [1, 5])
@pytest.mark.parametrize("mode", IN_THE_CLEAR)
def test_the_engine_s_counts_are_the_rows(mode: str, threads: int) -> None:
    """Two sockets a connection; every law of theirs holds, and each agrees with the engine in bytes and calls."""
    seen, workload, witness = watched(mode, threads)
    laws = {law.id: law for law in row_laws(seen.sockets, seen.hooks.calls, Link.LO, workload)}
    sent = [socket.sent for socket in seen.sockets if socket.sent]

    assert len(seen.sockets) == 2 * threads
    assert {name: law for name, law in laws.items() if law.state is not LawState.HOLDS} == {}
    assert laws_of(mode) <= laws.keys()
    assert ("E5" in laws) is modes.mode(mode).asks_zerocopy
    assert [set(ways) for ways in sent] == [ways_of(mode)] * threads
    assert laws["E1"].left == workload.payload_bytes == SIZE * MESSAGES * threads
    assert seen.lost == 0
    by_engine = [witness.named(socket) for socket in seen.sockets]
    assert [moved(one) for one in by_engine] == [moved(one) for one in seen.sockets]
    assert [one.refused.enobufs for one in by_engine] == [one.refused.enobufs for one in seen.sockets]
    assert [one.pids for one in by_engine] == [one.pids for one in seen.sockets]


@pytest.mark.parametrize("mode", IN_THE_CLEAR)
def test_a_run_keeps_its_sockets(mode: str) -> None:
    """Each with its own laws, of which the engine is one side where no call was watched; a subject as any other."""
    recording = record(Experiment(mode=mode, size=SIZE, messages=MESSAGES, threads=3), lambda _: None)
    sockets, hooks = recording.sockets, recording.hooks

    assert hooks is not None
    assert recording.totals is not None
    assert recording.window is not None
    assert recording.observed is not None
    laws = {law.id: law.state for law in row_laws(sockets, hooks.calls, Link.LO, recording.observed)}
    assert (recording.subject.kind, recording.subject.argv[2]) == ("workload", mode)
    assert (len(sockets), hooks.calls, recording.lost, recording.unlisted_sockets) == (6, "engine", 0, 0)
    assert recording.totals.sent_bytes == recording.totals.read_bytes == 3 * SIZE * MESSAGES
    assert laws_of(mode) - {"E1", "E2", "E3", "E4", "R2", "R3"} <= laws.keys()
    assert set(laws.values()) == {LawState.HOLDS}
    assert {pid for socket in sockets for pid in socket.pids} == set(recording.subject.pids)
    assert 0 < recording.window.elapsed_s < 60
