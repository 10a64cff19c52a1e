"""Sweeps: done, interrupted, gone on with, and never mixed."""

from __future__ import annotations

import json

import msgspec
import pandas
import pytest

from tests.samples import host
from tests.sweep_samples import SMALL, plan, run
from tracer.errors import Interrupted, MachineError, RecordingError, UsageError, WorkloadError
from tracer.reports.sweep import encode_sweep
from tracer.study import sweep as sweeping
from tracer.study.hosts import difference_of_hosts
from tracer.study.sweep_file import MANIFEST, RUNS, load_sweep
from tracer.study.sweep_plan import jobs_of


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


def test_a_sweep_in_the_lab_is_of_the_guest_s_host(monkeypatch):
    """Asked of a run there: this machine is another one."""
    monkeypatch.undo()
    asked = []

    def recorder(experiment, observed):
        asked.append((experiment.lab, observed))
        return msgspec.structs.replace(run("twocopy", 1024, 1, 0).recording, host=host(kernel="6.12.1", where="lab"))

    assert sweeping.manifest_of(plan(lab="6.12"), recorder).host.kernel == "6.12.1"
    assert asked == [("6.12", False)]


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
