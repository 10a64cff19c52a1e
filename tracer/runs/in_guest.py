"""The lab's side in the guest: an order in JSON on standard input, an answer in JSON on standard output.

Progress goes to standard error, line by line. A command that is recorded has the standard streams for itself: there the
answer is a file.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from tracer.books.socket_file import encode_sockets
from tracer.errors import EXIT_OK, Interrupted, MachineError, NettraceError
from tracer.lab.agent import SEEN, move_to_host_files
from tracer.lab.guest import least_environment
from tracer.model.socket_recording import SocketRecording
from tracer.observers import image_cache
from tracer.observers.prepared import Prepared
from tracer.runs.orders import PROGRESS, Answer, CommandAnswer, CommandOrder, Failure, Order
from tracer.runs.runner import record

_ORDERS: msgspec.json.Decoder[Order | CommandOrder] = msgspec.json.Decoder(Order | CommandOrder)
_ANSWERS = msgspec.json.Encoder()

Made = TypeVar("Made")


def do(order: bytes, programs: dict[str, Any], predecessor: int | None, named: range | None) -> int:
    """In a fork of the resident, which ends right after: see tracer.runs.warm."""
    from workloads.forked import ForkedWorker

    decoded = _ORDERS.decode(order)
    if isinstance(decoded, CommandOrder):
        return record_command(decoded)
    return main(
        decoded,
        Prepared(
            programs=programs,
            predecessor=predecessor,
            ends_soon=not (decoded.experiment.profile or decoded.leaves_nothing),
            start_worker=ForkedWorker,
            named=named,
        ),
    )


def main(order: Order, prepared: Prepared) -> int:
    """Do the experiment and answer; the exit code."""
    done = _attempt(lambda: record(order.experiment, _tell, observed=order.observed, prepared=prepared))
    answer = Answer(recording=done.recording, failure=done.failure, outdated=prepared.missed if done.recording else [])
    sys.stdout.buffer.write(_ANSWERS.encode(answer))
    sys.stdout.flush()
    return done.status


def record_command(order: CommandOrder) -> int:
    """Record the command and answer; the exit code, which is not the command's: the recording holds that."""
    _enter_host_files(order)
    before = image_cache.names()
    done = _attempt(lambda: encode_sockets(_recorded(order)))
    made = {name: (image_cache.directory() / name).read_bytes() for name in image_cache.names() - before}
    answer = CommandAnswer(recording=done.recording, failure=done.failure, compiled=made)
    Path(order.answer).write_bytes(_ANSWERS.encode(answer))
    return done.status


class _Done(NamedTuple, Generic[Made]):
    recording: Made | None
    failure: Failure | None
    status: int


def _attempt(make: Callable[[], Made]) -> _Done[Made]:
    """The recording, or why there is none, and the exit code."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        return _Done(make(), None, EXIT_OK)
    except NettraceError as error:
        failed = error
    except KeyboardInterrupt:
        failed = Interrupted("interrupted before anything was measured", fix="run it again")
    failure = Failure(kind=type(failed).__name__, what=failed.what, why=failed.why, fix=failed.fix)
    return _Done(None, failure, failed.exit_code)


def _enter_host_files(order: CommandOrder) -> None:
    """The command sees the host's files, and an environment of its own."""
    if Path(SEEN).is_mount():
        move_to_host_files()
    os.environ.clear()
    os.environ.update(least_environment(), XDG_CACHE_HOME=order.cache, NETTRACE_LAB="yes")


def _recorded(order: CommandOrder) -> SocketRecording:
    from tracer.machine.commands import User
    from tracer.runs import command
    from tracer.runs.subjects.command import Order as Asked

    try:
        os.chdir(order.cwd)
    except OSError as error:
        what = f"the lab's guest has no directory {os.fsdecode(order.cwd)}"
        raise MachineError(what, "it has a /run, /dev and /proc of its own", "start it in another directory") from error
    user = User.named(order.user) if order.user is not None else None
    argv = [os.fsdecode(word) for word in order.argv]
    asked = Asked(argv, user, order.most_s, order.wait, order.peers, order.profile, ends_soon=True)
    return command.record_command(asked, _tell)


def warm_up() -> None:
    """What each run would load by itself, ten times slower."""
    import importlib.metadata

    import workloads.forked  # noqa: F401

    importlib.metadata.version("nettrace-copies")


def _tell(text: str) -> None:
    print(PROGRESS + text, file=sys.stderr, flush=True)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    # The second one must not cut the undoing short.
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    raise KeyboardInterrupt


if __name__ == "__main__":
    # Nobody waits in this guest: all is loaded and compiled for this one run.
    given = _ORDERS.decode(sys.stdin.buffer.read().partition(b"\n")[0])
    os._exit(record_command(given) if isinstance(given, CommandOrder) else main(given, Prepared()))
