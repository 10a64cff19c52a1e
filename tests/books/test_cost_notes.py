"""What the reader is told of thin and of absent cost figures."""

from __future__ import annotations

import msgspec
import pytest

from tests.samples import workload
from tests.sweep_samples import profile
from tracer.books.cost_notes import notes_of, notes_on_datagrams, notes_on_names
from tracer.model import Counter, Experiment


@pytest.mark.parametrize(("samples", "noted"), [(99, True), (100, False)])
def test_a_profile_of_fewer_than_100_samples_is_marked(samples: int, noted: bool) -> None:
    """A share of so few is none."""
    notes = notes_of([], msgspec.structs.replace(profile(tcp_ip=1.0), samples=samples))

    assert bool(notes) is noted
    assert all(f"{samples} samples" in note for note in notes)


@pytest.mark.parametrize(
    ("elapsed_s", "lost", "reason"),
    [(0.002, 0, "over after 20 periods"), (3.0, 0, "PID namespace"), (3.0, 7, "were lost (7)")],
)
def test_an_empty_profile_is_none_with_its_reason(elapsed_s: float, lost: int, reason: str) -> None:
    """Too short, not known to the kernel, or lost; never "send more" where that would not help."""
    empty = msgspec.structs.replace(profile(), samples=0, elapsed_s=elapsed_s, lost=lost)

    (note,) = notes_of([], empty)

    assert note.startswith("no CPU profile")
    assert reason in note
    assert ("send more" in note) is (elapsed_s < 1)


@pytest.mark.parametrize(("source", "noted"), [("perf", True), ("thread-clock", False)])
def test_two_clocks_of_one_pass_are_told_apart(source: str, noted: bool) -> None:
    """The figures and the table of costs differ where perf has counted, and it is said which is which."""
    notes = " ".join(notes_of([Counter(event="task-clock", scope="sender", value=1.0, source=source)], None))

    assert ("two clocks" in notes) is noted


def test_hidden_names_are_told_to_who_asked_for_names() -> None:
    """With the reason and the way out; nobody else need know."""
    asked = Experiment(mode="onecopy", size=1, messages=1, stacks=True, profile=True)

    assert notes_on_names(asked, "names are hidden: show them") == [
        "stacks and CPU profile: n/a, because names are hidden: show them"
    ]
    assert notes_on_names(asked, None) == []
    assert notes_on_names(Experiment(mode="onecopy", size=1, messages=1), "names are hidden: show them") == []


def test_the_cost_of_datagrams_has_that_of_their_flow_control() -> None:
    """TCP has it in any case."""
    assert "the receiver says how far it is" in notes_on_datagrams(workload(datagrams=True))[0]
    assert notes_on_datagrams(workload()) == []
