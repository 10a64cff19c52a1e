"""How soon `nettrace live` shows its first screen, and what a CPU it takes while it shows 500 sockets.

It draws on a terminal of 120 x 40 that this program reads. The target moves something on each socket twice a second;
CPU time is that of the nettrace process alone, from 5 s after its first screen on: its start is not among it.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import pty
import select
import socket
import statistics
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

from figures import Figure, show

NETTRACE = (sys.executable, "-m", "tracer")
# The last words of the first screen's second line.
_FIRST, _WIDTH, _HEIGHT, _WARM_S = b"outstanding", 120, 40, 5.0
_TICKS = os.sysconf("SC_CLK_TCK")


class View:
    """nettrace live, on a terminal whose output is thrown away."""

    def __init__(self, *arguments: str) -> None:
        self._began = time.monotonic()
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="xterm-256color")
            os.execv(NETTRACE[0], [*NETTRACE, "live", *arguments])
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", _HEIGHT, _WIDTH, 0, 0))

    def first_screen_s(self) -> float:
        """Until there is something to read."""
        seen = b""
        while _FIRST not in seen:
            seen += self._read(60)
        return time.monotonic() - self._began

    def stay(self, seconds: float) -> None:
        """Let it draw for so long."""
        until = time.monotonic() + seconds
        while (left_s := until - time.monotonic()) > 0:
            if select.select([self._terminal], [], [], left_s)[0]:
                self._read(0)

    def _read(self, most_s: float) -> bytes:
        if not select.select([self._terminal], [], [], most_s)[0]:
            raise SystemExit("nettrace live draws nothing")
        return os.read(self._terminal, 1 << 16)

    def cpu_s(self) -> float:
        """proc_pid_stat(5): utime and stime, of all its threads."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def leave(self) -> int:
        """q; its exit code."""
        os.write(self._terminal, b"q")
        with contextlib.suppress(OSError):
            while os.read(self._terminal, 1 << 16):
                pass
        os.close(self._terminal)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def target(sockets: int) -> None:
    """So many sockets, both ends here, each of which moves something twice a second; until stdin ends."""
    with socket.create_server(("127.0.0.1", 0), backlog=sockets) as server:
        pairs = [(socket.create_connection(server.getsockname()), server.accept()[0]) for _ in range(sockets // 2)]
    print("ready", flush=True)
    while not select.select([sys.stdin], [], [], 0.5)[0]:
        for sender, reader in pairs:
            sender.send(b"x" * 1000)
            reader.recv(1 << 16)


@contextlib.contextmanager
def running_target(sockets: int) -> Iterator[str]:
    """Its process id."""
    command = [sys.executable, __file__, "--target", str(sockets)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield str(process.pid)
        process.communicate()


def first_screen_s(pid: str) -> float:
    view = View("-p", pid)
    took_s = view.first_screen_s()
    if code := view.leave():
        raise SystemExit(f"nettrace live ended with {code}")
    return took_s


def share_of_a_cpu(pid: str, seconds: float) -> float:
    """Percent of one CPU."""
    view = View("-p", pid)
    view.first_screen_s()
    view.stay(_WARM_S)
    before, began = view.cpu_s(), time.monotonic()
    view.stay(seconds)
    share = 100 * (view.cpu_s() - before) / (time.monotonic() - began)
    view.leave()
    return share


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--sockets", type=int, default=500)
    parser.add_argument("--target", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.target:
        target(asked.target)
        return 0
    with running_target(asked.sockets) as pid:
        starts = [first_screen_s(pid) for _ in range(asked.repetitions + 1)][1:]
        figures = [
            Figure("first screen", statistics.median(starts), 1.0, "s"),
            Figure(f"{asked.sockets} sockets, each second", share_of_a_cpu(pid, asked.seconds), 2.0, "% of a CPU"),
        ]
    return show("nettrace live", figures)


if __name__ == "__main__":
    raise SystemExit(main())
