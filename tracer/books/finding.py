"""What a rule is: evidence, and the words that it fills. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from tracer.model.socket_recording import Finding, SocketRecording

Figures = dict[str, int | str]


class Rule(NamedTuple):
    """Something that an expert would say, once for each piece of evidence.

    Args:
        evidence: Figures that show it; none where they show the contrary, and none where nobody knows.
        sentence: What is so, with figures. why and fix: the reason, and what to do. All three are filled with the
            evidence, by str.format. What is inferred says "probably".
    """

    code: str
    evidence: Callable[[SocketRecording], Iterable[Figures]]
    sentence: str
    why: str
    fix: str

    def findings(self, recording: SocketRecording) -> Iterator[Finding]:
        """What it finds in a recording."""
        for figures in self.evidence(recording):
            yield Finding(
                code=self.code,
                sentence=self.sentence.format(**figures),
                why=self.why.format(**figures),
                fix=self.fix.format(**figures),
                figures={name: value for name, value in figures.items() if isinstance(value, int)},
            )
