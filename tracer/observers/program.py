"""The only door to BCC: compiles a program of bpf/, attaches it, and says what the kernel skipped.

BCC raises bare Exceptions and prints to stderr; here they become MachineError and PrivilegeError.
"""

from __future__ import annotations

import ctypes
import errno
import importlib.resources
import os
import select
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tracer.errors import MachineError, PrivilegeError
from tracer.machine.kernel.installation import require_bcc
from tracer.machine.user_symbols import UserSymbols
from tracer.observers.cgroup_links import exclusive_holder, link_to_cgroup
from tracer.observers.compiling import compile_text
from tracer.observers.skips import recursion_misses

# enum bpf_attach_type of linux/bpf.h
_CGROUP_DIRECTIONS = {"cgroup_ingress": 0, "cgroup_egress": 1}


_HEADER = "nettrace.h"


# Threads that may be inside of one function: 64 that send and 64 that receive, and as many of others.
_MAX_ACTIVE = 256


class Sample(NamedTuple):
    """A stack that was sampled, and how often.

    Args:
        context: Index of the process, as the program numbers them.
        frames: Function names, innermost first; in user mode two at most.
    """

    context: int
    user: bool
    frames: list[str]
    times: int


class Source(NamedTuple):
    """What is compiled: a file of bpf/, flags, and generated text that follows the file's."""

    file_name: str
    flags: tuple[str, ...]
    generated: str


def source_of(file_name: str, defines: Mapping[str, int | str], generated: str = "") -> Source:
    """What is compiled of a file with these -D flags."""
    return Source(file_name, tuple(f"-D{name}={value}" for name, value in defines.items()), generated)


