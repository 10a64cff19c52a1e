"""nettrace run: the command line becomes one experiment, and the recording one document; nothing here measures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.command import said
from tests.function_samples import on_nic
from tests.samples import changed, looped
from tracer.books import analysis
from tracer.model import Experiment, Link, ObserverChoice, Recording


class Recorder:
    """Stands in for the dispatcher: remembers what it was asked for."""

    def __init__(self, answer: Recording) -> None:
        self.answer = answer
        self.asked: list[tuple[Experiment, int]] = []

    def __call__(self, experiment: Experiment, _progress: object, *, port: int) -> Recording:
        self.asked.append((experiment, port))
        return self.answer


def recorder(monkeypatch: pytest.MonkeyPatch, answer: Recording) -> Recorder:
    found = Recorder(answer)
    monkeypatch.setattr("tracer.runs.dispatch.record", found)
    return found


def test_every_option_reaches_the_experiment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """None is dropped on its way."""
    heard = recorder(monkeypatch, on_nic())
    code, _, errors = said(
        "run", "zerocopy", "--size", "64K", "--threads", 3, "--messages", 23, "--link", "nic", "--observer",
        "functions",
        "--no-sg", "--bounce", "--counters", "--folded", tmp_path / "folded", "--copy-stacks", tmp_path / "stacks",
        "--port", 7, "--lab", "6.1",
    )  # fmt: skip

    assert code == 0, errors
    assert heard.asked == [
        (
            Experiment(
                mode="zerocopy", size=65536, threads=3, messages=23, link=Link.NIC, observer=ObserverChoice.FUNCTIONS,
                scatter_gather=False, bounce=True, counters=True, profile=True, stacks=True, lab="6.1",
            ),
            7,
        )
    ]  # fmt: skip


def test_what_is_not_asked_for_has_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the help says."""
    heard = recorder(monkeypatch, looped())
    said("run", "onecopy", "--verify", "--duration", 2)

    assert heard.asked == [(Experiment(mode="onecopy", size=16384, duration_s=2.0, verify=True), 0)]


def test_the_document_is_derived_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The report, the file, the folded stacks and the exit code have one and the same."""
    recorder(monkeypatch, looped())
    ledger_of, derived = analysis.ledger_of, []
    monkeypatch.setattr(analysis, "ledger_of", lambda found: derived.append(found) or ledger_of(found))
    code, output, _ = said(
        "run", "zerocopy", "--json", "--expect-zerocopy", "--save", tmp_path / "run.json", "--copy-stacks",
        tmp_path / "stacks",
    )  # fmt: skip

    assert len(derived) == 1
    assert code == 1
    assert json.loads(output) == json.loads((tmp_path / "run.json").read_text())


def test_a_file_for_which_there_is_nothing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Interrupted before the profiled pass: no empty file, and no silence."""
    recorder(monkeypatch, changed(looped(), complete=False))
    code, _, errors = said("run", "zerocopy", "--folded", tmp_path / "folded")

    assert code == 130
    assert f"{tmp_path / 'folded'} is not written: the profiled pass did not come to its end" in errors
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", ["--save", "--folded", "--copy-stacks"])
def test_a_place_that_cannot_be_written_is_said_before_the_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, option: str
) -> None:
    """Nobody waits for a result that cannot be saved."""
    heard = recorder(monkeypatch, looped())
    code, _, errors = said("run", "zerocopy", option, tmp_path / "nowhere" / "file")

    assert code == 4
    assert "mkdir -p" in errors
    assert heard.asked == []
