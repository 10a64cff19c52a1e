"""First process of the lab's guest: runs one command at a time for the host.

It is copied into the guest's initramfs and run by the bare system Python, so it imports nothing but
the standard library, and little of that: each module costs its start some 50 ms of emulation. Host and
guest speak in frames over a virtio-serial port; a frame is one type byte, four length bytes (big endian)
and the payload:

    to the guest    h nonce     greeting, answered with the same nonce: all that came before is stale
                    d data      standard input of the next command, after what came before
                    a, v, w     its next argument, next NAME=value, working directory
                    t seconds   the host's clock, since 1970: a guest that was saved is behind
                    r           run it among the host's files as they are now, instead of in the root image
                    i seconds   switch off when no host has asked for anything for so long
                    c           run the command
                    s number    signal (one byte) for the running command's process group
    to the host     h nonce
                    o, e data   standard output, standard error
                    p           pulse: the guest lives, the command is silent
                    x status    exit code (four bytes), 128 + N after signal N
"""

# ruff: noqa: PTH102, PTH103, PTH123, PTH208, SIM105
# pathlib and contextlib would be two more modules to start with.
from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import select
import signal
import struct
import sys
import time

# Where a guest that was booted from the root image (init says so) has the host's files, once somebody asked for them.
SEEN = "/seen"
FROM_IMAGE = sys.argv[2:] == ["image"]
CLONE_NEWNS, MS_BIND, MS_MOVE, MS_REC, MS_SHARED = 0x20000, 0x1000, 0x2000, 0x4000, 1 << 20

PORT_NAME = "nettrace"
# In a command's environment: a socket at which a process may wait that does the same, only faster.
RESIDENT = b"NETTRACE_RESIDENT"
PULSE_S = 5.0
GRACE_S = 3.0
HEADER = struct.Struct("!cI")


class HostGoneError(Exception):
    """Nobody on the host holds the other end of the port."""


def frame(kind: bytes, payload: bytes = b"") -> bytes:
    """One frame, ready to be written."""
    return HEADER.pack(kind, len(payload)) + payload


class Frames:
    """Bytes in, whole frames out."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[tuple[bytes, bytes]]:
        """The frames (type, payload) that are complete now that `data` has arrived."""
        self._rest += data
        whole = []
        while len(self._rest) >= HEADER.size:
            kind, length = HEADER.unpack_from(self._rest)
            end = HEADER.size + length
            if len(self._rest) < end:
                break
            whole.append((kind, bytes(self._rest[HEADER.size : end])))
            del self._rest[:end]
        return whole


class Port:
    """The guest's end of the virtio-serial port."""

    def __init__(self, descriptor: int, idle_s: float) -> None:
        self.descriptor = descriptor
        self.idle_s = idle_s  # what the host asked for last
        self._frames = Frames()

    def receive(self) -> list[tuple[bytes, bytes]]:
        """Frames that have arrived; HostGoneError where the host closed its end."""
        try:
            data = os.read(self.descriptor, 65536)
        except BlockingIOError:
            return []
        if not data:
            raise HostGoneError
        return self._frames.feed(data)

    def send(self, kind: bytes, payload: bytes = b"") -> None:
        """Write one frame, waiting for the host to take it."""
        rest = memoryview(frame(kind, payload))
        while rest:
            try:
                rest = rest[os.write(self.descriptor, rest) :]
            except BlockingIOError:
                writable = select.poll()
                writable.register(self.descriptor, select.POLLOUT)
                if writable.poll()[0][1] & select.POLLHUP:
                    raise HostGoneError from None


class Request:
    """What is to be run, gathered from the frames before the one that says go."""

    def __init__(self) -> None:
        self.argv: list[bytes] = []
        self.environment: dict[bytes, bytes] = {}
        self.cwd = b"/"
        self.stdin = b""
        self.among_host_files = False

    def add(self, kind: bytes, payload: bytes) -> None:
        """Take one frame."""
        if kind == b"a":
            self.argv.append(payload)
        elif kind == b"v":
            name, _, value = payload.partition(b"=")
            self.environment[name] = value
        elif kind == b"w":
            self.cwd = payload
        elif kind == b"d":
            self.stdin += payload
        elif kind == b"r":
            self.among_host_files = True


