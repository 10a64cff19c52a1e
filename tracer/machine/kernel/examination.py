"""Examines this kernel: the facts that need an attempt, and the texts that the others are read from."""

from __future__ import annotations

import resource
from collections.abc import Callable
from pathlib import Path

from tracer.books.facts import Fact, Purpose, State
from tracer.errors import MachineError, NettraceError
from tracer.machine.cgroups import open_cgroup
from tracer.machine.kernel import capabilities
from tracer.machine.kernel.bpf_trial import ProgramType, can_break_at, can_count_cycles, can_kprobe, can_load
from tracer.machine.kernel.btf import VMLINUX, read_vmlinux
from tracer.machine.kernel.symbols import address_of, read_restriction, why_no_names
from tracer.machine.leftovers import cgroup2_mount

# A function of lib/, where neither kprobes nor fentry can go, and which a breakpoint is there to watch.
WATCHED_FUNCTION = b"_copy_from_iter"


def kernel_facts() -> list[Fact]:
    """All that doctor tells of the kernel."""
    return [*_facts_to_run(), *_facts_on_functions(), *_facts_on_cost()]


def _facts_to_run() -> list[Fact]:
    held = capabilities.held_capabilities()
    return [
        _btf_fact(),
        capabilities.capabilities_fact(held, _read("/proc/sys/kernel/unprivileged_bpf_disabled")),
        tried_fact(
            "raw tracepoint",
            Purpose.RUN,
            "counts bytes by the state of each packet",
            lambda: can_load(ProgramType.RAW_TRACEPOINT),
            required=True,
        ),
        tried_fact(
            "cgroup program",
            Purpose.RUN,
            "sees every packet of the workload's own sockets",
            lambda: can_load(ProgramType.CGROUP_SKB),
            required=True,
        ),
        _cgroup2_fact(),
        capabilities.optmem_fact(_read("/proc/sys/net/core/optmem_max")),
        capabilities.memlock_fact(resource.getrlimit(resource.RLIMIT_MEMLOCK)[0], held),
    ]


def _facts_on_functions() -> list[Fact]:
    address = address_of(WATCHED_FUNCTION)
    return [
        tried_fact(
            "fentry",
            Purpose.FUNCTIONS,
            "counts bytes in the copying functions themselves",
            lambda: can_load(ProgramType.TRACING),
        ),
        tried_fact("kprobe", Purpose.FUNCTIONS, "does what fentry does, where that is refused", can_kprobe),
        tried_fact(
            "hardware breakpoint",
            Purpose.FUNCTIONS,
            f"counts calls of {WATCHED_FUNCTION.decode()}, which no kprobe can reach",
            lambda: can_break_at(address) if address else "EPERM: the function's address is hidden",
        ),
        capabilities.addresses_fact(why_no_names() is not None, read_restriction()),
        capabilities.lockdown_fact(_read("/sys/kernel/security/lockdown")),
        capabilities.tracefs_fact(Path("/sys/kernel/tracing")),
    ]


def _facts_on_cost() -> list[Fact]:
    held = capabilities.held_capabilities()
    return [
        capabilities.cycles_fact(can_count_cycles(), held),
        capabilities.paranoid_fact(_read("/proc/sys/kernel/perf_event_paranoid"), held),
        tried_fact(
            "perf_event",
            Purpose.COST,
            "samples where CPU time goes, stage by stage",
            lambda: can_load(ProgramType.PERF_EVENT),
        ),
    ]


def _cgroup2_fact() -> Fact:
    """Tried, because a hierarchy that is mounted may be read-only, or not this user's."""
    try:
        with open_cgroup() as directory:
            detail, fix = f"one can be made in {directory.parent}", ""
    except NettraceError as error:
        detail, fix = f"{error.what}: {error.why}", error.fix
    privileged = capabilities.is_privileged() or cgroup2_mount() is None
    return Fact(
        name="cgroup2",
        purpose=Purpose.RUN,
        state=State.OK if not fix else State.MISSING if privileged else State.UNKNOWN,
        detail=detail,
        why_it_matters="the workload gets a cgroup of its own, by which its packets are known",
        fix=fix,
        required=True,
    )


def _btf_fact() -> Fact:
    try:
        detail, fix = f"{VMLINUX}, {len(read_vmlinux())} B", ""
    except MachineError as error:
        detail, fix = error.why, error.fix
    return Fact(
        name="BTF",
        purpose=Purpose.RUN,
        state=State.MISSING if fix else State.OK,
        detail=detail,
        why_it_matters="tells where the members of kernel structs lie, instead of kernel headers",
        fix=fix,
        required=True,
    )


def tried_fact(
    name: str, purpose: Purpose, why_it_matters: str, attempt: Callable[[], str | None], *, required: bool = False
) -> Fact:
    """A fact that only an attempt tells: it returns None, or the reason of its failure.

    What the kernel refuses to a user without privilege it may allow to root: unknown, not missing.
    """
    refusal, privileged = attempt(), capabilities.is_privileged()
    not_told = refusal is not None and refusal.startswith(("EPERM", "EACCES")) and not privileged
    return Fact(
        name=name,
        purpose=purpose,
        state=State.OK if refusal is None else State.UNKNOWN if not_told else State.MISSING,
        detail="accepted when tried" if refusal is None else f"tried: {refusal}",
        why_it_matters=why_it_matters,
        fix="" if refusal is None else capabilities.as_root() if not_told else capabilities.IN_THE_LAB,
        required=required,
    )


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None
