"""A short run of `make fuzz`, always the same: whatever is read, nettrace ends as documented."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from tests.fuzzing import Fuzz, damaged
from tracer.machine import streams

# As many as take a second or two; `make fuzz` makes others for ten minutes.
TRIES = 250


@pytest.fixture(scope="module")
def fuzz(tmp_path_factory: pytest.TempPathFactory) -> Fuzz:
    streams.register()
    return Fuzz(tmp_path_factory.mktemp("fuzz"))


def test_whatever_is_read_gives_an_answer_or_an_error(fuzz: Fuzz) -> None:
    """Recordings of runs and of sockets, sweeps, perf's answers, the environment, terminals, command lines."""
    tried = {fuzz.one(seed) for seed in range(TRIES)}

    assert len(tried) == 6


def test_a_seed_does_the_same_again() -> None:
    """Whatever was tried before it."""
    document = {"a": [1, {"b": 2}], "c": "d", "e": {}}
    first = [damaged(document, random.Random(seed)) for seed in range(200)]

    assert [damaged(document, random.Random(seed)) for seed in range(200)] == first


@pytest.mark.parametrize("broken", [lambda *_: 1 / 0, lambda *_: print("\x1b[2J")])
def test_a_try_that_fails_is_seen(fuzz: Fuzz, broken: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    """A report that divides by what it read, or prints it as it is."""
    monkeypatch.setattr("tracer.reports.terminal.print_document", broken)

    with pytest.raises(AssertionError, match=r"exit code 70|sent"):
        all(fuzz.one(seed) for seed in range(TRIES))
