"""The command line: what a user's mistake is answered with. Nothing here needs root or BCC."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import msgspec
import pytest
from click.testing import CliRunner

from tests.command import ROOT, nettrace, said
from tests.samples import changed, copied, looped, workload
from tests.socket_samples import recording, sender
from tracer import cli
from tracer.books.analysis import document_of
from tracer.books.expectations import ZEROCOPY, parse_expectation
from tracer.books.recording import encode
from tracer.books.socket_file import encode_sockets
from tracer.commands.output import exit_code
from tracer.machine.recordings import save
from tracer.model import Recording
from tracer.model.sockets import Transfer


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "zerocpy"], ["unknown mode 'zerocpy'", "twocopy, onecopy, zerocopy", "did you mean zerocopy?"]),
        (["run", "zero-copy"], ["did you mean zerocopy?"]),
        (["run", "sendfile9"], ["unknown mode 'sendfile9'", "the modes are"]),
        (["run"], ["missing argument 'MODE'", "nettrace run [OPTIONS] MODE"]),
        (["rum", "zerocopy"], ["no command 'rum'", "did you mean run?"]),
        (["fly"], ["no command 'fly'", "the commands are run, "]),
        (["lab", "stauts"], ["nettrace lab has no command 'stauts'", "did you mean status?"]),
        (["run", "onecopy", "--sise", "1"], ["no option '--sise'", "did you mean --size?"]),
        (["run", "onecopy", "--size"], ["option '--size' requires an argument", "nettrace run --help"]),
        (["run", "onecopy", "more"], ["unexpected extra argument (more)"]),
        (["--versio"], ["did you mean --version?"]),
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
        (["run", "onecopy", "--link", "vet"], ["unknown --link 'vet'", "did you mean veth?"]),
        (["run", "onecopy", "--link", "wifi"], ["it is one of lo, veth, nic"]),
        (["run", "onecopy", "--lab", "6.22"], ["no lab kernel is called '6.22'", "the lab knows 6.1, 6.12"]),
        (["compare", "--modes", "onecpy"], ["did you mean onecopy?"]),
        (["run", "onecopy", "--observer", "trace"], ["unknown --observer 'trace'", "did you mean tracepoints?"]),
        (["report", "FILE", "--by", "prot"], ["did you mean port?"]),
        (["report", "FILE", "--expect", "way splce >= 1"], ["no expectation", "did you mean way splice?"]),
        (["report", "FILE", "--expect", "law hold"], ["no expectation", "did you mean laws hold?"]),
        (["report", "FILE", "--expect", "send copies => 1"], ["no expectation", "--expect 'send copies <= 0.1'"]),
        (["run", "onecopy", "--port", "65536"], ["65536 is not in the range"]),
        (["report"], ["missing argument 'FILE'"]),
        (["lab", "exec", "--timeout", "nan", "--", "true"], ["'nan' is not a time"]),
        (["lab", "exec", "--timeout", "inf", "--", "true"], ["inf is not in the range"]),
    ],
)  # fmt: skip
def test_a_mistake_is_quoted_and_answered(arguments: list[str], words: list[str]) -> None:
    """Exit code 2 and three lines; the user's own words, what is allowed, the near miss."""
    code, _, errors = said(*arguments)

    assert code == 2, errors
    assert [line[:7] for line in errors.splitlines()] == ["error: ", "  why: ", "  fix: "]
    assert [word for word in words if word not in errors] == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["is not a recording", "it is empty"]),
        (b"\x89PNG\r\n", ["is not a recording", "a PNG image", "run --save, record -o or attach -o"]),
        (b"\xd4\xc3\xb2\xa1\x02\0\x04\0", ["a pcap capture"]),
        (b"\x0a\x0d\x0d\x0a\x1c\0\0\0", ["a pcapng capture"]),
        (b"\x7fELF\x02\x01", ["a program"]),
        (b"# nettrace\n", ["seems to be text"]),
        (b"a\0b", ["a binary file"]),
        (b"<svg>", ["SVG"]),
        (b"[1, 2]", ["is a list in JSON", "a recording is an object"]),
        (b"[1, 2", ["begins like a list in JSON, and is no JSON document", "truncated"]),
        (b'{"a": 1}\n{"a": 2}\n', ["is not a recording", "another program's JSON, several documents"]),
        (b"{}", ["an empty JSON document"]),
        (b'{"a\\u001b[2J": 1}', ["another program's JSON document, of a\\x1b[2J"]),
        (b'{"schema": "nettrace.recording/99"}', ["not a recording of this nettrace", "nettrace.recording/99"]),
        (b'{"traceEvents": []}', ["not a recording of this nettrace", "it has no schema", "of traceEvents"]),
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


@pytest.mark.parametrize("verb", ["report", "live", "plot", "explain", "diff"])
def test_a_broken_file_is_broken_for_every_verb(tmp_path: Path, verb: str) -> None:
    """And not a file without sockets."""
    path = tmp_path / "file.json"
    path.write_bytes(b"[1,2")
    code, _, errors = said(verb, path, *([path] if verb == "diff" else []))

    assert code == 2
    assert "is not a recording" in errors


def test_what_cannot_be_trusted_says_so_in_every_form(tmp_path: Path) -> None:
    """First on the screen, on stderr beside JSON and pages; and the exit code is that of the run itself."""
    path = tmp_path / "run.json"
    save(document_of(changed(looped(), observed=workload(payload_bytes=1))), path)
    screen, json_form = said("report", path), said("report", path, "--json")
    page = said("report", path, "--html", tmp_path / "x.html")

    assert [code for code, _, _ in (screen, json_form, page)] == [5, 5, 5]
    assert screen[1].split("\n")[2].startswith("This measurement cannot be trusted: ")
    assert all("this recording cannot be trusted: " in errors for _, _, errors in (screen, json_form, page))
    assert said("explain", path)[0] == 5


def test_books_that_do_not_balance_are_no_success(tmp_path: Path) -> None:
    """As attach ends, which wrote them."""
    path = tmp_path / "x.json"
    broken = sender(sent={"copy": Transfer(calls=1, bytes=1)})
    path.write_bytes(encode_sockets(recording(broken)))
    code, _, errors = said("report", path)

    assert code == 5
    assert "the books of 1 socket do not balance" in errors
    assert said("explain", path)[0] == 5


def test_sockets_that_were_lost_are_no_success(tmp_path: Path) -> None:
    """What all others say is exact, and not the whole."""
    path = tmp_path / "x.json"
    path.write_bytes(encode_sockets(msgspec.structs.replace(recording(sender()), lost=2)))
    code, _, errors = said("report", path)

    assert (code, "2 sockets could not be counted" in errors) == (5, True)


@pytest.mark.parametrize(("name", "fix"), [("nowhere.json", "check the path"), (".", "nettrace plot")])
def test_a_file_that_cannot_be_read_is_said(tmp_path: Path, name: str, fix: str) -> None:
    """A wrong path, a directory."""
    code, _, errors = said("report", tmp_path / name)

    assert code == 2
    assert "cannot read" in errors
    assert fix in errors


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
    codes = "70 a bug in nettrace; 130 interrupted; Ctrl-C ends attach, live and serve with 0"
    assert codes in " ".join(output.split())


@pytest.mark.parametrize("arguments", [[], ["lab"]])
def test_no_command_at_all_is_answered_with_the_help(arguments: list[str]) -> None:
    """As lines, and none of them shown as an escape."""
    code, _, errors = said(*arguments)

    assert code == 2
    assert errors == said(*arguments, "--help")[1]


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
    assert exit_code(document_of(sample), [parse_expectation(ZEROCOPY)] if expect else []) == code
