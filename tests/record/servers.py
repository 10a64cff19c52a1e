"""Servers of the live tests of record: watched or not, on a port of their own, with a file to fetch."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tests.command import NETTRACE, ROOT, wait_for
from tracer.books.socket_file import decode_sockets
from tracer.model.socket_recording import SocketRecording

# Odd, and more than any buffer on the way holds.
FILE_BYTES = 20_000_003


def listens(port: int) -> bool:
    """Whether somebody listens on this port; asked without a connection, which would be counted."""
    tables = (Path(f"/proc/net/{name}").read_text().splitlines()[1:] for name in ("tcp", "tcp6"))
    return any(
        line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A" for lines in tables for line in lines
    )


started: list[Server] = []


class Server:
    """A server under record, until it is stopped."""

    def __init__(self, file: Path, port: int, *command: object, options: tuple[str, ...] = ()) -> None:
        self.file, self.port = file, port
        self.process = subprocess.Popen(
            [*NETTRACE, "record", "--wait", *options, "-o", str(file), "--", *map(str, command)],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        )  # fmt: skip
        started.append(self)
        wait_for(lambda: listens(self.port) or self.process.poll() is not None, "it does not listen")
        assert self.process.poll() is None, self.process.communicate()[1]

    def stop(self, number: int = signal.SIGTERM) -> tuple[SocketRecording, str]:
        """Its recording, and the report."""
        self.process.send_signal(number)
        _, report = self.process.communicate(timeout=240)
        assert "Traceback" not in report, report
        return decode_sockets(self.file.read_bytes(), str(self.file)), report


@contextlib.contextmanager
def serving(*command: object) -> Iterator[None]:
    """A server that is not watched."""
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def fetch(port: int) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/big", timeout=240) as answer:
        number = 0
        while data := answer.read(1 << 20):
            number += len(data)
    return number
