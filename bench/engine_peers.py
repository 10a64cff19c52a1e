"""The engine's loop beside other people's of the same way: CPU time a byte, over loopback, taking turns in one run.

No budget: the loops differ in what they take care of, which stands below the table. How they take turns, and what is
compared: bench/turns.py. The two that are written anew are loops of bench/plain, and their bytes are read as ours are.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from iperf3 import iperf3_run
from loops import compile_plain, engine_run, plain_run
from rich.console import Console
from rich.table import Table
from turns import Sample, cpu_ns, describe_stall, processor_stall_us, ratio, take_turns

SIZES = (4096, 16384, 65536)
WORK_BYTES, MOST_MESSAGES = 192 << 20, 40_000
ENGINE, PEER = "engine", "peer"
Run = Callable[[Path, int, int], Sample]


class Peer(NamedTuple):
    """Somebody's loop.

    Args:
        run: By the program of the bare loops, a message's size, and their number.
        differs: From the engine's.
        fields: That the engine's message consists of.
        needs: A command that must be there.
    """

    mode: str
    name: str
    run: Run
    differs: str
    fields: int = 8
    needs: str = "gcc"


def _anew(loop: str) -> Run:
    return lambda program, size, messages: plain_run(program, loop, size, messages)


_SELFTEST = (
    "one buffer, sent again while the kernel still refers to it: it never waits for a notification, and reads them "
    "when the socket is full; a poll() and a look at the clock after each call"
)
PEERS = (
    Peer(
        "sendfile", "iperf3 -Z", lambda _, size, messages: iperf3_run(size, messages, "-Z"),
        "a file on disk, of as many bytes; select() and non-blocking sockets, a look at the clock each time; reads as "
        "many bytes a call as it sends, the engine's reader 64 KiB; its CPU time is by its own account",
        needs="iperf3",
    ),
    Peer("zerocopy", "kernel's msg_zerocopy.c", _anew("selftest"), _SELFTEST),
    Peer("zerocopy", "kernel's msg_zerocopy.c", _anew("selftest"), _SELFTEST, fields=1),
    Peer(
        "uring-zerocopy-fixed", "liburing's send-zerocopy.c", _anew("liburing-example"),
        "8 requests a system call instead of 1, all of one buffer, sent again while the kernel still refers to it; a "
        "registered socket and ring; no report of what was copied",
    ),
)  # fmt: skip


def add_row(table: Table, peer: Peer, size: int, program: Path, repetitions: int) -> None:
    """One peer at one size."""
    messages = min(MOST_MESSAGES, WORK_BYTES // size)
    contestants: dict[str, Callable[[], Sample]] = {
        ENGINE: lambda: engine_run(peer.mode, size, messages, peer.fields),
        PEER: lambda: peer.run(program, size, messages),
    }
    samples = take_turns(contestants, repetitions)
    cells = [f"{cpu_ns(samples, name) * 1024:,.0f}" for name in (ENGINE, PEER)]
    ratios = [str(ratio(samples, ENGINE, PEER, of)) for of in ("cpu_ns", "speed")]
    table.add_row(peer.mode, str(peer.fields), peer.name, f"{size:,}", *cells, *ratios)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=25)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    given = parser.parse_args()
    title = f"Beside other loops, {given.repetitions} repetitions; median of the ratios [95 % interval]"
    table = Table(title=title)
    for heading in (
        "mode", "fields", "beside", "message B", "engine ns/KiB", "its ns/KiB", "engine / it, CPU", "engine / it, Gb/s",
    ):  # fmt: skip
        table.add_column(heading, justify="left" if heading in ("mode", "beside") else "right")
    stall, began = processor_stall_us(), time.monotonic()
    there = [peer for peer in PEERS if shutil.which(peer.needs)]
    with tempfile.TemporaryDirectory() as directory:
        program = compile_plain(Path(directory))
        for peer in there:
            for size in given.sizes:
                add_row(table, peer, size, program, given.repetitions)
    table.caption = f"CPU time of both sides; C loops are written anew{describe_stall(stall, began)}"
    console = Console(width=150)
    console.print(table)
    for name, differs in {peer.name: peer.differs for peer in there}.items():
        console.print(f"what {name} does differently: {differs}")
    for peer in set(PEERS) - set(there):
        console.print(f"{peer.name}: n/a, {peer.needs} is not installed")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
