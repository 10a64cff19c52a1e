"""The nettrace command as a user runs it: a process of its own, with its output, its end and what it leaves."""

from __future__ import annotations

import contextlib
import io
import json
import os
import queue
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tracer import cli
from tracer.books.modes import MODES
from tracer.books.tallies import total
from tracer.machine.leftovers import cgroup2_mount

ROOT = Path(__file__).parent.parent
NETTRACE = [sys.executable, "-m", "tracer"]
DEADLINE_S = 180.0
# Of a command that boots and compiles on an emulated processor, of which a busy machine may give it a tenth.
LAB_DEADLINE_S = 600.0
# How often is looked whether what is waited for has come; who looks all the time keeps it from coming.
_LOOK_S = 0.005
# Modes that any kernel can do; those over kernel TLS are tried in the lab (tests/lab/test_lab_tls.py).
IN_THE_CLEAR = tuple(mode.name for mode in MODES if not mode.is_encrypted)
# The column st of /proc/PID/net/tcp, net/tcp_states.h.
ESTABLISHED, LISTENING = "01", "0A"


def nettrace(*arguments: object, before: Sequence[str] = (), **options: Any) -> subprocess.CompletedProcess[str]:
    """Run to the end; whatever happens, there is no traceback.

    Args:
        before: A command that nettrace becomes the argument of.
    """
    command = [*before, *NETTRACE, *map(str, arguments)]
    options = {"capture_output": True, "text": True, "timeout": DEADLINE_S, "cwd": ROOT, **options}
    done = subprocess.run(command, check=False, **options)
    assert "Traceback" not in f"{done.stdout}{done.stderr}", done.stderr
    return done


def said(*arguments: object) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a nettrace in this process: no interpreter is started."""
    out, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        code = cli.run([str(argument) for argument in arguments])
    return code, out.getvalue(), errors.getvalue()


def document(*arguments: object, **options: Any) -> dict[str, Any]:
    """What `nettrace run ... --json` prints, of a run that succeeds."""
    done = nettrace("run", *arguments, "--json", **options)
    assert done.returncode == 0, done.stderr + done.stdout
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def measured(*arguments: object) -> dict[str, Any]:
    """The same, of a run in this process: a third of the time, for tests of what is counted and not of the process."""
    code, out, errors = said("run", *arguments, "--json")
    assert code == 0, errors + out
    found: dict[str, Any] = json.loads(out)
    return found


def stage_bytes(found: dict[str, Any]) -> dict[str, int | None]:
    """Bytes by stage, over all functions that have a part in it; None where one of them is not known."""
    sizes: dict[str, list[int | None]] = {}
    for entry in found["ledger"]["entries"]:
        sizes.setdefault(entry["stage"], []).append(entry["bytes"])
    return {stage: total(*known) for stage, known in sizes.items()}


class Running:
    """A nettrace that is at work: wait for its progress, signal it, hear its end."""

    def __init__(self, *arguments: object, before: Sequence[str] = (), **options: Any) -> None:
        self.process = subprocess.Popen(
            [*before, *NETTRACE, *map(str, arguments)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, **options,
        )  # fmt: skip
        self.pid = self.process.pid
        self._lines: queue.Queue[str | None] = queue.Queue()
        self.errors = ""
        threading.Thread(target=self._hear, daemon=True).start()

    def _hear(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._lines.put(line)
        self._lines.put(None)

    def wait_for(self, text: str) -> None:
        """Until a line with this text came on stderr."""
        while (line := self._lines.get(timeout=DEADLINE_S)) is not None:
            self.errors += line
            if text in line:
                return
        raise AssertionError(f"ended without saying {text!r}: {self.errors}")

    def finish(self) -> tuple[int, str, str]:
        """Exit code, stdout, stderr; no traceback, no process left."""
        assert self.process.stdout is not None
        output = self.process.stdout.read()
        code = self.process.wait(DEADLINE_S)
        while (line := self._lines.get(timeout=DEADLINE_S)) is not None:
            self.errors += line
        self.process.stdout.close()
        assert "Traceback" not in self.errors + output, self.errors
        return code, output, self.errors

    def workers(self) -> list[int]:
        """Its sender and its receiver."""
        return [pid for pid in children(self.pid) if "workloads.child.worker" in command_line(pid)]

    def receiver(self) -> int:
        """The worker that listens."""
        return next(pid for pid in self.workers() if has_socket(pid, LISTENING))

    def wait_until_connected(self) -> None:
        """Until the receiver has accepted a connection."""
        receiver = self.receiver()
        wait_for(lambda: has_socket(receiver, ESTABLISHED), "nobody connects")

    def wait_until_moving(self) -> None:
        """Until payload waits to be read: messages have been sent."""
        self.wait_until_connected()
        receiver = self.receiver()
        wait_for(lambda: has_unread(receiver), "nothing is sent")


def wait_for(condition: Callable[[], object], what: str) -> None:
    """Until it is so; `what` is said of it where it does not become so."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(_LOOK_S)


