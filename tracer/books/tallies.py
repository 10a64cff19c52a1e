"""Arithmetic on tallies that keeps the unknown unknown. Pure."""

from __future__ import annotations

from tracer.model import Observation, Tally


def total(*amounts: int | None) -> int | None:
    """Sum; None if any part is unknown."""
    known = [amount for amount in amounts if amount is not None]
    return sum(known) if len(known) == len(amounts) else None


def difference(whole: int | None, part: int | None) -> int | None:
    """What is left of whole without part, never below 0; None if either is unknown."""
    return None if whole is None or part is None else max(0, whole - part)


def bytes_at(observation: Observation, *points: str) -> int | None:
    """Bytes of several probe points together; None if one of them was not attached."""
    return total(*(_tally(observation, point, "bytes") for point in points))


def events_at(observation: Observation, *points: str) -> int | None:
    """Events of several probe points together; None if one of them was not attached."""
    return total(*(_tally(observation, point, "events") for point in points))


def pages_at(observation: Observation, *points: str) -> int | None:
    """Page references of several probe points together; None if one was not attached or counts none."""
    return total(*(_tally(observation, point, "pages") for point in points))


def _tally(observation: Observation, point: str, quantity: str) -> int | None:
    tally: Tally | None = observation.tallies.get(point)
    return None if tally is None else getattr(tally, quantity)
