"""Sweeps: order, resuming, and every way in which a directory can be wrong."""

from __future__ import annotations

import json

import msgspec
import pandas
import pytest

from tests.samples import host
from tests.sweep_samples import REPETITIONS, manifest, plan, run, sweep
from tracer.errors import Interrupted, MachineError, RecordingError, UsageError, WorkloadError
from tracer.reports.sweep import encode_sweep
from tracer.study import sweep as sweeping
from tracer.study.crossovers import crossovers
from tracer.study.hosts import difference_of_hosts
from tracer.study.measurements import CYCLES, DEMAND, MISSES, Samples
from tracer.study.repeats import repeats
from tracer.study.sweep_file import MANIFEST, RUNS, load_sweep
from tracer.study.sweep_plan import default_budget, experiment_of, jobs_left, jobs_of

SMALL = plan(sizes=[1024, 4096], threads=[1], repetitions=2)


def silent(done: int, total: int) -> None:
    """Progress that nobody reads."""


@pytest.fixture(autouse=True)
def this_host(monkeypatch):
    monkeypatch.setattr(sweeping, "_host_of", lambda *_: host())


class Recorder:
    """Records nothing in no time; fails or is interrupted at one run."""

    def __init__(self, end: int = -1, error: BaseException | None = None) -> None:
        self.done: list[tuple[str, bool]] = []
        self._end, self._error = end, error

    def __call__(self, experiment, observed):
        if len(self.done) == self._end and self._error:
            raise self._error
        self.done.append((experiment.mode, observed))
        return run(experiment.mode, experiment.size, experiment.threads, 0 if observed else 1).recording


def test_every_repetition_runs_every_cell_once():
    """So that drift hits all alike, and ratios can be paired."""
    jobs = jobs_of(plan())
    per_repetition = len(plan().cells())

    assert len(jobs) == REPETITIONS * per_repetition == 396
    for repetition in range(REPETITIONS):
        part = jobs[repetition * per_repetition : (repetition + 1) * per_repetition]
        assert {job.repetition for job in part} == {repetition}
        assert {job.cell for job in part} == set(plan().cells())


def test_the_order_is_shuffled_and_repeatable():
    """The seed decides; another seed, another order; each repetition has its own."""
    assert jobs_of(plan()) == jobs_of(plan())
    assert jobs_of(plan()) != jobs_of(plan(seed=2))
    first, second = ([job.cell for job in jobs_of(plan()) if job.repetition == one] for one in (0, 1))
    assert first != second
    assert first != plan().cells()


def test_modes_do_the_same_work():
    """At one size and number of threads, every mode sends as many messages."""
    jobs = [job for job in jobs_of(plan()) if job.cell.size == 4096 and job.cell.threads == 4]
    work = {experiment_of(plan(), job).messages for job in jobs}

    assert len(work) == 1


def test_a_sweep_gives_one_tidy_table(tmp_path):
    """A row a run, as Parquet and CSV, with the host's facts."""
    finished = sweeping.sweep(SMALL, tmp_path, silent, Recorder())

    table = pandas.read_parquet(tmp_path / "runs.parquet")
    assert finished.complete
    assert len(table) == len(pandas.read_csv(tmp_path / "runs.csv")) == 12
    assert set(table["kernel"]) == {"6.18.44"}
    assert {"mode", "size_bytes", "threads", "repetition", "throughput", "copy_in_per_byte", "seed"} <= set(table)
    assert json.loads((tmp_path / MANIFEST).read_text())["schema"] == "nettrace.sweep/1"
    assert json.loads(encode_sweep(finished))["medians"]


def test_what_was_not_measured_is_empty_in_the_table_not_zero(tmp_path):
    """No counter: no cycles, no misses."""
    sweeping.sweep(SMALL, tmp_path, silent, Recorder())

    table = pandas.read_parquet(tmp_path / "runs.parquet")
    assert table["cycles_per_byte"].isna().all()
    assert table["misses_per_kib"].isna().all()


