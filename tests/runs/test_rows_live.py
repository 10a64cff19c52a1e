"""The engine as one more witness: what it counted is what record's rows tell of its sockets, call by call."""

from __future__ import annotations

import contextlib

import pytest

from tracer.books import modes
from tracer.books.row_laws import row_laws
from tracer.machine.cgroups import open_cgroup
from tracer.machine.namespaces import netns_inode
from tracer.machine.processes import Workers
from tracer.model import Experiment, LawState, Link, Observation, Workload
from tracer.observers.flow import Flow
from tracer.observers.tracepoints import TracepointObserver

pytestmark = pytest.mark.live

SIZE, MESSAGES = 10007, 97


def watched(mode: str, threads: int) -> tuple[Observation, Workload]:
    """One pass, its calls watched too."""
    own, asked = netns_inode(None), Experiment(mode=mode, size=SIZE, threads=threads)
    with contextlib.ExitStack() as stack:
        cgroup = stack.enter_context(open_cgroup())
        workers = stack.enter_context(Workers(asked, address="127.0.0.1", cgroup=cgroup))
        observer = TracepointObserver(Flow(workers.port, own, own, cgroup), calls=True)
        stack.callback(observer.close)
        observer.attach()
        workers.prepare(MESSAGES, None)
        workers.release()
        workload = workers.collect()
        return observer.detach(), workload


def ways_of(mode: str) -> set[str]:
    """Of the socket that sends."""
    asked = modes.mode(mode)
    return {asked.way, "copy"} if asked.header else {asked.way}


@pytest.mark.parametrize("threads", [1, 5])
@pytest.mark.parametrize("mode", modes.NAMES)
def test_the_engine_s_counts_are_the_rows(mode: str, threads: int) -> None:
    """Two sockets a connection; every law of theirs holds, and they agree with the engine in bytes and calls."""
    seen, workload = watched(mode, threads)
    laws = {law.id: law for law in row_laws(seen.sockets, Link.LO, workload)}
    sent = [socket.sent for socket in seen.sockets if socket.sent]

    assert len(seen.sockets) == 2 * threads
    assert {name: law for name, law in laws.items() if law.state is not LawState.HOLDS} == {}
    assert {"E1", "E2", "E3", "E4", "S1", "S2", "S3", "S4", "R1", "R2", "R3", "R4"} <= laws.keys()
    assert ("E5" in laws) is modes.mode(mode).asks_zerocopy
    assert [set(ways) for ways in sent] == [ways_of(mode)] * threads
    assert laws["E1"].left == workload.payload_bytes == SIZE * MESSAGES * threads
    assert seen.lost == 0
