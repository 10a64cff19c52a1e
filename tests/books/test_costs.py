"""perf's output as counters, the stand-ins for what is not counted, and what follows from them."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from tests import samples
from tracer.books import costs
from tracer.books.analysis import document_of
from tracer.books.quantities import MISSES
from tracer.books.stages import stage_costs
from tracer.machine.perf_output import (
    EVENTS,
    Scope,
    absent_counters,
    busy_time,
    complete_counters,
    read_counters,
    tsc_rate,
)
from tracer.model import Counter, CpuProfile, CpuTime
from tracer.reports.costs import folded_text
from tracer.reports.html.of_run import cpu_flames
from tracer.reports.tables import make_console
from tracer.reports.terminal import print_document

RECORDED = Path(__file__).parents[1] / "data/perf"
CPU = CpuTime(total=50_000_000, user=10_000_000, system=40_000_000)
TSC_HZ = 2.4e9


def recorded(name: str, scope: Scope = "sender") -> dict[str, Counter]:
    return {one.event: one for one in read_counters((RECORDED / name).read_text(), scope)}


def completed(name: str, scope: Scope = "sender", cpu: CpuTime | None = CPU) -> dict[str, Counter]:
    found = complete_counters(recorded(name, scope).values(), scope, cpu, TSC_HZ)
    return {one.event: one for one in found}


def test_a_pmu_is_used_as_it_is() -> None:
    """Where the CPU counts, nothing is a stand-in, and cycles are the sum of user's and kernel's."""
    found = completed("pmu.json")

    assert {one.source for one in found.values()} == {"perf"}
    assert found["cycles"].value == 21_530_488 + 183_714_205
    assert found["LLC-load-misses"].value == 104_211
    assert set(found) == {"cycles", *EVENTS}


def test_counts_of_some_of_the_threads_are_not_those_of_the_side() -> None:
    """perf counts the threads that it found; how long all ran is known. Then time stands in, and it is said why."""
    found = completed("pmu.json", cpu=CpuTime(total=130_000_000, user=30_000_000, system=100_000_000))

    assert (found["cycles"].value, found["cycles"].source) == (130e6 * TSC_HZ / 1e9, "tsc")
    assert found["task-clock"].source == "thread-clock"
    assert found["LLC-load-misses"].value is None
    assert found["LLC-load-misses"].note == "perf counted 61.2 ms of 130 ms of CPU time: not all threads"


def test_task_clock_is_in_nanoseconds() -> None:
    """In what perf prints it is msec."""
    assert recorded("pmu.json")["task-clock"].value == pytest.approx(61_204_417)


def test_an_unsupported_event_is_none_and_says_so() -> None:
    """What perf writes in the place of a number is no number, and no zero."""
    found = recorded("no_pmu.json")["instructions"]

    assert (found.value, found.source, found.note) == (None, "none", "not supported")


def test_a_multiplexed_event_says_for_how_long_it_was_counted() -> None:
    """A scaled value is an estimate; the sum of two says it too."""
    found = completed("multiplexed.json")

    assert "62.5 %" in found["cycles:u"].note
    assert "multiplexed" in found["cycles"].note
    assert found["LLC-load-misses"].note == "not counted"
    assert found["task-clock"].note == ""


def test_what_two_kinds_of_core_counted_is_added_up() -> None:
    """perf scaled 180 M (at 90 %) and 1 M (at 10 %) each up to the whole time; one kind may be idle."""
    found = recorded("hybrid.json")

    assert found["cycles:u"].value == 21_000_000
    assert found["cycles:k"].value == 162_000_000 + 100_000
    assert found["task-clock"].value == pytest.approx(61_204_417)


def test_a_sliver_of_time_on_another_kind_of_core_is_a_sliver_of_cycles() -> None:
    """0.98e9 at 0.22 % are 2 M cycles, not another billion; sources of any name."""
    rows = [
        {"counter-value": "1000000000", "event": "armv8_pmuv3_0/cycles/u", "pcnt-running": 99.78},
        {"counter-value": "980000000", "event": "armv8_pmuv3_1/cycles/u", "pcnt-running": 0.22},
    ]
    found = read_counters("\n".join(map(json.dumps, rows)), "sender")

    assert [(one.event, one.value) for one in found] == [("cycles:u", pytest.approx(999_956_000))]
    assert found[0].note == ""


def test_two_kinds_of_core_that_share_their_counters_are_scaled_up_together() -> None:
    """Counted half of the time in all: twice as much in the whole."""
    rows = [
        {"counter-value": "1000", "event": "cpu_core/cycles/k", "pcnt-running": 25.0},
        {"counter-value": "400", "event": "cpu_atom/cycles/k", "pcnt-running": 25.0},
    ]
    (found,) = read_counters("\n".join(map(json.dumps, rows)), "sender")

    assert found.value == pytest.approx((250 + 100) * 2)
    assert "counted 50.0 % of the time" in found.note


def test_the_time_stamp_counter_stands_in_for_cycles() -> None:
    """Without a PMU, cycles are what the TSC counted while the process ran, and are labelled so."""
    found = completed("no_pmu.json")

    assert (found["cycles"].value, found["cycles"].source) == (141_169_350, "tsc")
    assert found["cycles:k"].value == pytest.approx(141_169_350 * 0.8)
    assert "not supported" in found["cycles"].note
    assert "msr/tsc/" not in found


def test_without_perf_cpu_time_still_gives_cycles() -> None:
    """TSC rate x the threads' own CPU time; task-clock is labelled as what it is."""
    found = {one.event: one for one in complete_counters(absent_counters("sender", "no perf"), "sender", CPU, TSC_HZ)}

    assert (found["task-clock"].value, found["task-clock"].source) == (50_000_000, "thread-clock")
    assert found["cycles"].value == pytest.approx(120_000_000)
    assert found["context-switches"].value is None


