"""A program of bpf/ whose functions are attached one by one: what it counts, and what the kernel skipped.

What the kernel refuses becomes a MachineError or a PrivilegeError.
"""

from __future__ import annotations

import errno
import os
import select
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tracer.books.samples import without_tracers
from tracer.books.tallies import total
from tracer.errors import MachineError, PrivilegeError, reason_of
from tracer.machine.kernel.btf import Btf
from tracer.machine.kernel.symbols import address_of, why_no_names
from tracer.machine.privilege import refusal
from tracer.observers import compiling, image, loading, maps
from tracer.observers.headers import header_tree
from tracer.observers.image import Image
from tracer.observers.image_cache import cached_image
from tracer.observers.kernel_names import names_of
from tracer.observers.kprobes import Kprobe
from tracer.observers.loading import Kind, Refusal
from tracer.observers.maps import Maps
from tracer.observers.prepared import Prepared, Source, fingerprint_of
from tracer.observers.program_info import recursion_misses
from tracer.observers.source_text import whole_text

# bpf/link.h and bpf/functions.bpf.c: struct tally, caller, drop, stack_key; and a stack of the kernel's.
_TALLY, _CALLER, _DROP = struct.Struct("<QQQ"), struct.Struct("<QQ"), struct.Struct("<II")
_STACK_KEY, _ADDRESS = struct.Struct("<Ii"), struct.Struct("<Q")


class Loaded:
    """Its maps, and its functions, each of which is loaded once.

    Raises:
        Refusal: the kernel does not make the maps.
    """

    def __init__(self, image: Image) -> None:
        self._image, self.maps = image, Maps(image.maps)
        self._functions: dict[str, int] = {}

    def function(self, name: str, kind: Kind) -> int:
        """Its descriptor; what is traced is what follows the name's prefix.

        Raises:
            Refusal: the kernel does not take it.
        """
        if name not in self._functions:
            traced = name.partition("__")[2]
            target = loading.target_id(Btf.of_running_kernel(), kind, traced) if kind in loading.TRACING else None
            code = self._image.code(name, self.maps.descriptors)
            self._functions[name] = loading.load(code, name, kind, target)
        return self._functions[name]

    def close(self) -> None:
        """Forget all of it; safe to call twice."""
        while self._functions:
            os.close(self._functions.popitem()[1])
        self.maps.close()


