"""Everything that can go wrong, and the exit code that says so.

NettraceError                    what happened, why, what to do next
 ├── UsageError          2       the command line or a file given on it
 │    └── RecordingError 2       a recording that is damaged, foreign or of another schema
 ├── PrivilegeError      3       this user may not
 ├── MachineError        4       this machine, kernel or installation cannot
 │    └── LabError       4       the virtual machine did not start, hung or died
 ├── WorkloadError       4       a sender or receiver failed while it ran
 ├── CannotStart         126     the user's command cannot be executed, as the shell says it
 │    └── NotFound       127     there is none of that name
 ├── Bug                 70      nettrace itself is wrong
 └── Interrupted         130     SIGINT or SIGTERM; carries what was measured until then
"""

from __future__ import annotations

from tracer.texts import printable

EXIT_OK = 0
EXIT_EXPECTATION_FAILED = 1
EXIT_USAGE = 2
EXIT_PRIVILEGE = 3
EXIT_MACHINE = 4
EXIT_UNTRUSTWORTHY = 5
EXIT_BUG = 70  # EX_SOFTWARE of sysexits.h
EXIT_CANNOT_START = 126
EXIT_NOT_FOUND = 127
EXIT_INTERRUPTED = 130


class NettraceError(Exception):
    """A failure told to the user in three lines: what, why, and what to do next."""

    exit_code = EXIT_MACHINE

    def __init__(self, what: str, why: str = "", fix: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.fix = fix

    def __str__(self) -> str:
        lines = [f"error: {self.what}"]
        if self.why:
            lines.append(f"  why: {self.why}")
        if self.fix:
            lines.append(f"  fix: {self.fix}")
        # They quote files and command lines.
        return printable("\n".join(lines), keep="\n")


def reason_of(error: BaseException) -> str:
    """What went wrong in the system's own words: "/run/netns: Permission denied". No number, no tuple."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename is not None else error.strerror
    words = error.args[-1] if error.args and isinstance(error.args[-1], str) else str(error)
    return words or type(error).__name__


def in_one_line(error: NettraceError) -> str:
    """What, why and fix as one line of a report."""
    return "; ".join(filter(None, (error.what, error.why, error.fix)))


class UsageError(NettraceError):
    """The command line asks for something that does not exist or makes no sense."""

    exit_code = EXIT_USAGE


class RecordingError(UsageError):
    """A file that is no recording, a damaged one, or one of another schema."""


class PrivilegeError(NettraceError):
    """The kernel refuses this user; root, a capability or a sysctl would help."""

    exit_code = EXIT_PRIVILEGE


class MachineError(NettraceError):
    """This machine, kernel or installation lacks something; names what can be done instead."""

    exit_code = EXIT_MACHINE


class LabError(MachineError):
    """The virtual machine did not start, hung, panicked or was killed."""


class WorkloadError(NettraceError):
    """A sender or receiver failed while it ran."""

    exit_code = EXIT_MACHINE


class CannotStart(NettraceError):  # noqa: N818 - as the shell says it
    """The user's command could not be executed; nothing of it has run."""

    exit_code = EXIT_CANNOT_START


class NotFound(CannotStart):
    """There is no command of that name."""

    exit_code = EXIT_NOT_FOUND


class Bug(NettraceError):  # noqa: N818 - what it is called
    """An exception that nobody foresaw; nothing that the user did wrong."""

    exit_code = EXIT_BUG


class Interrupted(NettraceError):  # noqa: N818 - an event, as KeyboardInterrupt is
    """SIGINT or SIGTERM arrived; everything that was set up has been undone."""

    exit_code = EXIT_INTERRUPTED
