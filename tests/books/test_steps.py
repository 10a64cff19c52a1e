"""The words of explain: each step, cause and way has one, and each statement names the place that shows it."""

from __future__ import annotations

import itertools
import re

import pytest

from tracer.books.causes import LATER_COPIES, ROWS
from tracer.books.glossary import Term, term_of, terms
from tracer.books.steps import STEPS, Said
from tracer.books.way_table import READ, SENT, calls_of
from tracer.errors import UsageError
from tracer.model import Stage
from tracer.model.sockets import READ_WAYS, SEND_WAYS

# A file of the kernel or of nettrace with what is in it, a page of documentation, a manual page, functions of a table.
_FILE = r"(?:[a-z_0-9]+/)+[\w.-]+\.(?:c|h|py)(?:: (?:struct )?\w+(?:\(\))?(?:, (?:struct )?\w+(?:\(\))?)*)?"
_PLACES = re.compile(
    rf"(?:(?:from |since \d\.\d+ )?{_FILE}(?:, before \d\.\d+(?: \w+\(\))?)?"
    r"|Documentation/[\w/.-]+\.(?:rst|txt)|man \d \w+)"
)


def said_in(term: Term) -> list[Said]:
    return [*term.told, *term.changes, *([term.flag] if term.flag else [])]


@pytest.mark.parametrize("term", terms().values(), ids=lambda term: term.word)
def test_every_statement_names_its_source(term: Term) -> None:
    """A file of the kernel with a function, its documentation, a manual page; a CPU stage names its functions."""
    if term.title.startswith("a stage of the CPU profile"):
        assert all(said.source for said in said_in(term))
        return
    for said in said_in(term):
        parts = [part.strip(" ,") for part in re.split(r"; |, (?=man |since |from )", said.source)]

        assert [part for part in parts if not _PLACES.fullmatch(part)] == [], said


@pytest.mark.parametrize("term", terms().values(), ids=lambda term: term.word)
def test_every_statement_is_a_sentence(term: Term) -> None:
    """And no word is without one."""
    assert term.told
    assert [said.text for said in said_in(term) if not said.text.endswith((".", "?"))] == []


def test_every_word_that_is_pointed_to_is_there() -> None:
    """See also; and what the texts themselves tell to explain."""
    found = terms()
    told = " ".join(said.text for term in found.values() for said in said_in(term))

    assert {word for term in found.values() for word in term.see} <= set(found)
    assert set(re.findall(r"explain ([a-z-]+)", told)) <= set(found)


def test_every_stage_is_a_step() -> None:
    """What the ledger counts, explain can place."""
    assert {step.stage for step in STEPS} == {*Stage, None}


def test_every_later_copy_belongs_to_one_step() -> None:
    """Whatever its cause: none is told twice, none is left out."""
    pairs = [(stage, cause) for row in ROWS for stage in row.stages for cause in (row.cause,)]
    pairs += [(stage, None) for stage in LATER_COPIES]
    steps = {pair: [step.word for step in STEPS if step.stage is pair[0] and pair[1] in step.causes] for pair in pairs}

    assert {pair: found for pair, found in steps.items() if len(found) != 1} == {}


def test_every_way_is_told() -> None:
    """All that a recording can name, each once, and each leads to a step."""
    assert sorted(way.name for way in SENT) == sorted(SEND_WAYS)
    assert sorted(way.name for way in READ) == sorted(READ_WAYS)
    assert {way.step for way in (*SENT, *READ)} <= {step.word for step in STEPS}


def test_a_step_names_the_calls_that_lead_to_it() -> None:
    """By the table of ways."""
    assert calls_of("splice-in") == ["sendfile(), splice(), vmsplice()"]
    assert "sendfile(), splice(), vmsplice()" in " ".join(said.text for said in term_of("splice-in").told)


def test_no_word_stands_for_two_things() -> None:
    """A later one would hide the one before."""
    words = [step.word for step in STEPS] + [way.word for way in (*SENT, *READ) if way.word]

    assert [word for word, group in itertools.groupby(sorted(words)) if len(list(group)) > 1] == []


@pytest.mark.parametrize("spelled", ["deferred-copy", "deferred_copy", "Deferred copy", " DEFERRED-COPY "])
def test_a_word_may_be_spelled_in_any_way(spelled: str) -> None:
    """As a recording has it, as a report prints it."""
    assert term_of(spelled).word == "deferred-copy"


@pytest.mark.parametrize(("word", "near"), [("defered", "deferred-copy"), ("pinn", "pin"), ("send-zx", "send-zc")])
def test_the_near_miss_of_a_word_is_told(word: str, near: str) -> None:
    """As for a mode."""
    with pytest.raises(UsageError) as caught:
        term_of(word)

    assert caught.value.fix == f"did you mean {near}?"