class Program:
    """A program of bpf/ in the kernel.

    Args:
        prepared: May hold it loaded already.

    Raises:
        MachineError: BCC is missing, or cannot compile; the kernel makes no maps for it.
        PrivilegeError: not for this user.
    """

    def __init__(self, source: Source, prepared: Prepared | None = None) -> None:
        self._prepared = prepared or Prepared()
        ready = self._prepared.take(fingerprint(source)) if self._prepared.programs else None
        try:
            self._loaded = Loaded(image_of(source)) if ready is None else ready
        except Refusal as error:
            raise _refused("cannot make the maps that it counts in", error) from error
        self._maps = self._loaded.maps
        self._functions: dict[int, int | None] = {}
        self._kprobes: list[Kprobe] = []
        self._missed_before: int | None = 0
        self._detachers: list[Callable[[], None]] = []

    def _load(self, function: str, way: str) -> int:
        """Have a function loaded, and know how often it was skipped until now."""
        descriptor = self._loaded.function(function, kind_of(way, function))
        self._functions[descriptor] = recursion_misses(descriptor)
        return descriptor

    def attach(self, way: str, symbol: str, function: str) -> None:
        """Attach a function of the program: "tracepoint", "fentry" or "kprobe"; entry or return by its name's prefix.

        Raises:
            PrivilegeError: the kernel refuses this user.
            MachineError: there is no such tracepoint, or the function cannot be probed.
        """
        try:
            self._detachers.append(self._attach(way, symbol, function))
        except (Refusal, OSError) as error:
            raise _refused(f"cannot attach {way} to {symbol}", error) from error

    def _attach(self, way: str, symbol: str, function: str) -> Callable[[], None]:
        program = self._load(function, way)
        if way == "kprobe":
            self._kprobes.append(Kprobe(program, symbol, returns=function.startswith("kretprobe__")))
            return self._kprobes[-1].detach
        tracepoint = symbol if way == "tracepoint" else None
        link = loading.attach(program, kind_of(way, function), tracepoint=tracepoint)
        return lambda: os.close(link)

    def load_perf_event(self, function: str) -> int:
        """Load a function as a perf_event program; its descriptor.

        Raises:
            PrivilegeError, MachineError: the kernel refuses.
        """
        try:
            return self._load(function, "breakpoint")
        except Refusal as error:
            raise _refused(f"cannot load {function}", error) from error

    def _names(self, addresses: list[int]) -> list[str]:
        return names_of(addresses, self._prepared)

    def clear(self, *tables: str) -> None:
        """Forget what an earlier use of the same compiled program counted, once its probes are gone."""
        if self._prepared.predecessor is not None:
            select.select([self._prepared.predecessor], [], [])
        for table in tables:
            self._maps.clear(table)

    def write(self, table: str, value: bytes) -> None:
        """Set the one element of an array."""
        self._maps.set(table, 0, value)

    def read_stacks(self, table: str, stacks: str) -> list[tuple[int, list[str], int, int]]:
        """Counts by (row, stack): row, frames innermost first, events, bytes."""
        found = []
        for key, value in self._maps.items(table):
            row, stack = _STACK_KEY.unpack(key)
            addresses = [
                address for (address,) in _ADDRESS.iter_unpack(self._maps.element(stacks, stack)[0]) if address
            ]
            events, size, _ = _TALLY.unpack(value)
            found.append((row, without_tracers(self._names(addresses)), events, size))
        return found

    def read_tallies(self, table: str, rows: int) -> list[tuple[int, int, int]]:
        """Sums over all CPUs of a per-CPU array of struct tally: (events, bytes, pages) a row."""
        sums = []
        for index in range(rows):
            events, size, pages = map(sum, zip(*map(_TALLY.unpack, self._maps.element(table, index)), strict=True))
            sums.append((events, size, pages))
        return sums

    def read_by_caller(self, table: str) -> list[tuple[list[str], int, int]]:
        """Counts by struct caller: the functions at its addresses, events, bytes."""
        items = [(_CALLER.unpack(key), _TALLY.unpack(value)) for key, value in self._maps.items(table)]
        return [(self._names(list(frames)), events, size) for frames, (events, size, _) in items]

    def read_drops(self, table: str) -> list[tuple[int, int, int, int]]:
        """Counts by struct drop: reason, index of the place, events, bytes."""
        items = [(_DROP.unpack(key), _TALLY.unpack(value)) for key, value in self._maps.items(table)]
        return [(reason, place, events, size) for (reason, place), (events, size, _) in items]

    def read_count(self, table: str) -> int:
        """The one element of an array of u64."""
        return int.from_bytes(self._maps.element(table, 0)[0], "little")

    def length(self, *tables: str) -> int:
        """Entries that are in hashes now, of all of them together."""
        return sum(1 for table in tables for _ in self._maps.keys(table))

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
        self._loaded.close()


def kind_of(way: str, function: str) -> Kind:
    """What a function is loaded as that is attached in this way."""
    if way == "fentry":
        return Kind.FEXIT if function.startswith("kretfunc__") else Kind.FENTRY
    return {"kprobe": Kind.KPROBE, "tracepoint": Kind.RAW_TRACEPOINT, "breakpoint": Kind.PERF_EVENT}[way]


def prepare(source: Source, functions: Mapping[str, str], programs: dict[str, Any]) -> None:
    """Compile and load a program that a child of this process will use: the lab keeps such a process.

    Args:
        functions: Name to the way that it will be attached.

    Raises:
        MachineError: BCC is missing, or cannot compile; the kernel does not take it.
    """
    try:
        program = Loaded(image_of(source))
        for function, way in functions.items():
            program.function(function, kind_of(way, function))
    except Refusal as error:
        raise _refused(f"cannot load {source.file_name}", error) from error
    programs[fingerprint(source)] = program


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
    modules = (__file__, compiling.__file__, image.__file__, loading.__file__, maps.__file__)
    ours = (Path(module).read_text() for module in modules)
    return fingerprint_of(source, whole_text(source.file_name), str(header_tree()), *ours)


def image_of(source: Source) -> Image:
    """The compiled program, from the cache if it is there.

    Raises:
        MachineError: BCC is missing, or cannot compile it.
    """
    return cached_image(*text_of(source), source.file_name)


def text_of(source: Source) -> tuple[str, tuple[str, ...]]:
    """What is compiled, and how."""
    return whole_text(source.file_name) + source.generated, ("-g0", *source.flags)


def _refused(what: str, error: Refusal | OSError) -> MachineError | PrivilegeError:
    number = error.number if isinstance(error, Refusal) else error.errno
    if number in (errno.EPERM, errno.EACCES):
        return refusal(what, reason_of(error), "CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN")
    return MachineError(what, reason_of(error), "see: nettrace doctor; or run in the lab: --lab")
