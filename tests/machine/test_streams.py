"""Standard streams of every kind: closed, full, of another encoding. The exit code and the numbers are the same."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.command import NETTRACE, ROOT
from tests.samples import looped
from tracer.books.analysis import document_of
from tracer.machine.recordings import save
from tracer.machine.streams import stand_in

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("streams") / "run.json"
    save(document_of(looped()), path)
    return path


def shell(arguments: str, redirection: str = "", **environment: str) -> subprocess.CompletedProcess[bytes]:
    """A nettrace as a shell starts it."""
    command = f"{' '.join(NETTRACE)} {arguments} {redirection}"
    return subprocess.run(
        ["env", *(f"{name}={value}" for name, value in environment.items()), "sh", "-c", command],
        capture_output=True, cwd=ROOT, check=False, timeout=240,
    )  # fmt: skip


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp437"])
def test_an_encoding_that_lacks_our_signs_gets_stand_ins(recording: Path, encoding: str) -> None:
    """us, |; the exit code is that of the run."""
    done = shell(f"report {recording}", PYTHONIOENCODING=encoding)
    text = done.stdout.decode(encoding)

    assert (done.returncode, done.stderr) == (0, b"")
    assert text.replace("µ", "u").replace("│", "|").isascii()
    assert "230,161" in text


def test_json_is_the_same_in_every_encoding(recording: Path) -> None:
    """Data has no stand-ins."""
    whole = shell(f"report --json {recording}", PYTHONIOENCODING="utf-8").stdout
    ascii_only = shell(f"report --json {recording}", PYTHONIOENCODING="ascii").stdout

    assert json.loads(ascii_only) == json.loads(whole)


def test_an_error_is_told_in_ascii_too() -> None:
    """The user's own words may be of any language, or no text at all."""
    done = shell("run µ-\\\\xff", PYTHONIOENCODING="ascii")

    assert done.returncode == 2
    assert b"unknown mode 'u-" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "redirection", "code"),
    [
        ("report {}", ">&-", 0),
        ("report {}", "2>&-", 0),
        ("report {}", "<&- >&- 2>&-", 0),
        ("report {}", ">/dev/full", 4),
        ("report {}", ">/dev/full 2>&1", 4),
        ("doctor --clean", ">&-", 0),
        ("schema", ">&-", 0),
        ("run nope", "2>/dev/full", 2),
        ("sweep --nope", "2>/dev/full", 2),
        ("plot /nowhere", "2>/dev/full >&-", 2),
    ],
)
def test_a_stream_that_nobody_reads_changes_no_exit_code(
    recording: Path, arguments: str, redirection: str, code: int
) -> None:
    """Closed: works. Full: stdout is an error, stderr is not; never 1, which is an expectation's, nor a bug."""
    assert shell(arguments.format(recording), redirection).returncode == code


def test_a_recording_is_read_from_a_pipe(recording: Path) -> None:
    """A pipe can be read once only."""
    done = subprocess.run(
        [*NETTRACE, "report", "/dev/stdin"], input=recording.read_bytes(), capture_output=True, cwd=ROOT, check=False
    )

    assert done.returncode == 0


def test_bytes_of_file_names_are_shown_as_they_are() -> None:
    """Python keeps what is no UTF-8 in surrogates, which no encoding has."""
    assert stand_in(UnicodeEncodeError("utf-8", "a\udcffµ☃", 1, 4, "no")) == ("\\xffu?", 4)
