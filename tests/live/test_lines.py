"""nettrace live where there is no terminal: a line a second, the usual report, and the exit codes of attach."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import ROOT, Running, nettrace, said
from tests.samples import looped
from tests.socket_samples import reader, recording, sender
from tracer.books.recording import encode
from tracer.books.socket_file import decode_sockets, encode_sockets
from tracer.model.socket_recording import Sample

CHATTY = (sys.executable, str(ROOT / "tests/programs/chatty.py"))


@pytest.mark.live
def test_a_command_is_told_line_by_line_and_reported(tmp_path: Path) -> None:
    """Its own output is in its file alone."""
    file, output = tmp_path / "x.json", tmp_path / "out.txt"
    done = nettrace("live", "-o", file, "--output", output, "--", *CHATTY, 15)
    lines = [line for line in done.stdout.split("\n") if " s  sent " in line]

    assert done.returncode == 0, done.stderr
    assert len(lines) >= 2
    assert "15,135 B (copy 100.0 %)" in lines[-1]
    assert "2 of 2 sockets balance" in done.stdout
    assert decode_sockets(file.read_bytes(), "x").totals.sent_bytes == 15135
    assert output.read_text().split()[-1] == "done"
    assert "ready" not in done.stdout


@pytest.mark.live
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_the_usual_end(number: signal.Signals) -> None:
    """The report follows; who was watched goes on."""
    with subprocess.Popen([*CHATTY, "100000"], stdout=subprocess.PIPE, text=True) as target:
        assert target.stdout is not None
        target.stdout.readline()
        running = Running("live", "-p", target.pid)
        running.wait_for("watching")
        running.process.send_signal(number)
        code, report, _ = running.finish()
        goes_on = target.poll() is None
        target.kill()

    assert (code, goes_on) == (0, True)
    assert "2 of 2 sockets balance" in report


@pytest.mark.live
def test_a_closed_standard_input_is_no_reason_to_fail() -> None:
    """Nor is a reader that goes after the first line."""
    command = f"{sys.executable} -m tracer live -d 1.5 -- {' '.join(CHATTY)} 1000"
    closed = subprocess.run(["bash", "-c", f"{command} <&-"], capture_output=True, text=True, cwd=ROOT, check=False)
    headed = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command} | head -1"], capture_output=True, text=True, cwd=ROOT, check=False
    )

    assert (closed.returncode, headed.returncode) == (0, 0), closed.stderr + headed.stderr
    assert "signal 15" in closed.stdout
    assert len(headed.stdout.splitlines()) == 1
    assert "Traceback" not in closed.stderr + headed.stderr


@pytest.mark.live
def test_a_command_that_cannot_be_started() -> None:
    """As the shell says it; no file is left for an output that was none."""
    done = nettrace("live", "--", "/nonexistent")

    assert done.returncode == 127
    assert "nettrace-live-" not in done.stderr


# With a screen that is not drawn on; says how many threads there are whenever this process is forked.
THREADS = """
import os
from tracer import cli
from tracer.commands import live
fork = os.fork
def counted():
    print("threads", len(os.listdir("/proc/self/task")), flush=True)
    return fork()
os.fork, live._has_terminal, live._show = counted, lambda: True, lambda source, view: None
cli.run(["live", "--", "true"])
"""


@pytest.mark.live
def test_a_command_is_forked_from_a_process_of_one_thread() -> None:
    """What draws the screen is loaded by a second one, which comes later: a fork takes along what that holds."""
    done = subprocess.run([sys.executable, "-c", THREADS], capture_output=True, text=True, cwd=ROOT, check=False)

    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if line.startswith("threads")] == ["threads 1"]


def test_a_recording_is_told_second_by_second(tmp_path: Path) -> None:
    """And then reported, without root."""
    file = tmp_path / "x.json"
    made = recording(sender(), reader(), samples=[Sample(t=0.5, sent={"copy": 7})])
    file.write_bytes(encode_sockets(made))

    code, out, _ = said("live", file)

    assert code == 0
    assert [line.split()[0] for line in out.split("\n")[:2]] == ["0.5", "1.0"]
    assert "2 of 2 sockets balance" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "none is given"),
        (("-p", "1", "--", "ls"), "more than one is given"),
        (("x.json", "--", "ls"), "more than one is given"),
        (("--",), "no command stands behind --"),
        (("curl", "http://x"), "nettrace live -- curl http://x"),
        (("curl",), "nettrace live -- curl"),
        (("-p", "x"), "no process id"),
        (("--user", "root", "x.json"), "--user does not go with this"),
        (("-o", "y.json", "x.json"), "--save does not go with this"),
        (("--no-children", "--", "ls"), "--no-children does not go with this"),
        (("--output", "o", "-p", "1"), "--output does not go with this"),
        (("--top", "0", "x.json"), "--top"),
    ],
)
def test_what_is_no_subject_is_told(arguments: tuple[str, ...], words: str) -> None:
    """What, why, and what to write instead."""
    code, _, errors = said("live", *arguments)

    assert code == 2
    assert words in errors


@pytest.mark.parametrize("data", [b"", b"{", b'{"schema": "nettrace.recording/2"}', b"\xff" * 100])
def test_a_damaged_recording_is_an_error(tmp_path: Path, data: bytes) -> None:
    """As for report."""
    file = tmp_path / "x.json"
    file.write_bytes(data)

    assert said("live", file)[0] == 2


def test_a_recording_of_run_holds_no_sockets(tmp_path: Path) -> None:
    """It is for report."""
    file = tmp_path / "run.json"
    file.write_bytes(encode(looped()))
    code, _, errors = said("live", file)

    assert code == 2
    assert f"nettrace report {file}" in errors