def test_only_the_first_run_of_a_cell_is_observed(tmp_path):
    """Bytes are exact and need one look; time needs repetitions."""
    recorder = Recorder()
    sweeping.sweep(SMALL, tmp_path, silent, recorder)

    assert sum(observed for _, observed in recorder.done) == len(SMALL.cells())


@pytest.mark.parametrize("error", [KeyboardInterrupt(), Interrupted("interrupted before anything was measured")])
def test_an_interrupted_sweep_goes_on_where_it_was(tmp_path, error):
    """Nothing is lost, nothing is done twice, and the result is that of a sweep in one go."""
    first, second = Recorder(end=5, error=error), Recorder()
    with pytest.raises(Interrupted, match="5 of 12 runs are safe") as caught:
        sweeping.sweep(SMALL, tmp_path, silent, first)
    finished = sweeping.sweep(SMALL, tmp_path, silent, second)

    assert caught.value.exit_code == 130
    assert (len(first.done), len(second.done)) == (5, 7)
    assert [(one.cell, one.repetition, one.order) for one in finished.runs] == jobs_of(SMALL)


def test_a_failed_run_leaves_the_others_safe(tmp_path):
    """The error is told, and the same command goes on."""
    with pytest.raises(WorkloadError):
        sweeping.sweep(SMALL, tmp_path, silent, Recorder(end=3, error=WorkloadError("the sender died")))

    assert len(load_sweep(tmp_path).runs) == 3
    assert "9 of 12 runs are missing" in load_sweep(tmp_path).notes[0]


def test_a_run_that_was_interrupted_within_is_dropped(tmp_path):
    """Half a run is no measurement."""

    def cut(experiment, observed):
        return msgspec.structs.replace(Recorder()(experiment, observed), complete=False)

    with pytest.raises(Interrupted):
        sweeping.sweep(SMALL, tmp_path, silent, cut)

    with pytest.raises(RecordingError, match="holds no finished run"):
        load_sweep(tmp_path)


def test_a_torn_last_line_is_left_out_and_done_again(tmp_path):
    """As a power cut or SIGKILL leaves it."""
    sweeping.sweep(SMALL, tmp_path, silent, Recorder())
    runs = tmp_path / RUNS
    runs.write_bytes(runs.read_bytes()[:-40])

    torn, recorder = load_sweep(tmp_path), Recorder()
    finished = sweeping.sweep(SMALL, tmp_path, silent, recorder)

    assert len(torn.runs) == 11
    assert any("cut off" in note for note in torn.notes)
    assert len(recorder.done) == 1
    assert finished.complete
    assert finished.notes == []


@pytest.mark.parametrize(
    ("other", "reason"), [({"seed": 9}, "seed"), ({"sizes": [1024]}, "sizes"), ({"repetitions": 3}, "repetitions")]
)
def test_two_plans_are_never_mixed(tmp_path, other, reason):
    """A usage error that names the difference; the runs stay as they were."""
    sweeping.sweep(SMALL, tmp_path, silent, Recorder())
    before = (tmp_path / RUNS).read_bytes()

    with pytest.raises(UsageError, match="two are never mixed") as caught:
        sweeping.sweep(msgspec.structs.replace(SMALL, **other), tmp_path, silent, Recorder())

    assert reason in caught.value.why
    assert (tmp_path / RUNS).read_bytes() == before


