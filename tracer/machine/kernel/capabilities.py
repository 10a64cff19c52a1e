"""What this user may do here, from the texts in which the kernel tells it; each fact is a function of its text."""

from __future__ import annotations

import functools
import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path

from tracer.books.facts import Fact, Purpose, State

# linux/capability.h
CAPABILITIES = {
    "CAP_DAC_OVERRIDE": 1,
    "CAP_KILL": 5,
    "CAP_SETGID": 6,
    "CAP_SETUID": 7,
    "CAP_NET_ADMIN": 12,
    "CAP_IPC_LOCK": 14,
    "CAP_SYS_ADMIN": 21,
    "CAP_SYSLOG": 34,
    "CAP_PERFMON": 38,
    "CAP_BPF": 39,
}
_TO_TRACE = ("CAP_BPF", "CAP_PERFMON")
_FIRST_USER_NAMESPACE = 0xEFFFFFFD  # PROC_USER_INIT_INO, linux/proc_ns.h
IN_THE_LAB = "no setting changes that on this kernel; run it in the lab: --lab"

_SMALLEST_OPTMEM_MAX = 20480  # what kernels before 6.9 start with; 131072 since
_SMALLEST_MEMLOCK = 8 << 20  # what kernels start with since 5.16; 64 KiB before


def effective_capabilities(status: str) -> frozenset[str]:
    """Names of the capabilities held, of those that nettrace cares for; from the text of /proc/PID/status."""
    found = re.search(r"^CapEff:\s*([0-9a-f]+)$", status, re.MULTILINE)
    held = int(found[1], 16) if found else 0
    return frozenset(name for name, bit in CAPABILITIES.items() if held >> bit & 1)


def held_capabilities() -> frozenset[str]:
    """Capabilities of this process; none in a user namespace, where all that nettrace asks for counts for nothing."""
    return frozenset() if in_user_namespace() else effective_capabilities(Path("/proc/self/status").read_text())


@functools.cache
def in_user_namespace() -> bool:
    """Whether this process is in another user namespace than the machine's first one."""
    try:
        return Path("/proc/self/ns/user").stat().st_ino != _FIRST_USER_NAMESPACE
    except OSError:  # a kernel without them
        return False


def may_trace(held: frozenset[str]) -> bool:
    """Whether these capabilities suffice for tracing; CAP_BPF and CAP_PERFMON are split off CAP_SYS_ADMIN since 5.8."""
    return "CAP_SYS_ADMIN" in held or {"CAP_BPF", "CAP_PERFMON"} <= held


def is_privileged() -> bool:
    """Whether this process may trace, as far as capabilities decide it."""
    return may_trace(held_capabilities())


def nettrace_path() -> Path:
    """This nettrace's own command: a bare `nettrace` is not found under sudo's secure_path."""
    return Path(sys.executable).with_name("nettrace")


def as_root(arguments: str = "", lacking: Iterable[str] = ()) -> str:
    """What gives this nettrace the privilege of root. Who is root already was started with less than root has."""
    command = f"sudo {nettrace_path()} {arguments}".rstrip()
    if in_user_namespace():
        return f"outside of this user namespace: {command}; or, without privilege, in the lab: --lab"
    if os.geteuid() != 0:
        return command
    names = list(lacking) or [name for name in _TO_TRACE if name not in held_capabilities()]
    added = " ".join(f"--cap-add {name.removeprefix('CAP_')}" for name in names)
    return f"start it with {', '.join(names)} (docker run {added}; systemd: CapabilityBoundingSet=)"


def capabilities_fact(held: frozenset[str], unprivileged_bpf_disabled: str | None) -> Fact:
    """What this user holds; the sysctl says whether others could load anything at all."""
    absent = sorted(CAPABILITIES.keys() - held)
    lacking = "none counts in a user namespace" if in_user_namespace() else f"lacks {', '.join(absent)}"
    sysctl = f"unprivileged_bpf_disabled = {unprivileged_bpf_disabled or 'unknown'}"
    return Fact(
        name="capabilities",
        purpose=Purpose.RUN,
        state=State.OK if may_trace(held) else State.MISSING,
        detail=f"{lacking if absent else 'all that nettrace uses'}; {sysctl}",
        why_it_matters="tracing needs CAP_BPF and CAP_PERFMON; veth also CAP_SYS_ADMIN and CAP_NET_ADMIN",
        fix="" if may_trace(held) else as_root(),
    )


def optmem_fact(optmem_max: str | None) -> Fact:
    """Room of a socket for control data: completion notifications that nobody has read yet take theirs from it."""
    enough = optmem_max is not None and int(optmem_max) >= _SMALLEST_OPTMEM_MAX
    return Fact(
        name="optmem_max",
        purpose=Purpose.RUN,
        state=State.UNKNOWN if optmem_max is None else State.OK if enough else State.MISSING,
        detail="the kernel does not tell it here" if optmem_max is None else f"{int(optmem_max)} B",
        why_it_matters="limits zero-copy sends in flight: beyond it the kernel answers ENOBUFS",
        fix="" if enough else "sysctl -w net.core.optmem_max=131072",
    )


