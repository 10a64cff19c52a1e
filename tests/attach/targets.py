"""A program that runs already and does what a test tells it, and nettrace attached to it."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.command import ROOT, Running
from tracer.books.socket_file import decode_sockets
from tracer.books.socket_laws import laws_of
from tracer.machine.kernel.libbpf import libbpf
from tracer.model import LawState
from tracer.model.socket_recording import SocketRecording
from tracer.model.sockets import SocketLaw

CALLS, SIZE = 23, 10007
BYTES = CALLS * SIZE


class Told:
    """A process of its own (tests/programs/told.py); tell() returns what it said when it has done the lines."""

    def __init__(self, *before: str, **how: Any) -> None:
        command = [*before, sys.executable, str(ROOT / "tests/programs/told.py")]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **how)
        self.pid = self.process.pid

    def tell(self, lines: str) -> Any:
        self.start(lines)
        return self.answer()

    def start(self, lines: str) -> None:
        """Have it begin; answer() waits for the end."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(lines) + "\n")
        self.process.stdin.flush()

    def answer(self) -> Any:
        assert self.process.stdout is not None
        answer = json.loads(self.process.stdout.readline())
        assert "error" not in answer, answer
        return answer["said"]

    def end(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(20)
        self.process.stdout.close()

    def __enter__(self) -> Told:
        return self

    def __exit__(self, *_error: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.end()


class Attached:
    """A nettrace that watches; end() is Ctrl-C, and gives its recording."""

    def __init__(self, directory: Path, *arguments: object, before: Sequence[str] = ()) -> None:
        self._file = directory / "attached.json"
        self.running = Running("attach", *arguments, "-o", self._file, before=before)
        self.running.wait_for("watching")
        self.code, self.report, self.errors = -1, "", ""

    def end(self) -> SocketRecording:
        self.running.process.send_signal(signal.SIGINT)
        return self.wait()

    def wait(self) -> SocketRecording:
        """Until it ends by itself."""
        self.code, self.report, self.errors = self.running.finish()
        assert self._file.exists(), f"no recording, exit code {self.code}: {self.errors}"
        return decode_sockets(self._file.read_bytes(), str(self._file))


@contextmanager
def attached(directory: Path, *arguments: object, before: Sequence[str] = ()) -> Iterator[Attached]:
    """It is killed where a test fails in between."""
    one = Attached(directory, *arguments, before=before)
    try:
        yield one
    finally:
        if one.running.process.poll() is None:
            one.running.process.kill()
            one.running.process.wait()


def unheld(recording: SocketRecording) -> list[SocketLaw]:
    """Laws that do not hold, of all sockets."""
    return [law for socket in recording.sockets for law in laws_of(socket) if law.state is not LawState.HOLDS]


# A socket that was not there when all were read at one moment, each under its lock: it came after that.
WENT_ON = "the socket went on while it was read"


def unexcused(recording: SocketRecording, *excuses: str) -> list[SocketLaw]:
    """Those of them that a call in progress, at the beginning or at the end, does not account for, nor an excuse."""
    return [law for law in unheld(recording) if not any(why in law.note for why in ("in progress", *excuses))]


def held(recording: SocketRecording) -> set[str]:
    """Laws that hold of one socket at least: where all are undecided, nothing was tried."""
    return {law.id for socket in recording.sockets for law in laws_of(socket) if law.state is LawState.HOLDS}


def moved(recording: SocketRecording) -> tuple[int, int]:
    """Bytes sent and read."""
    return recording.totals.sent_bytes, recording.totals.read_bytes


def programs(*names: bytes) -> set[int]:
    """Ids of all BPF programs of the machine whose names begin so."""
    found, number = set(), ctypes.c_uint32()
    while libbpf().bpf_prog_get_next_id(number, ctypes.byref(number)) == 0:
        descriptor = libbpf().bpf_prog_get_fd_by_id(number)
        if descriptor < 0:
            continue
        information, length = ctypes.create_string_buffer(232), ctypes.c_uint32(232)
        libbpf().bpf_obj_get_info_by_fd(descriptor, information, ctypes.byref(length))
        os.close(descriptor)
        if information.raw[64:80].startswith(names):
            found.add(number.value)
    return found
