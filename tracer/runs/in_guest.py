"""The lab's side in the guest: an experiment in JSON on standard input, an answer in JSON on standard output.

Progress goes to standard error, line by line.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import Any

import msgspec

from tracer.errors import EXIT_OK, Interrupted, NettraceError
from tracer.model import Experiment, Recording
from tracer.observers.prepared import Prepared
from tracer.runs.runner import record

PROGRESS = "nettrace: "


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What the guest is to do."""

    experiment: Experiment
    observed: bool = True


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """An error as it was raised in the guest.

    Args:
        kind: Name of a class of tracer.errors.
    """

    kind: str
    what: str
    why: str
    fix: str


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came of an order: a recording or a failure.

    Args:
        outdated: Programs of bpf/ that had been compiled from another text than this run wanted.
    """

    recording: Recording | None = None
    failure: Failure | None = None
    outdated: list[str] = []


_ORDERS = msgspec.json.Decoder(Order)
_ANSWERS = msgspec.json.Encoder()


def do(order: bytes, programs: dict[str, Any], predecessor: int | None) -> int:
    """In a fork of the resident, which ends right after: see tracer.runs.warm."""
    from workloads.forked import ForkedWorker

    decoded = _ORDERS.decode(order)
    return main(
        decoded,
        Prepared(
            programs=programs,
            predecessor=predecessor,
            ends_soon=not decoded.experiment.profile,
            start_worker=ForkedWorker,
        ),
    )


def main(order: Order, prepared: Prepared) -> int:
    """Do the experiment and answer; the exit code."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        recording = record(order.experiment, _tell, observed=order.observed, prepared=prepared)
        answer, status = Answer(recording=recording, outdated=prepared.missed), EXIT_OK
    except NettraceError as error:
        answer, status = Answer(failure=_failure(error)), error.exit_code
    except KeyboardInterrupt:
        interrupted = Interrupted("interrupted before anything was measured", fix="run it again")
        answer, status = Answer(failure=_failure(interrupted)), interrupted.exit_code
    sys.stdout.buffer.write(_ANSWERS.encode(answer))
    sys.stdout.flush()
    return status


def _failure(error: NettraceError) -> Failure:
    return Failure(kind=type(error).__name__, what=error.what, why=error.why, fix=error.fix)


def warm_up() -> None:
    """What each run would load by itself, ten times slower."""
    import importlib.metadata

    import workloads.forked  # noqa: F401

    importlib.metadata.version("nettrace-copies")


def _tell(text: str) -> None:
    print(PROGRESS + text, file=sys.stderr, flush=True)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the second one must not cut the undoing short
    raise KeyboardInterrupt


if __name__ == "__main__":
    # Nobody waits in this guest: all is loaded and compiled for this one run.
    code = main(_ORDERS.decode(sys.stdin.buffer.read().partition(b"\n")[0]), Prepared())
    os._exit(code)
