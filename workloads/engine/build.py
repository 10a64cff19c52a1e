"""Compiles the engine into workloads.engine._engine (cffi, out-of-line API mode).

`pip install -e .` runs this through setup.py; by hand: `python setup.py build_ext --inplace`.
"""

from __future__ import annotations

from pathlib import Path

import cffi

ROOT = Path(__file__).resolve().parents[2]
SOURCES = (
    "engine.c",
    "pool.c",
    "sender.c",
    "calls.c",
    "completions.c",
    "ring.c",
    "ring_sends.c",
    "ring_takes.c",
    "receiver.c",
    "takes.c",
    "datagrams.c",
)
HEADERS = ("engine.h", "internal.h", "ring.h")

# cffi's own wrappers leave parameters unused; the pragmas are in its file alone, the engine's files get no mercy.
GENERATED_FILE_PROLOGUE = """
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#include <sched.h>
#include <sys/prctl.h>
#include "engine.h"
"""

# What a worker needs of libc and Python 3.11 lacks; ctypes would cost each worker 10 ms.
LIBC = """
int setns(int fd, int nstype);
int prctl(int option, ...);
int unshare(int flags);
#define CLONE_NEWNET ...
#define CLONE_FILES ...
#define PR_SET_PDEATHSIG ...
#define PR_SET_DUMPABLE ...
"""


def declarations() -> str:
    """The part of engine.h that cffi reads: it knows no preprocessor."""
    header = (ROOT / "workloads/engine/engine.h").read_text()
    return header.partition("/* cffi begin */")[2].partition("/* cffi end */")[0]


def relative(name: str) -> str:
    """The path from where setup.py is, which setuptools insists on."""
    return f"workloads/engine/{name}"


ffibuilder = cffi.FFI()
ffibuilder.cdef(declarations() + LIBC)
ffibuilder.set_source(
    "workloads.engine._engine",
    GENERATED_FILE_PROLOGUE,
    sources=[relative(name) for name in SOURCES],
    depends=[relative(name) for name in HEADERS],
    include_dirs=["workloads/engine"],
    extra_compile_args=["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror"],
)
