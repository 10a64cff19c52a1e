"""The only door to BCC: compiles a program of bpf/, attaches it, and says what the kernel skipped.

BCC raises bare Exceptions and prints to stderr; here they become MachineError and PrivilegeError.
"""

from __future__ import annotations

import ctypes
import errno
import importlib.resources
import os
from typing import Any, Literal

from tracer.errors import MachineError, PrivilegeError
from tracer.kernel.btf import Btf, read_vmlinux
from tracer.kernel.headers import header_tree


class Program:
    """A compiled program of bpf/.

    Args:
        file_name: File in bpf/.
        defines: Become -D flags.

    Raises:
        MachineError: BCC is missing, or cannot compile.
    """

    def __init__(self, file_name: str, defines: dict[str, int | str]) -> None:
        os.environ["BCC_KERNEL_SOURCE"] = str(header_tree())  # read by BCC when it compiles
        bcc = _import_bcc()
        directory = importlib.resources.files("bpf")
        flags = [f"-D{name}={value}" for name, value in defines.items()]
        try:
            self.bpf: Any = bcc.BPF(
                text=directory.joinpath(file_name).read_text(), cflags=["-w", f"-I{directory}", *flags]
            )
        except Exception as error:
            raise MachineError(
                f"BCC cannot compile {file_name} for this kernel", str(error), "see: nettrace doctor"
            ) from error
        self._bcc = bcc
        self._functions: list[Any] = []
        self._detachers: list[Any] = []

    def attach_raw_tracepoint(self, tracepoint: str, function: str) -> None:
        """Attach a function of the program to a raw tracepoint.

        Raises:
            PrivilegeError: the kernel refuses this user.
            MachineError: this kernel has no such tracepoint.
        """
        try:
            self._functions.append(self.bpf.load_func(function, self._bcc.BPF.RAW_TRACEPOINT))
            self.bpf.attach_raw_tracepoint(tp=tracepoint, fn_name=function)
        except Exception as error:
            raise _refused(f"cannot attach to tracepoint {tracepoint}", error) from error
        self._detachers.append(lambda: self.bpf.detach_raw_tracepoint(tracepoint))

    def read_tallies(self, table: str, rows: int) -> list[tuple[int, int, int]]:
        """Sums over all CPUs of a per-CPU array of struct tally: (events, bytes, pages) a row."""
        array = self.bpf[table]
        sums = []
        for index in range(rows):
            cells = array[ctypes.c_int(index)]
            sums.append(tuple(sum(getattr(cell, field) for cell in cells) for field in ("events", "bytes", "pages")))
        return sums

    def detach(self) -> None:
        """Take all functions off their probe points; the maps stay readable."""
        while self._detachers:
            self._detachers.pop()()

    def skipped_runs(self) -> int | None:
        """Times the kernel skipped a function because it was running already on that CPU (recursion_misses).

        None where this kernel does not count it (before 5.12).
        """
        counts = [_recursion_misses(function.fd) for function in self._functions]
        known = [count for count in counts if count is not None]
        return sum(known) if len(known) == len(counts) else None

    def close(self) -> None:
        """Detach and free everything."""
        self.detach()
        self.bpf.cleanup()


def _import_bcc() -> Any:
    try:
        import bcc
    except ImportError as error:
        raise MachineError(
            "BCC's Python module cannot be imported",
            str(error),
            "apt-get install python3-bpfcc, and a virtual environment made by /usr/bin/python3 "
            "with --system-site-packages (make demo does both)",
        ) from error
    if not hasattr(bcc, "BPF"):
        raise MachineError(
            f"the Python module bcc at {bcc.__file__} is not BCC",
            "PyPI has an unrelated package of that name",
            "pip uninstall bcc; apt-get install python3-bpfcc",
        )
    return bcc


def _refused(what: str, error: Exception) -> MachineError | PrivilegeError:
    text = str(error) or type(error).__name__
    number = ctypes.get_errno() or getattr(error, "errno", 0)
    if os.geteuid() != 0 or number in (errno.EPERM, errno.EACCES):
        return PrivilegeError(what, text, "run as root, or with CAP_BPF and CAP_PERFMON; see: nettrace doctor")
    return MachineError(what, text, "see: nettrace doctor; or run in the lab: --lab")


def _recursion_misses(program: int) -> int | None:
    """The counter from struct bpf_prog_info; its place is asked from BTF, as old kernels lack it."""
    from bcc.libbcc import lib

    global _info_layout
    if _info_layout == "unread":
        btf = Btf(read_vmlinux())
        _info_layout = (btf.struct_size("bpf_prog_info"), btf.member("bpf_prog_info", "recursion_misses"))
    size, member = _info_layout
    if size is None or member is None:
        return None
    info, length = ctypes.create_string_buffer(size), ctypes.c_uint32(size)
    if lib.bpf_obj_get_info(program, info, ctypes.byref(length)) != 0 or length.value < member.offset + member.size:
        return None
    return int.from_bytes(info.raw[member.offset : member.offset + member.size], "little")


_info_layout: Any | Literal["unread"] = "unread"
