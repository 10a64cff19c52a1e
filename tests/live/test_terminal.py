"""nettrace live on a real terminal: what it shows, its keys, and that the terminal is as it was."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.command import ROOT, needs, wait_for, wait_until_gone
from tests.live.terminals import SIGNALS, live_in_terminal
from tests.socket_samples import reader, recording, sender
from tracer.books.socket_file import decode_sockets, encode_sockets

pytestmark = [pytest.mark.live, needs("tmux")]
CHATTY = (sys.executable, str(ROOT / "tests/programs/chatty.py"))


class Target(NamedTuple):
    """A program that moves bytes."""

    pid: int
    port: int
    process: subprocess.Popen[str]


@pytest.fixture
def target() -> Iterator[Target]:
    with subprocess.Popen([*CHATTY, "100000"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield Target(process.pid, int(process.stdout.readline().split()[1]), process)
        process.kill()


def test_it_shows_a_socket_and_its_keys_work(tmp_path: Path, target: Target) -> None:
    """q leaves; the report follows, and the terminal is as it was."""
    with live_in_terminal(tmp_path, "-p", target.pid) as terminal:
        terminal.wait_for(f"127.0.0.1:{target.port}", "send: copy", "copies per byte 1, 1 in all", "leave")
        terminal.press("s")
        terminal.wait_for("sorted by all")
        terminal.press("?")
        terminal.wait_for("save a recording of what was counted until now")
        terminal.press("q")
        terminal.wait_for("socket 1 to 2 of 2")
        terminal.press("Enter")
        terminal.wait_for("accepted by send calls", f"127.0.0.1:{target.port}")
        terminal.press("q")
        terminal.press("q")

        assert terminal.code() == 0
        assert terminal.is_as_before()
        assert "2 of 2 sockets balance" in terminal.text()


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_gives_the_terminal_back(tmp_path: Path, target: Target, number: signal.Signals) -> None:
    """As q does, with the same report and the same exit code; the target goes on."""
    with live_in_terminal(tmp_path, "-p", target.pid) as terminal:
        terminal.wait_for("send: copy")
        terminal.signal(number)

        assert terminal.code() == 0
        assert terminal.is_as_before()
        assert "2 of 2 sockets balance" in terminal.text()
    assert target.process.poll() is None


def test_a_target_that_ends_stays_on_the_screen(tmp_path: Path, target: Target) -> None:
    """With all that it did, until q."""
    with live_in_terminal(tmp_path, "-p", target.pid) as terminal:
        terminal.wait_for("send: copy")
        target.process.kill()
        terminal.wait_for("has ended, and all is counted", f"127.0.0.1:{target.port}", "2 sockets in all")
        terminal.press("q")

        assert terminal.code() == 0
        assert terminal.is_as_before()


def test_a_command_has_a_pane_and_a_file(tmp_path: Path) -> None:
    """It runs to its end, the recording is kept, and what it wrote is in both places."""
    file, output = tmp_path / "live.json", tmp_path / "output.txt"
    with live_in_terminal(tmp_path, "-o", file, "--output", output, "--", *CHATTY, 5) as terminal:
        terminal.wait_for("output", "ready", "done", "has ended")
        terminal.press("q")

        assert terminal.code() == 0
        assert terminal.is_as_before()
    made = decode_sockets(file.read_bytes(), str(file))
    assert (made.totals.sent_bytes, made.totals.read_bytes, made.subject.exit_status) == (5045, 5045, 0)
    assert output.read_text().split()[-1] == "done"


def test_leaving_a_command_ends_it(tmp_path: Path) -> None:
    """By SIGTERM, with what it has started; it has no terminal and an empty standard input."""
    shell = "tty; wc -c; sleep 600 & echo $!; wait"
    output = tmp_path / "output.txt"
    with live_in_terminal(tmp_path, "--output", output, "--", "sh", "-c", shell) as terminal:
        terminal.wait_for("live", "not a tty")
        wait_for(lambda: len(output.read_text().split("\n")) >= 4, "the command does not say all")
        terminal.press("q")

        assert terminal.code() == 0
        assert "signal 15" in terminal.text()
    said = output.read_text().split("\n")
    assert said[:2] == ["not a tty", "0"]
    wait_until_gone([int(said[2])])


def test_a_saved_recording_on_a_small_terminal_without_colour(tmp_path: Path) -> None:
    """20 columns, 10 rows, whatever the environment says of them; a larger one shows more."""
    file = tmp_path / "x.json"
    file.write_bytes(encode_sockets(recording(sender(), reader())))
    with live_in_terminal(tmp_path, file, width=20, height=10, before="NO_COLOR=1 COLUMNS=90 LINES=50") as terminal:
        terminal.wait_for("recording", "sent", "1-1 of 2", "leave")
        terminal.resize(100, 30)
        terminal.wait_for("127.0.0.1:40000 > 127.0.0.1:80")
        terminal.press("q")

        assert terminal.code() == 0
        assert terminal.is_as_before()


def test_a_key_saves_a_recording(tmp_path: Path, target: Target) -> None:
    """In the middle, while watching goes on."""
    file = tmp_path / "now.json"
    with live_in_terminal(tmp_path, "-p", target.pid, "-o", file) as terminal:
        terminal.wait_for("send: copy")
        terminal.press("w")
        terminal.wait_for("saved")
        now = json.loads(file.read_bytes())
        terminal.press("q")

        assert terminal.code() == 0
    assert 0 < now["totals"]["sent"]["copy"]["bytes"] < json.loads(file.read_bytes())["totals"]["sent"]["copy"]["bytes"]
