"""The kernel stacks below which bytes were copied: the top ones for the screen, all of them for a flame graph."""

from __future__ import annotations

from tracer.books.causes import row_of
from tracer.model import Document, Entry, Stack
from tracer.texts import counted
from tracer.units import format_count, percent

_TOP, _FRAMES = 2, 9


def stack_lines(document: Document) -> list[str]:
    """The top stacks of each copy location, innermost function first; empty where none were collected."""
    lines = []
    for entry in document.ledger.entries:
        if entry.stacks and entry.bytes:
            cause = f" ({row_of(entry.cause).name})" if entry.cause else ""
            lines += ["", f"stacks of {entry.stage.replace('_', ' ')}, {entry.function}{cause}:"]
            lines += [line for stack in entry.stacks[:_TOP] for line in _drawn(stack, entry)]
            hidden = len(entry.stacks) - _TOP
            if hidden > 0:
                lines.append(f"  and {hidden} more: --copy-stacks FILE or --json has all")
    return lines


def _drawn(stack: Stack, entry: Entry) -> list[str]:
    total = sum(other.bytes for other in entry.stacks)
    more = " < ..." if len(stack.frames) > _FRAMES else ""
    head = f"  {format_count(stack.bytes)} B ({percent(stack.bytes, total)}), {counted(stack.events, 'time')}:"
    return [head, "    " + " < ".join(stack.frames[:_FRAMES]) + more]


def folded_copies(document: Document) -> str:
    """One line a stack, outermost function first, below its stage; the number is bytes: input of flamegraph.pl."""
    lines = [
        f"{';'.join([str(entry.stage), *reversed(stack.frames)])} {stack.bytes}\n"
        for entry in document.ledger.entries
        for stack in entry.stacks
    ]
    return "".join(lines)
