"""What the lab's two sides say to each other: an order, its answer, an error.

Apart from the sides, because whoever starts a guest needs no observers for it.
"""

from __future__ import annotations

import msgspec

from tracer.model import Experiment, Recording

PROGRESS = "nettrace: "


class Order(msgspec.Struct, frozen=True, kw_only=True, tag="experiment"):
    """An experiment that the guest is to do.

    Args:
        leaves_nothing: All probes are gone when the answer is out; else their going takes its time behind it.
    """

    experiment: Experiment
    observed: bool = True
    leaves_nothing: bool = False


class CommandOrder(msgspec.Struct, frozen=True, kw_only=True, tag="command"):
    """A command of the user's that the guest is to record, among the host's files.

    Args:
        argv: As the shell gives it, which may be any bytes.
        user: Name or number.
        cache: Directory of the host's, where compiled programs are.
        answer: File of the guest for a CommandAnswer: the standard streams are the command's.
    """

    argv: list[bytes]
    cwd: bytes
    user: str | None
    most_s: float | None
    wait: bool
    peers: bool
    profile: bool
    cache: str
    answer: str


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


class CommandAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a command: a recording, as in a file, or a failure.

    Args:
        compiled: Programs that were compiled for it: name and content of their files in the cache.
    """

    recording: bytes | None = None
    failure: Failure | None = None
    compiled: dict[str, bytes] = {}
