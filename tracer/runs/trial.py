"""Whether a run works here: by doing a small one, which meets whatever a list of conditions would have forgotten."""

from __future__ import annotations

from tracer.books.facts import Fact, Purpose, State
from tracer.errors import NettraceError
from tracer.model import Experiment, ObserverChoice
from tracer.runs.dispatch import record

_TRIED = Experiment(mode="onecopy", size=1013, messages=3, observer=ObserverChoice.AUTO)


def trial_fact() -> Fact:
    """The fact of doctor; the error is the one that `nettrace run` would end with."""
    error = _error()
    return Fact(
        name="a run",
        purpose=Purpose.RUN,
        state=State.OK if error is None else State.MISSING,
        detail="done: 3 messages over lo, bare and observed" if error is None else f"{error.what}: {error.why}",
        why_it_matters="is what all the others are for",
        fix="" if error is None else error.fix or "see the others",
        required=True,
    )


def _error() -> NettraceError | None:
    try:
        record(_TRIED, lambda _: None)
    except NettraceError as error:
        return error
    return None
