"""One run of the engine, and of a bare C loop of the same calls (bench/plain), with the same work."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

from turns import Sample

from tracer.books.modes import Mode, known, mode
from tracer.machine.processes import Workers
from tracer.model import Experiment
from workloads.child.receiver import RECEIVE_BUFFER_BYTES
from workloads.child.sender import pool_messages
from workloads.child.udp import window_messages

# A loop that is stuck has lost a datagram or waits for a notification: it is to be noticed, and not waited for.
DEADLINE_S = 120
# The engine's modes that have no bare loop: kernel TLS wants a module that few machines have.
UNWRITTEN = ("ktls", "ktls-sendfile")


def compile_plain(directory: Path) -> Path:
    """The bare loops, with the engine's own flags."""
    program = directory / "plain"
    sources = sorted(map(str, (Path(__file__).parent / "plain").glob("*.c")))
    flags = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror"]
    subprocess.run(["gcc", *flags, "-o", str(program), *sources, "-luring"], check=True)
    return program


def plain_command(program: Path, loop: str, size: int, messages: int) -> list[str]:
    """Of a mode's loop, with as much memory and as much on its way as the engine's; another's has one message."""
    asked = known(loop)
    pool, window = memory_of(asked, size) if asked else (1, 0)
    return [str(program), loop, *map(str, (size, messages, RECEIVE_BUFFER_BYTES, pool, window))]


def memory_of(asked: Mode, size: int) -> tuple[int, int]:
    """Messages that the engine's sender has memory for, and of datagrams those that it keeps on their way at most."""
    order = {
        "size": size, "fields": 8, "zerocopy": asked.asks_zerocopy, "batches": asked.batches,
        "segment": asked.segment_bytes(ipv6=False),
    }  # fmt: skip
    if not asked.is_datagrams:
        return pool_messages(order), 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        return pool_messages(order), window_messages(udp.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF), order)


def plain_run(program: Path, loop: str, size: int, messages: int) -> Sample:
    """A bare loop."""
    command = plain_command(program, loop, size, messages)
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, start_new_session=True, timeout=DEADLINE_S
    )
    elapsed_ns, sender_ns, receiver_ns, count = map(int, done.stdout.split())
    return Sample((sender_ns + receiver_ns) / count, count * 8 / elapsed_ns)


def engine_run(name: str, size: int, messages: int, fields: int = 8) -> Sample:
    """One pass of a mode through the real processes, which are started for it, as the bare loop's are."""
    experiment = Experiment(mode=mode(name).name, size=size, fields=fields)
    with Workers(experiment, address="127.0.0.1") as workers:
        workers.prepare(messages, None)
        workers.release()
        done = workers.collect()
    sender, receiver = done.sender_cpu_ns.spent, done.receiver_cpu_ns and done.receiver_cpu_ns.spent
    if sender is None or receiver is None:
        raise SystemExit("the engine did not tell its CPU time")
    return Sample((sender + receiver) / done.payload_bytes, done.throughput_bytes_per_s * 8 / 1e9)
