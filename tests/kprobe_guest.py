"""Experiments in a lab's guest whose functions are probed by kprobes, though it could do fentry as well."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tracer.lab.guest import Guest, least_environment
from tracer.model import Experiment, Recording
from tracer.observers import for_guests
from tracer.runs.orders import Answer, Order

ROOT = Path(__file__).parents[1]

# As the lab's resident does it: what is compiled once, here with the guest's headers, serves a fork for each.
_BY_KPROBES = """
import os, sys, msgspec
import tracer.observers.functions as functions, tracer.observers.kprobes as kprobes
from tracer.observers import for_guests
text = functions.KernelText.of_running_kernel(allow_fentry=False)
functions.KernelText.of_running_kernel = lambda: text
"""
_ASK = _BY_KPROBES + "sys.stdout.buffer.write(for_guests.asked())"
_DO = (
    _BY_KPROBES
    + """
import tracer.runs.in_guest as inside
from tracer.observers.prepared import Prepared
from workloads.forked import ForkedWorker
compiled, *lines = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=list[bytes])
for_guests.keep(compiled)
programs, last = {}, None
functions.prepare_program(programs)
for line in lines:
    instances, order = msgspec.json.decode(line, type=tuple[int | None, inside.Order])
    child = os.fork()
    if child == 0:
        kprobes.MAX_ACTIVE = instances or kprobes.MAX_ACTIVE
        prepared = Prepared(programs=programs, predecessor=last, ends_soon=True, start_worker=ForkedWorker)
        os._exit(inside.main(order, prepared))
    last = os.pidfd_open(child)
    os.waitpid(child, 0)
    print(flush=True)
print(open("/sys/kernel/tracing/kprobe_events").read(), end="")
"""
)


def record_by_kprobes(guest: Guest, asked: Sequence[tuple[int | None, Experiment]]) -> tuple[list[Recording], str]:
    """One after the other; and the trace events that are left in a guest whose processes leave them to the kernel.

    Args:
        asked: Instances of each return probe, None for as many as nettrace takes, and what is done.
    """
    orders = [msgspec.json.encode((instances, Order(experiment=experiment))) for instances, experiment in asked]
    compiled = for_guests.compiled(_said(guest, _ASK), 1)
    said = _said(guest, _DO, msgspec.msgpack.encode([compiled, *orders]))
    *lines, events = said.split(b"\n", len(asked))
    recordings = [msgspec.json.decode(line, type=Answer).recording for line in lines]
    return [one for one in recordings if one is not None], events.decode()


def _said(guest: Guest, code: str, told: bytes = b"") -> bytes:
    """What the code prints in the guest."""
    said = bytearray()
    environment = least_environment() | {"NETTRACE_LAB": "yes"}
    guest.run([sys.executable, "-c", code], ROOT, environment, stdin=told, stdout=said.extend)
    return bytes(said)