class Command:
    """One running command, in a session of its own, with its two output pipes."""

    def __init__(self, request: Request) -> None:
        self._pipes: dict[int, bytes] = {}
        outputs = [self._pipe(kind) for kind in (b"o", b"e")]
        self._pid = os.fork()
        if self._pid == 0:
            become(request, *outputs)
        for output in outputs:
            os.close(output)
        self._pidfd = os.pidfd_open(self._pid)

    def _pipe(self, kind: bytes) -> int:
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        self._pipes[reader] = kind
        return writer

    def relay(self, port: Port) -> int:
        """Send the output as it comes, obey signals, and give the exit code."""
        poll = select.poll()
        for descriptor in (port.descriptor, self._pidfd, *self._pipes):
            poll.register(descriptor, select.POLLIN)
        try:
            while True:
                ready = {descriptor for descriptor, _ in poll.poll(PULSE_S * 1000)}
                if not ready:
                    port.send(b"p")
                if port.descriptor in ready:
                    self._obey(port.receive())
                for pipe in ready & self._pipes.keys():
                    if not self._pass_on(pipe, port):
                        poll.unregister(pipe)
                if self._pidfd in ready:
                    return self._finish(port)
        finally:
            self._end()

    def _obey(self, frames: list[tuple[bytes, bytes]]) -> None:
        for kind, payload in frames:
            if kind == b"s":
                self._signal(payload[0])
            elif kind == b"h":
                # A host greets only when it comes: this one's went, and the next was too quick for us to see
                # the port closed. It greets again until it is answered.
                raise HostGoneError

    def _signal(self, number: int) -> None:
        try:
            os.killpg(self._pid, number)
        except ProcessLookupError:
            pass  # it ended by itself

    def _pass_on(self, pipe: int, port: Port) -> bool:
        """Send what one read of the pipe gives; false once there is nothing more to come."""
        try:
            data = os.read(pipe, 65536)
        except BlockingIOError:
            return False
        if data:
            port.send(self._pipes[pipe], data)
        return bool(data)

    def _finish(self, port: Port) -> int:
        """Exit code after the last output. Children that still hold the pipes are not waited for."""
        status = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        for pipe in self._pipes:
            while self._pass_on(pipe, port):
                pass
        return status if status >= 0 else 128 - status

    def _end(self) -> None:
        """Leave nothing of the command behind, also where the host vanished in the middle of it."""
        self._signal(signal.SIGTERM)
        exited = select.poll()
        exited.register(self._pidfd, select.POLLIN)
        exited.poll(GRACE_S * 1000)
        self._signal(signal.SIGKILL)
        for descriptor in (self._pidfd, *self._pipes):
            os.close(descriptor)


def become(request: Request, stdout: int, stderr: int) -> None:
    """In the child: turn into the command. Shell's exit codes where that fails: 127, 126."""
    status: int | None = 126
    try:
        os.setsid()
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        for number in (signal.SIGINT, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        source = os.memfd_create("stdin")
        with open(os.dup(source), "wb") as file:
            file.write(request.stdin)
        os.lseek(source, 0, os.SEEK_SET)
        for descriptor, place in ((source, 0), (stdout, 1), (stderr, 2)):
            os.dup2(descriptor, place)
        if request.among_host_files and FROM_IMAGE:
            move_to_host_files()
        os.chdir(request.cwd)
        if RESIDENT in request.environment:
            status = hand_over(request.environment[RESIDENT])
            if status is not None:
                return
        os.execvpe(request.argv[0], request.argv, request.environment)
    except OSError as error:
        status = 127 if error.errno == errno.ENOENT else 126
        os.write(2, request.argv[0] + f": {error.strerror}\n".encode())
    finally:
        os._exit(126 if status is None else status)


def hand_over(address: bytes) -> int | None:
    """Have a process that waits at this socket, all loaded, do the command; its exit code.

    None where nobody waits: the command has to be started. See tracer/lab/resident.py.
    """
    import _socket  # 50 ms less than socket, of which nothing more is needed

    signals = (signal.SIGINT, signal.SIGTERM)
    passed_on = [signal.SIGKILL]

    def pass_on(number: int, _frame: object) -> None:
        passed_on.append(signal.Signals(number))
        os.kill(struct.unpack("!i", pid)[0], number)

    resident = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        resident.connect(address)
        resident.sendmsg([b"run"], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, struct.pack("3i", 0, 1, 2))])
        pid = resident.recv(4)
        if len(pid) == 4:
            for number in signals:
                signal.signal(number, pass_on)
    except OSError:
        pid = b""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
    if len(pid) < 4:
        return None
    status = resident.recv(4)
    return struct.unpack("!i", status)[0] if len(status) == 4 else 128 + passed_on[-1]


libc = ctypes.CDLL(None, use_errno=True)


def check(result: int, what: str) -> None:
    """OSError with the C library's errno where a call failed."""
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(source: str, target: str, kind: str | None = None, flags: int = 0, data: str = "") -> None:
    """The system call of that name."""
    words = [None if word is None else os.fsencode(word) for word in (source, target, kind)]
    check(libc.mount(*words, ctypes.c_ulong(flags), os.fsencode(data)), f"mount {target}")


