"""Does an experiment on this machine's own kernel: two passes of the same work, the second one watched."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
from collections.abc import Callable
from pathlib import Path

import msgspec

from tracer.books.drops import TRACEPOINT as DROP
from tracer.books.tallies import total
from tracer.errors import Interrupted
from tracer.machine.cgroups import open_cgroup
from tracer.machine.links import OpenLink, open_link
from tracer.machine.namespaces import read_congestion_control, read_optmem_max
from tracer.machine.nics import dropping_qdiscs, read_nic, set_scatter_gather
from tracer.machine.processes import Workers
from tracer.machine.taps import packet_taps
from tracer.model import SCHEMA, CpuProfile, Experiment, Host, Observation, Recording, Workload
from tracer.observers.choice import Observer, require_permission, start_observers
from tracer.observers.flow import Flow
from tracer.observers.meters import Meters, notes_of
from tracer.observers.sampler import Sampler

Progress = Callable[[str], None]

_NO_WINDOW: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
# An observed pass that lost events is done again; on the slowest kernel seen one in four did.
_ATTEMPTS = 5
# Work of a default run: long enough to settle, short enough to be done before the user wonders.
_DEFAULT_BYTES, _MIN_MESSAGES, _MAX_MESSAGES = 128 << 20, 16, 50_000


def default_messages(size: int, threads: int) -> int:
    """Messages of each connection where the user gave neither a number nor a duration."""
    return max(_MIN_MESSAGES, min(_MAX_MESSAGES, _DEFAULT_BYTES // size) // threads)


def record(experiment: Experiment, progress: Progress, *, port: int = 0, observed: bool = True) -> Recording:
    """Run an experiment; the same signature as lab.record.

    A KeyboardInterrupt ends the pass that runs: what was measured until then is returned, complete=False.

    Raises:
        NettraceError: something is missing, refused, or broke on the way; all is undone.
        Interrupted: the interrupt came before anything was measured.
    """
    if experiment.messages is None and experiment.duration_s is None:
        messages = default_messages(experiment.size, experiment.threads)
        experiment = msgspec.structs.replace(experiment, messages=messages)
    require_permission()
    try:
        with contextlib.ExitStack() as stack:
            link = stack.enter_context(open_link(experiment.link, experiment.peer))
            if not experiment.scatter_gather:
                stack.enter_context(set_scatter_gather(link.device, False, link.sender_netns))
            cgroup = stack.enter_context(open_cgroup())
            workers = stack.enter_context(_start_workers(experiment, link, port, cgroup))
            taps = read_taps(link)
            meters = Meters(experiment, workers)
            stack.callback(meters.close)
            if observed:
                progress("compiling the probes for this kernel")
            observers = (
                start_observers(experiment.observer, lambda: _flow_of(workers, link, cgroup), stacks=experiment.stacks)
                if observed
                else []
            )
            for observer in observers:
                stack.callback(observer.close)
            recording = _run_passes(experiment, link, workers, observers, meters, progress)
            return with_surroundings(recording, link, taps)
    except KeyboardInterrupt as error:
        raise Interrupted("interrupted before anything was measured", fix="run it again") from error


def _start_workers(experiment: Experiment, link: OpenLink, port: int, cgroup: Path) -> Workers:
    user, group = invoking_user()
    return Workers(
        experiment,
        address=link.address,
        port=port,
        sender_netns=link.sender_netns,
        receiver_netns=link.receiver_netns,
        uid=user,
        gid=group,
        cgroup=cgroup,
        peer=(link.address, link.port) if link.port is not None else None,
    )


def _flow_of(workers: Workers, link: OpenLink, cgroup: Path) -> Flow:
    receiver = link.receiver_netns_inode
    return Flow(workers.port, link.sender_netns_inode, receiver or 0, cgroup, leaves_machine=receiver is None)


def _run_passes(
    experiment: Experiment,
    link: OpenLink,
    workers: Workers,
    observers: list[Observer],
    meters: Meters,
    progress: Progress,
) -> Recording:
    progress("bare pass: time and CPU, " + ("counted by perf" if experiment.counters else "nothing attached"))
    bare, finished = _run_pass(workers, experiment.messages, experiment.duration_s, meters.window())
    counters = meters.read_counters(bare) if bare is not None else []
    observed: Workload | None = None
    observations: list[Observation] = []
    profile: CpuProfile | None = None
    if finished and bare is not None:
        # The same work again; a duration becomes the number of messages that the bare pass sent in it.
        messages = experiment.messages or max(1, bare.messages // experiment.threads)
        try:
            if observers:
                progress("observed pass: bytes, at " + ", ".join(observer.name for observer in observers))
                observed, observations, finished = _observe_pass(workers, observers, messages, progress)
            if finished and meters.sampler is not None:
                for observer in observers:
                    observer.close()
                progress(f"profiled pass: stacks, by {meters.sampler.event}")
                profile, finished = _profile_pass(workers, meters.sampler, messages)
        except KeyboardInterrupt:  # while probes were attached or detached: the bare pass stands
            finished = False
    if bare is None:
        raise Interrupted("interrupted before anything was measured", fix="run it again")
    return Recording(
        schema=SCHEMA,
        version=importlib.metadata.version("nettrace-copies"),
        experiment=experiment,
        host=read_host(link),
        workload=bare,
        observed=observed,
        observations=observations,
        complete=finished,
        counters=counters,
        profile=profile,
        notes=[link.note, *notes_of(counters, profile)],
    )


def _run_pass(
    workers: Workers,
    messages: int | None,
    duration_s: float | None,
    window: contextlib.AbstractContextManager[None] = _NO_WINDOW,
) -> tuple[Workload | None, bool]:
    """One pass: its figures, and whether it came to its end. The window is open while payload moves."""
    try:
        workers.prepare(messages, duration_s)
        with window:
            workers.release()
            return workers.collect(), True
    except KeyboardInterrupt:
        return workers.stop(), False


def _profile_pass(workers: Workers, sampler: Sampler, messages: int) -> tuple[CpuProfile | None, bool]:
    """The same work once more, sampled and otherwise unwatched; no profile of a part of it."""
    sampler.attach()
    try:
        profiled, finished = _run_pass(workers, messages, None)
    finally:
        sampler.detach()
    return (sampler.profile(profiled) if profiled is not None and finished else None), finished


def _observe_pass(
    workers: Workers, observers: list[Observer], messages: int, progress: Progress
) -> tuple[Workload | None, list[Observation], bool]:
    """The pass that is watched; again, a few times at most, where the kernel skipped a probe.

    It skips one that is running already on that CPU: if a task is preempted in the middle of it, the next task's
    call go unseen. That is bad luck, and likelier the slower the CPU; a pass that saw all is worth more than a doubt.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        for observer in observers:
            observer.attach()
        observed, finished = _run_pass(workers, messages, None)
        observations = [observer.detach() for observer in observers]
        lost = total(*(observation.lost for observation in observations))
        if not lost or not finished or attempt == _ATTEMPTS:
            break
        progress(f"observed pass once more: {lost} events were lost")
    return observed, observations, finished


