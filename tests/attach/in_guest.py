"""In the lab's guest: attaches to one program after the other, and prints the recordings.

A process for all of them, which forks: to load nettrace takes an emulated processor 5 s.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import tracer.commands.attach
import tracer.reports.attached
import tracer.runs.attach  # noqa: F401 - for the forks
from tracer import cli

RECORDING, REPORT = Path("/run/recording"), Path("/run/report")
TOLD = Path(__file__).parents[1] / "programs/told.py"
LISTENING, ESTABLISHED = "0A", "01"
LOOK_S = 0.01
UNTRUSTWORTHY = 5


class Attached:
    """A nettrace that watches."""

    def __init__(self, *arguments: object) -> None:
        reader, writer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            # Before those that it attaches to: beside them it would take one processor a minute to begin.
            os.nice(-19)
            os.dup2(writer, 2)
            os.dup2(os.open(REPORT, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
            run(*arguments)
        os.close(writer)
        self.said = os.fdopen(reader)
        line = self.said.readline()
        assert "watching" in line, line + self.said.read()

    def end(self) -> None:
        os.kill(self.pid, signal.SIGINT)

    def tell(self, name: str) -> None:
        """What it found, when it has ended."""
        tell(name, *self.ended())

    def ended(self) -> tuple[str, int]:
        """What it said until its end, and how it ended."""
        said = self.said.read()
        return said, os.waitpid(self.pid, 0)[1]


def tell(name: str, said: str, status: int) -> None:
    """The recording, by its name, of a nettrace that ended well, or that says itself that its books do not balance."""
    assert os.waitstatus_to_exitcode(status) in (0, UNTRUSTWORTHY), said + REPORT.read_text()
    print("recording", name, RECORDING.read_text(), sep="\t", flush=True)


def run(*arguments: object) -> None:
    """Be nettrace, to the end."""
    sys.argv = ["nettrace", "attach", *map(str, arguments), "-o", str(RECORDING)]
    status = 1
    try:
        cli.main()
    except SystemExit as end:
        status = int(end.code or 0)
    finally:
        os._exit(status)


@contextmanager
def running(*command: object) -> Iterator[int]:
    """Its pid."""
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def until(port: int, state: str) -> None:
    """Until somebody has a socket of this port in this state."""
    while not any(
        row[1].endswith(f":{port:04X}") and row[3] == state
        for row in map(str.split, Path("/proc/net/tcp").read_text().splitlines()[1:])
    ):
        time.sleep(LOOK_S)


@contextmanager
def in_full_flow(servers: dict[int, list[object]], clients: dict[int, list[object]]) -> Iterator[dict[int, list[int]]]:
    """By port, the pids of server and client, which are connected; no client keeps the only processor from a server."""
    with ExitStack() as stack:
        pids = {port: [stack.enter_context(running(*words))] for port, words in servers.items()}
        for port in servers:
            until(port, LISTENING)
        for port, words in clients.items():
            pids[port].append(stack.enter_context(running(*words)))
        for port in clients:
            until(port, ESTABLISHED)
        yield pids


def attach_in_full_flow(place: str, *, nginx: int, redis: int, go: int) -> None:
    """Three servers at once, on these ports: one alone, of two the clients as well."""
    wrk: list[Any] = ["wrk", "-t1", "-c8", "-d600"]
    servers: dict[int, list[object]] = {
        nginx: ["/usr/sbin/nginx", "-c", f"{place}/nginx.conf"],
        redis: ["redis-server", "--port", redis, "--save", "", "--dir", "/run"],
        go: [f"{place}/file_server", go, place],
    }
    clients: dict[int, list[object]] = {
        nginx: [*wrk, f"http://127.0.0.1:{nginx}/file"],
        redis: ["redis-benchmark", "-p", redis, "-t", "set", "-n", 100_000_000, "-d", 1009, "-c", 8],
        go: [*wrk, f"http://127.0.0.1:{go}/file"],
    }
    with in_full_flow(servers, clients) as pids:
        Attached("-d", 2, "-p", pids[nginx][0], *pids[redis], *pids[go]).tell("full flow")


def attach_to_what_is_told(calls: int, size: int) -> None:
    """It has unread bytes on a connection, goes on with that, and makes another one."""
    told = subprocess.Popen([sys.executable, TOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert told.stdin is not None
    assert told.stdout is not None

    def tell(lines: str) -> None:
        print(json.dumps(lines), file=told.stdin, flush=True)
        answer = told.stdout.readline()
        assert "error" not in answer, answer

    tell("a, b = pair(); a.sendall(bytes(5003)); b.sendall(bytes(4001))")
    nettrace = Attached("-p", told.pid)
    tell(f"take(b, 5003); take(a, 4001); send(a, {calls}, {size}, b); c, d = pair(); send(c, 7, 1009, d)")
    nettrace.end()
    nettrace.tell("told")
    told.stdin.close()
    told.wait()


def main(place: str, ports: dict[str, int], calls: int, size: int) -> None:
    """All of them."""
    attach_to_what_is_told(calls, size)
    attach_in_full_flow(place, **ports)


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
