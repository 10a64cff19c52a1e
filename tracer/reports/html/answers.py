"""The questions that a reader brings, answered from the books: how often, where, why, what would change it."""

from __future__ import annotations

from tracer.books.causes import row_of
from tracer.books.scene import Scene, scene_of
from tracer.books.steps import STEPS, Step
from tracer.books.walk import Walk, walk_of
from tracer.model import (
    Cause,
    CpuProfile,
    Document,
    Entry,
    Experiment,
    LawState,
    Link,
    Stage,
    Workload,
)
from tracer.reports.costs import LABELS
from tracer.reports.html.charts import Bars, cpu_bars
from tracer.reports.html.page import Answer
from tracer.reports.stage_styles import Kind, look_of
from tracer.reports.terminal import how_seen, overhead_text, spent_text
from tracer.texts import counted
from tracer.units import format_count, format_ns, format_rate, format_ratio

# Stages that a sentence names.
_NAMED = 4


def answers_of(document: Document) -> list[Answer]:
    """The questions that a reader brings, answered from the books."""
    asked = [
        Answer("How many times was each byte copied?", _how_often(document)),
        Answer("Where, and why?", _where_and_why(document)),
        Answer("What would change it, a NIC for example?", _what_would(document)),
        Answer("What did it cost?", _cost(document)),
        Answer("Can I trust it?", _trust(document)),
    ]
    return [answer for answer in asked if answer.lines]


def _how_often(document: Document) -> list[str]:
    copies, observed = document.ledger.copies_per_byte, document.observed
    if observed is None:
        return []
    sending, receiving = _copies(document, is_reading=False), _copies(document, is_reading=True)
    whole = None if copies.send is None or copies.receive is None else copies.send + copies.receive
    unseen = ", which nobody watched" if copies.receive is None else ""
    sides = (
        f"{times(copies.send)} by the send call or on the way{sending}, {times(copies.receive)} by the reader's call"
    )
    sides += f"{receiving}{unseen}"
    lines = [f"{times(whole)} in the kernel: {sides}." if whole is not None else f"In the kernel: {sides}."]
    if pulled := document.ledger.pulled_bytes:
        lines.append(f"And {format_count(pulled)} B that the driver pulled in beside the packets' headers.")
    if observed.packed_bytes and observed.payload_bytes:
        packed = times(observed.packed_bytes / observed.payload_bytes)
        lines.append(f"In the sending program {packed}, before that, to pack the fields.")
    return lines


def _copies(document: Document, *, is_reading: bool) -> str:
    """The copies of one side by name, in brackets."""
    copied = [entry.stage for entry in document.ledger.entries if entry.bytes and is_copy(entry.stage)]
    found = (stage for stage in copied if stage is not Stage.PACK and (stage is Stage.COPY_OUT) is is_reading)
    names = dict.fromkeys(stage.replace("_", " ") for stage in found)
    return f" ({', '.join(names)})" if names else ""


def times(ratio: float | None) -> str:
    """How often: "2x"; n/a of what was not observed."""
    return "n/a" if ratio is None else f"{format_ratio(ratio)}x"


def _where_and_why(document: Document) -> list[str]:
    scene = scene_of(document)
    copied = [entry for entry in document.ledger.entries if entry.bytes != 0 and is_copy(entry.stage)]
    return [f"{_where(entry)}: {_why(entry, scene)}" for entry in copied] or _nowhere(document)


def _nowhere(document: Document) -> list[str]:
    """Where every copy that could have been made was watched for, and none was."""
    return ["Nowhere: no stage that was watched copied a byte."] if document.ledger.entries else []


def is_copy(stage: str) -> bool:
    """Whether bytes are copied in this stage."""
    return look_of(stage).kind is Kind.COPIED


def _where(entry: Entry) -> str:
    seen = f"{format_count(entry.bytes)} B" if entry.bytes is not None else "not observed"
    return f"{entry.stage.replace('_', ' ')} by {entry.function}, {seen}"


