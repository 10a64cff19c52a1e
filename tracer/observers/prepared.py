"""What the process that does an experiment finds done already: nothing, but for a child of the lab's resident."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Source(NamedTuple):
    """What is compiled: a file of bpf/, flags, and generated text that follows the file's."""

    file_name: str
    flags: tuple[str, ...]
    generated: str

    @property
    def name(self) -> str:
        """The file and its variant: a list among the flags names rows, and is a part of the text."""
        return " ".join((self.file_name, *(flag for flag in self.flags if "," not in flag)))


def source_of(file_name: str, defines: Mapping[str, int | str], generated: str = "") -> Source:
    """What is compiled of a file with these -D flags."""
    return Source(file_name, tuple(f"-D{name}={value}" for name, value in defines.items()), generated)


@dataclass
class Prepared:
    """Compiled programs that wait, and how a process that ends after one experiment does it faster.

    Args:
        programs: BCC's objects by fingerprint; each is used once.
        predecessor: pidfd of the process that used the same programs before, and may still be detaching.
        ends_soon: This process ends when its answer is out. Nothing is detached then, its end detaches all: each fentry
            that goes waits for a grace period of RCU tasks, 0.1 s, and nobody need wait for twenty-four of them.
        start_worker: How a worker is started (workloads.process.Start); None for a fresh interpreter.
        missed: Programs that were prepared from another text than is wanted now.
        named: Addresses whose names BCC has read already: the kernel's own text. Modules and programs come and go.
    """

    programs: dict[str, Any] = field(default_factory=dict)
    predecessor: int | None = None
    ends_soon: bool = False
    start_worker: Callable[[int], Any] | None = None
    missed: list[str] = field(default_factory=list)
    named: range | None = None

    def take(self, fingerprint: str) -> Any | None:
        """The compiled program of this fingerprint; None where it was not prepared.

        It is remembered where another edition of it was: what compiles it has changed since.
        """
        if fingerprint in self.programs:
            return self.programs.pop(fingerprint)
        name = fingerprint.rpartition(":")[0]
        if any(other.rpartition(":")[0] == name for other in self.programs):
            self.missed.append(name)
        return None


def fingerprint_of(source: Source, *parts: str) -> str:
    """The source's name, and a hash of all that decides what comes out of a compilation.

    Plain text, so that it can be compared across an edit of this very module.
    """
    text = "\0".join((*source.flags, source.generated, *parts))
    return f"{source.name}:{hashlib.sha256(text.encode()).hexdigest()}"