def on_device(**other):
    assert host().nic is not None
    return msgspec.structs.replace(host().nic, **{"mtu": 65536, "gso": True, "kind": "loopback", **other})


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"kernel": "6.1.0"}, "the kernel was 6.18.44 when the sweep began, now 6.1.0"),
        ({"cpu": "Xeon"}, "the CPU was AMD EPYC when the sweep began, now Xeon"),
        ({"cores": 64}, "the number of cores was 2 when the sweep began, now 64"),
        ({"emulated": True}, "emulation of the CPU was off when the sweep began, now on"),
        ({"congestion_control": "bbr"}, "TCP's congestion control was cubic when the sweep began, now bbr"),
        ({"memlock": None}, "RLIMIT_MEMLOCK was 8 MiB when the sweep began, now unlimited"),
        ({"optmem_max": 4096}, "net.core.optmem_max was 128 KiB when the sweep began, now 4 KiB"),
        (
            {"packet_taps": ["tcpdump (pid 4711) on lo"]},
            "who taps packets was nobody when the sweep began, now tcpdump",
        ),
        ({"nic": on_device(mtu=1500)}, "lo had MTU 65536 when the sweep began, now 1500"),
        ({"nic": on_device(tso=False)}, "lo had TCP segmentation offload on when the sweep began, now off"),
        ({"nic": on_device(gso=False)}, "lo had generic segmentation offload on when the sweep began, now off"),
        ({"nic": on_device(scatter_gather=False)}, "lo had scatter-gather on when the sweep began, now off"),
        ({"nic": on_device(tx_checksum=False)}, "lo had checksum offload on when the sweep began, now off"),
    ],
)
def test_two_hosts_are_never_mixed(tmp_path, monkeypatch, other, words):
    """Whatever is recorded of the host makes another sweep, and is told in words."""
    before = {"nic": on_device(), "packet_taps": []}
    monkeypatch.setattr(sweeping, "_host_of", lambda *_: host(**before))
    with pytest.raises(Interrupted):
        sweeping.sweep(SMALL, tmp_path, silent, Recorder(end=3, error=KeyboardInterrupt()))
    monkeypatch.setattr(sweeping, "_host_of", lambda *_: host(**{**before, **other}))

    with pytest.raises(UsageError, match="two are never mixed") as caught:
        sweeping.sweep(SMALL, tmp_path, silent, Recorder())

    assert caught.value.why.startswith(words)


def test_what_nobody_could_read_of_a_host_differs_from_nothing(tmp_path, monkeypatch):
    """An older nettrace did not record the MTU: its sweeps can go on."""
    with pytest.raises(Interrupted):
        sweeping.sweep(SMALL, tmp_path, silent, Recorder(end=3, error=KeyboardInterrupt()))
    monkeypatch.setattr(sweeping, "_host_of", lambda *_: host(nic=on_device()))

    assert sweeping.sweep(SMALL, tmp_path, silent, Recorder()).complete


def test_a_tap_that_was_started_anew_is_the_same_tap():
    """Its process number is no fact about the host."""
    one, other = (host(packet_taps=[f"lldpd (pid {pid}) on any device"]) for pid in (7, 4711))

    assert difference_of_hosts(one, other) is None


def test_a_machine_that_changes_while_the_sweep_runs_ends_it(tmp_path):
    """The run that saw the change is dropped, and those before it stay a sweep."""

    def changing(experiment, observed):
        found = Recorder()(experiment, observed)
        recorder.done.append((experiment.mode, observed))
        return msgspec.structs.replace(found, host=host(congestion_control="bbr")) if len(recorder.done) == 4 else found

    recorder = Recorder()
    with pytest.raises(MachineError, match="the machine changed") as caught:
        sweeping.sweep(SMALL, tmp_path, silent, changing)

    assert "was cubic when the sweep began, now bbr" in caught.value.why
    assert len(load_sweep(tmp_path).runs) == 3


def test_a_plan_without_results_gives_way_to_the_corrected_command(tmp_path):
    """Its first run failed: nothing is lost, and nothing is mixed."""
    wrong = msgspec.structs.replace(SMALL, sizes=[99])
    with pytest.raises(WorkloadError):
        sweeping.sweep(wrong, tmp_path, silent, Recorder(end=0, error=WorkloadError("the sender died")))

    assert sweeping.sweep(SMALL, tmp_path, silent, Recorder()).manifest.plan == SMALL


