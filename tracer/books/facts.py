"""What doctor knows about a machine as types, and what follows from it; no I/O."""

from __future__ import annotations

from enum import StrEnum

import msgspec

DOCTOR_SCHEMA = "nettrace.doctor/1"


class State(StrEnum):
    """Whether nettrace finds what it needs; unknown where this user or kernel does not let it look."""

    OK = "ok"
    MISSING = "missing"
    UNKNOWN = "unknown"


class Purpose(StrEnum):
    """What a fact is needed for."""

    RUN = "run"
    FUNCTIONS = "functions"
    COST = "cost"
    LAB = "lab"


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that nettrace needs of a machine.

    Args:
        name: Short and stable: programs look facts up by it.
        detail: What was found, or the reason why not.
        why_it_matters: What nettrace does with it.
        fix: Command or setting that brings it about; empty where nothing is to be done.
        required: Without it `nettrace run` cannot run here at all.
    """

    name: str
    purpose: Purpose
    state: State
    detail: str
    why_it_matters: str
    fix: str = ""
    required: bool = False


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """What doctor prints with --json.

    Args:
        can_run: `nettrace run` works here, on this kernel and for this user.
        observer: What `--observer auto` takes here; None where nothing can run.
        functions: Kinds of function probe that this kernel allows, best first.
        sentence: All of that in words.
    """

    schema: str = DOCTOR_SCHEMA
    facts: list[Fact]
    can_run: bool
    observer: str | None
    functions: list[str]
    sentence: str


FUNCTION_PROBES = ("fentry", "kprobe", "hardware breakpoint")


def diagnose(facts: list[Fact]) -> Diagnosis:
    """What a machine can do, given its facts."""
    blocking = [fact for fact in facts if fact.required and fact.state is not State.OK]
    allowed = {fact.name for fact in facts if fact.state is State.OK}
    functions = [name for name in FUNCTION_PROBES if name in allowed]
    return Diagnosis(
        facts=facts,
        can_run=not blocking,
        observer=None if blocking else _observer(functions),
        functions=functions,
        sentence=_refusal(blocking, facts) if blocking else _ability(functions, allowed),
    )


def _observer(functions: list[str]) -> str:
    """What auto takes: functions are seen where they can be probed (tracer/observers/choice.py)."""
    return "functions" if {"fentry", "kprobe"} & set(functions) else "tracepoints"


def _refusal(blocking: list[Fact], facts: list[Fact]) -> str:
    missing = ", ".join(fact.name for fact in blocking if fact.state is State.MISSING)
    refused = next((one for one in facts if one.name == "capabilities" and one.state is not State.OK), None)
    if refused is not None:
        held = refused.detail.partition(";")[0]
        besides = f" Missing besides: {missing}." if missing else ""
        return f"This user may not run nettrace here: it takes root, or CAP_BPF and CAP_PERFMON ({held}).{besides}"
    return f"nettrace cannot run here until this is mended: {missing}."


def _ability(functions: list[str], allowed: set[str]) -> str:
    probes = f"allows function probes ({', '.join(functions)})" if functions else "refuses function probes"
    cycles = "counts CPU cycles" if "CPU cycles" in allowed else "counts no CPU cycles"
    return f"nettrace runs here: --observer auto takes {_observer(functions)}; this machine {probes} and {cycles}."


class PlannedProbe(msgspec.Struct, frozen=True, kw_only=True):
    """A probe point of `nettrace probes`, and what this kernel makes of it.

    Args:
        at: "entry", "return", "tracepoint" or "breakpoint".
        stage: Stage whose bytes it locates; None where it serves attribution or a law.
        way: "fentry", "kprobe", "tracepoint" or "breakpoint"; None where it cannot be attached, or nobody knows.
        reason: Why it cannot be attached.
        state: UNKNOWN where this user may not look.
    """

    symbol: str
    at: str
    stage: str | None
    counts: str
    source: str
    why: str
    way: str | None
    reason: str
    state: State
