"""Runs a command on a machine that lacks something: `python without.py huge-pages|io_uring COMMAND...`.

As a container does: io_uring_setup() is refused by a seccomp filter, with EPERM; and madvise() makes no huge pages for
who has said that he wants none (PR_SET_THP_DISABLE). What the command starts lacks it too.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys

# linux/prctl.h, linux/seccomp.h
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, PR_SET_THP_DISABLE = 22, 38, 41
SECCOMP_MODE_FILTER, SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO = 2, 0x7FFF0000, 0x00050000
IO_URING_SETUP, EPERM = 425, 1
# struct sock_filter: code, jump if true, jump if false, k. The first word of struct seccomp_data is the call's number.
FILTER = (
    (0x20, 0, 0, 0),
    (0x15, 0, 1, IO_URING_SETUP),
    (0x06, 0, 0, SECCOMP_RET_ERRNO | EPERM),
    (0x06, 0, 0, SECCOMP_RET_ALLOW),
)

libc = ctypes.CDLL(None, use_errno=True)


def control(option: int, *values: object) -> None:
    """prctl(2)."""
    if libc.prctl(option, *values, *([0] * (4 - len(values)))):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def refuse_io_uring() -> None:
    """No program that is run from now on has more than this one."""
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *one) for one in FILTER))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(FILTER), ctypes.addressof(code)))
    control(PR_SET_NO_NEW_PRIVS, 1)
    control(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program)


if __name__ == "__main__":
    what, *command = sys.argv[1:]
    if what == "io_uring":
        refuse_io_uring()
    else:
        control(PR_SET_THP_DISABLE, 1)
    os.execvp(command[0], command)
