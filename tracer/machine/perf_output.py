"""What `perf stat -j` printed, as counters; and the stand-ins for what the machine does not count. Pure.

Lines are read by key, never by position: perf prints one JSON object a line, adds keys from release to release, and
says "<not supported>" or "<not counted>" in the place of a number.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from tracer.books.quantities import MIN_TICKS
from tracer.model import Counter, CpuTime
from tracer.texts import all_printable

Scope = Literal["sender", "receiver", "system"]

CYCLES, USER_CYCLES, KERNEL_CYCLES, TASK_CLOCK, TSC = "cycles", "cycles:u", "cycles:k", "task-clock", "msr/tsc/"
EVENTS = (
    USER_CYCLES, KERNEL_CYCLES, "instructions", TASK_CLOCK, "context-switches", "cpu-migrations", "page-faults",
    "L1-dcache-load-misses", "LLC-load-misses", "branch-misses",
)  # fmt: skip

NS_PER_MS = 1e6
# perf leaves out what it does itself at each context switch; below this share of the CPU time it missed a thread.
_PART = 0.5
# A CPU with several kinds of core has an event source for each: "cpu_core/cycles/u", "armv8_pmuv3_0/cycles/k".
_OF_A_SOURCE = re.compile(r"[^/]+/([^/=]+)/(\w*)")


def read_counters(output: str, scope: Scope) -> list[Counter]:
    """One counter for each event, in the order of its first line; the event of several kinds of core is added up."""
    found: dict[str, list[tuple[Counter, float]]] = {}
    for row in filter(None, map(_object, output.splitlines())):
        counter = _counter(row, scope)
        if counter is not None:
            found.setdefault(counter.event, []).append((counter, _running(row)))
    return [_of_all_sources(parts) for parts in found.values()]


def _of_all_sources(parts: list[tuple[Counter, float]]) -> Counter:
    """The event as a whole.

    perf scaled each part up to all of the time, but a task spends a share of its time on each kind of core: what was
    really counted is added, and scaled up only by what no part covers.
    """
    known = [(counter, share) for counter, share in parts if counter.value is not None]
    if len(known) < 2:
        return (known or parts)[0][0]
    counted = sum((counter.value or 0.0) * share for counter, share in known)
    covered = sum(share for _, share in known)
    value = counted / min(1.0, covered) if covered else None
    return msgspec.structs.replace(known[0][0], value=value, note=_multiplexing(min(1.0, covered)))


def _object(line: str) -> dict[str, object] | None:
    try:
        row = json.loads(line)
    except ValueError:  # a warning
        return None
    return {str(name): all_printable(value) for name, value in row.items()} if isinstance(row, dict) else None


def _counter(row: Mapping[str, object], scope: Scope) -> Counter | None:
    if "event" not in row or "counter-value" not in row:  # a metric of its own
        return None
    event = _plain_event(str(row["event"]))
    value = _number(row["counter-value"])
    if value is None:
        note = str(row["counter-value"]).strip("<>") or "not counted"
        return Counter(event=event, scope=scope, value=None, source="none", note=note)
    # task-clock and cpu-clock come in milliseconds, with the unit beside them.
    scale = NS_PER_MS if row.get("unit") == "msec" else 1
    return Counter(event=event, scope=scope, value=value * scale, source="perf", note=_multiplexing(_running(row)))


def _plain_event(event: str) -> str:
    """What is counted, whatever its source is called; the time-stamp counter's source is a part of its name."""
    sourced = _OF_A_SOURCE.fullmatch(event)
    if sourced is None or event == TSC:
        return event
    name, modifier = sourced.groups()
    return f"{name}:{modifier}" if modifier else name


def _number(value: object) -> float | None:
    """Newer releases print a number where older ones print a string."""
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _running(row: Mapping[str, object]) -> float:
    """pcnt-running: share of the time that the event had a hardware counter, 0 to 1; perf has scaled by it."""
    running = _number(row.get("pcnt-running"))
    return 1.0 if running is None else running / 100


def _multiplexing(running: float) -> str:
    return "" if running >= 1 else f"multiplexed: counted {running * 100:.1f} % of the time and scaled up"


def _sum(one: Counter, other: Counter) -> Counter:
    if one.value is None or other.value is None:
        return other if one.value is None else one
    note = "; ".join(dict.fromkeys(filter(None, (one.note, other.note))))
    return msgspec.structs.replace(one, value=one.value + other.value, note=note)


def absent_counters(scope: Scope, reason: str) -> list[Counter]:
    """All events of a scope that could not be counted at all."""
    return [Counter(event=event, scope=scope, value=None, source="none", note=reason) for event in EVENTS]


def complete_counters(
    counters: Iterable[Counter], scope: Scope, cpu: CpuTime | None, tsc_hz: float | None
) -> list[Counter]:
    """The counters of one scope with cycles in total, and with stand-ins for cycles and task-clock where it takes them.

    Args:
        cpu: CPU time by another count, for the user's and the kernel's share and where perf counted none; ns.
        tsc_hz: Rate of the time-stamp counter; None where it is not known.
    """
    found = {counter.event: counter for counter in counters}
    if scope != "system" and (part := _only_a_part(found.get(TASK_CLOCK), cpu)):
        found = {counter.event: counter for counter in absent_counters(scope, part)}
    tsc = found.pop(TSC, None)
    if scope == "system":
        tsc = None  # it counts while a CPU is idle, too
        found.pop(TASK_CLOCK, None)  # the same: a CPU's task-clock is the time that passes
    clock = found.get(TASK_CLOCK)
    if clock is None or clock.value is None:
        clock = _task_clock_of(cpu, scope)
    cycles = _cycles_in_total(found, scope)
    if cycles.value is None:
        cycles = _cycles_of_tsc(tsc, clock, tsc_hz, scope, cycles.note)
        found |= _cycles_by_mode(cpu, cycles)
    return [cycles, *(found | {TASK_CLOCK: clock}).values()]


