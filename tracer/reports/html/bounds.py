"""How much of a recording a page shows: strings cut, long lists cut, the rarest stacks together. Pure.

A recording may come from anybody: a page of it must be small, and say nothing that a reader did not ask a program for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, TypeVar

import msgspec

from tracer.model import CpuProfile, Observation, Recording, Stack
from tracer.model.socket_recording import Sample, SocketRecording
from tracer.texts import printable, shortened

# Characters of a string, and of a name of a member; members of a list that is no list of sockets.
_MOST_CHARACTERS, _MOST_IN_NAME, _MOST_MEMBERS = 400, 4000, 400
# Sockets are cut later: what is left out of their table is still counted.
_SOCKETS = ("sockets", "peers")
# ADDRESS:PORT, and the most that one may hold.
_ENDS, _MOST_IN_END = ("local", "peer"), 80
# Bytes of a profile's stacks, and moments of a recording: a picture has no room for more.
STACK_BYTES, MOMENTS = 80_000, 240
OTHER_STACKS = "other stacks"

Some = TypeVar("Some", Recording, SocketRecording)


def bounded(recording: Some) -> Some:
    """The same recording, with nothing in it that is too long to be shown; its sockets are all there."""
    parts: dict[str, Any] = {}
    if recording.profile is not None:
        parts["profile"] = _fewer_stacks(recording.profile)
    if isinstance(recording, SocketRecording):
        parts["samples"] = _fewer_moments(recording.samples)
    else:
        parts["observations"] = [_heaviest_stacks(one) for one in recording.observations]
    whole = msgspec.structs.replace(recording, **parts)
    return msgspec.convert(
        _cut(msgspec.to_builtins(whole)), Recording if isinstance(recording, Recording) else SocketRecording
    )


def _cut(value: Any) -> Any:
    if isinstance(value, str):
        return shortened(printable(value[: 4 * _MOST_CHARACTERS]), _MOST_CHARACTERS)
    if isinstance(value, list | tuple):
        return [_cut(one) for one in value[:_MOST_MEMBERS]]
    if isinstance(value, dict):
        return {_name(name): _member(name, one) for name, one in islice(value.items(), 10 * _MOST_MEMBERS)}
    return value


def _name(name: str) -> str:
    if len(name) <= _MOST_IN_NAME and name.isprintable():
        return name
    return shortened(printable(name[: 2 * _MOST_IN_NAME]), _MOST_IN_NAME)


def _member(name: str, value: Any) -> Any:
    if name in _ENDS and isinstance(value, str):
        return shortened(printable(value[:_MOST_IN_END]), _MOST_IN_END)
    return [_cut(one) for one in value] if name in _SOCKETS and isinstance(value, list) else _cut(value)


def _fewer_stacks(profile: CpuProfile) -> CpuProfile:
    """Those with most samples, as many as there is room for; the others' samples together."""
    return msgspec.structs.replace(profile, folded=fewer_stacks(profile.folded))


def fewer_stacks(folded: Mapping[str, int]) -> dict[str, int]:
    """Stacks in so many bytes; no sample is lost."""
    kept: dict[str, int] = {}
    room, others = STACK_BYTES, 0
    for stack, value in sorted(folded.items(), key=lambda item: -item[1]):
        if len(stack) > min(room, _MOST_IN_NAME):
            others += value
            continue
        room -= len(stack) + 8
        kept[stack] = value
    return kept | ({OTHER_STACKS: others} if others else {})


def _heaviest_stacks(observation: Observation) -> Observation:
    """Of each place as many as there is room for: a ledger tells them once more."""
    room = STACK_BYTES // 2 // max(1, len(observation.stacks))
    kept = {point: list(_within(stacks, room)) for point, stacks in observation.stacks.items()}
    return msgspec.structs.replace(observation, stacks=kept)


def _within(stacks: list[Stack], room: int) -> Iterator[Stack]:
    for stack in sorted(stacks, key=lambda one: -one.bytes):
        room -= sum(len(frame) + 3 for frame in stack.frames)
        if room < 0:
            return
        yield stack


def _fewer_moments(samples: list[Sample]) -> list[Sample]:
    """Some of them, equally far apart, the last one among them: they hold totals, so that none is lost."""
    step = -(-len(samples) // MOMENTS) or 1
    return samples[::-1][::step][::-1]
