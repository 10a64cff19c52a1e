"""The user's own command, held at a gate until it is watched: its user, its terminal, its signals, its end.

It is started by fork and exec, so that whatever it inherits (descriptors, terminal, session, process group, limits)
is what it would have without us.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
import resource
import select
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from tracer.errors import EXIT_CANNOT_START, CannotStart, NotFound, UsageError
from tracer.machine.interrupts import interrupts
from tracer.machine.leftovers import cgroups_in
from tracer.machine.users import invoking_user

# For the command and not for us. What somebody sends to us alone is handed on; what the terminal sends (the kernel, to
# all of its group) the command has got by itself.
_ITS_SIGNALS = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
# Python ignores these; a command expects them as they were.
_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)


def cannot_start(command: str, number: int) -> CannotStart:
    """The error of that errno."""
    kind = NotFound if number == errno.ENOENT else CannotStart
    return kind(
        f"cannot start '{command}'", os.strerror(number), "give a program that can be run, as in: nettrace record -- ls"
    )


@dataclass(frozen=True)
class User:
    """Whom a command runs as."""

    uid: int
    gid: int
    name: str | None

    @classmethod
    def named(cls, name: str) -> User:
        """A user of this machine, by name or number.

        Raises:
            UsageError: there is none.
        """
        try:
            entry = pwd.getpwuid(int(name)) if name.isascii() and name.isdigit() else pwd.getpwnam(name)
        except (KeyError, ValueError, OverflowError, UnicodeEncodeError) as error:
            raise UsageError(
                f"there is no user '{name}'", "--user takes a name or a number", "see: getent passwd"
            ) from error
        return cls(entry.pw_uid, entry.pw_gid, entry.pw_name)

    @classmethod
    def invoking(cls) -> User | None:
        """Whoever called sudo, pkexec or doas; None where nobody did, and for root.

        Raises:
            UsageError: the environment names nobody.
        """
        found = invoking_user()
        if found is None or found.uid == 0:
            return None
        try:
            return cls(found.uid, found.gid, pwd.getpwuid(found.uid).pw_name)
        except KeyError:
            return cls(found.uid, found.gid, None)

    def groups(self) -> list[int]:
        """All groups of this user; an error, if it has no name, is none."""
        if self.name is None:
            return [self.gid]
        return os.getgrouplist(self.name, self.gid)


class Command:
    """A child that has entered its cgroup and waits; release() lets it become the user's command.

    Args:
        output: Descriptor that takes what it writes: its standard input is empty then, and it is in a session of its
            own, without a terminal. None: it has ours.
    """

    def __init__(self, argv: list[str], cgroup: Path, user: User | None, output: int | None = None) -> None:
        self.argv = argv
        self._has_own_session = output is not None
        # Both ends close at exec: a closed pipe is the word that it worked.
        gate_reader, self._gate = os.pipe2(os.O_CLOEXEC)
        self._word, word_writer = os.pipe2(os.O_CLOEXEC)
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._gate)
            os.close(self._word)
            _become(argv, cgroup, user, gate_reader, word_writer, output)
        os.close(gate_reader)
        os.close(word_writer)
        self._status: int | None = None

    def release(self) -> None:
        """Open the gate; returns when the command's first instruction has run.

        Raises:
            CannotStart: it could not be executed; nothing of it has run.
        """
        with contextlib.suppress(BrokenPipeError):  # it was ended at the gate, which wait() says
            os.write(self._gate, b"!")
        os.close(self._gate)
        with os.fdopen(self._word, "rb") as word:
            failure = word.read()
        if failure:
            self.wait(None)
            raise cannot_start(self.argv[0], int(failure))

    def cancel(self) -> None:
        """Never run it: a child that finds its gate closed leaves."""
        with contextlib.suppress(OSError):
            os.close(self._gate)
        self.wait(None)

    def terminate(self) -> None:
        """Ask it to end, with whatever it has started in a session of its own."""
        send = os.killpg if self._has_own_session else os.kill
        with contextlib.suppress(ProcessLookupError):
            send(self.pid, signal.SIGTERM)

    def wait(self, most_s: float | None) -> int | None:
        """Exit code, or minus the number of the signal that ended it; None if it has not ended by then.

        Hands on the signals that signals_held() holds.
        """
        deadline = None if most_s is None else time.monotonic() + most_s
        while self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = os.waitstatus_to_exitcode(status)
            elif deadline is not None and time.monotonic() >= deadline:
                return None
            else:
                self._hand_on(_next_signal(deadline))
        return self._status

    def _hand_on(self, found: signal.struct_siginfo | None) -> None:
        """To the command, unless it is about the command, or has reached it already."""
        if found is not None and found.si_signo != signal.SIGCHLD and _is_for_us_alone(found):
            os.kill(self.pid, found.si_signo)


def _is_for_us_alone(found: signal.struct_siginfo) -> bool:
    """A signal of somebody's; of the kernel's, that the terminal has gone, which only a session's leader is told."""
    return found.si_code <= 0 or (found.si_signo == signal.SIGHUP and os.getsid(0) == os.getpid())


