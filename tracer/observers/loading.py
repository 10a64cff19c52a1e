"""Loads and attaches programs by libbpf: BCC, which stands on it, cannot do all kinds, and takes a compiler with it.

Every attachment is a link or a raw tracepoint's descriptor: it goes with its
descriptor, hence with this process, however that ends.
"""

from __future__ import annotations

import ctypes
import os
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

from tracer.machine.kernel.btf import Btf
from tracer.machine.kernel.libbpf import libbpf


class _Kind(NamedTuple):
    """enum bpf_prog_type and enum bpf_attach_type of linux/bpf.h."""

    program_type: int
    attach_type: int


class Kind(Enum):
    """What a program is attached to."""

    TP_BTF = _Kind(26, 23)
    FENTRY = _Kind(26, 24)
    FEXIT = _Kind(26, 25)
    ITERATOR = _Kind(26, 28)
    CGROUP_INGRESS = _Kind(8, 0)
    CGROUP_EGRESS = _Kind(8, 1)
    SOCK_CREATE = _Kind(9, 2)
    SOCK_RELEASE = _Kind(9, 34)
    PERF_EVENT = _Kind(7, 0)
    KPROBE = _Kind(2, 0)
    RAW_TRACEPOINT = _Kind(17, 0)


OF_A_CGROUP = frozenset({Kind.CGROUP_INGRESS, Kind.CGROUP_EGRESS, Kind.SOCK_CREATE, Kind.SOCK_RELEASE})


# Those that the kernel does not run on a CPU where a task is in the middle of them.
TRACING = frozenset({Kind.TP_BTF, Kind.FENTRY, Kind.FEXIT})


class _LoadOptions(ctypes.Structure):
    """struct bpf_prog_load_opts of bpf/bpf.h (libbpf 1.1), up to log_buf; sz says how much of it there is."""

    _fields_ = (
        ("sz", ctypes.c_size_t),
        ("attempts", ctypes.c_int),
        ("expected_attach_type", ctypes.c_uint32),
        ("prog_btf_fd", ctypes.c_uint32),
        ("prog_flags", ctypes.c_uint32),
        ("prog_ifindex", ctypes.c_uint32),
        ("kern_version", ctypes.c_uint32),
        ("attach_btf_id", ctypes.c_uint32),
        ("attach_prog_fd", ctypes.c_uint32),
        ("attach_btf_obj_fd", ctypes.c_uint32),
        ("fd_array", ctypes.c_void_p),
        ("func_info", ctypes.c_void_p),
        ("func_info_cnt", ctypes.c_uint32),
        ("func_info_rec_size", ctypes.c_uint32),
        ("line_info", ctypes.c_void_p),
        ("line_info_cnt", ctypes.c_uint32),
        ("line_info_rec_size", ctypes.c_uint32),
        ("log_level", ctypes.c_uint32),
        ("log_size", ctypes.c_uint32),
        ("log_buf", ctypes.c_void_p),
    )


class _LinkOptions(ctypes.Structure):
    """struct bpf_link_create_opts, up to iter_info_len."""

    _fields_ = (
        ("sz", ctypes.c_size_t),
        ("flags", ctypes.c_uint32),
        ("iter_info", ctypes.c_void_p),
        ("iter_info_len", ctypes.c_uint32),
    )


