"""Recordings of earlier versions in the words of this one: behind the reading of a file nobody knows them. Pure."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from tracer.books.tallies import bytes_at
from tracer.books.tracepoint_rows import Point, SkbState, tally_name
from tracer.model import SCHEMA, Observation, Recording, Tally

SCHEMA_1: Literal["nettrace.recording/1"] = "nettrace.recording/1"
# What TCP's tracepoint saw sent again, before sequence numbers told it.
_RETRANSMIT = "tcp_retransmit_skb"


def upgraded_envelope(envelope: dict[str, Any]) -> dict[str, Any]:
    """A document of version 1, which was of a workload and did not say so: its sockets stood with their observer."""
    observations = envelope.get("observations")
    found = [one for one in observations if isinstance(one, dict)] if isinstance(observations, list) else []
    asked = envelope.get("experiment")
    mode = asked.get("mode") if isinstance(asked, dict) else None
    return {
        **envelope,
        "schema": SCHEMA,
        "subject": {
            "kind": "workload", "argv": ["nettrace", "run", str(mode)], "pids": [], "exit_status": None, "user": None,
        },
        "sockets": [socket for one in found for socket in one.get("sockets") or []],
    }  # fmt: skip


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
