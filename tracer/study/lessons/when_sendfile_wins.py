"""Lesson 4: when sendfile() wins."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tracer.books.walk import walk_of_sockets
from tracer.errors import MachineError
from tracer.machine.commands import User
from tracer.model.socket_recording import SocketRecording
from tracer.runs.command import record_command
from tracer.runs.subjects.command import Order
from tracer.study.intervals import Interval, ratio_of, repetitions_for, side_of_one
from tracer.study.lessons.lesson import Answer, Lesson, Note, Trial
from tracer.study.lessons.of_workloads import steps_of
from tracer.units import format_ratio, format_size

PROGRAM = Path(__file__).parent / "file_sender.py"
SMALL, LARGE = 4 << 10, 4 << 20
_ROUNDS = 3 * repetitions_for(2)
_DEADLINE_S = 120
_WATCHED_ROUNDS = 1


def _watched(way: str) -> Trial:
    """Where the bytes are copied, as record sees it."""
    words = [sys.executable, str(PROGRAM), way, str(LARGE), str(_WATCHED_ROUNDS)]

    def measure(_: Note) -> SocketRecording:
        # What a recording tells of itself while it is made is for who records.
        return record_command(Order(words, user=User.invoking()), lambda _: None)

    return Trial(f"nettrace record -- python3 {PROGRAM} {way} {LARGE} {_WATCHED_ROUNDS}", measure, _steps)


def _steps(recording: SocketRecording) -> list[str]:
    return steps_of(walk_of_sockets(recording))


def _timed(size: int) -> Trial:
    """What it costs, unwatched, in turns."""
    words = [sys.executable, str(PROGRAM), "both", str(size), str(_ROUNDS)]

    def measure(_: Note) -> Interval | None:
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=_DEADLINE_S)
        if done.returncode:
            raise MachineError("the lesson's program failed", done.stderr.strip()[-200:], "run it by itself")
        found: dict[str, list[float]] = json.loads(done.stdout)
        return ratio(found)

    return Trial(f"python3 {PROGRAM} both {size} {_ROUNDS}", measure, lambda one: [_told(one, size)])


def ratio(found: dict[str, list[float]]) -> Interval | None:
    """CPU time a byte of sendfile over that of send, paired by round; one of two comparisons."""
    series = {way: dict(enumerate(values)) for way, values in found.items()}
    return ratio_of(series["sendfile"], series["send"], comparisons=2)


def _told(found: Interval | None, size: int) -> str:
    return (
        f"file of {format_size(size)}: the sender's CPU time by sendfile is {found or 'n/a'} of that by read and send"
    )


def answer_of(found: list[Any]) -> Answer:
    """At which of the sizes sendfile costs the sender less."""
    sent, spliced, small, large = found
    sides = side_of_one(small), side_of_one(large)
    by_send, by_sendfile = (format_ratio(_copied_by_sender(one)) for one in (sent, spliced))
    sentence = f"Sending copied each byte {by_send}x with send, {by_sendfile}x with sendfile. "
    sentence += " ".join(f"{_verdict(side, size)}" for side, size in zip(sides, (SMALL, LARGE), strict=True))
    names = {(-1, -1): "both", (1, -1): "large", (0, -1): "large", (-1, 0): "small", (-1, 1): "small"}
    return Answer(None if None in sides else names.get((sides[0] or 0, sides[1] or 0), "neither"), sentence)


def _copied_by_sender(recording: SocketRecording) -> float | None:
    """Times that the send calls copied each byte; None where that was not observed."""
    walk = walk_of_sockets(recording)
    copied = walk.taken("copy-in").bytes
    return copied / walk.payload if copied is not None and walk.payload else None


def _verdict(side: int | None, size: int) -> str:
    words = {-1: "sendfile costs the sender less", 1: "sendfile costs the sender more", 0: "there is no difference"}
    told = words[side] + (" beyond noise" if side == 0 else "") if side is not None else "nothing can be told"
    return f"At {format_size(size)} {told}."


LESSON = Lesson(
    title="when sendfile() wins",
    about=f"A Python program sends a file to another program on this machine: it reads the file and calls send(), or "
    f"it calls sendfile(), which reads nothing. It does so with a file of {format_size(SMALL)} and one of "
    f"{format_size(LARGE)}, over and over.",
    question="With which file does sendfile() cost the sender less CPU time than reading and sending?",
    choices={"both": "with both", "large": "with the large one alone", "small": "with the small one alone",
             "neither": "with neither"},
    trials=(_watched("send"), _watched("sendfile"), _timed(SMALL), _timed(LARGE)),
    answer=answer_of,
    words=("copy-in", "splice-in"),
    onwards=("nettrace explain splice-in", "nettrace explain --lesson 5"),
)  # fmt: skip