def _only_a_part(clock: Counter | None, cpu: CpuTime | None) -> str:
    """Why perf's counts are not those of all threads; empty where they may be."""
    if clock is None or clock.value is None or cpu is None or cpu.spent is None or clock.value >= _PART * cpu.spent:
        return ""
    counted_ms, spent_ms = clock.value / NS_PER_MS, cpu.spent / NS_PER_MS
    return f"perf counted {counted_ms:.3g} ms of {spent_ms:.3g} ms of CPU time: not all threads"


def _cycles_in_total(found: Mapping[str, Counter], scope: Scope) -> Counter:
    parts = [found.get(event) for event in (USER_CYCLES, KERNEL_CYCLES)]
    known = [part for part in parts if part is not None and part.value is not None]
    if len(known) < len(parts):
        why = next((part.note for part in parts if part is not None and part.value is None), "not counted")
        return Counter(event=CYCLES, scope=scope, value=None, source="none", note=why)
    return msgspec.structs.replace(_sum(known[0], known[1]), event=CYCLES)


def _task_clock_of(cpu: CpuTime | None, scope: Scope) -> Counter:
    if cpu is None:
        return Counter(event=TASK_CLOCK, scope=scope, value=None, source="none", note="not counted")
    if scope == "system":
        source, note = "proc-stat", "time that the CPUs were not idle, to 10 ms a CPU"
    else:
        source, note = "thread-clock", "CPU time of the threads that sent or received"
    if cpu.spent is None:
        few = f"fewer than {MIN_TICKS} ticks of the clock: too few to tell"
        return Counter(event=TASK_CLOCK, scope=scope, value=None, source="none", note=few)
    return Counter(event=TASK_CLOCK, scope=scope, value=float(cpu.spent), source=source, note=note)


def _cycles_of_tsc(tsc: Counter | None, clock: Counter, tsc_hz: float | None, scope: Scope, why: str) -> Counter:
    """The time-stamp counter while the process ran: cycles of the nominal rate, whatever the CPU's clock did."""
    note = f"TSC rate x CPU time (cycles: {why})"
    value = None
    if tsc is not None and tsc.value is not None:
        value = tsc.value
    elif clock.value is not None and tsc_hz is not None:
        value = clock.value * tsc_hz / 1e9
    if value is None:
        return Counter(event=CYCLES, scope=scope, value=None, source="none", note=why)
    return Counter(event=CYCLES, scope=scope, value=value, source="tsc", note=note)


def _cycles_by_mode(cpu: CpuTime | None, cycles: Counter) -> dict[str, Counter]:
    """User and kernel part of stand-in cycles, in the proportion of the CPU time; unknown without both."""
    if cpu is None or cpu.user is None or cpu.system is None or cycles.value is None or not cpu.spent:
        return {}
    shares = {USER_CYCLES: cpu.user, KERNEL_CYCLES: cpu.system}
    whole = cpu.spent
    note = f"{cycles.note}; user and kernel told apart by the clock's ticks"
    return {
        event: msgspec.structs.replace(cycles, event=event, value=cycles.value * part / whole, note=note)
        for event, part in shares.items()
    }


def tsc_rate(cpuinfo: str) -> float | None:
    """Rate of the time-stamp counter in Hz, from the text of /proc/cpuinfo; None where it does not tick steadily.

    arch/x86/kernel/tsc.c sets loops_per_jiffy from the TSC's rate, and bogomips is printed as twice that. ("cpu MHz" is
    the current clock on hardware that has several.)
    """
    bogomips = re.search(r"^bogomips\s*:\s*([\d.]+)", cpuinfo, re.MULTILINE)
    flags = re.search(r"^flags\s*:(.*)", cpuinfo, re.MULTILINE)
    if bogomips is None or flags is None or "constant_tsc" not in flags[1].split():
        return None
    return float(bogomips[1]) / 2 * 1e6


def busy_time(before: str, after: str, ticks_per_s: int) -> CpuTime | None:
    """CPU time that all CPUs were not idle between two readings of /proc/stat; ns. Stolen time is not ours.

    It is counted in ticks: over too few of them the time is unknown.

    proc(5): user, nice, system, idle, iowait, irq, softirq, steal, guest (in user), guest_nice (in nice).
    """
    readings = [re.search(r"^cpu\s+([\d ]+)$", text, re.MULTILINE) for text in (before, after)]
    if readings[0] is None or readings[1] is None:
        return None
    first, last = ([int(field) for field in reading[1].split()] for reading in readings if reading)
    if min(len(first), len(last)) < 7:
        return None
    user, nice, system, _, _, irq, softirq = (
        later - earlier for earlier, later in zip(first[:7], last[:7], strict=True)
    )
    tick_ns = 1_000_000_000 // ticks_per_s
    in_user, in_kernel = max(0, user + nice), max(0, system + irq + softirq)
    if in_user + in_kernel < MIN_TICKS:
        return CpuTime()
    whole = (in_user + in_kernel) * tick_ns
    return CpuTime(total=whole, user=in_user * tick_ns, system=in_kernel * tick_ns)