def test_in_the_lab_only_bytes_are_measured():
    """An emulated CPU's costs say nothing, and it sends 50 times less in the same time."""
    here, lab = plan(), plan(lab="6.12", bytes_budget=default_budget("6.12"))
    job = jobs_of(lab)[0]

    assert experiment_of(here, job).counters
    assert experiment_of(lab, job).lab == "6.12"
    assert not experiment_of(lab, job).counters
    assert not experiment_of(lab, job).profile
    assert experiment_of(lab, job).messages < experiment_of(here, job).messages


def test_a_sweep_in_the_lab_is_of_the_guest_s_host(monkeypatch):
    """Asked of a run there: this machine is another one."""
    monkeypatch.undo()
    asked = []

    def recorder(experiment, observed):
        asked.append((experiment.lab, observed))
        return msgspec.structs.replace(run("twocopy", 1024, 1, 0).recording, host=host(kernel="6.12.1", where="lab"))

    assert sweeping.manifest_of(plan(lab="6.12"), recorder).host.kernel == "6.12.1"
    assert asked == [("6.12", False)]


def test_an_emulated_cpu_has_no_crossover():
    """Whatever its times are."""
    assert crossovers(sweep()) != []
    assert crossovers(sweep(host=host(emulated=True))) == []


def written(tmp_path, *lines: bytes, of=SMALL):
    (tmp_path / MANIFEST).write_bytes(msgspec.json.encode(manifest(of)))
    (tmp_path / RUNS).write_bytes(b"".join(line + b"\n" for line in lines))
    return tmp_path


GOOD = msgspec.json.encode(run("twocopy", 1024, 1, 0))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{}", "damaged in line 1"),
        (b"no json", "damaged in line 1"),
        (b"[" * 100_000, "damaged in line 1"),
        (b"\xff\xfe", "damaged in line 1"),
        (GOOD.replace(b'"throughput_bytes_per_s"', b'"throughput"'), "damaged in line 1"),
        (GOOD.replace(b'"repetition":0', b'"repetition":-1'), "damaged in line 1"),
        (GOOD.replace(b'"repetition":0', b'"repetition":NaN'), "damaged in line 1"),
        (GOOD.replace(b'"elapsed_s":', b'"elapsed_s":NaN,"x":'), "damaged in line 1"),
        (GOOD.replace(b'"repetition":0', b'"repetition":7'), "not of one sweep"),
        (GOOD.replace(b'"size":1024', b'"size":1025'), "not of one sweep"),
        (GOOD.replace(b'"mode":"twocopy"', b'"mode":"onecopy"'), "not of one sweep"),
        (GOOD.replace(b'"kernel":"6.18.44"', b'"kernel":"5.4"'), "not of one sweep"),
        (GOOD + b"\n" + GOOD, "not of one sweep"),
        (b"", "damaged in line 1"),
    ],
)
def test_a_damaged_run_is_a_clear_error(tmp_path, line, reason):
    """A missing field, NaN, another mode, another host, a run twice: exit code 2, never a figure."""
    with pytest.raises(RecordingError, match=reason) as caught:
        load_sweep(written(tmp_path, line))

    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "damaged"),
        (b"{", "damaged"),
        (b"[]", "not a sweep"),
        (b'{"schema": "nettrace.recording/1"}', "not a sweep"),
        (b'{"schema": "nettrace.sweep/99"}', "not a sweep"),
        (b'{"schema": "nettrace.sweep/1"}', "damaged"),
    ],
)
def test_a_directory_of_another_schema_is_a_clear_error(tmp_path, data, reason):
    """Exit code 2, and what to do."""
    (tmp_path / MANIFEST).write_bytes(data)

    with pytest.raises(RecordingError, match=reason) as caught:
        load_sweep(tmp_path)

    assert caught.value.exit_code == 2
    assert caught.value.fix


def test_a_directory_that_is_missing_or_empty_is_a_clear_error(tmp_path):
    """No traceback for a wrong path."""
    for directory in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(RecordingError, match="there is no sweep"):
            load_sweep(directory)


