"""One experiment on several kernels: what is told, and what differs."""

from __future__ import annotations

import io

from rich.console import Console

from tests.samples import changed, looped
from tracer.books.analysis import document_of
from tracer.model import Document
from tracer.reports.kernels import differences, print_kernels, rows_of


def on_two_kernels(**second: object) -> list[Document]:
    return [document_of(looped()), document_of(changed(looped(), **second))]


def test_what_is_alike_on_all_kernels_is_not_marked():
    """Nor is a line spent on where it was seen."""
    rows = rows_of(on_two_kernels())

    assert differences(rows) == []
    assert not any("seen in" in name for name in rows)


def test_what_one_kernel_does_not_know_differs():
    """Absent is not zero: n/a beside a number is a difference."""
    rows = rows_of(on_two_kernels(observations=[]))

    assert "n/a" in rows["deferred copy"]
    assert "deferred copy" in differences(rows)


def test_the_rows_that_differ_are_named_in_a_sentence():
    """So that nobody has to look for stars."""
    text = io.StringIO()
    print_kernels(on_two_kernels(observations=[]), Console(file=text, width=120))

    (sentence,) = [line for line in text.getvalue().splitlines() if line.startswith("They differ in: ")]
    assert "deferred copy" in sentence
