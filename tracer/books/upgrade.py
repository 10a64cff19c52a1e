"""Recordings of earlier versions in the words of this one: behind the reading of a file nobody knows them. Pure."""

from __future__ import annotations

import msgspec

from tracer.books.tallies import bytes_at
from tracer.books.tracepoint_rows import Point, SkbState, tally_name
from tracer.model import Observation, Recording, Tally

# What TCP's tracepoint saw sent again, before sequence numbers told it.
_RETRANSMIT = "tcp_retransmit_skb"


def upgraded(recording: Recording) -> Recording:
    """The same recording."""
    again = recording.observed.retransmitted_bytes if recording.observed else None
    observations = [_observation(one, again) for one in recording.observations]
    return msgspec.structs.replace(recording, observations=observations)


def _observation(observation: Observation, retransmitted: int | None) -> Observation:
    names = {f"{_RETRANSMIT}:{state}": tally_name(Point.AGAIN, state) for state in SkbState}
    if observation.observer != "tracepoints" or not names.keys() & observation.tallies.keys():
        return observation
    # It saw attempts: where TCP counts others, which packets left IP again is not known.
    known = sum(bytes_at(observation, name) or 0 for name in names) == retransmitted
    tallies: dict[str, Tally] = {}
    for name, tally in observation.tallies.items():
        if name not in names:
            tallies[name] = tally
        elif known:
            tallies[names[name]] = tally
    return msgspec.structs.replace(observation, tallies=tallies)
