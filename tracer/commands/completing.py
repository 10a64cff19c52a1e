"""What a shell offers behind Tab, where click does not know it: modes, words, processes. Each Tab waits for it."""

from __future__ import annotations

from collections.abc import Iterable

import click
from click.shell_completion import CompletionItem


def complete_modes(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG001
    """Modes of a workload."""
    from tracer.books.modes import NAMES

    return _fitting(((name, None) for name in NAMES), incomplete)


def complete_subjects(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG001
    """What can be explained: modes, words; else files."""
    from tracer.books.glossary import terms
    from tracer.books.modes import NAMES

    words = [*((name, "a mode") for name in NAMES), *((term.word, term.title) for term in terms().values())]
    return _fitting(words, incomplete) or [CompletionItem(incomplete, type="file")]


def complete_pids(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG001
    """Processes, with their names where the shell shows such."""
    from tracer.machine.running import processes

    return _fitting(((str(pid), name) for pid, name in processes()), incomplete)


def _fitting(words: Iterable[tuple[str, str | None]], incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(word, help=told) for word, told in words if word.startswith(incomplete)]
