"""The command line: what a user's mistake is answered with. Nothing here needs root or BCC."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner

from tests.command import ROOT, nettrace, said
from tests.samples import changed, copied, looped, workload
from tracer import cli
from tracer.books.analysis import document_of
from tracer.books.recording import encode
from tracer.commands.output import exit_code
from tracer.machine.recordings import save
from tracer.model import Recording


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "zerocpy"], ["unknown mode 'zerocpy'", "twocopy, onecopy, zerocopy", "did you mean zerocopy?"]),
        (["run", "zero-copy"], ["did you mean zerocopy?"]),
        (["run", "sendfile9"], ["unknown mode 'sendfile9'", "the modes are"]),
        (["run"], ["Missing argument 'MODE'"]),
        (["rum", "zerocopy"], ["No such command 'rum'", "Did you mean 'run'?"]),
        (["fly"], ["No such command 'fly'", "Commands: run, "]),
        (["run", "onecopy", "--sise", "1"], ["--sise", "--size"]),
        (["run", "onecopy", "--size", "16Q"], ["'16Q' has an unknown unit 'q'", "units are B, K, M"]),
        (["run", "onecopy", "--size", "big"], ["'big' is not a size", "--size 16K"]),
        (["run", "onecopy", "--size", ""], ["'' is not a size"]),
        (["run", "onecopy", "--size", "1.5K"], ["'1.5K' is not a size"]),
        (["run", "onecopy", "--size", "0"], ["'0' is 0 bytes", "1 to 16777216"]),
        (["run", "onecopy", "--size", "-16"], ["'-16' is -16 bytes"]),
        (["run", "onecopy", "--size", "17M"], ["'17M' is 17825792 bytes", "16 MiB"]),
        (["run", "onecopy", "--size", "9" * 5000], ["is not a size"]),
        (["run", "onecopy", "--threads", "0"], ["0 is not in the range 1<=x<=64"]),
        (["run", "onecopy", "--threads", "-1"], ["-1 is not in the range"]),
        (["run", "onecopy", "--threads", "65"], ["65 is not in the range 1<=x<=64"]),
        (["run", "onecopy", "--threads", "two"], ["'two' is not a valid integer range"]),
        (["run", "onecopy", "--messages", "0"], ["0 is not in the range 1<=x"]),
        (["run", "onecopy", "--messages", "-3"], ["-3 is not in the range"]),
        (["run", "onecopy", "--messages", "9" * 30], ["is not in the range"]),
        (["run", "onecopy", "--duration", "0"], ["0.0 is not in the range"]),
        (["run", "onecopy", "--duration", "-1"], ["-1.0 is not in the range"]),
        (["run", "onecopy", "--duration", "nan"], ["'nan' is not a time"]),
        (["run", "onecopy", "--duration", "inf"], ["inf is not in the range"]),
        (["run", "onecopy", "--messages", "5", "--duration", "1"], ["--messages and --duration exclude each other"]),
        (["run", "onecopy", "--link", "vet"], ["'vet' is not one of", "veth"]),
        (["run", "onecopy", "--observer", "trace"], ["'trace' is not one of", "tracepoints"]),
        (["run", "onecopy", "--port", "65536"], ["65536 is not in the range"]),
        (["report"], ["Missing argument 'FILE'"]),
    ],
)  # fmt: skip
def test_a_mistake_is_quoted_and_answered(arguments: list[str], words: list[str]) -> None:
    """Exit code 2; the user's own words, what is allowed, the near miss."""
    code, _, errors = said(*arguments)

    assert code == 2, errors
    assert [word for word in words if word not in errors] == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["is not a recording"]),
        (b"\x89PNG\r\n", ["is not a recording"]),
        (b'{"schema": "nettrace.recording/99"}', ["not a recording of this nettrace", "nettrace.recording/99"]),
        (b'{"traceEvents": []}', ["not a recording of this nettrace", "it has no schema"]),
        (encode(document_of(looped()))[:500], ["is damaged"]),
        (
            encode(document_of(looped())).replace(b'"threads": 1', b'"threads": -1'),
            ["is damaged", "$.experiment.threads"],
        ),
        (encode(document_of(looped())).replace(b'"lost": 0', b'"lost": "0"'), ["is damaged", "lost"]),
    ],
)
def test_a_file_that_is_no_recording_is_told_apart(tmp_path: Path, content: bytes, words: list[str]) -> None:
    """Damaged or foreign: exit code 2, the file's name, what is wrong in it."""
    path = tmp_path / "file.json"
    path.write_bytes(content)
    code, _, errors = said("report", path)

    assert code == 2
    assert [word for word in ["error: ", str(path), "why: ", "fix: ", *words] if word not in errors] == []