def invoking_user() -> tuple[int | None, int | None]:
    """User and group that the workload runs as: those who called sudo; None to stay what we are."""
    user, group = os.environ.get("SUDO_UID"), os.environ.get("SUDO_GID")
    if os.geteuid() != 0 or not user or not group:
        return None, None
    return int(user), int(group)


def read_taps(link: OpenLink) -> list[str] | None:
    """Packet sockets on the devices at both ends of the link, as far as they are on this machine."""
    ends = {link.sender_netns, link.receiver_netns}
    found = [packet_taps(link.device, netns) for netns in ends]
    return sorted({tap for taps in found for tap in taps or []}) if None not in found else None


def with_surroundings(recording: Recording, link: OpenLink, taps: list[str] | None) -> Recording:
    """The recording with who else touched its packets: taps before or after the passes, and qdiscs if any dropped."""
    now = read_taps(link)
    host = msgspec.structs.replace(
        recording.host,
        packet_taps=None if taps is None or now is None else sorted({*taps, *now}),
        dropping_qdiscs=dropping_qdiscs(link.device, link.sender_netns) if _has_drops(recording) else None,
    )
    return msgspec.structs.replace(recording, host=host)


def _has_drops(recording: Recording) -> bool:
    return any(name.startswith(f"{DROP}:") for one in recording.observations for name in one.tallies)


def read_host(link: OpenLink) -> Host:
    """The machine that a recording is made on."""
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
    )


def _cpu_model(cpuinfo: str) -> str:
    lines = (line.partition(":") for line in cpuinfo.splitlines())
    return next((value.strip() for key, _, value in lines if key.strip() == "model name"), platform.machine())


def _memlock() -> int | None:
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    return None if soft == resource.RLIM_INFINITY else soft