def test_without_a_steady_counter_cycles_are_unknown() -> None:
    """No PMU and no TSC rate: n/a, never 0."""
    found = complete_counters(absent_counters("sender", "no perf"), "sender", CPU, None)

    assert {one.event: one.value for one in found}["cycles"] is None


def test_the_systems_time_is_time_that_was_not_idle() -> None:
    """A CPU's task-clock and TSC run while it idles, so the system's come from /proc/stat."""
    found = completed("no_pmu.json", "system", CpuTime(user=20_000_000, system=80_000_000))

    assert (found["task-clock"].value, found["task-clock"].source) == (100_000_000, "proc-stat")
    assert found["cycles"].value == pytest.approx(240_000_000)


def test_busy_time_leaves_idle_and_stolen_time_out() -> None:
    """Left are user + nice, and system + irq + softirq, in ticks of 10 ms."""
    before = "cpu  100 10 50 1000 5 1 20 7 0 0\ncpu0 1 1 1 1 1 1 1\n"
    after = "cpu  110 11 55 1900 9 1 24 99 0 0\ncpu0 1 1 1 1 1 1 1\n"

    assert busy_time(before, after, 100) == CpuTime(total=200_000_000, user=110_000_000, system=90_000_000)


def test_busy_time_of_fewer_than_20_ticks_is_unknown() -> None:
    """19 ticks are no 190 ms: n/a, with the reason beside it."""
    busy = busy_time("cpu  100 10 50 1000 5 1 20\n", "cpu  109 11 55 1900 9 1 24\n", 100)
    found = completed("no_pmu.json", "system", busy)

    assert busy == CpuTime()
    assert (found["task-clock"].value, found["cycles"].value) == (None, None)
    assert "fewer than 20 ticks" in found["task-clock"].note


def test_stand_in_cycles_are_told_apart_by_mode_only_where_the_time_is() -> None:
    """A total without its parts: no 0 % for either."""
    found = completed("no_pmu.json", cpu=CpuTime(total=50_000_000))

    assert found["cycles"].value == 141_169_350
    assert (found["cycles:u"].value, found["cycles:k"].value) == (None, None)


def test_no_proc_stat_is_unknown() -> None:
    """An interrupted window has no second reading."""
    assert busy_time("cpu  1 2 3 4 5 6 7\n", "", 100) is None


@pytest.mark.parametrize(
    ("cpuinfo", "rate"),
    [
        ("flags\t\t: fpu tsc constant_tsc\nbogomips\t: 4890.86\n", 2445.43e6),
        ("flags\t\t: fpu tsc\nbogomips\t: 4890.86\n", None),
        ("Features\t: fp asimd\nBogoMIPS\t: 50.00\n", None),
    ],
)
def test_the_rate_of_the_tsc_is_known_only_where_it_ticks_steadily(cpuinfo: str, rate: float | None) -> None:
    """On x86, bogomips is twice the TSC's rate; elsewhere it is something else."""
    found = tsc_rate(cpuinfo)

    assert found == (None if rate is None else pytest.approx(rate))


