"""An experiment in a lab's guest whose functions are probed by kprobes, though it could do fentry as well."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from tracer.lab.guest import Guest, least_environment
from tracer.model import Experiment, Recording
from tracer.runs.orders import Answer, Order

ROOT = Path(__file__).parents[1]

_CODE = """
import sys, msgspec
import tracer.runs.in_guest as inside, tracer.observers.functions as functions, tracer.observers.kprobes as kprobes
from tracer.observers.prepared import Prepared
kprobes.MAX_ACTIVE = {instances} or kprobes.MAX_ACTIVE
text = functions.KernelText.of_running_kernel(allow_fentry=False)
functions.KernelText.of_running_kernel = lambda: text
order = msgspec.json.decode(sys.stdin.buffer.read(), type=inside.Order)
raise SystemExit(inside.main(order, Prepared(ends_soon=True)))
"""


def record_by_kprobes(experiment: Experiment, guest: Guest, *, instances: int | None = None) -> Recording:
    """With fewer instances of each return probe, if told so."""
    said = bytearray()
    guest.run(
        [sys.executable, "-c", _CODE.format(instances=instances)], ROOT, least_environment() | {"NETTRACE_LAB": "yes"},
        stdin=msgspec.json.encode(Order(experiment=experiment)), stdout=said.extend,
    )  # fmt: skip
    recording = msgspec.json.decode(bytes(said), type=Answer).recording
    assert recording is not None
    return recording