class Program:
    """A compiled program of bpf/.

    Args:
        file_name: File in bpf/.
        defines: Become -D flags.
        generated: C text that follows the file's.

    Raises:
        MachineError: BCC is missing, or cannot compile.
    """

    def __init__(self, file_name: str, defines: dict[str, int | str], generated: str = "") -> None:
        require_bcc()
        import bcc

        source = source_of(file_name, defines, generated)
        # Not `pop(...) or`: BCC's object is as long as the maps that were looked at, hence false.
        self.bpf: Any = _ready.pop(source) if source in _ready else compile_source(source)
        self._bcc = bcc
        self._functions: dict[int, int | None] = {}
        self._detachers: list[Callable[[], None]] = []

    def _load(self, function: str, kind: int) -> Any:
        """Have a function loaded, and know how often it was skipped until now."""
        loaded = self.bpf.load_func(function, kind)
        self._functions[loaded.fd] = recursion_misses(loaded.fd)
        return loaded

    def attach_raw_tracepoint(self, tracepoint: str, function: str) -> None:
        """Attach a function of the program to a raw tracepoint.

        Raises:
            PrivilegeError: the kernel refuses this user.
            MachineError: this kernel has no such tracepoint.
        """
        try:
            self._load(function, self._bcc.BPF.RAW_TRACEPOINT)
            self.bpf.attach_raw_tracepoint(tp=tracepoint, fn_name=function)
        except Exception as error:
            raise _refused(f"cannot attach to tracepoint {tracepoint}", error) from error
        self._detachers.append(lambda: self.bpf.detach_raw_tracepoint(tracepoint))

    def attach_cgroup(self, cgroup: Path, direction: str, function: str) -> None:
        """Attach a function to the packets of a cgroup's sockets ("cgroup_egress" or "cgroup_ingress").

        Raises:
            PrivilegeError: the kernel refuses this user.
            MachineError: this kernel has no cgroup programs, or there is no such cgroup.
        """
        kind = _CGROUP_DIRECTIONS[direction]
        try:
            loaded = self._load(function, self._bcc.BPF.CGROUP_SKB)
            link = link_to_cgroup(loaded.fd, cgroup, kind)
        except Exception as error:
            holder = exclusive_holder(cgroup, kind)
            if holder is not None:
                raise MachineError(
                    f"cannot watch the packets of {cgroup}",
                    f"another program holds {direction.replace('_', ' ')} of {holder} alone, and of all cgroups below "
                    "it (it was attached without BPF_F_ALLOW_MULTI): bpftool cgroup show " + str(holder),
                    "--observer functions, where functions can be probed (the lab: --lab); or detach that program",
                ) from error
            raise _refused(f"cannot watch the packets of {cgroup}", error) from error
        self._detachers.append(lambda: os.close(link))

    def attach_function(self, way: str, symbol: str, function: str) -> None:
        """Attach a generated function ("fentry" or "kprobe"; entry or return by its name's prefix).

        Raises:
            PrivilegeError: the kernel refuses this user.
            MachineError: the function cannot be probed.
        """
        try:
            self._detachers.append(self._attach_function(way, symbol, function))
        except Exception as error:
            raise _refused(f"cannot attach {way} to {symbol}", error) from error

    def _attach_function(self, way: str, symbol: str, function: str) -> Callable[[], None]:
        returns = function.startswith(("kretfunc__", "kretprobe__"))
        if way == "fentry":
            self._load(function, self._bcc.BPF.TRACING)
            (self.bpf.attach_kretfunc if returns else self.bpf.attach_kfunc)(fn_name=function)
            return lambda: (self.bpf.detach_kretfunc if returns else self.bpf.detach_kfunc)(fn_name=function)
        self._load(function, self._bcc.BPF.KPROBE)
        (self._attach_kretprobe if returns else self.bpf.attach_kprobe)(event=symbol, fn_name=function)
        detach = self.bpf.detach_kretprobe if returns else self.bpf.detach_kprobe
        return lambda: detach(event=symbol, fn_name=function)

    def _attach_kretprobe(self, event: str, fn_name: str) -> None:
        """Room for every thread that a run may have: a call that finds none returns unseen."""
        self.bpf.attach_kretprobe(event=event, fn_name=fn_name, maxactive=_MAX_ACTIVE)

    def load_perf_event(self, function: str) -> int:
        """Load a function as a perf_event program; its descriptor."""
        return int(self._load(function, self._bcc.BPF.PERF_EVENT).fd)

    def attach_sampler(self, function: str, kind: int, event: int, period: int) -> None:
        """Run a function on every CPU whenever a perf event has counted `period` more.

        Args:
            kind: perf_event_open(2): type.
            event: The same: config.

        Raises:
            PrivilegeError: the kernel refuses this user.
            MachineError: it has no such event.
        """
        try:
            self._load(function, self._bcc.BPF.PERF_EVENT)
            self.bpf.attach_perf_event(ev_type=kind, ev_config=event, fn_name=function, sample_period=period)
        except Exception as error:
            raise _refused("cannot sample the CPUs", error) from error
        self._detachers.append(lambda: self.bpf.detach_perf_event(kind, event))

    def read_samples(self, table: str, lost: str, processes: tuple[int, ...]) -> tuple[list[Sample], int]:
        """Sampled stacks, and how many could not be kept.

        Args:
            processes: By context, to look up the names of functions in user mode.
        """
        symbols = [UserSymbols(process) if process else None for process in processes]
        samples = []
        for key, count in self.bpf[table].items():
            addresses = [address for address in key.frames if address]
            frames = _user_frames(addresses, symbols[key.context]) if key.user else self._names(addresses)
            samples.append(Sample(key.context, bool(key.user), frames, count.value))
        return samples, sum(self.bpf[lost][ctypes.c_int(0)])

    def _names(self, addresses: list[int]) -> list[str]:
        return [self.bpf.ksym(address).decode() for address in addresses]

    def clear(self, *tables: str) -> None:
        """Forget what an earlier use of the same compiled program counted, once its probes are gone."""
        if _predecessor is not None:
            select.select([_predecessor], [], [])
        for table in tables:
            self.bpf[table].clear()

    def write(self, table: str, **values: int) -> None:
        """Set the one element of an array of structs."""
        array = self.bpf[table]
        array[ctypes.c_int(0)] = array.Leaf(**values)

    def read_stacks(self, table: str, stacks: str) -> list[tuple[int, list[str], int, int]]:
        """Counts by (row, stack): row, frames innermost first, events, bytes."""
        found = []
        for key, tally in self.bpf[table].items():
            frames = without_our_own(self._names(list(self.bpf[stacks].walk(key.stack))))
            found.append((key.row, frames, tally.events, tally.bytes))
        return found

    def read_tallies(self, table: str, rows: int) -> list[tuple[int, int, int]]:
        """Sums over all CPUs of a per-CPU array of struct tally: (events, bytes, pages) a row."""
        array = self.bpf[table]
        sums = []
        for index in range(rows):
            cells = array[ctypes.c_int(index)]
            sums.append(tuple(sum(getattr(cell, field) for cell in cells) for field in ("events", "bytes", "pages")))
        return sums

    def read_by_caller(self, table: str) -> list[tuple[list[str], int, int]]:
        """Counts by struct caller: the functions at its addresses, events, bytes."""
        return [(self._names(list(key.frames)), tally.events, tally.bytes) for key, tally in self.bpf[table].items()]

    def read_drops(self, table: str) -> list[tuple[int, int, int, int]]:
        """Counts by struct drop: reason, whether it was received, events, bytes."""
        return [(key.reason, key.received, tally.events, tally.bytes) for key, tally in self.bpf[table].items()]

    def read_count(self, table: str) -> int:
        """The one element of an array of u64."""
        return int(self.bpf[table][ctypes.c_int(0)].value)

    def length(self, *tables: str) -> int:
        """Entries that are in hashes now, of all of them together."""
        return sum(len(self.bpf[table].items()) for table in tables)

    def detach(self) -> None:
        """Take all functions off their probe points; the maps stay readable."""
        while self._detachers:
            self._detachers.pop()()

    def skipped_runs(self) -> int | None:
        """Times the kernel skipped a function since it was attached, because it was running already on that CPU.

        That is the kernel's recursion_misses.

        None where this kernel does not count it (before 5.12).
        """
        skipped = 0
        for descriptor, before in self._functions.items():
            now = recursion_misses(descriptor)
            if now is None or before is None:
                return None
            skipped += now - before
        return skipped

    def forget_skipped_runs(self) -> None:
        """Count anew from here."""
        self._functions = {descriptor: recursion_misses(descriptor) for descriptor in self._functions}

    def close(self) -> None:
        """Detach and free everything."""
        if _left_to_the_kernel:
            return
        self.detach()
        self.bpf.cleanup()


