"""Rules that a recording is expected to keep: parsed, and judged on recordings of both kinds."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from tests.books.test_findings import BYTES, COPY, done, ignoring, pinning, uring, whole
from tests.samples import changed, looped, workload
from tests.socket_samples import reader, recording, sender
from tracer.books.analysis import document_of
from tracer.books.evidence import judge_all
from tracer.books.expectations import FIGURES, Expectation, parse_expectation
from tracer.errors import UsageError
from tracer.model import Document, LawState
from tracer.model.socket_recording import SocketRecording
from tracer.model.sockets import Transfer

HOLDS, BROKEN, UNKNOWN = LawState.HOLDS, LawState.BROKEN, LawState.UNKNOWN


def state(text: str, found: Document | SocketRecording) -> LawState:
    (judged,) = judge_all([parse_expectation(text)], found)
    assert judged.told
    return judged.state


@pytest.mark.parametrize(
    ("text", "figure", "sign", "bound"),
    [
        ("send copies <= 0.1", "send copies", "<=", Fraction(1, 10)),
        ("way splice >= 90%", "way splice", ">=", Fraction(9, 10)),
        ("way splice>=90 %", "way splice", ">=", Fraction(9, 10)),
        ("  Read  Copies =  1 ", "read copies", "=", Fraction(1)),
        ("completions copied == 0", "completions copied", "=", Fraction(0)),
        ("laws hold", "laws hold", "", Fraction(0)),
        ("zerocopy real", "zerocopy real", "", Fraction(0)),
    ],
)
def test_a_rule_is_read_as_it_is_meant(text: str, figure: str, sign: str, bound: Fraction) -> None:
    """Blanks and capitals are the writer's own; a percentage is a hundredth."""
    assert parse_expectation(text) == Expectation(text, figure, sign, bound)


@pytest.mark.parametrize("text", ["way splice >= 190%", "read mapped > 2", "completions copied = 1.5"])
def test_a_share_above_all_is_no_rule(text: str) -> None:
    """It could never be true, or never be false; copies of a byte may be more than one."""
    with pytest.raises(UsageError, match="no expectation") as refused:
        parse_expectation(text)

    assert "100%" in refused.value.why
    assert parse_expectation("send copies <= 2").bound == 2


@pytest.mark.parametrize(
    "text",
    ["", "laws", "laws hold!", "send copies", "send copies <= ", "send copies ~ 1", "send copies <= much",
     "send copies <= -1", "copies <= 1", "way sendfile >= 1", "1 <= send copies", "send copies <= 1e9",
     "send copies <= 1; laws hold", "send copies <= " + "9" * 5000, "send copies <= 1%%"],
)  # fmt: skip
def test_what_is_no_rule_is_answered_with_what_may_be_written(text: str) -> None:
    """All figures are named."""
    with pytest.raises(UsageError) as refused:
        parse_expectation(text)

    assert [figure for figure in FIGURES if figure not in str(refused.value)] == []


CASES: list[tuple[str, SocketRecording, LawState]] = [
    ("send copies <= 0.1", whole(pinning(deferred=[])), HOLDS),
    ("send copies <= 0.1", whole(pinning(deferred=COPY)), BROKEN),
    ("send copies = 1", whole(pinning(deferred=COPY)), HOLDS),
    ("send copies > 1", whole(pinning(deferred=COPY)), BROKEN),
    ("send copies <= 9", whole(pinning(done(copied=9))), UNKNOWN),
    ("send copies <= 9", whole(uring()), UNKNOWN),
    ("send copies <= 9", whole(reader()), UNKNOWN),
    ("send copies >= 1", whole(ignoring()), HOLDS),
    ("read copies = 1", whole(reader()), HOLDS),
    ("read copies < 1", whole(reader()), BROKEN),
    ("way zerocopy >= 90%", whole(pinning()), HOLDS),
    ("way copy = 0", whole(pinning()), HOLDS),
    ("way copy >= 1%", whole(pinning()), BROKEN),
    ("way copy = 0", whole(sender(sent={"unknown": Transfer(calls=1, bytes=10007)})), UNKNOWN),
    ("way unknown = 0", whole(sender()), HOLDS),
    ("read mapped > 0", whole(reader()), BROKEN),
    ("completions copied = 0", whole(pinning()), HOLDS),
    ("completions copied < 30%", whole(pinning(done(copied=9))), BROKEN),
    ("completions copied = 0", whole(sender()), UNKNOWN),
    ("laws hold", whole(sender(), reader()), HOLDS),
    ("laws hold", whole(sender(sent={"copy": Transfer(calls=1, bytes=1)})), BROKEN),
    ("laws hold", whole(sender(above="ulp")), UNKNOWN),
    ("laws hold", recording(), UNKNOWN),
    ("laws hold", recording(sender(), unlisted_sockets=1), UNKNOWN),
    ("zerocopy real", whole(pinning(deferred=[])), HOLDS),
    ("zerocopy real", whole(pinning(deferred=COPY)), BROKEN),
    ("zerocopy real", whole(pinning(done(copied=9))), BROKEN),
    ("zerocopy real", whole(ignoring()), BROKEN),
    ("zerocopy real", whole(sender()), BROKEN),
    ("zerocopy real", whole(uring()), UNKNOWN),
]  # fmt: skip


@pytest.mark.parametrize(("text", "found", "expected"), CASES)
def test_a_rule_is_true_false_or_unknown(text: str, found: SocketRecording, expected: LawState) -> None:
    """What nobody observed is unknown, never true."""
    assert state(text, found) is expected


@pytest.mark.parametrize("changes", [{"lost": 1}, {"sockets": [sender(sent={"copy": Transfer(calls=1, bytes=1)})]}])
def test_no_figure_of_a_recording_that_is_in_doubt_keeps_a_rule(changes: dict[str, Any]) -> None:
    """Broken laws, and rows that were lost."""
    found = recording(**{"sockets": [sender()], "totals": whole(sender()).totals, **changes})

    assert state("send copies <= 9", found) is UNKNOWN


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("send copies <= 1", HOLDS), ("send copies <= 0.5", BROKEN), ("read copies = 1", HOLDS), ("laws hold", HOLDS),
        ("zerocopy real", BROKEN), ("way zerocopy = 100%", HOLDS), ("completions copied = 100%", HOLDS),
        ("way uring_zerocopy = 0", UNKNOWN), ("read mapped = 0", UNKNOWN),
    ],
)  # fmt: skip
def test_a_run_is_judged_by_its_ledger(text: str, expected: LawState) -> None:
    """Zero-copy over loopback: pinned, and copied once after all."""
    assert state(text, document_of(looped())) is expected


def test_a_run_that_cannot_be_trusted_breaks_its_laws_and_keeps_no_other_rule() -> None:
    """As with sockets."""
    document = document_of(changed(looped(), observed=workload(payload_bytes=1)))

    assert (state("laws hold", document), state("send copies <= 9", document)) == (BROKEN, UNKNOWN)


def test_the_figure_is_told() -> None:
    """With the rule in its writer's words."""
    (judged,) = judge_all([parse_expectation("Send copies <= 10%")], whole(pinning(deferred=COPY)))

    assert str(judged) == f"expected Send copies <= 10%: FALSE (1: {BYTES:,} of {BYTES:,} B)"
