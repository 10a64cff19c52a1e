"""Does an experiment on this machine's own kernel: two passes of the same work, the second one watched."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

import msgspec

from tracer.books.cost_notes import notes_of, notes_on_datagrams, notes_on_names
from tracer.books.drops import any_by_qdisc
from tracer.books.laws import laws_of
from tracer.errors import Interrupted, in_one_line
from tracer.machine.interrupts import interrupts
from tracer.machine.kernel.symbols import why_no_names
from tracer.machine.links import OpenLink, open_link
from tracer.machine.namespaces import netns_inode, read_congestion_control, read_optmem_max
from tracer.machine.nics import read_nic, set_scatter_gather
from tracer.machine.rtnetlink import dropping_qdiscs
from tracer.machine.taps import read_taps
from tracer.machine.users import user_name
from tracer.model import SCHEMA, Experiment, Host, LawState, Link, Recording
from tracer.model.sockets import Socket
from tracer.model.watching import BY_ENGINE
from tracer.observers.choice import Observer, require_observers, require_permission, start_observers
from tracer.observers.meters import Meters
from tracer.observers.prepared import Prepared
from tracer.runs.dispatch import Progress
from tracer.runs.passes import Passes
from tracer.runs.socket_recording import books_of
from tracer.runs.subjects.workload import OfWorkload

# Work of a default run: long enough to settle, short enough to be done before the user wonders.
_DEFAULT_BYTES, _MIN_MESSAGES, _MAX_MESSAGES = 128 << 20, 16, 50_000


def default_messages(size: int, threads: int) -> int:
    """Messages of each connection where the user gave neither a number nor a duration."""
    return max(_MIN_MESSAGES, min(_MAX_MESSAGES, _DEFAULT_BYTES // size) // threads)


def record(
    experiment: Experiment,
    progress: Progress,
    *,
    port: int = 0,
    observed: bool = True,
    prepared: Prepared | None = None,
) -> Recording:
    """Run an experiment on this machine's own kernel; the same signature as dispatch.record.

    A KeyboardInterrupt ends the pass that runs, and so does one in which nothing moves any more: what was measured
    until then is returned, complete=False.

    Args:
        prepared: What is there already: compiled programs, a faster start of the workers.

    Raises:
        NettraceError: something is missing, refused, or broke on the way; all is undone.
        Interrupted: the interrupt came before anything was measured.
    """
    if experiment.lab is not None:
        raise ValueError(f"this machine is not the lab's kernel {experiment.lab}: see tracer.runs.dispatch")
    if experiment.messages is None and experiment.duration_s is None:
        messages = default_messages(experiment.size, experiment.threads)
        experiment = msgspec.structs.replace(experiment, messages=messages)
    require_permission()
    try:
        interrupts.look()
        with contextlib.ExitStack() as stack:
            stack.callback(interrupts.resume)
            return _record(experiment, progress, port, observed, prepared or Prepared(), stack)
    except KeyboardInterrupt as error:
        raise Interrupted("interrupted before anything was measured", fix="run it again") from error


def _record(
    experiment: Experiment,
    progress: Progress,
    port: int,
    observed: bool,
    prepared: Prepared,
    stack: contextlib.ExitStack,
) -> Recording:
    """Set up, do the passes; the stack undoes."""
    link = stack.enter_context(open_link(experiment.link, experiment.peer, ipv6=experiment.ipv6))
    if not experiment.scatter_gather:
        stack.enter_context(set_scatter_gather(link.device, False, link.sender_netns))
    subject = OfWorkload(experiment, link, port, prepared.start_worker, progress)
    subject.open(stack)
    passes = Passes(experiment, subject, progress)
    if observed:
        require_observers(experiment.observer, stacks=experiment.stacks)
    passes.prepare()
    # Behind that: perf counts the threads that it finds, and would miss one that is made while it looks.
    meters = Meters(experiment, subject.workers, prepared)
    stack.callback(meters.close)
    observers: list[Observer] = []
    if observed:
        if not prepared.programs:
            progress("compiling the probes for this kernel")
        observers = start_observers(
            experiment.observer, lambda: subject.flow, stacks=experiment.stacks, prepared=prepared
        )
    for observer in observers:
        stack.callback(observer.close)
    stack.callback(interrupts.hold)  # the first to be called: no signal cuts short what the others undo

    def recording() -> Recording:
        host = read_host(link, ask_qdiscs=any_by_qdisc(passes.observations))
        return _recording_of(experiment, passes, subject, host, [link.note])

    passes.run(observers, meters, lambda: [one.id for one in laws_of(recording()) if one.state is LawState.BROKEN])
    return recording()


def _recording_of(
    experiment: Experiment, passes: Passes, subject: OfWorkload, host: Host, notes: list[str]
) -> Recording:
    if passes.bare is None:
        raise Interrupted("interrupted before anything was measured", fix="run it again")
    return Recording(
        schema=SCHEMA,
        subject=subject.witness(),
        version=importlib.metadata.version("nettrace-copies"),
        experiment=experiment,
        host=host,
        workload=passes.bare,
        observed=passes.observed,
        observations=passes.observations,
        complete=passes.complete,
        attempts=passes.attempts,
        user=user_name(subject.runs_as),
        counters=passes.counters,
        profile=passes.profile,
        stuck=in_one_line(passes.stuck) if passes.stuck is not None else "",
        window=passes.window,
        **(_books(passes) if passes.observed is not None else {}),
        notes=[
            *notes,
            *([subject.workers.slow] if subject.workers.slow and passes.stuck is None else []),
            *notes_on_datagrams(passes.bare),
            *notes_of(passes.counters, passes.profile),
            *notes_on_names(experiment, why_no_names()),
        ],
    )


def _books(passes: Passes) -> dict[str, Any]:
    """What the rows of the observed pass tell; nothing where no observer knows sockets."""
    watched, witness = passes.watched, passes.witness
    if watched is None:
        return {}
    named = witness.named if witness is not None and watched.calls == BY_ENGINE else _as_it_is
    books = books_of(watched, (passes.began_s, netns_inode(None)), named)._asdict()
    del books["peers"]
    return books


def _as_it_is(socket: Socket) -> Socket:
    return socket


def read_host(link: OpenLink, *, ask_qdiscs: bool = False) -> Host:
    """The machine that a recording is made on.

    Args:
        ask_qdiscs: One dropped payload: which it was is to be found out.
    """
    cpu = _cpu_model(Path("/proc/cpuinfo").read_text())
    lab = os.environ.get("NETTRACE_LAB")
    return Host(
        kernel=platform.release(),
        where="lab" if lab else "host",
        # QEMU's own CPU models say so; with KVM the guest sees the host's model.
        emulated="TCG" in cpu,
        cpu=cpu,
        cores=os.cpu_count() or 1,
        nic=read_nic(link.device, link.sender_netns),
        congestion_control=read_congestion_control(link.sender_netns),
        optmem_max=read_optmem_max(link.sender_netns),
        memlock=_memlock(),
        packet_taps=read_taps([(link.device, link.sender_netns), *_far_ends(link)]),
        dropping_qdiscs=dropping_qdiscs(link.device, link.sender_netns) if ask_qdiscs else None,
    )


def _far_ends(link: OpenLink) -> list[tuple[str, str | None]]:
    """The device that the packets arrive at, where that is another one."""
    return [(link.device, link.receiver_netns)] if link.link is Link.VETH else []


def _cpu_model(cpuinfo: str) -> str:
    lines = (line.partition(":") for line in cpuinfo.splitlines())
    return next((value.strip() for key, _, value in lines if key.strip() == "model name"), platform.machine())


def _memlock() -> int | None:
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    return None if soft == resource.RLIM_INFINITY else soft
