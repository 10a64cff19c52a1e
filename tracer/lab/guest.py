"""A guest that answers: runs commands, passes on their output and our signals, and is told apart from a dead one."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import struct
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType

from tracer.errors import LabError
from tracer.lab.agent import PULSE_S, Frames, frame
from tracer.lab.machine import Hardware, Machine

BOOT_S = 90.0
"""A guest that has not answered by then never will; idle machines need 5 s."""

ANSWER_S = 5.0
"""The same for one that goes on from a snapshot: it needs 0.4 s."""

SILENCE_S = 12 * PULSE_S
"""A guest that gives no sign of life for so long hangs."""

GREETING_S = 1.0
IDLE_S = 600.0
GIVE_UP_SIGNALS = 3
"""The third Ctrl-C no longer waits for the guest: it stops it."""

Sink = Callable[[bytes], object]


def ignore(_data: bytes) -> None:
    """Output that nobody wants."""


def writer(descriptor: int) -> Sink:
    """Passes output on, unchanged and at once."""

    def write(data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]

    return write


class Guest:
    """A machine whose agent takes commands, one at a time.

    Args:
        sources: Digest of nettrace's modules that it holds; None where it holds none.
        step: How far it was prepared.
    """

    def __init__(self, machine: Machine, hardware: Hardware, sources: str | None = None, step: int = 0) -> None:
        self.machine, self.hardware = machine, hardware
        self.sources, self.step = sources, step

    def wait(self, patience_s: float) -> None:
        """Until it answers.

        Raises:
            LabError: it did not, or it ended.
        """
        self._channel(patience_s).socket.close()

    def run(
        self,
        argv: Sequence[str],
        cwd: str | Path = "/",
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        stdout: Sink = ignore,
        stderr: Sink = ignore,
        timeout: float | None = None,
        idle_s: float = IDLE_S,
        *,
        host_files: bool = True,
    ) -> int:
        """Run a command as the guest's root and give its exit code (128 + N after signal N).

        SIGINT and SIGTERM go to the command instead of to this process while it runs.

        Args:
            env: The command's whole environment; None for the least that a command needs.
            stdout: Gets the bytes that the command wrote, as they come.
            host_files: It sees this machine's files as they are now; without, those of the root image.
            timeout: Seconds; a command that takes longer is taken for a hung guest.

        Raises:
            LabError: The guest hung, panicked or was killed. It is stopped.
        """
        channel = self._channel(SILENCE_S)
        with channel.socket, signals() as pending:
            for kind, text in request(argv, cwd, env or least_environment(), idle_s, host_files=host_files):
                channel.send(kind, os.fsencode(text))
            channel.send(b"d", stdin)
            channel.send(b"c", b"")
            return relay(channel, {b"o": stdout, b"e": stderr}, pending, timeout)

    def _channel(self, patience_s: float) -> Channel:
        return Channel(self.machine, patience_s)

    def read_file(self, path: str | Path) -> bytes:
        """A file of the guest: what it writes stays in its memory and must be asked for.

        Raises:
            LabError: There is no such file, or it cannot be read.
        """
        content, complaint = bytearray(), bytearray()
        if self.run(["cat", "--", str(path)], stdout=content.extend, stderr=complaint.extend) != 0:
            raise LabError(f"cannot read {path} in the lab's guest", complaint.decode(errors="replace").strip())
        return bytes(content)


class Channel:
    """One connection to the guest's agent."""

    def __init__(self, machine: Machine, patience_s: float) -> None:
        self._machine = machine
        self.frames = Frames()
        self.socket = machine.connect("agent")
        try:
            self._greet(patience_s)
        except OSError as error:
            self.socket.close()
            raise self.died("the lab's guest is gone") from error
        except BaseException:
            self.socket.close()
            raise

    def _greet(self, patience_s: float) -> None:
        """Skip whatever an earlier, broken connection left in the port, up to our own nonce.

        Asked again every second: the guest's driver learns of data by interrupt and of our
        connection by a work queue, so an agent that is quick to answer finds the port still
        unconnected and drops the first greeting.
        """
        greeting = frame(b"h", os.urandom(16))
        received = b""
        deadline = time.monotonic() + patience_s
        self.socket.settimeout(GREETING_S)
        while greeting not in received:
            if time.monotonic() > deadline:
                raise self.died(f"the lab's guest did not answer within {patience_s:g} s")
            self.socket.sendall(greeting)
            with contextlib.suppress(TimeoutError):
                data = self.socket.recv(65536)
                if not data:
                    raise self.died("the lab's guest ended before it was ready")
                received += data
        self.socket.settimeout(None)
        self.frames.feed(received.split(greeting, 1)[1])  # answers to what was asked again

    def send(self, kind: bytes, payload: bytes) -> None:
        """Send one frame; a guest that died meanwhile shows when the answer is read."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(frame(kind, payload))

    def receive(self) -> list[tuple[bytes, bytes]]:
        """Frames that have arrived. LabError where QEMU closed the connection."""
        try:
            data = self.socket.recv(1 << 20)
        except ConnectionResetError:
            data = b""
        if not data:
            raise self.died("the lab's guest died while it ran the command")
        return self.frames.feed(data)

    def died(self, what: str) -> LabError:
        """The error of a guest that is of no more use: stopped, with its last words told."""
        self._machine.wait_until_gone(0.5)  # a panic: let QEMU finish writing the console
        last = self._machine.last_words()
        self._machine.stop()
        return LabError(
            what,
            f"its console says:\n       {last}" if last else "its console is empty",
            "repeat the command: a new guest is started",
        )


def request(
    argv: Sequence[str], cwd: str | Path, env: Mapping[str, str], idle_s: float, *, host_files: bool
) -> Iterator[tuple[bytes, str]]:
    """The frames that describe a command, in the agent's words."""
    yield b"t", f"{time.time():.6f}"
    yield b"i", f"{idle_s:g}"
    yield b"w", str(cwd)
    if host_files:
        yield b"r", ""
    for name, value in env.items():
        yield b"v", f"{name}={value}"
    for word in argv:
        yield b"a", word


