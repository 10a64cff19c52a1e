"""Tries what this kernel and user allow: loads a program that does nothing, opens an event that counts nothing.

A permission depends on capabilities, sysctls, lockdown, kernel configuration and architecture together; only the
attempt tells. Straight system calls, because loading BCC for this takes a second and 100 MB, and doctor must work
without BCC. Sources: bpf(2), perf_event_open(2), linux/bpf.h, linux/perf_event.h.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import platform
import struct
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path

from tracer.errors import MachineError
from tracer.machine.kernel.btf import Btf

# Numbers of bpf and perf_event_open; the second pair is asm-generic/unistd.h, which newer architectures share.
_SYSTEM_CALLS = {"x86_64": (321, 298), "aarch64": (280, 241), "riscv64": (280, 241), "loongarch64": (280, 241)}
_PROG_LOAD, _RAW_TRACEPOINT_OPEN = 5, 17
_TRACE_FENTRY = 24
RETURN_0 = struct.pack("<QQ", 0xB7, 0x95)  # the smallest program: r0 = 0; exit
_LOAD = struct.Struct("=IIQQ44xI36xI")  # type, instructions, attach type, BTF id; 112 bytes of union bpf_attr
_PERF_EVENT = struct.Struct("=IIQQQQQIIQQ40x")  # 112 bytes: PERF_ATTR_SIZE_VER5

_PERF_TYPE_HARDWARE, _PERF_TYPE_SOFTWARE, _PERF_TYPE_BREAKPOINT = 0, 1, 5
_EXECUTE = 4  # HW_BREAKPOINT_X
_FLAG_DISABLED = 1
_FLAG_CLOSE_ON_EXEC = 8  # PERF_FLAG_FD_CLOEXEC
_SET_BPF, _ENABLE = 0x40042408, 0x2400  # PERF_EVENT_IOC_*

TRIED_FUNCTION = "tcp_sendmsg_locked"  # where every byte that TCP sends comes by


class ProgramType(IntEnum):
    """Kinds of BPF program, as numbered in linux/bpf.h."""

    KPROBE = 2
    TRACEPOINT = 5
    PERF_EVENT = 7
    CGROUP_SKB = 8
    RAW_TRACEPOINT = 17
    TRACING = 26


def can_load(program_type: ProgramType) -> str | None:
    """None if the kernel takes a program of this type from this user; else the reason why not."""
    if program_type is ProgramType.TRACING:
        return can_attach_fentry()
    return _refusal(lambda: _load(program_type))


def can_attach_fentry(function: str = TRIED_FUNCTION) -> str | None:
    """None if fentry works; else the reason. Attached for a moment: some kernels load what they cannot attach."""
    # A kernel that forbids the type says so whatever the function is: no need to read 5 MB of types for it.
    without_function = _refusal(lambda: _load(ProgramType.TRACING, _TRACE_FENTRY))
    if without_function and without_function.startswith("EPERM"):
        return without_function
    try:
        type_id = Btf.of_running_kernel().function_id(function)
    except MachineError as error:
        return error.what
    if type_id is None:
        return f"BTF does not know {function}"
    return _refusal(lambda: _attach_fentry(type_id))


def can_kprobe(function: str = TRIED_FUNCTION) -> str | None:
    """None if a kprobe can be placed and its program loaded; else the reason."""
    pmu = Path("/sys/bus/event_source/devices/kprobe/type")
    if not pmu.exists():
        return "this kernel was built without kprobes (CONFIG_KPROBE_EVENTS)"
    name = ctypes.create_string_buffer(function.encode())
    kind, address = int(pmu.read_text()), ctypes.addressof(name)
    return can_load(ProgramType.KPROBE) or _refusal(lambda: _open_event(kind, config1=address))


def can_break_at(address: int) -> str | None:
    """None if a hardware breakpoint can watch kernel text at this address being executed; else the reason."""
    return _refusal(lambda: _open_event(_PERF_TYPE_BREAKPOINT, _EXECUTE, address, ctypes.sizeof(ctypes.c_long)))


def open_breakpoint(address: int, cpu: int) -> int:
    """A disabled event that fires whenever this CPU executes the address; its descriptor.

    Raises:
        OSError: the kernel refuses.
    """
    return _open_event(_PERF_TYPE_BREAKPOINT, _EXECUTE, address, ctypes.sizeof(ctypes.c_long), cpu=cpu, period=1)


def open_cpu_clock(cpu: int, period_ns: int) -> int:
    """A disabled event that fires on this CPU whenever its clock has gone on by a period; its descriptor.

    Raises:
        OSError: the kernel refuses.
    """
    return _open_event(_PERF_TYPE_SOFTWARE, cpu=cpu, period=period_ns)


def open_cycles(cpu: int, cycles: int) -> int:
    """The same whenever this CPU's cycle counter has gone on by so many.

    Raises:
        OSError: the kernel refuses, or there is no such counter.
    """
    return _open_event(_PERF_TYPE_HARDWARE, cpu=cpu, period=cycles)


def run_at(event: int, program: int) -> None:
    """Have a program run whenever an event fires, from now on.

    Raises:
        OSError: the kernel refuses.
    """
    fcntl.ioctl(event, _SET_BPF, program)
    fcntl.ioctl(event, _ENABLE, 0)


def can_count_cycles() -> str | None:
    """None if the CPU's cycle counter (hardware event 0) can be read for this process; else the reason."""
    return _refusal(lambda: _open_event(_PERF_TYPE_HARDWARE, cpu=None))