def prepare(source: Source, functions: Mapping[str, str]) -> None:
    """Compile and load a program that a child of this process will use: the lab keeps such a process.

    Args:
        functions: Name to kind of program, as BCC names it: "TRACING", "KPROBE", ...
    """
    import bcc

    program = compile_source(source)
    for function, kind in functions.items():
        program.load_func(function, getattr(bcc.BPF, kind))
    _ready[source] = program


_ready: dict[Source, Any] = {}
_left_to_the_kernel = False
_predecessor: int | None = None


def leave_to_the_kernel() -> None:
    """For a process that ends when its answer is out: close() does nothing, the process's end detaches all.

    Each fentry that goes waits for a grace period of RCU tasks, 0.1 s; nobody need wait for twenty-four of them.
    """
    global _left_to_the_kernel
    _left_to_the_kernel = True


def wait_for_predecessor(predecessor: int | None) -> None:
    """Before anything is attached, let the process end that used what was prepared before this one.

    Args:
        predecessor: Its descriptor (pidfd).
    """
    global _predecessor
    _predecessor = predecessor


def without_our_own(frames: list[str]) -> list[str]:
    """A stack without the programs that looked at it, whose names split stacks that are equal.

    What returns through a trampoline stands on both sides of it.
    """
    seen = [frame for frame in frames if not frame.startswith(_OUR_OWN)]
    return [frame for frame, before in zip(seen, [None, *seen], strict=False) if frame != before]


_OUR_OWN = ("bpf_prog_", "bpf_trampoline_")


def _user_frames(addresses: list[int], symbols: UserSymbols | None) -> list[str]:
    """The running function, and the next one if that word of the stack is an address of a function at all."""
    names = [symbols.name(address) if symbols else None for address in addresses]
    return [names[0] or "[unknown]" if names else "[unknown]", *(name for name in names[1:] if name)]


def read_source(file_name: str) -> str:
    """A file of bpf/ with nettrace.h in the place of its #include: BCC translates maps in the main file alone."""
    directory = importlib.resources.files("bpf")
    header = directory.joinpath(_HEADER).read_text()
    return directory.joinpath(file_name).read_text().replace(f'#include "{_HEADER}"', header)


def compile_source(source: Source) -> Any:
    """BCC's object; nothing is loaded or attached yet, but the maps are there.

    Raises:
        MachineError: BCC cannot compile it.
    """
    text = read_source(source.file_name) + source.generated
    return compile_text(text, ("-g0", *source.flags), source.file_name)


def _refused(what: str, error: Exception) -> MachineError | PrivilegeError:
    text = str(error) or type(error).__name__
    # BCC's own exceptions have no number, but end in the words for it.
    words = tuple(os.strerror(number) for number in (errno.EPERM, errno.EACCES))
    if getattr(error, "errno", None) in (errno.EPERM, errno.EACCES) or text.rstrip(".'\")").endswith(words):
        return PrivilegeError(what, text, "run as root, or with CAP_BPF and CAP_PERFMON; see: nettrace doctor")
    return MachineError(what, text, "see: nettrace doctor; or run in the lab: --lab")
