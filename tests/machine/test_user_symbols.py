"""Names of functions in user mode."""

from __future__ import annotations

import os
from pathlib import Path

from workloads.engine._engine import ffi, lib

from tracer.machine.user_symbols import UserSymbols, executable_mappings


def address_of(function: str) -> int:
    return int(ffi.cast("uintptr_t", ffi.addressof(lib, function)))


def open_descriptors() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def test_a_function_of_a_mapped_file_has_its_name_at_its_first_byte_and_not_before() -> None:
    """The engine's own functions, in this very process."""
    symbols = UserSymbols(os.getpid())

    # cffi hands out its own wrapper's address.
    assert symbols.name(address_of("engine_send")) == "_cffi_d_engine_send"
    assert symbols.name(address_of("engine_send") - 1) != "_cffi_d_engine_send"


def test_an_address_outside_every_mapping_has_no_name() -> None:
    """Absent is not a guess."""
    assert UserSymbols(os.getpid()).name(1) is None


def test_a_process_that_has_ended_has_no_names() -> None:
    """And no traceback: no process has this number (PID_MAX_LIMIT, linux/threads.h)."""
    assert UserSymbols(1 << 22).name(1) is None


def test_only_executable_mappings_of_files_are_looked_at() -> None:
    """Data, the heap and the vdso hold no function of a file."""
    text = (
        "1000-2000 r--p 00000000 fe:00 7 /lib/x.so\n"
        "2000-3000 r-xp 00001000 fe:00 7 /lib/with blank.so\n"
        "4000-5000 rw-p 00000000 00:00 0 [heap]\n"
        "7000-8000 r-xp 00000000 00:00 0 [vdso]\n"
    )

    assert list(executable_mappings(text)) == [(0x2000, 0x3000, 0x1000, "/lib/with blank.so")]


def test_a_look_up_leaves_no_descriptor_open() -> None:
    """BCC's left thirteen for each process, and closed one of ours."""
    before = open_descriptors()
    UserSymbols(os.getpid()).name(address_of("engine_send"))

    assert open_descriptors() == before
