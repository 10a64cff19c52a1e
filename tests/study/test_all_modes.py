"""nettrace compare --all: every mode of this machine a row, the others with their reason."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from tests.samples import host
from tests.sweep_samples import plan, run, runs, sweep
from tracer.errors import Interrupted, MachineError
from tracer.model import Experiment, Recording
from tracer.reports.compare import print_comparison
from tracer.reports.tables import make_console
from tracer.study.all_modes import RUN_BYTES, RUN_MESSAGES, SAMPLED_BYTES, SAMPLED_NS, Tried, plan_of_all, try_all
from tracer.study.comparison import comparison_of
from tracer.study.sweep_plan import experiment_of, jobs_of

MODES = ["twocopy", "onecopy", "zerocopy", "write", "writev", "uring-send"]
ASKED = plan(modes=MODES, sizes=[16384], threads=[1], receive="peek")


def recorder(refused: dict[str, Exception], cpu_us_per_kib: float = 1.0) -> Callable[[Experiment, bool], Any]:
    """A machine that refuses some modes; it is asked for little."""

    def record(experiment: Experiment, observed: bool) -> Recording:
        assert (observed, experiment.receive, experiment.size) == (False, "peek", 16384)
        assert (experiment.messages or 0) * experiment.size <= RUN_BYTES
        if experiment.mode in refused:
            raise refused[experiment.mode]
        return run(experiment.mode, 16384, 1, 0, cpu_us_per_kib=cpu_us_per_kib).recording

    return record


def test_a_mode_that_cannot_be_done_has_its_reason() -> None:
    """Each is tried, and the others go on."""
    missing = {"uring-send": MachineError("the sender cannot have io_uring", "EPERM", "sysctl")}

    found = try_all(ASKED, recorder(missing))

    assert found.refused == {"uring-send": "the sender cannot have io_uring: EPERM"}
    assert list(found.sampled) == [mode for mode in MODES if mode != "uring-send"]
    assert try_all(ASKED, recorder({})).refused == {}


@pytest.mark.parametrize(("cpu_us_per_kib", "sampled"), [(1.0, SAMPLED_NS * 1024 // 1000), (0.1, SAMPLED_BYTES)])
def test_what_is_sampled_takes_as_much_cpu_time_in_each_mode(cpu_us_per_kib: float, sampled: int) -> None:
    """A dear mode has a hundred samples in less payload; no mode is given more than the most."""
    found = try_all(ASKED, recorder({}, cpu_us_per_kib))

    assert found.sampled == pytest.approx(dict.fromkeys(MODES, sampled), rel=0.001)
    in_the_lab = msgspec.structs.replace(ASKED, lab="6.12")
    assert try_all(in_the_lab, recorder({})).sampled == {}


def test_where_none_can_be_done_the_error_is_told() -> None:
    """And an interrupt is one."""
    with pytest.raises(MachineError, match="no BPF"):
        try_all(ASKED, recorder(dict.fromkeys(MODES, MachineError("no BPF"))))
    with pytest.raises(Interrupted):
        try_all(ASKED, recorder({"onecopy": Interrupted("interrupted")}))


def test_the_plan_can_tell_any_two_modes_apart_and_is_short() -> None:
    """12 repetitions for the 91 pairs of 14 modes; little work but in the run that is sampled, and no perf stat."""
    modes = [f"m{n}" for n in range(15)]
    tried = Tried({"m3": "no"}, dict.fromkeys(modes, 100 << 20))
    short = plan_of_all(plan(modes=modes, sizes=[16384], threads=[1]), tried)
    first, second = (next(job for job in jobs_of(short) if job.repetition == n) for n in (0, 1))

    assert (len(short.modes), short.repetitions, short.counters) == (14, 12, False)
    assert experiment_of(short, second).messages == RUN_BYTES // 16384
    assert experiment_of(short, first).messages == (100 << 20) // 16384
    assert not experiment_of(short, first).counters


def test_small_messages_are_as_many_as_they_are_bytes_and_a_sampled_run_is_never_shorter() -> None:
    """Each costs a call, whatever its size."""
    short = plan_of_all(plan(modes=MODES, sizes=[256], threads=[1]), Tried({}, dict.fromkeys(MODES, 1)))

    assert {experiment_of(short, job).messages for job in jobs_of(short)} == {RUN_MESSAGES}


def screen(columns: int, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("COLUMNS", str(columns))
    of = plan(modes=MODES, sizes=[16384], threads=[1], repetitions=12)
    found = runs(lambda mode, *_: 10.0 if mode == "onecopy" else 2.0, of=of)
    stream = io.StringIO()
    absent = {"uring-zerocopy": "the sender cannot have io_uring: EPERM"}
    print_comparison(comparison_of(sweep(found, of, host=host()), absent), make_console(stream))
    return stream.getvalue()


def test_many_modes_have_a_row_each_the_fastest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """With copies in the sender's memory, in the kernel and to the reader; last those that could not be done."""
    lines = [line.split() for line in screen(100, monkeypatch).splitlines()]
    rows = [line[0] for line in lines if line and line[0] in (*MODES, "uring-zerocopy")]

    assert rows[0] == "onecopy"
    assert rows[-1] == "uring-zerocopy"
    assert sorted(rows[:-1]) == sorted(MODES)
    zerocopy = next(line for line in lines if line and line[0] == "zerocopy")
    assert zerocopy[-6:-3] == ["0", "1", "1"]


def test_the_answer_names_the_winner_and_the_next_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the thirteen others; and what could not be done is told."""
    text = " ".join(screen(100, monkeypatch).split())

    assert "throughput: onecopy wins; onecopy's is " in text
    assert "throughput: onecopy wins; onecopy's is " in text
    throughput = text.partition("throughput: ")[2].partition("time per message")[0]
    assert len(re.findall(r"x \w+'s \(", throughput)) == 1
    assert "uring-zerocopy: n/a: the sender cannot have io_uring: EPERM" in text


@pytest.mark.parametrize("columns", [60, 80, 100])
def test_no_line_is_longer_than_the_screen(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is one screen of any width."""
    assert max(map(len, screen(columns, monkeypatch).splitlines())) <= columns