@pytest.mark.parametrize("output", ["", "garbage\n[1, 2]\n\n", '{"event": "cycles"}', '{"counter-value": "nan"}'])
def test_damaged_output_gives_no_counter(output: str) -> None:
    """What is no line of perf's is passed over."""
    assert read_counters(output, "sender") == []


def counter(event: str, value: float | None, source: str = "perf") -> Counter:
    return Counter(event=event, scope="sender", value=value, source=source)


def test_costs_are_counters_by_payload() -> None:
    """Cycles a byte, µs of CPU a KiB, switches a second of the bare pass."""
    bare = samples.workload(elapsed_s=0.5)
    payload = bare.payload_bytes
    counters = [
        counter("cycles", 2.0 * payload, "tsc"), counter("task-clock", payload / 1024 * 3000),
        counter("context-switches", 100), counter("LLC-load-misses", None), counter("branch-misses", payload / 1024),
    ]  # fmt: skip
    recording = samples.changed(samples.copied(), workload=bare, counters=counters)

    (found,) = costs.costs_of(recording)

    assert (found.scope, found.cycles_per_byte, found.cycles_source) == ("sender", 2.0, "tsc")
    assert (found.demand, found.demand_source) == (pytest.approx(3.0), "perf")
    assert found.switches_per_s == 200
    assert (found.misses_per_kib, found.misses_event) == (pytest.approx(1.0), "branch-misses")


def test_cache_misses_come_before_their_stand_in() -> None:
    """Branch misses are named, and used only where no cache miss was counted."""
    both = [counter("branch-misses", 1), counter("L1-dcache-load-misses", 2)]

    found = MISSES.counted(both)

    assert found is not None
    assert found.event == "L1-dcache-load-misses"
    assert MISSES.counted([counter("branch-misses", None)]) is None


def test_what_was_not_counted_has_no_cost() -> None:
    """None, not 0; and nothing at all without counters."""
    recording = samples.changed(samples.copied(), counters=[counter("cycles", None)])

    (found,) = costs.costs_of(recording)

    assert (found.cycles_per_byte, found.demand, found.misses_event) == (None, None, None)
    assert costs.costs_of(samples.copied()) == []


def test_one_table_has_bytes_and_cost_of_a_function() -> None:
    """The report says: this function copied so many bytes, and cost so much."""
    profile = sampled(75, 25)
    row = next(line for line in report_of(profile).splitlines() if "75.0%" in line)

    assert row.split()[:2] == ["copy", "in"]
    assert f"{samples.PAYLOAD:,}" in row
    assert "_copy_from_iter" in row
    assert folded_text(profile).splitlines()[1] == "sender;kernel;tcp_ack 25"


def test_a_share_that_is_not_known_is_not_printed() -> None:
    """Of 99 samples: how many there were and where, and n/a for shares, for time a byte and for a picture of them."""
    report = report_of(sampled(74, 25)).split("CPU by stage")[1].split("law ")[0]
    copy_in, whole = (line.split() for line in report.splitlines() if line.startswith(("copy in", "all")))

    assert "%" not in report
    assert copy_in[2:6] == ["n/a", "n/a", f"{samples.PAYLOAD:,}", "74"]
    assert whole[1:4] == ["n/a", "n/a", "99"]
    assert (len(cpu_flames(sampled(74, 25))), len(cpu_flames(sampled(75, 25)))) == (0, 1)


def sampled(copying: int, others: int) -> CpuProfile:
    """A profile of these samples."""
    folded = {"sender;kernel;tcp_sendmsg_locked;_copy_from_iter": copying, "sender;kernel;tcp_ack": others}
    return CpuProfile(
        event="cpu-clock", period_ns=500_000, samples=copying + others, folded=folded, elapsed_s=0.001,
        stages=stage_costs(folded, 500_000, samples.PAYLOAD), payload_bytes=samples.PAYLOAD,
    )  # fmt: skip


def report_of(profile: CpuProfile) -> str:
    stream = io.StringIO()
    print_document(document_of(samples.changed(samples.copied(), profile=profile)), make_console(stream))
    return stream.getvalue()


def test_what_every_scope_lacks_shares_a_row() -> None:
    """Absent counters say n/a and why, in one line."""
    lacking = [
        Counter(event=event, scope="sender", value=None, source="none", note="not supported")
        for event in ("instructions", "branch-misses")
    ]
    found = document_of(samples.changed(samples.copied(), counters=[*lacking, counter("cycles", 1e6, "tsc")]))

    stream = io.StringIO()
    print_document(found, make_console(stream))

    assert "instructions, branch-misses: not supported" in stream.getvalue()