class _RunOptions(ctypes.Structure):
    """struct bpf_test_run_opts."""

    _fields_ = (
        ("sz", ctypes.c_size_t),
        ("data_in", ctypes.c_void_p),
        ("data_out", ctypes.c_void_p),
        ("data_size_in", ctypes.c_uint32),
        ("data_size_out", ctypes.c_uint32),
        ("ctx_in", ctypes.c_void_p),
        ("ctx_out", ctypes.c_void_p),
        ("ctx_size_in", ctypes.c_uint32),
        ("ctx_size_out", ctypes.c_uint32),
        ("retval", ctypes.c_uint32),
        ("repeat", ctypes.c_int),
        ("duration", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("cpu", ctypes.c_uint32),
        ("batch_size", ctypes.c_uint32),
    )


class Refusal(Exception):  # noqa: N818 - the kernel's answer, which its asker weighs
    """The kernel does not take a program.

    Args:
        number: The error number.
        reason: The last line of the verifier's log, else the error's text.
    """

    def __init__(self, number: int, reason: str) -> None:
        super().__init__(reason)
        self.number = number
        self.reason = reason


def load(code: bytes, function: str, kind: Kind, target_id: int | None = None) -> int:
    """Descriptor of a function, loaded as this kind.

    Args:
        code: Its instructions.
        target_id: BTF id of the function, of the tracepoint's type, or of the iterator.

    Raises:
        Refusal: the kernel does not take it.
    """
    # A log is asked for only where there is something to explain: with one the verifier takes twice as long.
    program = _load(code, function, kind, target_id, None)
    if program >= 0:
        return program
    number, log = ctypes.get_errno(), ctypes.create_string_buffer(1 << 20)
    _load(code, function, kind, target_id, log)
    raise Refusal(number, _last_word(log.value.decode(errors="replace")) or os.strerror(number))


def _load(code: bytes, function: str, kind: Kind, target_id: int | None, log: Any) -> int:
    options = _LoadOptions(sz=ctypes.sizeof(_LoadOptions), expected_attach_type=kind.value.attach_type)
    options.attach_btf_id = target_id or 0
    if log is not None:
        options.log_level, options.log_size, options.log_buf = 1, len(log), ctypes.cast(log, ctypes.c_void_p)
    count = ctypes.c_size_t(len(code) // 8)
    name = function.encode()[:15]
    return int(libbpf().bpf_prog_load(kind.value.program_type, name, b"GPL", code, count, ctypes.byref(options)))


def _last_word(log: str) -> str:
    lines = [line for line in log.splitlines() if line and not line.startswith(("processed ", "verification time"))]
    return lines[-1] if lines else ""


def attach(program: int, kind: Kind, cgroup: int | None = None, tracepoint: str | None = None) -> int:
    """Descriptor of the attachment, which ends with it.

    Args:
        cgroup: Descriptor of the cgroup's directory, for the kinds that need one.
        tracepoint: Its name, for a raw one: other programs know by themselves what they trace.

    Raises:
        Refusal: the kernel does not attach it.
    """
    if kind in OF_A_CGROUP:
        # A link, other than bpf_prog_attach(), lets other programs stand beside it, and goes with us.
        link = libbpf().bpf_link_create(program, cgroup, kind.value.attach_type, None)
    else:
        link = libbpf().bpf_raw_tracepoint_open(tracepoint.encode() if tracepoint else None, program)
    if link < 0:
        raise Refusal(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return int(link)


def run(program: int, argument: int) -> None:
    """Run a program of a raw tracepoint once, here and now.

    Raises:
        Refusal: the kernel does not run it.
    """
    arguments = (ctypes.c_uint64 * 1)(argument)
    options = _RunOptions(sz=ctypes.sizeof(_RunOptions), ctx_size_in=ctypes.sizeof(arguments))
    options.ctx_in = ctypes.cast(arguments, ctypes.c_void_p)
    if libbpf().bpf_prog_test_run_opts(program, ctypes.byref(options)):
        raise Refusal(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def iterate_map(program: int, map_descriptor: int) -> bytes:
    """All that an iterator program writes with bpf_seq_write() for the elements of a map.

    Raises:
        Refusal: the kernel does not iterate.
    """
    information = (ctypes.c_uint32 * 4)(map_descriptor)  # union bpf_iter_link_info
    options = _LinkOptions(sz=ctypes.sizeof(_LinkOptions), iter_info_len=ctypes.sizeof(information))
    options.iter_info = ctypes.cast(information, ctypes.c_void_p)
    return _iterate(program, ctypes.byref(options))


def iterate(program: int) -> bytes:
    """The same for all that the iterator knows: descriptors of all tasks, sockets of this thread's network namespace.

    Raises:
        Refusal: the kernel does not iterate.
    """
    return _iterate(program, None)


def _iterate(program: int, options: Any) -> bytes:
    link = libbpf().bpf_link_create(program, 0, Kind.ITERATOR.value.attach_type, options)
    if link < 0:
        raise Refusal(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    try:
        descriptor = libbpf().bpf_iter_create(link)
        if descriptor < 0:
            raise Refusal(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        with os.fdopen(descriptor, "rb") as file:
            return file.read()
    finally:
        os.close(link)


def target_id(btf: Btf, kind: Kind, name: str) -> int | None:
    """BTF id of what a program of this kind is attached to; None if this kernel has no such thing."""
    if kind is Kind.TP_BTF:
        return btf.tracepoint_id(name)
    return btf.function_id(f"bpf_iter_{name}" if kind is Kind.ITERATOR else name)


def open_directory(path: Path) -> int:
    """Descriptor of a cgroup's directory."""
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
