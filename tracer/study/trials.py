"""Whether a mode can be done here, by trying: that meets, before anything is measured, what a list would forget."""

from __future__ import annotations

from tracer.errors import Interrupted, LabError, MachineError, NettraceError, WorkloadError
from tracer.model import Experiment, Recording, Settings
from tracer.study.sweep import Recorder
from tracer.study.sweep_plan import Plan


def require_modes(plan: Plan, recorder: Recorder) -> None:
    """Each mode sends one message a connection: of several, the last one must not fail after an hour.

    Raises:
        Interrupted: by SIGINT.
        NettraceError: why one of them cannot be done, and which one; or why none can.
    """
    refused: dict[str, NettraceError] = {}
    for number, mode in enumerate(plan.modes, start=1):
        try:
            tried(plan, mode, recorder, messages=1)
        except LabError:
            raise
        except (MachineError, WorkloadError) as error:
            refused[mode] = error
        if refused and len(refused) < number:
            raise _named(*refused.popitem())
    if refused:
        raise next(iter(refused.values()))


def _named(mode: str, error: NettraceError) -> NettraceError:
    return type(error)(f"{mode}: {error.what}", error.why, error.fix)


def tried(plan: Plan, mode: str, recorder: Recorder, messages: int) -> Recording:
    """A bare run of what asks most of the machine: the largest messages of a plan over the most connections.

    Raises:
        Interrupted: by SIGINT.
        NettraceError: why it cannot be done.
    """
    found = recorder(_trial(plan, mode, messages), False)
    if found.stuck:
        raise WorkloadError("a trial was given up", found.stuck, "mend that, and start it again")
    if not found.complete:
        raise Interrupted("interrupted before anything was measured", fix="run it again")
    return found


def _trial(plan: Plan, mode: str, messages: int) -> Experiment:
    settings = {name: getattr(plan, name) for name in Settings.__struct_fields__}
    return Experiment(
        mode=mode, size=max(plan.sizes), threads=max(plan.threads), messages=messages, link=plan.link,
        peer=plan.peer, lab=plan.lab, setup=plan.setup, **settings,
    )  # fmt: skip
