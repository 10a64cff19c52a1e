"""A real terminal (tmux), in which nettrace live is run, read, pressed keys in, and left."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.command import DEADLINE_S, ROOT, children, command_line


class Terminal:
    """One window of a tmux server of its own, in which a shell runs one command."""

    def __init__(self, directory: Path, command: list[str], *, width: int, height: int, before: str = "") -> None:
        self._tmux = ["tmux", "-S", str(directory / "tmux"), "-f", "/dev/null"]
        self._before, self._after, self._code = (directory / name for name in ("before", "after", "code"))
        script = directory / "script"
        script.write_text(
            f"stty -g > {self._before}\n{before} {shlex.join(command)}\n"
            f"echo $? > {self._code}.new; stty -g > {self._after}; mv {self._code}.new {self._code}\nexec sleep 600\n"
        )
        shell = ["new-session", "-d", "-x", str(width), "-y", str(height), "sh", str(script)]
        subprocess.run([*self._tmux, *shell], check=True, cwd=ROOT)

    def _ask(self, *words: str) -> str:
        return subprocess.run([*self._tmux, *words], check=True, capture_output=True, text=True).stdout

    def text(self) -> str:
        """What is on the screen."""
        return self._ask("capture-pane", "-p")

    def wait_for(self, *parts: str) -> str:
        """Until all these are on the screen; the screen."""
        deadline = time.monotonic() + DEADLINE_S
        while not all(part in (text := self.text()) for part in parts):
            assert time.monotonic() < deadline, text
            assert not self._code.exists(), text
            time.sleep(0.05)
        return text

    def press(self, key: str) -> None:
        self._ask("send-keys", key)

    def resize(self, width: int, height: int) -> None:
        self._ask("resize-window", "-x", str(width), "-y", str(height))

    def signal(self, number: int) -> None:
        """To nettrace."""
        shell = int(self._ask("display-message", "-p", "#{pane_pid}"))
        os.kill(next(pid for pid in children(shell) if "tracer" in command_line(pid)), number)

    def code(self) -> int:
        """Its exit code, when it has ended."""
        deadline = time.monotonic() + DEADLINE_S
        while not self._code.exists():
            assert time.monotonic() < deadline, self.text()
            time.sleep(0.05)
        return int(self._code.read_text())

    def is_as_before(self) -> bool:
        """Its settings, its screen, its cursor, its mouse."""
        state = self._ask("display-message", "-p", "#{alternate_on} #{cursor_flag} #{mouse_any_flag}")
        return self._before.read_text() == self._after.read_text() and state.split() == ["0", "1", "0"]

    def close(self) -> None:
        self._ask("kill-server")


@contextmanager
def live_in_terminal(
    directory: Path, *arguments: object, width: int = 120, height: int = 36, before: str = ""
) -> Iterator[Terminal]:
    """nettrace live, in a terminal that goes with it.

    Args:
        before: Shell text in front of the command: variables, for example.
    """
    command = [sys.executable, "-m", "tracer", "live", *map(str, arguments)]
    terminal = Terminal(directory, command, width=width, height=height, before=before)
    try:
        yield terminal
    finally:
        terminal.close()


SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