def relay(channel: Channel, sinks: Mapping[bytes, Sink], pending: int, timeout: float | None) -> int:
    """Pass on output and signals until the command's exit code comes.

    Args:
        pending: Descriptor from which the numbers of arrived signals are read, one byte each.
    """
    started = heard = time.monotonic()
    interrupts = 0
    while True:
        ready = select.select([channel.socket.fileno(), pending], [], [], PULSE_S / 5)[0]
        now = time.monotonic()
        if pending in ready:
            interrupts += 1
            channel.send(b"s", os.read(pending, 1))
        if channel.socket.fileno() in ready:
            heard = now
            for kind, payload in channel.receive():
                if kind in sinks:
                    sinks[kind](payload)
                elif kind == b"x":
                    return int(struct.unpack("!i", payload)[0])
        if interrupts >= GIVE_UP_SIGNALS:
            raise channel.died("interrupted, and the command in the lab's guest did not end")
        if timeout is not None and now - started > timeout:
            raise channel.died(f"the command in the lab's guest did not end within {timeout:g} s")
        if now - heard > SILENCE_S:
            raise channel.died(f"the lab's guest gave no sign of life for {SILENCE_S:g} s")


@contextlib.contextmanager
def signals() -> Iterator[int]:
    """SIGINT and SIGTERM as bytes to read, instead of exceptions in the middle of a frame."""
    reader, writer = os.pipe()

    def remember(number: int, _frame: FrameType | None) -> None:
        os.write(writer, bytes([number]))

    previous = {}
    with contextlib.suppress(ValueError):  # not the main thread: signals are not ours to take
        for number in (signal.SIGINT, signal.SIGTERM):
            previous[number] = signal.signal(number, remember)
    try:
        yield reader
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        os.close(reader)
        os.close(writer)


def least_environment() -> dict[str, str]:
    """What a command needs that was told nothing else."""
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return {"PATH": path, "HOME": "/root", "LANG": "C.UTF-8", "TERM": "dumb"}