def test_runs_without_a_manifest_are_not_overwritten(tmp_path):
    """Somebody's file of that name survives."""
    (tmp_path / RUNS).write_text("precious\n")

    with pytest.raises(RecordingError, match="is not a sweep"):
        sweeping.sweep(SMALL, tmp_path, silent, Recorder())

    assert (tmp_path / RUNS).read_text() == "precious\n"


def test_a_directory_that_cannot_be_made_is_a_clear_error(tmp_path):
    """A file in its place."""
    (tmp_path / "file").write_text("")

    with pytest.raises(MachineError, match="cannot write"):
        sweeping.sweep(SMALL, tmp_path / "file" / "below", silent, Recorder())


def test_two_sweeps_do_not_write_to_one_directory(tmp_path):
    """The second one is told so."""

    def second(experiment, observed):
        with pytest.raises(UsageError, match="another sweep is writing"):
            sweeping.sweep(SMALL, tmp_path, silent, Recorder())
        return Recorder()(experiment, observed)

    sweeping.sweep(SMALL, tmp_path, silent, second)


def test_one_repetition_has_medians_and_no_intervals(tmp_path):
    """Nothing is decided from it."""
    once = msgspec.structs.replace(SMALL, repetitions=1)
    finished = sweeping.sweep(once, tmp_path, silent, Recorder())

    medians = json.loads(encode_sweep(finished))["medians"]
    assert all(one["interval"]["low"] is None for one in medians)
    assert all(not one["found"] for one in json.loads(encode_sweep(finished))["crossovers"])


def test_figures_of_different_sources_are_never_compared():
    """Cycles by perf and by a stand-in, or misses of different events, have no ratio."""
    mixed = Samples(
        [
            run("twocopy", 1024, 1, 0, counters={"LLC-load-misses": 1.0}),
            run("onecopy", 1024, 1, 0, counters={"branch-misses": 1.0}),
        ],
        MISSES,
    )

    assert not mixed.comparable
    assert mixed.ratio(*mixed.cells()) is None


def test_a_cell_that_few_repetitions_could_measure_has_no_median():
    """What was too small for the clock's ticks in most of them is not told by the few in which it was large."""
    seldom = [run("twocopy", 1024, 1, number, cpu_us_per_kib=0.9 if number < 3 else 0.01) for number in range(7)]
    mostly = [run("onecopy", 1024, 1, number, cpu_us_per_kib=0.01 if number < 1 else 0.9) for number in range(7)]
    ticks = [
        msgspec.structs.replace(one, recording=msgspec.structs.replace(one.recording, workload=by_ticks(one)))
        for one in seldom + mostly
    ]

    assert [cell.label for cell in Samples(ticks, DEMAND).cells()] == ["onecopy"]


def by_ticks(one):
    """The same CPU time, as the clock's ticks alone tell it."""
    bare = one.recording.workload
    sides = {
        name: msgspec.structs.replace(
            getattr(bare, name), **{"total": None} if hasattr(getattr(bare, name), "total") else {}
        )
        for name in ("sender_cpu_ns", "receiver_cpu_ns")
    }
    return msgspec.structs.replace(bare, **sides)


def test_a_machine_without_counters_has_no_cycles():
    """No hardware counter at all: no value, no source, no invented figure."""
    assert Samples(sweep().runs, CYCLES).cells() == []


def test_an_a_a_check_compares_each_mode_with_itself():
    """Labels differ, the mode is the same, the interval of the ratio holds 1."""
    same = plan(sizes=[1024], threads=[1], same_mode_twice=True)
    found = repeats(sweep(of=same))

    assert [one.mode for one in found] == ["twocopy", "onecopy", "zerocopy"]
    assert all(one.clean for one in found)
    assert len(jobs_of(same)) == 66


def test_what_is_left_is_what_is_not_there():
    """By cell and repetition, in the order of the plan."""
    done = sweep(of=SMALL).runs[:4]

    assert len(jobs_left(SMALL, done)) == 8
