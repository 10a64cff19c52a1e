"""The lab's side in the guest: an experiment in JSON on standard input, its recording in JSON on standard output.

Progress and errors go to standard error and the exit code is `nettrace run`'s, so that the host can pass them on.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import FrameType

import msgspec

from tracer.books.recording import encode
from tracer.errors import EXIT_OK, Interrupted, NettraceError
from tracer.lab.agent import hand_over
from tracer.lab.resident import leave_behind
from tracer.model import Experiment, ObserverChoice
from tracer.observers.program import leave_to_the_kernel, wait_for_predecessor
from tracer.runs.runner import record
from workloads.process import Start, start_python

PROGRESS = "nettrace: "


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What the guest is to do."""

    experiment: Experiment
    observed: bool = True


def main(*, ends_soon: bool = False, start: Start = start_python) -> int:
    """Do the experiment; its exit code.

    Args:
        ends_soon: This process ends right after, and nobody waits for that.
        start: How a worker's process is started.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)
        if ends_soon and not order.experiment.profile:
            leave_to_the_kernel()
        recording = record(order.experiment, _tell, observed=order.observed, start=start)
        sys.stdout.buffer.write(encode(recording))
        sys.stdout.flush()
    except NettraceError as error:
        print(error, file=sys.stderr, flush=True)
        return error.exit_code
    except KeyboardInterrupt:
        print(Interrupted("interrupted before anything was measured"), file=sys.stderr, flush=True)
        return Interrupted.exit_code
    return EXIT_OK


def succeed(predecessor: int | None) -> int:
    """Do the experiment in a child of the resident, which ends right after."""
    from workloads.forked import ForkedWorker

    wait_for_predecessor(predecessor)
    return main(ends_soon=True, start=ForkedWorker)


def prepare(address: str) -> int | None:
    """Load and compile what experiments need, in a process that stays and does the first one, too; its exit code."""
    import workloads.forked  # noqa: F401  the children have it then
    from tracer.observers import functions, tracepoints
    from tracer.observers.choice import why_no_functions

    _tell("loading BCC and compiling the probes for this kernel, once")
    why_no_functions()  # remembers the answer
    functions.prepare_program()
    if address.endswith(ObserverChoice.ALL):
        tracepoints.prepare_program()
    leave_behind(Path(address), succeed)
    return hand_over(address.encode())


def _tell(text: str) -> None:
    print(PROGRESS + text, file=sys.stderr, flush=True)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the second one must not cut the undoing short
    raise KeyboardInterrupt


if __name__ == "__main__":
    status = prepare(os.environ["NETTRACE_RESIDENT"]) if "NETTRACE_RESIDENT" in os.environ else None
    if status is None:
        status = main()
    # All is undone and written; tearing down an interpreter that holds LLVM takes an emulated processor 0.3 s.
    os._exit(status)