@pytest.mark.parametrize("name", ["nowhere.json", "."])
def test_a_file_that_cannot_be_read_is_said(tmp_path: Path, name: str) -> None:
    """A wrong path, a directory."""
    code, _, errors = said("report", tmp_path / name)

    assert code == 2
    assert "cannot read" in errors


def test_a_report_needs_neither_root_nor_a_kernel(tmp_path: Path) -> None:
    """Recordings are read anywhere."""
    path = tmp_path / "run.json"
    save(document_of(looped()), path)
    tmp_path.chmod(0o755)
    done = nettrace("report", path)

    assert done.returncode == 0
    assert "every byte was copied after all" in " ".join(done.stdout.split())


def test_a_report_does_not_import_what_measures() -> None:
    """`nettrace report` on a machine without BCC, the engine or pyroute2."""
    program = (
        "import sys, tracer.commands.report, tracer.books.analysis\n"
        "import tracer.machine.recordings, tracer.reports.terminal\n"
        "print({'bcc', 'cffi', 'pyroute2', 'workloads.engine._engine'} & set(sys.modules))"
    )

    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)

    assert found.stdout.strip() == "set()"


def test_the_published_schema_accepts_what_json_prints(tmp_path: Path) -> None:
    """`nettrace schema` and `nettrace report --json` belong together."""
    path = tmp_path / "run.json"
    save(document_of(copied("twocopy")), path)
    schema = json.loads(said("schema")[1])

    jsonschema.Draft202012Validator(schema).validate(json.loads(said("report", path, "--json")[1]))


def test_help_lists_every_verb_and_the_exit_codes() -> None:
    """The first thing a newcomer types."""
    code, output, _ = said("--help")

    assert code == 0
    assert [verb for verb in cli._VERBS if f"  {verb} " not in output] == []
    assert "70 a bug in nettrace; 130 interrupted" in " ".join(output.split())


def test_a_mistake_ends_a_process_with_the_code_that_was_said() -> None:
    """The rest of these tests ask run(); this one a process."""
    done = nettrace("run", "zerocpy")

    assert done.returncode == 2
    assert "did you mean zerocopy?" in done.stderr


@pytest.mark.parametrize("error", [ValueError("told"), AssertionError("told"), RecursionError("told")])
def test_a_bug_is_said_to_be_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: Exception) -> None:
    """Exit code 70: 1 would say that an expectation failed. Three lines; the traceback is in a file."""

    def broken() -> None:
        raise error

    monkeypatch.setattr("tracer.books.recording.json_schema", broken)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    code, output, errors = said("schema")
    (written,) = tmp_path.iterdir()

    assert (code, output) == (70, "")
    assert [line[:7] for line in errors.splitlines()] == ["error: ", "  why: ", "  fix: "]
    assert f"{type(error).__name__}: told" in errors
    assert str(written) in errors
    assert "in broken" in written.read_text()


def test_a_bug_is_told_where_no_file_can_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A full disk must not hide it: the traceback is on stderr then."""
    monkeypatch.setattr("tracer.books.recording.json_schema", lambda: {}["key"])
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    code, _, errors = said("schema")

    assert code == 70
    assert "KeyError: 'key'" in errors
    assert "Traceback" in errors


@pytest.mark.parametrize("verb", list(cli._VERBS))
def test_every_verb_explains_itself(verb: str) -> None:
    """--help of each, without root."""
    shown = CliRunner().invoke(cli.cli, [verb, "--help"])

    assert shown.exit_code == 0, shown.output
    assert "Usage:" in shown.output


@pytest.mark.parametrize(
    ("sample", "expect", "code"),
    [
        (looped(), False, 0),
        (looped(), True, 1),
        (changed(looped(), complete=False), True, 130),
        (changed(looped(), observed=workload(payload_bytes=1)), True, 5),
    ],
)
def test_the_exit_code_says_how_a_run_ended(sample: Recording, expect: bool, code: int) -> None:
    """0 done, 1 an expectation failed, 5 untrustworthy, 130 partial; the worst one wins."""
    assert exit_code(document_of(sample), expect) == code