def _refusal(attempt: Callable[[], int]) -> str | None:
    try:
        os.close(attempt())
    except OSError as error:
        return f"{errno.errorcode.get(error.errno or 0, error.errno)}: {error.strerror}"
    return None


def _attach_fentry(type_id: int) -> int:
    program = _load(ProgramType.TRACING, _TRACE_FENTRY, type_id)
    try:
        return _bpf(_RAW_TRACEPOINT_OPEN, struct.pack("=QI4x", 0, program))
    finally:
        os.close(program)


def _load(program_type: ProgramType, attach_type: int = 0, attach_btf_id: int = 0) -> int:
    code, license_text = ctypes.create_string_buffer(RETURN_0, len(RETURN_0)), ctypes.create_string_buffer(b"GPL")
    code_at, license_at = ctypes.addressof(code), ctypes.addressof(license_text)
    return _bpf(
        _PROG_LOAD, _LOAD.pack(program_type, len(RETURN_0) // 8, code_at, license_at, attach_type, attach_btf_id)
    )


def _bpf(command: int, attributes: bytes) -> int:
    return _call(_system_calls()[0], command, attributes, len(attributes))


def _open_event(
    kind: int, bp_type: int = 0, config1: int = 0, config2: int = 0, *, cpu: int | None = 0, period: int = 0
) -> int:
    """Open a disabled event on a CPU, or on this process (None). config1 is also bp_addr, config2 bp_len."""
    config = sample_type = read_format = wakeup = 0
    values = config, period, sample_type, read_format, _FLAG_DISABLED, wakeup, bp_type, config1, config2
    process, on_cpu = (0, -1) if cpu is None else (-1, cpu)
    return _call(
        _system_calls()[1], _PERF_EVENT.pack(kind, _PERF_EVENT.size, *values), process, on_cpu, -1, _FLAG_CLOSE_ON_EXEC
    )


def _system_calls() -> tuple[int, int]:
    machine = platform.machine()
    if machine not in _SYSTEM_CALLS:
        raise OSError(errno.ENOSYS, f"the system calls of {machine} are not known here")
    return _SYSTEM_CALLS[machine]


def _call(number: int, *arguments: int | bytes) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    as_words = [argument if isinstance(argument, bytes) else ctypes.c_long(argument) for argument in arguments]
    descriptor = int(libc.syscall(ctypes.c_long(number), *as_words))
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return descriptor
