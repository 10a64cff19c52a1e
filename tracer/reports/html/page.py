"""The page itself: what every report of this form is made of, and how it becomes HTML that nothing can escape from."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from tracer.model.socket_recording import Finding
from tracer.reports.html.charts import Areas, Bars
from tracer.reports.html.colours import stage_styles, swatch_patterns
from tracer.reports.html.flame import Flame
from tracer.reports.html.flow import Flow
from tracer.reports.html.grid import Grid

# No character of a JSON text may end its element; in strings, where alone these are, \u says the same.
_UNSAFE = {ord(char): f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"}


class Answer(NamedTuple):
    """What a reader asks, and what the recording says."""

    question: str
    lines: list[str]


class Section(NamedTuple):
    """A part of the page with a heading; whatever it holds is shown in this order.

    Args:
        name: The anchor.
        lead: How to read it, and where it comes from.
    """

    name: str
    title: str
    lead: str = ""
    flows: Sequence[Flow] = ()
    bars: Sequence[Bars] = ()
    areas: Sequence[Areas] = ()
    pictures: Sequence[tuple[str, str]] = ()
    flames: Sequence[Flame] = ()
    grids: Sequence[Grid] = ()
    lines: Sequence[str] = ()

    @property
    def is_empty(self) -> bool:
        """Nothing to show."""
        parts = (self.flows, self.bars, self.areas, self.pictures, self.flames, self.lines)
        return not any(parts) and not any(grid.rows for grid in self.grids)


class Page(NamedTuple):
    """All that one page says.

    Args:
        title: What was done, where.
        sentences: The answer.
        next: What to try next.
        command: What was typed, or would do it again.
        data: What the page shows, for programs.
    """

    title: str
    sentences: list[str]
    sections: list[Section]
    data: Any
    command: str = ""
    next: Sequence[str] = ()
    findings: Sequence[Finding] = ()
    answers: Sequence[Answer] = ()
    notes: Sequence[str] = ()
    trustworthy: bool = True
    is_redacted: bool = False


def render(page: Page) -> bytes:
    """The page as HTML: one file that asks for nothing else, whose only script is ours, known by its hash."""
    environment = _environment()
    script = _source("script.js")
    page = page._replace(sections=[section for section in page.sections if not section.is_empty])
    text = environment.get_template("page.html").render(
        page=page,
        json=_embedded(page.data),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        style=Markup(_source("style.css") + stage_styles()),
        patterns=Markup(swatch_patterns()),
    )
    return text.encode("utf-8", "backslashreplace")


def _embedded(data: Any) -> Markup:
    """A JSON document for an element of the page."""
    return Markup(msgspec.json.encode(data).decode().translate(_UNSAFE))


def _with_dim_source(line: str) -> Markup:
    """A sentence and, dimmed, where it is from: what stands in brackets at its end."""
    text, bracket, source = line.rpartition(" [")
    if not bracket or not source.endswith("]"):
        return escape(line)
    return Markup('{} <small class="source">[{}</small>').format(text, source)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("tracer.reports.html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["with_dim_source"] = _with_dim_source
    return environment


def _source(name: str) -> str:
    """A file of ours that goes into the page as it is."""
    environment = _environment()
    loader = environment.loader
    return loader.get_source(environment, name)[0] if loader else ""