def children(pid: int) -> list[int]:
    """Processes that any thread of this one started."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(child) for child in (task / "children").read_text().split()]
    return found


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def has_socket(pid: int, state: str) -> bool:
    """Whether one of its descriptors is a TCP socket in this state."""
    return holds(pid, {row[9] for row in tcp_rows(pid) if row[3] == state})


def has_unread(pid: int) -> bool:
    """Whether one of its connections has payload that it has not read."""
    rows = [*tcp_rows(pid), *rows_of(pid, "udp")]
    return holds(pid, {row[9] for row in rows if row[3] == ESTABLISHED and int(row[4].partition(":")[2], 16)})


def tcp_rows(pid: int | str) -> list[list[str]]:
    """Lines of /proc/PID/net/tcp, by column."""
    return rows_of(pid, "tcp")


def rows_of(pid: int | str, protocol: str) -> list[list[str]]:
    """The same of "udp", which has the same columns.

    Connections that are over (TIME_WAIT) are left out: some tests leave thousands, and this is asked again and again.
    """
    lines = Path(f"/proc/{pid}/net/{protocol}").read_text().splitlines()[1:]
    return [line.split() for line in lines if " 06 00000000:00000000 " not in line]


def holds(pid: int, inodes: set[str]) -> bool:
    """Whether one of its descriptors is one of these sockets."""
    wanted = {f"socket:[{inode}]" for inode in inodes}
    return any(target_of(descriptor) in wanted for descriptor in Path(f"/proc/{pid}/fd").iterdir())


def target_of(descriptor: Path) -> str:
    """What this link in /proc/PID/fd names; nothing where it was closed meanwhile."""
    try:
        return str(descriptor.readlink())
    except FileNotFoundError:
        return ""


def wait_until_gone(pids: list[int]) -> None:
    """Until none of these processes exists; an orphan is reaped by init in its own time."""
    wait_for(lambda: not any(command_line(pid) for pid in pids), f"still there: {pids}")


def remains_of(pid: int) -> list[str]:
    """Network namespaces and cgroups that a nettrace of this pid has made and not removed."""
    places = [Path("/run/netns"), cgroup2_mount() or Path("/nowhere")]
    return [path.name for place in places if place.exists() for path in place.glob(f"nettrace-{pid}-*")]


def needs(*programs: str) -> pytest.MarkDecorator:
    """Skips a test where one of them is not installed."""
    missing = [name for name in programs if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}; make test-packages")


def compiled(name: str, directory: Path, *libraries: str) -> Path:
    """A C program of tests/programs; one that does not compile is a failure, and what it needs is in test-packages."""
    program = directory / name
    source = ROOT / f"tests/programs/{name}.c"
    made = subprocess.run(["gcc", "-O2", "-o", program, source, *libraries], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    return program


def file_server(directory: Path) -> Path:
    """The HTTP server of tests/programs, by Go."""
    program = directory / "file_server"
    environment = {**os.environ, "GO111MODULE": "off", "GOCACHE": str(directory / "cache")}
    source = ROOT / "tests/programs/file_server.go"
    made = subprocess.run(["go", "build", "-o", program, source], capture_output=True, text=True, env=environment)
    assert made.returncode == 0, made.stderr
    return program


def free_port() -> int:
    """Of this machine's loopback; somebody else may take it meanwhile."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
