"""The ways to read: what the receiver does with the bytes that have come, and what that should copy. Pure.

A way is a row: the word that asks for it, what the kernel calls it, and how often it copies a byte.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tracer.errors import UsageError
from tracer.model import Stage, Workload
from tracer.texts import did_you_mean
from tracer.units import format_count


class Receive(NamedTuple):
    """A way to read from a TCP socket.

    Args:
        name: What --receive calls it, and the engine: workloads/engine/engine.h, enum engine_take.
        summary: One line for help texts.
        takes: How the bytes are taken, in the words of record (tracer/model/sockets.py, READ_WAYS).
        copies: Times that the kernel copies a byte to the reader, as long as it takes all of them so.
        told: What becomes of the bytes, as an answer says it; empty where it says that anyhow.
    """

    name: str
    summary: str
    takes: str
    copies: int
    told: str = ""

    @property
    def is_seen(self) -> bool:
        """Whether the reader gets to see the bytes, so that it can verify them."""
        return self.takes != "discard"

    @property
    def wants_pages(self) -> bool:
        """Whether whole pages alone are taken so, and the rest is copied."""
        return self.takes == "mapped"


# In the order in which help texts list them.
RECEIVES = (
    Receive("recv", "recv() into one buffer", "copy", 1),
    Receive(
        "peek", "recv(MSG_PEEK) first, then recv() of what it saw", "peek", 2,
        "The reader looked at the bytes (MSG_PEEK) before it read them",
    ),
    Receive(
        "discard", "recv(MSG_TRUNC): thrown away in the kernel", "discard", 0,
        "The reader threw the bytes away unread (MSG_TRUNC)",
    ),
    Receive(
        "splice", "splice() into a pipe, and from there to /dev/null", "splice", 0,
        "The reader passed the bytes on through a pipe (splice)",
    ),
    Receive(
        "map", "TCP_ZEROCOPY_RECEIVE: whole pages are mapped, the rest is copied", "mapped", 0,
        "The reader asked for mapped pages (TCP_ZEROCOPY_RECEIVE)",
    ),
    Receive(
        "uring", "io_uring: one multishot RECV into buffers that are provided to it", "copy", 1,
        "The reader had the bytes from one multishot RECV of io_uring",
    ),
)  # fmt: skip
RECEIVE_NAMES = tuple(one.name for one in RECEIVES)
# What a run does that is not told otherwise.
USUAL_RECEIVE = RECEIVES[0]
# Stages in which bytes come to the reader without a copy, by how they are taken.
UNCOPIED = {"splice": Stage.SPLICE_OUT, "mapped": Stage.MAP_OUT}


def receive(name: str) -> Receive:
    """The way of that name.

    Raises:
        UsageError: if there is none; suggests the nearest one.
    """
    found = next((one for one in RECEIVES if one.name == name), None)
    if found is None:
        fix = did_you_mean(name, RECEIVE_NAMES) or f"for example {USUAL_RECEIVE.name}"
        raise UsageError(f"unknown way to receive '{name}'", f"the ways are {', '.join(RECEIVE_NAMES)}", fix)
    return found


def taken_by(receive: Receive, counted: Mapping[str, int]) -> dict[str, int]:
    """What the engine counted, by how it was taken: of what was to be mapped, the rest was copied."""
    size = counted["bytes"]
    if receive.takes == "peek":
        return {"copy": size, "peek": counted["peeked_bytes"]}
    if receive.wants_pages:
        return {"copy": size - counted["mapped_bytes"], "mapped": counted["mapped_bytes"]}
    return {receive.takes: size}


def taken_in(workload: Workload, *ways: str) -> int | None:
    """Bytes that the engine took in these ways; None where that is not known, as of a receiver that is not ours."""
    if workload.taken is None:
        return None
    return sum(workload.taken.get(way, 0) for way in ways)


def peeked_bytes(workload: Workload) -> int:
    """Bytes that were copied to a reader who left them in the queue."""
    return taken_in(workload, "peek") or 0


def uncopied_bytes(workload: Workload) -> int:
    """Bytes that were taken without a copy."""
    return taken_in(workload, "discard", *UNCOPIED) or 0


def told_of_reader(name: str, copied: int | None, payload: int) -> str:
    """A sentence about a way to read that is not the usual one; empty of that.

    Args:
        copied: Bytes that were copied to the reader; None where nobody saw that.
    """
    found = next((one for one in RECEIVES if one.name == name), USUAL_RECEIVE)
    if not found.told or copied is None or not payload:
        return ""
    why = _WHY_NOT_MAPPED if found.wants_pages and copied >= payload else ""
    return f" {found.told}: {_amount(copied, payload)}{why}."


_WHY_NOT_MAPPED = "; it takes whole pages that are the packet's own, and none was"


def mapped_text(workload: Workload) -> str:
    """How the bytes came to a reader that asked for mapped pages; empty of any other."""
    mapped, copied, hinted = taken_in(workload, "mapped"), taken_in(workload, "copy"), workload.hinted_bytes
    if hinted is None or mapped is None or copied is None:
        return ""
    parts = ((mapped, "mapped"), (copied - hinted, "through the copy buffer"), (hinted, "left to recv()"))
    return ", ".join(f"{format_count(size)} B {how}" for size, how in parts)


def _amount(copied: int, payload: int) -> str:
    whole = {0: "no byte was copied to it", payload: "every byte was copied to it once"}
    twice = {2 * payload: "every byte was copied to it twice"}
    some = f"{format_count(copied)} of {format_count(payload)} B were copied to it"
    return {**whole, **twice}.get(copied, some)
