"""--html, --redact, --speedscope and plot of a recording, as they are typed."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pyarrow.parquet
import pytest
from click.testing import CliRunner

from tests.html_samples import data_in, program, whole_run
from tests.samples import looped
from tests.socket_samples import reader, run_with, sender
from tracer.books.analysis import document_of
from tracer.books.recording import encode
from tracer.books.socket_file import encode_sockets
from tracer.cli import cli, run


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "run.json").write_bytes(encode(document_of(whole_run())))
    (tmp_path / "bare.json").write_bytes(encode(document_of(looped())))
    (tmp_path / "sockets.json").write_bytes(encode_sockets(program()))
    return tmp_path


def nettrace(*words: object) -> int:
    return run([str(word) for word in words])


@pytest.mark.parametrize(("name", "kind"), [("run", "workload"), ("sockets", "command")])
def test_report_writes_a_page_and_prints_none_of_it(files: Path, capsys, name: str, kind: str) -> None:
    """Of both kinds of recordings; where it went is said on stderr."""
    page = files / "out.html"

    assert nettrace("report", files / f"{name}.json", "--html", page) == 0
    assert data_in(page.read_text())["subject"]["kind"] == kind
    told = capsys.readouterr()
    assert told.out == ""
    assert f"wrote {page}" in told.err


@pytest.mark.parametrize("form", [(), ("--json",), ("--csv",), ("--html", "out.html")])
def test_a_redacted_report_is_so_in_every_form(files: Path, capsys, monkeypatch, form: tuple[str, ...]) -> None:
    """What can be shared as a page can be shared as text."""
    monkeypatch.chdir(files)
    nettrace("report", "sockets.json", "--redact", *form)
    shown = (files / "out.html").read_text() if "--html" in form else capsys.readouterr().out

    assert "address-1" in shown
    assert "192.0.2.7" not in shown
    assert "secret" not in shown


@pytest.mark.parametrize("form", [("--csv",), ("--parquet", "out.parquet")])
def test_a_run_s_sockets_are_a_table_too(files: Path, capsys, monkeypatch, form: tuple[str, ...]) -> None:
    """One row each; a run without any has no table."""
    monkeypatch.chdir(files)
    (files / "with.json").write_bytes(encode(document_of(run_with(sender(), reader()))))

    assert nettrace("report", "with.json", *form) == 0
    written = pyarrow.parquet.read_table("out.parquet") if "--parquet" in form else None
    rows = capsys.readouterr().out.splitlines()[1:] if written is None else written.to_pylist()
    assert len(rows) == 2
    assert nettrace("report", "bare.json", *form) == 2
    assert "holds no sockets" in capsys.readouterr().err


def test_the_command_of_a_page_is_what_would_do_it_again(files: Path) -> None:
    """From a file it is made of the recording."""
    for name, command in (("run", "nettrace run zerocopy --size 10007"), ("sockets", "nettrace record --profile -- ")):
        nettrace("report", files / f"{name}.json", "--html", files / "out.html")
        assert command in (files / "out.html").read_text()


@pytest.mark.parametrize(
    "words", [("run", "zerocopy"), ("record", "--", "true"), ("attach", "-p", "1")], ids=lambda words: words[0]
)
def test_redact_without_a_page_is_refused(capsys, words: tuple[str, ...]) -> None:
    """It would be ignored in silence."""
    verb, *rest = words

    assert nettrace(verb, "--redact", *rest) == 2
    assert "--redact needs --html" in capsys.readouterr().err


def test_a_report_has_one_form(files: Path, capsys) -> None:
    """A page and JSON at once is a mistake."""
    assert nettrace("report", files / "run.json", "--html", files / "x", "--json") == 2
    assert "exclude each other" in capsys.readouterr().err
    assert not (files / "x").exists()


def test_groups_of_a_page_are_chosen(files: Path) -> None:
    """--by belongs to the page too."""
    assert nettrace("report", files / "sockets.json", "--html", files / "out.html", "--by", "port") == 0
    assert "Sockets by port" in (files / "out.html").read_text()


def test_a_page_that_cannot_be_written_is_refused_first(files: Path, capsys) -> None:
    """With the reason, before anything is shown."""
    assert nettrace("report", files / "run.json", "--html", files / "no" / "out.html") == 4
    assert "there is no directory" in capsys.readouterr().err


def test_stacks_are_written_for_speedscope(files: Path, capsys) -> None:
    """Of both kinds; where there are none that is said, and nothing is written."""
    for name in ("run", "sockets"):
        assert nettrace("report", files / f"{name}.json", "--speedscope", files / f"{name}.speedscope") == 0
        assert msgspec.json.decode((files / f"{name}.speedscope").read_bytes())["profiles"]
    assert nettrace("report", files / "bare.json", "--speedscope", files / "none.json") == 0
    assert "no stack was collected" in capsys.readouterr().err
    assert not (files / "none.json").exists()


def test_a_recording_of_sockets_is_plotted(files: Path, capsys) -> None:
    """Beside its file, as SVG and PNG."""
    assert nettrace("plot", files / "sockets.json") == 0
    drawn = [Path(line) for line in capsys.readouterr().out.splitlines()]

    assert [path.name for path in drawn] == ["ways-over-time.svg", "ways-over-time.png", "sizes.svg", "sizes.png"]
    assert {path.parent for path in drawn} == {files / "sockets-plots"}


def test_what_was_not_sampled_is_named_and_not_plotted(files: Path, capsys) -> None:
    """A recording of less than two seconds has no rates."""
    (files / "short.json").write_bytes(encode_sockets(program(samples=[], sizes={})))

    assert nettrace("plot", files / "short.json") == 0
    told = capsys.readouterr()
    assert told.out == ""
    assert "ways-over-time: n/a" in told.err
    assert "sizes: n/a" in told.err


def test_a_recording_of_a_run_is_not_plotted(files: Path, capsys) -> None:
    """And the message says what shows it."""
    assert nettrace("plot", files / "run.json") == 2
    assert "report" in capsys.readouterr().err


def test_help_tells_of_the_page() -> None:
    """Wherever it can be had."""
    for verb in ("run", "record", "attach", "compare", "sweep", "claims", "report"):
        assert "--html" in CliRunner().invoke(cli, [verb, "--help"]).output, verb


def test_a_recording_is_not_written_over(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By its own report."""
    before = (files / "run.json").read_bytes()

    assert nettrace("report", files / "run.json", "--html", files / "run.json") == 2
    assert "it would be lost" in capsys.readouterr().err
    assert (files / "run.json").read_bytes() == before
