"""Lesson 5: from which size on zero-copy pays."""

from __future__ import annotations

from tracer.model.socket_recording import DOCUMENTED
from tracer.runs.dispatch import record_run
from tracer.study.crossovers import Crossover, crossover_of
from tracer.study.intervals import repetitions_for
from tracer.study.lessons.lesson import Answer, Lesson, Note, Trial
from tracer.study.measurements import THROUGHPUT, Family, Samples
from tracer.study.sweep import measure as measure_sweep
from tracer.study.sweep_plan import Cell, Plan, Sweep
from tracer.units import format_size

CHALLENGER, REFERENCE = "zerocopy", "onecopy"
SIZES = [1 << 10, 16 << 10, 256 << 10]
_NEVER = "never"
PLAN = Plan(
    modes=[REFERENCE, CHALLENGER], sizes=SIZES, threads=[1], repetitions=repetitions_for(len(SIZES)), seed=1,
    bytes_budget=32 << 20,
)  # fmt: skip


def _measure(note: Note) -> Sweep:
    tenths = set[int]()

    def tell(done: int, total: int) -> None:
        if (tenth := done * 4 // total) not in tenths:
            tenths.add(tenth)
            note(f"{done} of {total} runs")

    return measure_sweep(PLAN, tell, record_run)


def _samples(sweep: Sweep) -> Samples:
    return Samples(sweep.runs, THROUGHPUT, Family(len(SIZES)))


def _show(sweep: Sweep) -> list[str]:
    samples = _samples(sweep)
    ratios = {size: samples.ratio(Cell(CHALLENGER, size, 1), Cell(REFERENCE, size, 1)) for size in SIZES}
    return [f"{format_size(size)}: {CHALLENGER}'s throughput is {ratio or 'n/a'} of {REFERENCE}'s"
            for size, ratio in ratios.items()]  # fmt: skip


def answer_of(found: list[Sweep]) -> Answer:
    """By the rule of the crossovers."""
    (sweep,) = found
    return answer_by(crossover_of(_samples(sweep), CHALLENGER, REFERENCE, 1))


def answer_by(crossover: Crossover) -> Answer:
    """What a crossover says of the sizes that can be predicted."""
    told = f"As documented ({DOCUMENTED.source}): at writes over around {DOCUMENTED.bytes:,} B."
    if crossover.found and crossover.high is not None:
        high = format_size(crossover.high)
        return Answer(_key(crossover.high), f"Here {CHALLENGER} pays from {high} on. {told}")
    if crossover.ahead == SIZES:
        return Answer(_key(SIZES[0]), f"Here {CHALLENGER} pays at every size. {told}")
    if not crossover.ahead:
        return Answer(_NEVER, f"Here {CHALLENGER} is at no size clearly faster ({crossover.reason}). {told}")
    return Answer(None, f"The sizes do not agree ({crossover.reason}). {told}")


def _key(size: int) -> str:
    return format_size(size).replace(" ", "")


LESSON = Lesson(
    title="from which size on zero-copy pays",
    about=f"MSG_ZEROCOPY spares a copy in the send call, and costs work for each call: pages are pinned, and a "
    f"completion is made and read. The same bytes are sent over loopback in messages of "
    f"{', '.join(map(format_size, SIZES))}, by {REFERENCE} and by {CHALLENGER}, in turns; it takes a minute or so.",
    question=f"From which size on is {CHALLENGER} clearly faster than {REFERENCE} on this machine, over loopback?",
    choices={**{_key(size): f"from {format_size(size)} on" for size in SIZES}, _NEVER: "at none of these sizes"},
    trials=(
        Trial(
            f"nettrace sweep DIRECTORY --modes {REFERENCE},{CHALLENGER} --sizes {','.join(map(str, SIZES))} "
            f"--threads 1 --repetitions {PLAN.repetitions} --bytes-budget 32M",
            _measure, _show,
        ),
    ),
    answer=answer_of,
    words=("pin", "completion", "deferred-copy"),
    onwards=("nettrace compare --size 64K", "nettrace explain --list"),
)  # fmt: skip
