"""The table of doctor: what nettrace needs, what it found, what to do."""

from __future__ import annotations

import contextlib
import ipaddress
import re

from rich.console import Console
from rich.text import Text

from tracer.books.facts import Diagnosis, Fact, Purpose
from tracer.reports.stage_styles import STATE_COLOURS
from tracer.reports.tables import PIPE_WIDTH, hanging, make_text_console, paragraph

# Columns of the state and of the name; below so many in all, what was found has no column of its own.
_STATE, _NAME, _ROOM = 9, 21, 70
_TITLES = {
    Purpose.RUN: "to run here",
    Purpose.FUNCTIONS: "to see functions",
    Purpose.COST: "to measure cost",
    Purpose.LAB: "for the lab",
}


def doctor_text(diagnosis: Diagnosis, colour: bool, width: int = PIPE_WIDTH) -> str:
    """The whole report, 100 columns wide at most; what is not ok comes with its reason and its fix."""
    console = make_text_console(colour, width)
    with console.capture() as captured:
        for purpose, title in _TITLES.items():
            console.print(Text(title, style="bold"))
            for fact in diagnosis.facts:
                if fact.purpose is purpose:
                    console.print(_told(fact, console))
            console.print()
        console.print(paragraph(diagnosis.sentence, console, style="bold"))
    return captured.get()


def issue_text(versions: list[str], diagnosis: Diagnosis, secrets: dict[str, str]) -> str:
    """One paste for an issue, in Markdown: versions, and what doctor found.

    Args:
        secrets: What must not be in it -> what stands for it.
    """
    text = "\n".join((*versions, "", doctor_text(diagnosis, colour=False)))
    return f"```\n{redacted(text, secrets).rstrip().replace('```', '` ` `')}\n```\n"


_MAY_BE_AN_ADDRESS = re.compile(r"(?<![\w.:])[0-9A-Fa-f:.]*[0-9A-Fa-f:]")
_ETHERNET = re.compile(r"(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}")


def redacted(text: str, secrets: dict[str, str]) -> str:
    """A text without these, the longest first, and without addresses."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = re.sub(rf"(?<![\w-]){re.escape(secret)}(?![\w-])", secrets[secret], text)
    return _MAY_BE_AN_ADDRESS.sub(lambda found: "ADDRESS" if _is_address(found[0]) else found[0], text)


def _is_address(word: str) -> bool:
    """Of Ethernet, IPv4 or IPv6; a release has fewer numbers."""
    if _ETHERNET.fullmatch(word):
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(word) is not None
    return False


def _told(fact: Fact, console: Console) -> Text:
    """State, name and what was found; beside them, or on a narrow screen below them, why it matters and what helps."""
    head = f"{fact.state:<{_STATE}}{fact.name:<{_NAME}}"
    narrow = console.width < _ROOM
    indent = "    " if narrow else " " * len(head)
    start = f"{fact.state} {fact.name}: " if narrow else head
    text = Text.assemble(
        (hanging(start + fact.detail, indent, console.width), ""),
        "\n",
        (hanging(f"{indent}why: {fact.why_it_matters}", indent, console.width), "dim"),
        "\n" + hanging(f"{indent}fix: {fact.fix}", indent, console.width) if fact.fix else "",
    )
    text.stylize(STATE_COLOURS[fact.state], 0, len(fact.state))
    return text
