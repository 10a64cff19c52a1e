"""The only door to BCC: compiles a program of bpf/, attaches it, and says what the kernel skipped.

BCC raises bare Exceptions and prints to stderr; here they become MachineError and PrivilegeError.
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tracer.books.samples import without_tracers
from tracer.books.tallies import total
from tracer.errors import MachineError, PrivilegeError, reason_of
from tracer.machine.kernel.btf import Btf
from tracer.machine.kernel.installation import require_bcc
from tracer.machine.kernel.symbols import address_of, why_no_names
from tracer.machine.privilege import refusal
from tracer.observers import compiling, loading
from tracer.observers.compiling import compile_text
from tracer.observers.headers import header_tree
from tracer.observers.kernel_names import names_of
from tracer.observers.kprobes import Kprobe
from tracer.observers.loading import Kind
from tracer.observers.prepared import Prepared, Source, fingerprint_of, source_of
from tracer.observers.program_info import recursion_misses
from tracer.observers.source_text import whole_text


class Program:
    """A compiled program of bpf/.

    Args:
        file_name: File in bpf/.
        defines: Become -D flags.
        generated: C text that follows the file's.
        prepared: May hold it compiled already.

    Raises:
        MachineError: BCC is missing, or cannot compile.
    """

    def __init__(
        self,
        file_name: str,
        defines: dict[str, int | str],
        generated: str = "",
        prepared: Prepared | None = None,
    ) -> None:
        require_bcc()
        import bcc

        source = source_of(file_name, defines, generated)
        self._prepared = prepared or Prepared()
        ready = self._prepared.take(fingerprint(source)) if self._prepared.programs else None
        # Not `ready or`: BCC's object is as long as the maps that were looked at, hence false.
        self.bpf: Any = compile_source(source) if ready is None else ready
        self._bcc = bcc
        self._functions: dict[int, int | None] = {}
        self._kprobes: list[Kprobe] = []
        self._missed_before: int | None = 0
        self._detachers: list[Callable[[], None]] = []

    def _load(self, function: str, kind: str) -> Any:
        """Have a function loaded, and know how often it was skipped until now."""
        loaded = load(self.bpf, function, kind)
        self._functions[loaded.fd] = recursion_misses(loaded.fd)
        return loaded

    def attach_raw_tracepoint(self, tracepoint: str, function: str) -> None:
        """Attach a function of the program to a raw tracepoint.

        Raises:
            PrivilegeError: the kernel refuses this user.
            MachineError: this kernel has no such tracepoint.
        """
        try:
            self._load(function, "RAW_TRACEPOINT")
            self.bpf.attach_raw_tracepoint(tp=tracepoint, fn_name=function)
        except Exception as error:
            raise _refused(f"cannot attach to tracepoint {tracepoint}", error) from error
        self._detachers.append(lambda: self.bpf.detach_raw_tracepoint(tracepoint))

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
            link = loading.attach(self._load(function, "TRACING").fd, _traced(function))
            return lambda: os.close(link)
        loaded = self._load(function, "KPROBE")
        self._kprobes.append(Kprobe(loaded.fd, symbol, returns=returns))
        return self._kprobes[-1].detach

    def load_perf_event(self, function: str) -> int:
        """Load a function as a perf_event program; its descriptor."""
        return int(self._load(function, "PERF_EVENT").fd)

    def _names(self, addresses: list[int]) -> list[str]:
        return names_of(addresses, self._prepared)

    def clear(self, *tables: str) -> None:
        """Forget what an earlier use of the same compiled program counted, once its probes are gone."""
        if self._prepared.predecessor is not None:
            select.select([self._prepared.predecessor], [], [])
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
            frames = without_tracers(self._names(list(self.bpf[stacks].walk(key.stack))))
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
        """Counts by struct drop: reason, index of the place, events, bytes."""
        return [(key.reason, key.place, tally.events, tally.bytes) for key, tally in self.bpf[table].items()]

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
        """Times the kernel skipped a function since it was attached.

        Because it was running already on that CPU (the kernel's recursion_misses), or a kprobe was passed over
        (kprobe_profile).

        None where this kernel does not count one of the two (the first before 5.12).
        """
        skipped = total(self._missed_by_kprobes(), -self._missed_before if self._missed_before is not None else None)
        for descriptor, before in self._functions.items():
            now = recursion_misses(descriptor)
            if now is None or before is None or skipped is None:
                return None
            skipped += now - before
        return skipped

    def _missed_by_kprobes(self) -> int | None:
        return total(0, *(probe.missed() for probe in self._kprobes))

    def forget_skipped_runs(self) -> None:
        """Count anew from here."""
        self._functions = {descriptor: recursion_misses(descriptor) for descriptor in self._functions}
        self._missed_before = self._missed_by_kprobes()

    def close(self) -> None:
        """Detach and free everything."""
        if self._prepared.ends_soon:
            for probe in self._kprobes:  # their trace events outlive the process
                probe.detach()
            return
        self.detach()
        self.bpf.cleanup()


def prepare(source: Source, functions: Mapping[str, str], programs: dict[str, Any]) -> None:
    """Compile and load a program that a child of this process will use: the lab keeps such a process.

    Args:
        functions: Name to kind of program, as BCC names it: "TRACING", "KPROBE", ...
    """
    program = compile_source(source)
    for function, kind in functions.items():
        load(program, function, kind)
    programs[fingerprint(source)] = program


def load(program: Any, function: str, kind: str) -> Any:
    """Have one of BCC's functions loaded, once; it has a descriptor `fd`.

    Traced functions are loaded here: BCC takes what is traced from the name, whose form has changed between 0.26 and
    0.31 (kfunc__FUNCTION, kfunc__MODULE__FUNCTION), and the other one's form ends the process.

    Args:
        kind: As BCC names it.
    """
    import bcc

    name = function.encode()
    if kind != "TRACING" or name in program.funcs:
        return program.load_func(function, getattr(bcc.BPF, kind))
    code = ctypes.string_at(
        bcc.lib.bpf_function_start(program.module, name), bcc.lib.bpf_function_size(program.module, name)
    )
    traced, symbol = _traced(function), function.partition("__")[2]
    target = loading.target_id(Btf.of_running_kernel(), traced, symbol)
    program.funcs[name] = bcc.BPF.Function(program, name, loading.load(code, function, traced, target))
    return program.funcs[name]


def _traced(function: str) -> Kind:
    return Kind.FEXIT if function.startswith("kretfunc__") else Kind.FENTRY


def read_names() -> range | None:
    """Have BCC read the names of the kernel's functions now, for the children of this process.

    Returns:
        The addresses of the kernel's own text, whose names stay; None where they are hidden.
    """
    if why_no_names() is not None:
        return None
    import bcc

    text = range(address_of(b"_stext"), address_of(b"_etext"))
    bcc.BPF.ksym(text.start)
    return text


def fingerprint(source: Source) -> str:
    """Of what decides the compiled program: its text and flags, the kernel's headers, and what compiles and loads."""
    ours = (Path(module).read_text() for module in (__file__, compiling.__file__, loading.__file__))
    return fingerprint_of(source, whole_text(source.file_name), str(header_tree()), *ours)


def compile_source(source: Source) -> Any:
    """BCC's object; nothing is loaded or attached yet, but the maps are there.

    Raises:
        MachineError: BCC cannot compile it.
    """
    text = whole_text(source.file_name) + source.generated
    return compile_text(text, ("-g0", *source.flags), source.file_name)


def _refused(what: str, error: Exception) -> MachineError | PrivilegeError:
    text = reason_of(error)
    # BCC's own exceptions have no number, but end in the words for it.
    words = tuple(os.strerror(number) for number in (errno.EPERM, errno.EACCES))
    if getattr(error, "errno", None) in (errno.EPERM, errno.EACCES) or text.rstrip(".'\")").endswith(words):
        return refusal(what, text, "CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN")
    return MachineError(what, text, "see: nettrace doctor; or run in the lab: --lab")
