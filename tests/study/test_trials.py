"""Each mode of a comparison or a sweep is tried before anything is measured."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.sweep_samples import plan, run
from tracer.errors import (
    EXIT_MACHINE,
    Interrupted,
    LabError,
    MachineError,
    NettraceError,
    PrivilegeError,
    WorkloadError,
)
from tracer.model import Experiment, Recording
from tracer.study.trials import require_modes, tried

ASKED = plan(modes=["twocopy", "onecopy", "ktls"], sizes=[1024, 65536, 4096], threads=[1, 4, 2], receive="peek")
NO_TLS = MachineError("the sender cannot have kernel TLS", "ENOENT", "modprobe tls")


class Machine:
    """Refuses some modes, and keeps what it was asked for."""

    def __init__(self, refused: dict[str, Exception], **changed: Any) -> None:
        self.asked: list[tuple[Experiment, bool]] = []
        self._refused, self._changed = refused, changed

    def __call__(self, experiment: Experiment, observed: bool) -> Recording:
        self.asked.append((experiment, observed))
        if experiment.mode in self._refused:
            raise self._refused[experiment.mode]
        return msgspec.structs.replace(run(experiment.mode, 1024, 1, 1).recording, **self._changed)


def test_every_mode_is_asked_for_one_message_of_what_is_hardest() -> None:
    """The largest messages over the most connections, with the settings of the runs, and nobody watches."""
    machine = Machine({})
    require_modes(ASKED, machine)

    assert [one.mode for one, _ in machine.asked] == ASKED.modes
    assert {(one.size, one.threads, one.messages, one.receive) for one, _ in machine.asked} == {(65536, 4, 1, "peek")}
    assert not any(observed for _, observed in machine.asked)


@pytest.mark.parametrize("mode", ASKED.modes)
def test_the_mode_that_cannot_be_done_is_named_with_what_would_help(mode: str) -> None:
    """Whichever of them it is."""
    with pytest.raises(MachineError) as caught:
        require_modes(ASKED, Machine({mode: NO_TLS}))

    assert caught.value.what == f"{mode}: the sender cannot have kernel TLS"
    assert (caught.value.why, caught.value.fix) == ("ENOENT", "modprobe tls")
    assert caught.value.exit_code == EXIT_MACHINE


@pytest.mark.parametrize("modes", [["ktls"], ASKED.modes])
def test_what_none_of_them_can_do_is_no_modes_fault(modes: list[str]) -> None:
    """The machine's, or the command's: the error is told as it is."""
    with pytest.raises(MachineError) as caught:
        require_modes(msgspec.structs.replace(ASKED, modes=modes), Machine(dict.fromkeys(modes, NO_TLS)))

    assert caught.value is NO_TLS


@pytest.mark.parametrize("error", [PrivilegeError("no BPF"), Interrupted("interrupted"), LabError("no QEMU")])
def test_what_no_mode_would_change_ends_it_at_once(error: NettraceError) -> None:
    """No root, the user's patience, and a guest that does not boot."""
    machine = Machine({"twocopy": error})
    with pytest.raises(type(error)) as caught:
        require_modes(ASKED, machine)

    assert caught.value is error
    assert len(machine.asked) == 1


def test_a_trial_that_does_not_come_to_its_end_is_none() -> None:
    """Given up because nothing moved any more, or interrupted."""
    with pytest.raises(WorkloadError, match="a trial was given up") as stuck:
        tried(ASKED, "onecopy", Machine({}, stuck="the receiver is stopped", complete=False), 1)
    with pytest.raises(Interrupted):
        tried(ASKED, "onecopy", Machine({}, complete=False), 1)

    assert stuck.value.why == "the receiver is stopped"