def _why(entry: Entry, scene: Scene) -> str:
    if entry.cause is None:
        return reason_of(entry.stage, entry.cause)
    row = row_of(entry.cause)
    inferred = f"; inferred: {entry.cause_inferred_from}" if entry.cause_inferred_from else ""
    return f"{row.name}: {row.why(scene)}{inferred}." + (f" [{row.source}]" if row.source else "")


def reason_of(stage: str, cause: Cause | None = None) -> str:
    """What a stage does, in the words of the step that it is."""
    step = step_at(stage, cause)
    return f"{step.told[0].text} [{step.told[0].source}]" if step else ""


def step_at(stage: str, cause: Cause | None = None) -> Step | None:
    """The step of the way that a stage is, by its cause; None of a stage that is none."""
    return next((step for step in STEPS if step.stage == stage and cause in step.causes), None)


def _what_would(document: Document) -> list[str]:
    """By the verdict, then by step."""
    return [*document.verdict.next, *changes_of(walk_of(document))]


def changes_of(walk: Walk) -> list[str]:
    """What would spare the copies that were made, or add to them."""
    made = [walked.step for walked in walk.steps if walked.step.is_copy and walked.bytes]
    return [_changes(step) for step in made if step.changes]


def _changes(step: Step) -> str:
    sources = dict.fromkeys(said.source for said in step.changes)
    texts = " ".join(said.text for said in step.changes)
    return f"of the {step.word.replace('-', ' ')}: {texts} [{'; '.join(sources)}]"


def _cost(document: Document) -> list[str]:
    bare, lines = document.workload, []
    if bare is not None:
        lines.append(f"Throughput {format_rate(bare.throughput_bytes_per_s)}; CPU time {_cpu(bare)}.")
    if document.profile and (bars := cpu_bars(document.profile, LABELS)):
        lines.append(sampled(document.profile, bars))
    if document.host.emulated:
        lines.append("The CPU is emulated: times say nothing of a real one.")
    elif document.experiment.link is not Link.NIC:
        lines.append(f"Whether another way costs less is measured by: {_comparing(document.experiment)}")
    return lines


def _comparing(experiment: Experiment) -> str:
    """The command that sets the modes side by side for the same work."""
    threads = f" --threads {experiment.threads}" if experiment.threads > 1 else ""
    link = f" --link {experiment.link}" if experiment.link is not Link.LO else ""
    return f"nettrace compare --size {experiment.size}{threads}{link}"


def sampled(profile: CpuProfile, bars: Bars) -> str:
    """What the profile says in a sentence."""
    shares = ", ".join(f"{bar.name} {bar.told}" for bar in bars.bars[:_NAMED])
    return f"Of {format_ns(profile.samples * profile.period_ns)} of CPU time that were sampled: {shares}."


def _cpu(bare: Workload) -> str:
    """Of both sides, and for each KiB of payload."""
    sides = [("sender", bare.sender_cpu_ns), ("receiver", bare.receiver_cpu_ns)]
    told = [f"of the {name} {spent_text(cpu, bare)}" for name, cpu in sides if cpu is not None]
    return ", ".join(told)


def _trust(document: Document) -> list[str]:
    ledger = document.ledger
    states = [law.state for law in ledger.laws]
    held, broken, unknown = (states.count(state) for state in (LawState.HOLDS, LawState.BROKEN, LawState.UNKNOWN))
    told = trusted(ledger.trustworthy, unknown)
    judged = f"{told}: {held} of {counted(len(states), 'law')} hold, {broken} broken, {unknown} unknown"
    lost = f"{format_count(ledger.lost_events)} events lost"
    watching = f"overhead of watching {overhead_text(document.overhead.observed_over_bare)}"
    lines = [f"{judged}; {lost}; {watching}."] if states else []
    if ledger.observer is not None:
        how = how_seen(document) or "by probes in the kernel functions of the table below"
        lines.append(f"How it was counted: {how}.")
    return [*(f"No: {doubt}." for doubt in ledger.doubts), *lines]


def trusted(is_sound: bool, unknown: int) -> str:
    """The short answer, from the laws."""
    if not is_sound:
        return "No"
    return "Yes" if not unknown else "Yes, but for what could not be judged"