def memlock_fact(limit: int, held: frozenset[str]) -> Fact:
    """Pages that a user's zero-copy sends may pin together (mm_account_pinned_pages); limit in bytes, -1 for none."""
    enough = limit < 0 or limit >= _SMALLEST_MEMLOCK or "CAP_IPC_LOCK" in held
    exempt = "; CAP_IPC_LOCK lifts it" if "CAP_IPC_LOCK" in held else ""
    return Fact(
        name="RLIMIT_MEMLOCK",
        purpose=Purpose.RUN,
        state=State.OK if enough else State.MISSING,
        detail=("unlimited" if limit < 0 else f"{limit} B") + exempt,
        why_it_matters="limits pages pinned by zero-copy sends: beyond it the kernel answers ENOBUFS",
        fix="" if enough else "ulimit -l unlimited, as root",
    )


def lockdown_fact(text: str | None) -> Fact:
    """The mode in brackets; "confidentiality" keeps even root from reading the kernel (kernel_lockdown(7))."""
    found = re.search(r"\[(\w+)\]", text or "")
    mode = found[1] if found else None
    locked = mode == "confidentiality"
    return Fact(
        name="lockdown",
        purpose=Purpose.FUNCTIONS,
        state=State.UNKNOWN if mode is None else State.MISSING if locked else State.OK,
        detail=mode or "securityfs is not mounted, not readable, or has no lockdown",
        why_it_matters='"confidentiality" forbids kprobes, and BPF programs that read kernel memory',
        fix="boot without lockdown=confidentiality, or run it in the lab: --lab"
        if locked
        else "mount -t securityfs none /sys/kernel/security"
        if mode is None
        else "",
    )


def addresses_fact(hidden: bool, kptr_restrict: str | None) -> Fact:
    """Whether /proc/kallsyms shows addresses to this user; why not, if it hides them."""
    shown = f"shown in /proc/kallsyms; kernel.kptr_restrict = {kptr_restrict or 'unknown'}"
    return Fact(
        name="kernel addresses",
        purpose=Purpose.FUNCTIONS,
        state=State.MISSING if hidden else State.OK,
        detail=hidden_by(kptr_restrict) if hidden else shown,
        why_it_matters="names the functions in --stacks and --profile, and says where to put a breakpoint",
        fix=shown_by(kptr_restrict) if hidden else "",
    )


def hidden_by(kptr_restrict: str | None) -> str:
    """The reason for addresses of 0 in /proc/kallsyms, by kernel.kptr_restrict.

    kernel/ksyms_common.c, kallsyms_show_value(): 2 hides them from everybody, 0 and 1 show them to CAP_SYSLOG.
    """
    whom = "from root too" if kptr_restrict == "2" else "from those without CAP_SYSLOG"
    return f"kernel.kptr_restrict = {kptr_restrict or 'unknown'} hides where kernel functions lie, {whom}"


def shown_by(kptr_restrict: str | None) -> str:
    """What shows them: the sysctl is asked, and below 2 CAP_SYSLOG."""
    sysctl = ["sysctl -w kernel.kptr_restrict=1"] if kptr_restrict == "2" else []
    lacking = [] if "CAP_SYSLOG" in held_capabilities() else [as_root("...", ["CAP_SYSLOG"])]
    return "; and ".join(sysctl + lacking) or IN_THE_LAB


def tracefs_fact(mount: Path) -> Fact:
    """Whether tracefs is there and readable."""
    listing = mount / "events"
    try:
        readable = any(listing.iterdir())
        detail = str(mount) if readable else f"{mount} is empty"
    except OSError as error:
        readable, detail = False, f"{listing}: {error.strerror}"
    return Fact(
        name="tracefs",
        purpose=Purpose.FUNCTIONS,
        state=State.OK if readable else State.MISSING,
        detail=detail,
        why_it_matters="lists what kprobes can reach; raw tracepoints and fentry do without it",
        fix="" if readable else f"mount -t tracefs nodev {mount}, as root",
    )


def paranoid_fact(level: str | None, held: frozenset[str]) -> Fact:
    """kernel.perf_event_paranoid: up to 1, everyone may count in the kernel; above, only who may trace."""
    allowed = may_trace(held) or (level is not None and int(level) <= 1)
    return Fact(
        name="perf_event_paranoid",
        purpose=Purpose.COST,
        state=State.OK if allowed else State.UNKNOWN if level is None else State.MISSING,
        detail=f"{level or 'unknown'}{'; lifted by capabilities' if may_trace(held) else ''}",
        why_it_matters="decides who may count cycles that the kernel spends",
        fix="" if allowed else f"{as_root()}, or: sysctl -w kernel.perf_event_paranoid=1",
    )


def cycles_fact(refusal: str | None, held: frozenset[str]) -> Fact:
    """Whether the CPU's cycle counter can be read; refusal is what can_count_cycles() answered."""
    refused = refusal is not None and refusal.startswith(("EACCES", "EPERM"))
    absent = "no cycle counter: a virtual machine without a PMU, or an emulated CPU"
    return Fact(
        name="CPU cycles",
        purpose=Purpose.COST,
        state=State.OK if refusal is None else State.UNKNOWN if refused and not may_trace(held) else State.MISSING,
        detail="counted" if refusal is None else refusal if refused else f"{absent} ({refusal})",
        why_it_matters="cycles per byte; without it CPU time x the TSC's rate stands in, and is labelled so",
        fix=""
        if refusal is None
        else as_root()
        if refused
        else "use a machine that shows its PMU (QEMU: -cpu host,pmu=on)",
    )
