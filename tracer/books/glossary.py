"""Every word that nettrace uses of the kernel, with what is said of it where it is defined. Pure.

No text stands here that has a place of its own: steps.py has the steps of the way, causes.py the causes of a later
copy, way_table.py the ways of handing bytes over, stage_table.py the stages of a CPU profile.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from tracer.books.causes import ROWS, CauseRow
from tracer.books.stage_table import TABLE, Work
from tracer.books.steps import DOCUMENTED, STEPS, Said, Step
from tracer.books.way_table import READ, SENT, Way, calls_of
from tracer.errors import UsageError
from tracer.model import Cause, Stage
from tracer.texts import did_you_mean


class Term(NamedTuple):
    """What is said of a word.

    Args:
        title: What it is, in a few words.
        told: What happens.
        changes: What would make it happen, or spare it.
        flag: What the completion of a zero-copy send says of it.
        see: Words that lead on.
        own: How many of the statements belong to this word alone; None for all.
    """

    word: str
    title: str
    told: tuple[Said, ...]
    changes: tuple[Said, ...] = ()
    flag: Said | None = None
    see: tuple[str, ...] = ()
    own: int | None = None

    @property
    def essence(self) -> tuple[Said, ...]:
        """Of what is told, what belongs to no other word."""
        return self.told[: self.own]


def term_of(word: str) -> Term:
    """What is said of a word, however it is spelled: deferred-copy, deferred_copy, "Deferred copy".

    Raises:
        UsageError: nobody uses it; suggests the nearest one.
    """
    found, known = terms(), spelled(word)
    if known not in found:
        fix = did_you_mean(known, found) or "nettrace explain --list names them"
        raise UsageError(f"'{word}' is no word of nettrace", f"there are {len(found)} of them", fix)
    return found[known]


def spelled(word: str) -> str:
    """A word as the glossary spells it."""
    return re.sub(r"[\s_]+", "-", word.strip().lower())


def terms() -> dict[str, Term]:
    """All words, in the order of a byte's way: steps, causes, ways, stages of a profile, and the rest."""
    parts = (map(_of_step, STEPS), map(_of_cause, ROWS), _of_ways(), map(_of_work, _WORKS), _OTHERS)
    return {term.word: term for part in parts for term in part}


def _of_step(step: Step) -> Term:
    ways = ", ".join(calls_of(step.word))
    by = (Said(f"Calls that lead here: {ways}.", "man 2 send, man 2 recv, man 2 splice, man 2 sendfile"),)
    causes = tuple(row for row in _causes_of(step) if row.cause is not Cause.UNKNOWN)
    told = (*step.told, *(Said(f"For {row.name}: {row.story}", row.source) for row in causes), *(by if ways else ()))
    return Term(
        step.word, f"{step.what} ({step.function})", told, step.changes, step.flag, _see(causes), own=len(step.told)
    )


def _causes_of(step: Step) -> Iterator[CauseRow]:
    return (row for row in ROWS if step.stage in row.stages and row.cause in step.causes)


def _see(causes: tuple[CauseRow, ...]) -> tuple[str, ...]:
    return tuple(spelled(row.cause) for row in causes)


def _of_cause(row: CauseRow) -> Term:
    leads = tuple(step.word for step in STEPS if step.stage in row.stages and row.cause in step.causes)
    fix = (Said(f"{row.fix_of_a_program[:1].upper()}{row.fix_of_a_program[1:]}.", row.source),) if row.source else ()
    source = row.source or "tracer/books/causes.py: with_cause()"
    return Term(spelled(row.cause), f"a cause of a later copy: {row.name}", (Said(row.story, source),), fix, see=leads)


def _of_ways() -> Iterator[Term]:
    return (_of_way(way) for way in (*SENT, *READ) if way.word)


def _of_way(way: Way) -> Term:
    return Term(way.word, f"a way of handing bytes over: {way.calls}", way.told, see=(way.step,))


# Those that are no stage of the ledger, which has words of its own.
_WORKS = tuple(work for work in Work if work.value not in (*map(str, Stage), "user_pack", "completion"))


def _of_work(work: Work) -> Term:
    """By the rows of the table, with the first functions of each."""
    rows = [row for row in TABLE if row.work is work]
    told = tuple(Said(f"{row.reason[:1].upper()}{row.reason[1:]}.", _first(row.functions)) for row in rows)
    none = (Said("User mode outside of nettrace's own loops.", "tracer/books/stages.py: cost_of_user_stack()"),)
    return Term(spelled(work), "a stage of the CPU profile (--profile)", told or none)


def _first(functions: str, most: int = 4) -> str:
    names = [name if name.endswith("*") else f"{name}()" for name in functions.split()]
    return ", ".join(names[:most]) + (" and others" if len(names) > most else "")


_OTHERS = (
    Term(
        "skb", "a socket buffer: one packet's worth of bytes, or many packets' worth, on its way",
        (
            Said(
                "It has a linear head, for headers, and fragments, 17 at most by default: parts of a page.",
                "include/linux/skbuff.h: struct sk_buff, MAX_SKB_FRAGS",
            ),
            Said("skb_clone() makes a second one over the same payload.", "net/core/skbuff.c: skb_clone()"),
        ),
        see=("send", "transmit"),
    ),
    Term(
        "gso", "generic segmentation offload: one large packet for many small ones",
        (
            Said(
                "An skb of up to 64 KiB and more passes TCP and IP as one, and is cut into packets by the NIC (TSO) "
                "or, as late as can be, by the kernel (GSO).",
                "Documentation/networking/segmentation-offloads.rst; net/core/gso.c: __skb_gso_segment()",
            ),
        ),
        see=("linearize",),
    ),
    Term(
        "scatter-gather", "a NIC's ability to send a packet from several pieces of memory",
        (
            Said(
                "Without it a packet cannot be made of the kernel's headers and the program's pages.", DOCUMENTED,
            ),
        ),
        see=("no-scatter-gather", "linearize"),
    ),
    Term(
        "law", "two counts that must be equal, if every byte was found",
        (
            Said(
                "HOLDS: they are; BROKEN: they are not, and the measurement is not to be trusted; UNKNOWN: one of "
                "them was not observed.",
                "tracer/books/law.py",
            ),
        ),
    ),
)  # fmt: skip
