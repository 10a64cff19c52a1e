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

from tracer.errors import EXIT_OK, Interrupted, NettraceError
from tracer.lab.resident import leave_behind
from tracer.model import Experiment
from tracer.recording import encode
from tracer.runner import record

PROGRESS = "nettrace: "


def main() -> int:
    """Do the experiment; its exit code."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        experiment = msgspec.json.decode(sys.stdin.buffer.read(), type=Experiment)
        sys.stdout.buffer.write(encode(record(experiment, _tell)))
        sys.stdout.flush()
    except NettraceError as error:
        print(error, file=sys.stderr, flush=True)
        return error.exit_code
    except KeyboardInterrupt:
        print(Interrupted("interrupted before anything was measured"), file=sys.stderr, flush=True)
        return Interrupted.exit_code
    return EXIT_OK


def prepare() -> None:
    """Load and compile what every experiment needs, and leave a process behind that has it ready."""
    from tracer.observers.functions import prepare_program

    _tell("loading BCC and compiling the probes for this kernel, once")
    prepare_program()
    leave_behind(Path(os.environ["NETTRACE_RESIDENT"]), main)


def _tell(text: str) -> None:
    print(PROGRESS + text, file=sys.stderr, flush=True)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the second one must not cut the undoing short
    raise KeyboardInterrupt


if __name__ == "__main__":
    if "NETTRACE_RESIDENT" in os.environ:
        prepare()
    status = main()
    # All is undone and written; tearing down an interpreter that holds LLVM takes an emulated processor 0.3 s.
    os._exit(status)