def show_host_files() -> None:
    """Have the host's files as they are now: seen for the first time, or with all that is cached of them dropped."""
    if FROM_IMAGE and not os.path.ismount(SEEN):
        see_host_files()
        return
    with open("/proc/sys/vm/drop_caches", "w") as file:
        file.write("3")


def see_host_files() -> None:
    """Once in a guest's life: over 9p, and over them what is the guest's own."""
    mount("host", "/host", "9p", 1, "trans=virtio,version=9p2000.L,msize=512000,access=any,cache=loose")
    # Programs map large libraries and touch little of them; the 9p client would read 500 KiB around each place.
    for device in os.listdir("/sys/class/bdi"):
        if device.startswith("9p"):
            with open(f"/sys/class/bdi/{device}/read_ahead_kb", "w") as file:
                file.write("128")
    os.makedirs("/run/nettrace/written/upper")
    os.mkdir("/run/nettrace/written/work")
    written = "/run/nettrace/written"
    mount("overlay", SEEN, "overlay", 0, f"lowerdir=/host,upperdir={written}/upper,workdir={written}/work")
    modules = f"/usr/lib/modules/{os.uname().release}"
    os.makedirs(SEEN + modules, exist_ok=True)
    # Of one peer group: a network namespace that a command names in /run/netns is there for the next one too.
    for tree in ("/run", "/sys/fs/bpf", "/sys/fs/cgroup"):
        libc.mount(None, os.fsencode(tree), None, ctypes.c_ulong(MS_SHARED), None)
    for tree in ("/proc", "/sys", "/dev", "/run", modules):
        mount(tree, SEEN + tree, None, MS_BIND | MS_REC)


def move_to_host_files() -> None:
    """In the child: make them the root, in a mount namespace of its own."""
    check(libc.unshare(CLONE_NEWNS), "unshare")
    os.chdir(SEEN)
    mount(SEEN, "/", None, MS_MOVE)
    os.chroot(".")


def reap() -> None:
    """Collect orphans; the first process of a system inherits them all."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def serve(port: Port) -> None:
    """Answer one host until it is gone or silent."""
    poll = select.poll()
    poll.register(port.descriptor, select.POLLIN)
    request = Request()
    while poll.poll(port.idle_s * 1000):
        for kind, payload in port.receive():
            if kind == b"h":
                request = Request()  # half of an earlier host's may be left
                port.send(b"h", payload)
            elif kind == b"i":
                port.idle_s = float(payload)
            elif kind == b"t":
                time.clock_settime(time.CLOCK_REALTIME, float(payload))
            elif kind == b"c":
                if request.among_host_files:
                    show_host_files()
                status = Command(request).relay(port)
                request = Request()
                reap()
                port.send(b"x", struct.pack("!i", status))
            else:
                request.add(kind, payload)


def wait_for_host(descriptor: int, idle_s: float) -> bool:
    """True when a host has connected; false when none came within the idle time.

    Polling a port without a host returns at once (POLLHUP), but the driver sends SIGIO when a host
    connects (drivers/char/virtio_console.c, send_sigio_to_port); it is blocked, hence not lost.
    """
    deadline = time.monotonic() + idle_s
    state = select.poll()
    state.register(descriptor, 0)
    while state.poll(0):
        rest = deadline - time.monotonic()
        if rest <= 0:
            return False
        signal.sigtimedwait([signal.SIGIO], rest)
    return True


def open_port() -> int:
    """Open the port by its name; udev, which would have made a link to it, does not run here."""
    ports = "/sys/class/virtio-ports"
    for entry in os.listdir(ports):
        with open(f"{ports}/{entry}/name") as file:
            if file.read().strip() == PORT_NAME:
                descriptor = os.open(f"/dev/{entry}", os.O_RDWR)
                signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGIO])
                fcntl.fcntl(descriptor, fcntl.F_SETOWN, os.getpid())
                fcntl.fcntl(descriptor, fcntl.F_SETFL, os.O_NONBLOCK | os.O_ASYNC)
                return descriptor
    raise FileNotFoundError(PORT_NAME)


def main() -> None:
    """Serve hosts until none has come for the idle time, then switch the machine off."""
    descriptor = open_port()
    idle_s = float(sys.argv[1])
    print("nettrace lab: agent ready", flush=True)
    while wait_for_host(descriptor, idle_s):
        port = Port(descriptor, idle_s)
        try:
            serve(port)
        except HostGoneError:
            reap()
        idle_s = port.idle_s
    print("nettrace lab: idle, switching off", flush=True)
    with open("/proc/sysrq-trigger", "w") as file:
        file.write("b")  # QEMU runs with -no-reboot: it ends


if __name__ == "__main__":
    main()
