"""Experiments in a lab's guest whose functions are probed by kprobes, though it could do fentry as well."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tracer.lab.guest import Guest, least_environment
from tracer.model import Experiment, Recording
from tracer.runs.orders import Answer, Order

ROOT = Path(__file__).parents[1]

# As the lab's resident does it: what is compiled once serves a fork for each.
_CODE = """
import os, sys, msgspec
import tracer.runs.in_guest as inside, tracer.observers.functions as functions, tracer.observers.kprobes as kprobes
from tracer.observers.prepared import Prepared
from workloads.forked import ForkedWorker
text = functions.KernelText.of_running_kernel(allow_fentry=False)
functions.KernelText.of_running_kernel = lambda: text
programs, last = {}, None
functions.prepare_program(programs)
for line in sys.stdin.buffer.read().splitlines():
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


def record_by_kprobes(guest: Guest, asked: Sequence[tuple[int | None, Experiment]]) -> tuple[list[Recording], str]:
    """One after the other; and the trace events that are left in a guest whose processes leave them to the kernel.

    Args:
        asked: Instances of each return probe, None for as many as nettrace takes, and what is done.
    """
    said = bytearray()
    orders = (msgspec.json.encode((instances, Order(experiment=experiment))) for instances, experiment in asked)
    guest.run(
        [sys.executable, "-c", _CODE], ROOT, least_environment() | {"NETTRACE_LAB": "yes"},
        stdin=b"\n".join(orders), stdout=said.extend,
    )  # fmt: skip
    *lines, events = bytes(said).split(b"\n", len(asked))
    recordings = [msgspec.json.decode(line, type=Answer).recording for line in lines]
    return [one for one in recordings if one is not None], events.decode()
