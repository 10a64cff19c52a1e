"""A warm virtual machine that runs commands: started once, stopped by itself when idle."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from tracer.errors import LabError
from tracer.lab import freshness, image, kernels, machine
from tracer.lab.agent import PULSE_S, Frames, frame

BOOT_S = 90.0
"""A guest that has not answered by then never will; idle machines need 5 s."""

SILENCE_S = 12 * PULSE_S
"""A guest that gives no sign of life for so long hangs."""

GREETING_S = 1.0
IDLE_S = 600.0
GIVE_UP_SIGNALS = 3
"""The third Ctrl-C no longer waits for the guest: it stops it."""

Sink = Callable[[bytes], object]


def notify(line: str) -> None:
    """Progress for the user."""
    print(line, file=sys.stderr, flush=True)


def ignore(_data: bytes) -> None:
    """Output that nobody wants."""


class Channel:
    """One connection to the guest's agent."""

    def __init__(self, patience_s: float) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.frames = Frames()
        try:
            self.socket.connect(str(machine.state() / "agent"))
            self._greet(patience_s)
        except OSError as error:
            self.socket.close()
            raise died("the lab's guest is gone") from error
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
                raise died(f"the lab's guest did not answer within {patience_s:g} s")
            self.socket.sendall(greeting)
            with contextlib.suppress(TimeoutError):
                data = self.socket.recv(65536)
                if not data:
                    raise died("the lab's guest ended before it was ready")
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
            raise died("the lab's guest died while it ran the command")
        return self.frames.feed(data)


def died(what: str) -> LabError:
    """The error of a guest that is of no more use: stopped, with its last words told."""
    machine.wait_until_gone(0.5)  # a panic: let QEMU finish writing the console
    last = machine.last_words()
    machine.stop()
    return LabError(
        what,
        f"its console says:\n       {last}" if last else "its console is empty",
        "repeat the command: a new guest is started",
    )


@dataclass(frozen=True)
class Guest:
    """A machine running one kernel, identified by the kernel, whether DMA is bounced, and what its clock counts."""

    kernel: kernels.Kernel
    bounce: bool
    image: Path
    counting: bool = False

    @property
    def emulated(self) -> bool:
        """Whether the guest's processor is emulated: its times and cycles mean nothing."""
        facts = machine.running()
        return facts is None or facts.emulated

    def is_running(self) -> bool:
        """Whether the lab's machine is this guest, made of the same files."""
        facts = machine.running()
        wanted = (self.kernel.release, str(self.image), self.bounce, self.counting)
        return facts is not None and (facts.release, facts.image, facts.bounce, facts.counting) == wanted

    def start(self, idle_s: float = IDLE_S, note: Callable[[str], None] = notify) -> None:
        """Have the guest running and answering; the one that runs instead is stopped first."""
        with machine.locked(note):
            self._start(idle_s, note)

    def _start(self, idle_s: float, note: Callable[[str], None]) -> None:
        if self.is_running():
            return
        other = machine.running()
        if machine.stop() and other is not None:
            bounced = " with bounce buffers" if other.bounce else ""
            note(f"stopped the lab's guest with kernel {other.kernel}{bounced}: one runs at a time")
        freshness.mark()
        machine.start(self.kernel, self.image, self.bounce, self.counting, idle_s)
        Channel(BOOT_S).socket.close()

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
        reads: Iterable[Path] | None = None,
        note: Callable[[str], None] = notify,
    ) -> int:
        """Run a command as the guest's root and give its exit code (128 + N after signal N).

        SIGINT and SIGTERM go to the command instead of to this process while it runs.

        Args:
            env: The command's whole environment; None for the least that a command needs.
            stdout: Gets the bytes that the command wrote, as they come.
            reads: Files and directories of the host that the command reads and that may have been
                edited since the last command, besides nettrace's own; None for the working
                directory and all paths in argv. Any change costs the guest all its caches, so
                a caller who knows says less.
            timeout: Seconds; a command that takes longer is taken for a hung guest.

        Raises:
            LabError: The guest did not start, hung, panicked or was killed. It is stopped.
        """
        with machine.locked(note):
            self._start(idle_s, note)
            channel = Channel(SILENCE_S)
            with channel.socket, signals() as pending:
                stale = freshness.is_stale(named(cwd, argv) if reads is None else reads)
                for kind, text in request(argv, cwd, env or least_environment(), idle_s, stale):
                    channel.send(kind, os.fsencode(text))
                channel.send(b"d", stdin)
                channel.send(b"c", b"")
                return relay(channel, {b"o": stdout, b"e": stderr}, pending, timeout)

    def read_file(self, path: str | Path) -> bytes:
        """A file of the guest: what it writes stays in its memory and must be asked for.

        Raises:
            LabError: There is no such file, or it cannot be read.
        """
        content, complaint = bytearray(), bytearray()
        command = ["cat", "--", str(path)]
        if self.run(command, stdout=content.extend, stderr=complaint.extend) != 0:
            raise LabError(f"cannot read {path} in the lab's guest", complaint.decode().strip())
        return bytes(content)


def named(cwd: str | Path, argv: Sequence[str]) -> list[Path]:
    """The working directory and every path that a command line may mean."""
    return [Path(cwd), *(Path(cwd, word) for word in argv)]


def request(
    argv: Sequence[str], cwd: str | Path, env: Mapping[str, str], idle_s: float, stale: bool
) -> Iterator[tuple[bytes, str]]:
    """The frames that describe a command, in the agent's words."""
    if stale:
        yield b"f", ""
    yield b"i", f"{idle_s:g}"
    yield b"w", str(cwd)
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
            raise died("interrupted, and the command in the lab's guest did not end")
        if timeout is not None and now - started > timeout:
            raise died(f"the command in the lab's guest did not end within {timeout:g} s")
        if now - heard > SILENCE_S:
            raise died(f"the lab's guest gave no sign of life for {SILENCE_S:g} s")


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


def guest_for(kernel: str = kernels.DEFAULT, bounce: bool = False, note: Callable[[str], None] = notify) -> Guest:
    """The guest of a kernel series, fetched and built where needed; `run` starts it."""
    chosen = kernels.get(kernel, note)
    return Guest(chosen, bounce, image.build(chosen))
