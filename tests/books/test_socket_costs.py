"""CPU time of a program by stage, what the watching took of it, and how both are told: on literals."""

from __future__ import annotations

import pytest

from tests.socket_samples import recording, sender
from tracer.books.socket_costs import WATCHING, is_ours, profile_of
from tracer.model.watching import Hooks, WatchingCost
from tracer.reports.socket_costs import watching

FOLDED = {
    "command;user": 5,
    "command;kernel;do_syscall_64;__sys_sendto;tcp_sendmsg_locked;_copy_from_iter": 3,
    "command;kernel;do_syscall_64;sock_sendmsg;bpf_trace_run3;bpf_prog_0123_on_sock_send_length": 2,
}


def test_what_our_own_programs_take_is_a_stage_of_its_own() -> None:
    """All samples are shared out, each once; a stack in which a program of ours stands is the watching's."""
    profile = profile_of(FOLDED, lost=0, period_ns=1000, moved_bytes=100, elapsed_s=1.0)

    assert {cost.stage: (cost.samples, cost.share) for cost in profile.stages} == {
        "other_user": (5, 0.5), "copy_in": (3, 0.3), WATCHING: (2, 0.2),
    }  # fmt: skip
    assert [cost.ns_per_byte for cost in profile.stages] == [50.0, 30.0, 20.0]


def test_a_program_whose_name_is_like_ours_is_not_ours() -> None:
    """The first two words of a folded stack are no functions."""
    assert not is_ours("bpf_prog_x;user")
    assert is_ours("command;kernel;f;bpf_trampoline_1;bpf_prog_2_x")


def test_nothing_sampled_is_an_empty_profile() -> None:
    """A command that ended at once."""
    assert profile_of({}, lost=0, period_ns=1, moved_bytes=0, elapsed_s=0.0).stages == []


@pytest.mark.parametrize(
    ("cost", "words"),
    [
        (None, "n/a: BPF_ENABLE_STATS, which counts it, needs CAP_SYS_ADMIN"),
        (WatchingCost(runs=0, spent_ns=0, counted_s=0.05), "n/a: none of them ran in the 0.05 s"),
        (WatchingCost(runs=0, spent_ns=0, counted_s=0.0), "n/a: none of them ran in the 0 s"),
        (WatchingCost(runs=1000, spent_ns=100_000, counted_s=0.01), "100 ns each, 1.0% of a CPU, in 0.01 s that were"),
    ],
)
def test_the_cost_of_watching_is_said_or_said_to_be_unknown(cost: WatchingCost | None, words: str) -> None:
    """For the time in which it was counted; nothing is extrapolated."""
    hooks = Hooks(calls="fexit", attached=[], refused={}, row_bytes=616, cost=cost)

    assert words in watching(recording(sender(), hooks=hooks))