def _next_signal(deadline: float | None) -> signal.struct_siginfo | None:
    signals = (signal.SIGCHLD, *_ITS_SIGNALS)
    if deadline is None:
        return signal.sigwaitinfo(signals)
    return signal.sigtimedwait(signals, max(0.0, deadline - time.monotonic()))


@contextlib.contextmanager
def signals_held() -> Iterator[None]:
    """For the time of the block signals wait for Command.wait(); threads that are started in it inherit that.

    The command is forked before, or it would inherit it too.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGCHLD, *_ITS_SIGNALS))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def signals_let_in(*more: signal.Signals) -> Iterator[None]:
    """For the time of the block, inside signals_held(), SIGINT, SIGTERM and these are ours again."""
    before = signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM, *more))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _become(argv: list[str], cgroup: Path, user: User | None, gate: int, word: int, output: int | None) -> NoReturn:
    """In the child: enter, wait, and be the command. Nothing may return from here."""
    try:
        (cgroup / "cgroup.procs").write_text("0")
        _give_signals_back()
        if os.read(gate, 1) != b"!":
            os._exit(0)
        if output is not None:
            _take_output(output)
        if user is not None:
            os.setgroups(user.groups())
            os.setgid(user.gid)
            os.setuid(user.uid)
        os.execvp(argv[0], argv)
    except OSError as error:
        os.write(word, str(error.errno or errno.EIO).encode())
    except BaseException:
        os.write(word, str(errno.EIO).encode())
    finally:
        os._exit(EXIT_CANNOT_START)


def _give_signals_back() -> None:
    """As they were when nettrace was started, but for two of which only Python knows whether they were ignored."""
    for number in (*_IGNORED_BY_PYTHON, *_ITS_SIGNALS):
        if number in interrupts.ignored:
            signal.signal(number, signal.SIG_IGN)
        elif number in _IGNORED_BY_PYTHON or callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)


def _take_output(output: int) -> None:
    """A standard input that is empty, and no terminal: it is somebody else's meanwhile."""
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number in (1, 2):
        os.dup2(output, number)


def end_as(status: int) -> int:
    """Exit code for our own end; dies of the signal that ended the command, without a core of ours."""
    if status >= 0:
        return status
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    signal.signal(-status, signal.SIG_DFL) if -status not in (signal.SIGKILL, signal.SIGSTOP) else None
    os.kill(os.getpid(), -status)
    return 128 - status  # a signal that is ignored or blocked here


def find_program(name: str) -> None:
    """Look for the command before anything is made.

    Raises:
        CannotStart: there is none of that name, or it cannot be executed.
    """
    path = name if "/" in name else shutil.which(name, mode=os.F_OK)
    if path is None or not Path(path).exists():
        raise cannot_start(name, errno.ENOENT)
    if Path(path).is_dir():
        raise cannot_start(name, errno.EISDIR)
    if not os.access(path, os.X_OK):
        raise cannot_start(name, errno.EACCES)


def inherited_sockets() -> list[str]:
    """Internet sockets among our own descriptors: the command gets them, and they are of another cgroup."""
    import socket

    found = []
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError, ValueError):
            if not str(entry.readlink()).startswith("socket:") or not os.get_inheritable(int(entry.name)):
                continue
            duplicate = socket.socket(fileno=os.dup(int(entry.name)))
            with duplicate:
                if duplicate.family in (socket.AF_INET, socket.AF_INET6):
                    found.append(f"descriptor {entry.name} ({_name(duplicate.getsockname())})")
    return found


def _name(address: tuple[str, int]) -> str:
    return f"[{address[0]}]:{address[1]}" if ":" in address[0] else f"{address[0]}:{address[1]}"


def processes_in(cgroup: Path) -> list[int]:
    """Whoever is in a cgroup, or below it, and has an id in this pid namespace (0 stands for one that has none)."""
    found: set[int] = set()
    for directory in cgroups_in(cgroup):
        # One that has gone, or a threaded one (EOPNOTSUPP): its processes are among those of what holds it.
        with contextlib.suppress(OSError):
            found.update(map(int, (directory / "cgroup.procs").read_text().split()))
    return sorted(found - {0})


def wait_until_empty(cgroup: Path, most_s: float | None) -> bool:
    """Wait for the last process of a cgroup to end; False if some go on."""
    with (cgroup / "cgroup.events").open("rb", buffering=0) as events:
        poll = select.poll()
        poll.register(events, select.POLLPRI)
        while True:
            events.seek(0)
            if b"populated 0" in events.read():
                return True
            if not poll.poll(None if most_s is None else most_s * 1000):
                return False


def give_back(cgroup: Path) -> None:
    """Move whoever goes on into our own cgroup, where it would be without us, so that theirs can go."""
    mount = cgroup.parent
    line = next((line for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::")), "0::/")
    ours = mount / line[3:].lstrip("/") / "cgroup.procs"
    for pid in processes_in(cgroup):
        with contextlib.suppress(OSError):
            ours.write_text(str(pid))
