"""Every claim, the wrong way round too: evidence in which it is true, false, conditional, and undecidable."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest

from tests.samples import MESSAGES, PAYLOAD, copied, host, looped, recording, tracepoints, workload
from tests.sweep_samples import SIZES, plan, profile, profiled, rising, run, runs
from tracer.books.perf_attempt import PerfAttempt
from tracer.model import Experiment, Link, Observation, Recording, Tally
from tracer.study.claim_rules.findings import Case, Evidence, Outcome, Ruling, conclude, dependence
from tracer.study.claims import RULES, judge
from tracer.study.sweep_plan import Run

CONFIRMED, REFUTED, DEPENDS, UNDECIDED = Outcome


def ruling(
    identity: str, *, of: list[Run] | None = None, recordings: list[Recording] | None = None, **other: Any
) -> Ruling:
    evidence = Evidence(of or [], recordings or [], **other)
    return next(one for one in judge(evidence) if one.id == identity)


def outcome(identity: str, **evidence: Any) -> Outcome:
    return ruling(identity, **evidence).outcome


# ---- bytes ----------------------------------------------------------------------------------------------------------


def over_nic(
    mode: str,
    *,
    pinned: int | None = None,
    linearized: int = 0,
    bounced: int = 0,
    deferred: int = 0,
    **asked: Any,
) -> Recording:
    """What the function observer counts over a NIC; balanced, as far as its laws go."""
    if pinned is None:
        pinned = PAYLOAD if mode == "zerocopy" else 0
    counts = {
        "tcp_sendmsg_locked:return": PAYLOAD,
        "skb_zerocopy_iter_stream:return": pinned,
        "skb_splice_from_iter:return": 0,
        "skb_copy_ubufs:return": deferred,
        "skb_copy_bits:segment": linearized,
        "__pskb_pull_tail:linearize": 0,
        "__pskb_pull_tail:pull": 0,
        "skb_copy_bits:entry": linearized,
        "swiotlb_map:payload": bounced,
        "dma_map_page_attrs:payload": PAYLOAD,
    }
    tallies = {name: Tally(events=1 if size else 0, bytes=size) for name, size in counts.items()}
    observation = Observation(observer="functions", tallies=tallies, lost=0)
    experiment = Experiment(mode=mode, size=10007, messages=MESSAGES, link=Link.NIC, **asked)
    base = recording(
        observation, mode, Link.NIC, experiment=experiment, host=host(where="lab", emulated=True, cpu="QEMU TCG")
    )
    return msgspec.structs.replace(base, observed=workload(mode, copied=0, received_bytes=None))


NO_SG = {"linearized": PAYLOAD, "scatter_gather": False}
BOUNCED = {"bounced": PAYLOAD, "bounce": True}


def half_copied_in() -> Recording:
    """two-copy of which half came by another way."""
    return over_nic("twocopy", pinned=PAYLOAD // 2)


def test_s1_holds_where_the_send_call_copies_every_byte():
    """copy_in = payload."""
    assert outcome("S1", recordings=[copied("twocopy")]) is CONFIRMED


def test_s1_falls_where_the_send_call_copies_fewer():
    """Half the bytes came by another way."""
    assert outcome("S1", recordings=[half_copied_in()]) is REFUTED


def test_s1_is_open_without_a_two_copy_run_that_can_be_trusted():
    """Another mode's run, or one whose books do not balance, decides nothing."""
    broken = copied("twocopy", observed=workload("twocopy", received_bytes=PAYLOAD - 1))

    assert outcome("S1", recordings=[looped()]) is UNDECIDED
    found = ruling("S1", recordings=[broken])
    assert found.outcome is UNDECIDED
    assert "not trustworthy" in found.missing


@pytest.mark.parametrize(
    ("recordings", "expected"),
    [
        ([over_nic("twocopy", **NO_SG)], CONFIRMED),
        ([over_nic("twocopy", **BOUNCED)], CONFIRMED),
        ([over_nic("twocopy")], REFUTED),
        ([over_nic("twocopy"), over_nic("twocopy", **NO_SG), over_nic("twocopy", **BOUNCED)], DEPENDS),
        ([copied("twocopy")], UNDECIDED),
        ([over_nic("onecopy", **NO_SG)], UNDECIDED),
        ([], UNDECIDED),
    ],
)
def test_s2_hangs_on_scatter_gather_and_the_bounce_buffer(recordings, expected):
    """Only a NIC can tell; loopback, where no device reads the bytes, decides nothing."""
    assert outcome("S2", recordings=recordings) is expected


def test_s2_names_what_it_depends_on():
    """One thing alone where one does; else all that differs."""
    found = ruling("S2", recordings=[over_nic("twocopy"), over_nic("twocopy", **NO_SG)])

    assert found.depends_on == ["scatter-gather"]
    assert "depends on scatter-gather" in found.sentence


def test_s2_needs_to_have_seen_the_bounce_buffer():
    """Tracepoints cannot; what nobody observed is not absent."""
    observation = tracepoints(net_dev_start_xmit__copied=(9, PAYLOAD))
    unseen = recording(observation, "twocopy", Link.NIC, observed=workload("twocopy", received_bytes=None))

    assert outcome("S2", recordings=[unseen]) is UNDECIDED


def test_s3_holds_where_two_copies_take_most_of_the_time():
    """Both exist and dominate."""
    found = [profiled("twocopy", copy_in=0.4, linearize=0.3, locks=0.3), over_nic("twocopy", **NO_SG)]

    assert outcome("S3", recordings=found) is CONFIRMED


@pytest.mark.parametrize(
    "recordings",
    [
        [profiled("twocopy", copy_in=0.3, copy_out=0.3, locks=0.4)],
        [profiled("twocopy", copy_in=0.9, locks=0.1), over_nic("twocopy")],
    ],
)
def test_s3_falls_where_copies_are_cheap_or_there_is_only_one(recordings):
    """A share under a half; or no second copy on a NIC."""
    assert outcome("S3", recordings=recordings) is REFUTED


@pytest.mark.parametrize(
    "recordings",
    [
        [],
        [copied("twocopy")],
        [profiled("twocopy", copy_in=0.9)],
        [profiled("twocopy", copy_in=0.3, unmapped=0.3, locks=0.4)],
        [profiled("onecopy", copy_in=0.1)],
        [msgspec.structs.replace(profiled("twocopy", copy_in=0.1), host=host(emulated=True))],
    ],
)
def test_s3_is_open_without_a_profile_of_a_real_cpu(recordings):
    """And where nobody looked for the second copy."""
    assert outcome("S3", recordings=recordings) is UNDECIDED


def few(mode: str, samples: int, **shares: float) -> Recording:
    """A profile of so many samples."""
    base = profiled(mode, **shares)
    assert base.profile is not None
    stages = [msgspec.structs.replace(one, samples=round(one.share * samples)) for one in base.profile.stages]
    return msgspec.structs.replace(
        base, profile=msgspec.structs.replace(base.profile, samples=samples, stages=stages)
    )  # fmt: skip


@pytest.mark.parametrize(
    ("evidence", "lacks"),
    [
        (few("twocopy", 14, copy_in=0.1, locks=0.9), "more samples: 100 at least"),
        (few("twocopy", 99, copy_in=0.1, locks=0.9), "more samples: 100 at least"),
        (few("twocopy", 1000, copy_in=0.1, locks=0.6, unmapped=0.3), "at most 20% of it unattributed"),
        (few("twocopy", 100, copy_in=0.45, locks=0.55), "less unattributed"),
    ],
)
def test_s3_is_open_where_a_profile_says_too_little(evidence, lacks):
    """A dozen samples, or a profile that does not know where a third of the time went: it refuted the claim once."""
    found = ruling("S3", recordings=[evidence, over_nic("twocopy")])

    assert found.outcome is UNDECIDED
    assert lacks in found.missing


def test_s3_falls_by_a_hundred_samples():
    """If their share is clear."""
    assert outcome("S3", recordings=[few("twocopy", 100, copy_in=0.1, locks=0.9)]) is REFUTED


def test_s4_holds_where_only_the_packing_differs():
    """1x and 0x packed, all else alike."""
    assert outcome("S4", recordings=[copied("twocopy"), copied("onecopy")]) is CONFIRMED


def test_s4_falls_where_another_stage_differs_or_packing_stays():
    """Wrong either way."""
    packs_too = copied("onecopy", observed=workload("onecopy", packed_bytes=PAYLOAD))

    assert outcome("S4", recordings=[half_copied_in(), over_nic("onecopy")]) is REFUTED
    assert outcome("S4", recordings=[copied("twocopy"), packs_too]) is REFUTED


def test_s4_is_open_without_a_pair_that_differs_in_nothing_else():
    """One mode alone; or two sizes."""
    larger = msgspec.structs.replace(copied("onecopy"), experiment=Experiment(mode="onecopy", size=4096, messages=1))

    assert outcome("S4", recordings=[copied("twocopy")]) is UNDECIDED
    assert outcome("S4", recordings=[copied("twocopy"), larger]) is UNDECIDED


@pytest.mark.parametrize(
    ("recordings", "expected"),
    [
        ([over_nic("zerocopy")], CONFIRMED),
        ([looped()], REFUTED),
        ([over_nic("zerocopy", deferred=PAYLOAD)], REFUTED),
        ([over_nic("zerocopy", **NO_SG, pinned=0)], REFUTED),
        ([over_nic("zerocopy"), looped()], DEPENDS),
        ([over_nic("zerocopy"), over_nic("zerocopy", **BOUNCED)], DEPENDS),
        ([copied("twocopy")], UNDECIDED),
        ([], UNDECIDED),
    ],
)
def test_s5_is_true_on_a_nic_that_gathers_and_nowhere_else(recordings, expected):
    """The ledger decides, not the completion's flag."""
    assert outcome("S5", recordings=recordings) is expected


def test_s5_says_that_a_nic_was_not_examined():
    """Loopback alone refutes the claim as it stands, and does not speak for NICs."""
    assert "not examined" in ruling("S5", recordings=[looped()]).sentence


# ---- times ----------------------------------------------------------------------------------------------------------


def by_mode(**factors: float):
    """Throughput that grows with the size, times a factor of the mode."""
    return lambda mode, size, threads: factors.get(mode, 1.0) * rising(mode, size, threads)


def falling(mode: str, size: int, threads: int) -> float:
    return 1e6 / rising(mode, size, threads)


def constant(mode: str, size: int, threads: int) -> float:  # noqa: ARG001
    return 10.0


def only(mode_of_choice: str, this, that):
    return lambda mode, size, threads: (this if mode == mode_of_choice else that)(mode, size, threads)


def test_s6_is_decided_by_the_trend_of_throughput():
    """Rising in all, in none, in one mode only, hidden by noise."""
    noisy = runs(constant, noise=(1.0, 3.0, 0.3, 2.0, 0.5))

    assert outcome("S6", of=runs(rising)) is CONFIRMED
    assert outcome("S6", of=runs(falling)) is REFUTED
    found = ruling("S6", of=runs(only("zerocopy", falling, rising)))
    assert (found.outcome, found.depends_on) == (DEPENDS, ["mode"])
    assert outcome("S6", of=noisy) is UNDECIDED


def test_s6_falls_where_one_step_is_clearly_down():
    """Even if the largest size is faster than the smallest."""
    dip = {1024: 2.0, 4096: 9.0, 16384: 5.0, 65536: 12.0}

    assert outcome("S6", of=runs(lambda _mode, size, _threads: dip[size])) is REFUTED


def test_s7_is_decided_by_the_order_of_the_peaks():
    """The claimed order, another, noise, a missing mode."""
    two_modes = plan(modes=["twocopy", "onecopy"])

    assert outcome("S7", of=runs(by_mode(zerocopy=3.0, onecopy=2.0))) is CONFIRMED
    assert outcome("S7", of=runs(by_mode(zerocopy=0.5, onecopy=2.0))) is REFUTED
    assert outcome("S7", of=runs(by_mode())) is UNDECIDED
    assert "all three modes" in ruling("S7", of=runs(of=two_modes)).missing


def test_s7_compares_the_peaks_of_each_repetition():
    """Wherever they are: a mode whose best number of threads changes with every repetition still has its peak."""
    wandering = [
        msgspec.structs.replace(one, recording=fastest_at(one, [1, 2, 4][one.repetition % 3]))
        for one in runs(by_mode())
    ]

    assert outcome("S7", of=wandering) is REFUTED


def fastest_at(one: Run, threads: int) -> Recording:
    """zerocopy is as fast as the others at one number of threads, but for a fifth, and ten times slower elsewhere."""
    bare = one.recording.workload
    assert bare is not None
    factor = 1.0 if one.label != "zerocopy" else 0.8 if one.cell.threads == threads else 0.1
    slower = msgspec.structs.replace(bare, throughput_bytes_per_s=bare.throughput_bytes_per_s * factor)
    return msgspec.structs.replace(one.recording, workload=slower)


def test_s7_can_depend_on_the_link():
    """Links are never mixed in one comparison."""
    slow = runs(by_mode(zerocopy=0.5, onecopy=2.0))
    fast = runs(by_mode(zerocopy=3.0, onecopy=2.0), link=Link.VETH)
    found = ruling("S7", of=slow + fast)

    assert (found.outcome, found.depends_on) == (DEPENDS, ["link"])


def hump(_mode: str, _size: int, threads: int) -> float:
    return {1: 10.0, 2: 20.0, 4: 12.0}[threads]


def growing(_mode: str, _size: int, threads: int) -> float:
    return float(threads)


def shrinking(_mode: str, _size: int, threads: int) -> float:
    return 1.0 / threads


@pytest.mark.parametrize(
    ("throughput", "counters", "expected"),
    [
        (hump, {"context-switches": growing, "LLC-load-misses": growing}, CONFIRMED),
        (hump, {"context-switches": shrinking, "LLC-load-misses": growing}, REFUTED),
        (growing, {"context-switches": growing, "LLC-load-misses": growing}, REFUTED),
        (shrinking, {}, REFUTED),
        (hump, {}, UNDECIDED),
        (hump, {"context-switches": growing}, UNDECIDED),
        (constant, {"context-switches": growing, "LLC-load-misses": growing}, UNDECIDED),
    ],
)
def test_s8_needs_the_shape_and_its_cause(throughput, counters, expected):
    """Rise and fall, and more switches and misses a byte where it falls."""
    assert outcome("S8", of=runs(throughput, counters=counters)) is expected


def test_s9_is_decided_by_the_trend_of_the_median_latency():
    """Rising, falling, in one mode only, noise."""
    assert outcome("S9", of=runs(latency=rising)) is CONFIRMED
    assert outcome("S9", of=runs(latency=falling)) is REFUTED
    assert outcome("S9", of=runs(latency=only("onecopy", falling, rising))) is DEPENDS
    assert outcome("S9", of=runs(latency=constant)) is UNDECIDED


def test_s10_is_decided_by_cycles_or_cpu_time():
    """Cycles by perf where there are some; else CPU time, and the source is said."""
    counted = ruling("S10", of=runs(demand=rising, counters={"cycles": falling}))
    stand_in = ruling("S10", of=runs(demand=falling))

    assert counted.outcome is CONFIRMED
    assert "(perf)" in counted.cases[0].text
    assert stand_in.outcome is CONFIRMED
    assert "CPU time" in stand_in.cases[0].text
    assert outcome("S10", of=runs(counters={"cycles": rising})) is REFUTED
    assert outcome("S10", of=runs(demand=constant)) is UNDECIDED


def test_s11_is_decided_by_zero_copys_cost_over_both_others():
    """Cheapest everywhere, dearest everywhere, at large sizes only, like the others."""
    by_size = only("zerocopy", lambda _m, size, _t: 2.0 if size < 16384 else 0.5, lambda *_: 1.0)

    assert outcome("S11", of=runs(demand=only("zerocopy", lambda *_: 0.5, lambda *_: 1.0))) is CONFIRMED
    assert outcome("S11", of=runs(demand=only("zerocopy", lambda *_: 2.0, lambda *_: 1.0))) is REFUTED
    found = ruling("S11", of=runs(demand=by_size))
    assert (found.outcome, found.depends_on) == (DEPENDS, ["size"])
    assert outcome("S11", of=runs(demand=constant)) is UNDECIDED


def with_profile(found: list[Run], **shares: float) -> list[Run]:
    """The first repetitions of zerocopy get a profile."""
    return [
        msgspec.structs.replace(one, recording=msgspec.structs.replace(one.recording, profile=profile(**shares)))
        if one.label == "zerocopy" and one.repetition == 0
        else one
        for one in found
    ]


SLOW = by_mode(zerocopy=0.2)


def test_s12_needs_zero_copy_to_be_slow_for_the_reason_given():
    """Slow by pinning; slow by something else; fast; slow by nobody knows what: half of the samples are unmapped."""
    assert outcome("S12", of=with_profile(runs(SLOW), pin=0.4, completion=0.3, copy_out=0.3)) is CONFIRMED
    assert outcome("S12", of=with_profile(runs(SLOW), pin=0.1, scheduling=0.9)) is REFUTED
    assert outcome("S12", of=with_profile(runs(by_mode(zerocopy=5.0)), pin=0.9)) is REFUTED
    assert outcome("S12", of=with_profile(runs(SLOW), pin=0.4, unmapped=0.4, copy_out=0.2)) is UNDECIDED
    unexplained = ruling("S12", of=runs(SLOW))
    assert unexplained.outcome is UNDECIDED
    assert "why is not known" in unexplained.missing


def test_s12_is_open_by_a_dozen_samples():
    """It is slower, and nobody knows why."""
    found = [
        msgspec.structs.replace(
            one,
            recording=msgspec.structs.replace(
                one.recording, profile=few("zerocopy", 12, pin=0.1, scheduling=0.9).profile
            ),
        )
        for one in runs(SLOW)
    ]
    judged = ruling("S12", of=found)

    assert judged.outcome is UNDECIDED
    assert "it is slower, but why is not known: more samples" in judged.missing


def test_s12_says_which_half_of_it_fails():
    """Slower for another reason is not the same as not slower."""
    other = ruling("S12", of=with_profile(runs(SLOW), pin=0.1, timers=0.9))
    fast = ruling("S12", of=runs(by_mode(zerocopy=50.0)))

    assert "it is slower, but pinning" in other.sentence
    assert "timers 90%" in other.sentence
    assert "it is not slower" in fast.sentence


def test_what_a_verdict_depends_on_is_the_least_that_tells_its_cases_apart():
    """Three things together, and nothing that merely varies."""
    cases = [
        Case(where={"link": link, "gather": gather, "size": size}, holds=link == "nic" and gather, text="")
        for link, gather, size in [("nic", True, 1), ("nic", False, 1), ("lo", True, 1), ("lo", True, 2)]
    ]

    assert dependence(cases) == ["link", "gather"]
    assert dependence([*cases, Case(where={"link": "nic", "gather": True, "size": 2}, holds=True, text="")]) == [
        "link",
        "gather",
    ]


def test_s12_is_about_small_messages():
    """A sweep of large ones decides nothing."""
    large = plan(sizes=[16384, 65536])

    assert outcome("S12", of=with_profile(runs(SLOW, of=large), pin=0.9)) is UNDECIDED


def fewer_misses(mode: str, size: int, threads: int) -> float:  # noqa: ARG001
    """Half as many at the smallest size, an eighth at the largest."""
    return 1.0 if mode == "twocopy" else 0.5 / (1 + SIZES.index(size))


@pytest.mark.parametrize(
    ("misses", "expected"),
    [
        (fewer_misses, CONFIRMED),
        (lambda mode, size, threads: 1 / fewer_misses(mode, size, threads), REFUTED),
        (lambda mode, size, threads: fewer_misses(mode, 65536 * 1024 // size, threads), REFUTED),
        (only("zerocopy", lambda *_: 3.0, fewer_misses), DEPENDS),
    ],
)
@pytest.mark.parametrize("event", ["LLC-load-misses", "branch-misses"])
def test_s13_is_decided_by_misses_a_byte(misses, expected, event):
    """Of the last-level cache, or branch misses in their place."""
    assert outcome("S13", of=runs(counters={event: misses})) is expected


def test_s13_is_open_on_a_machine_without_counters():
    """No hardware counter at all: nothing is invented."""
    found = ruling("S13", of=runs())

    assert found.outcome is UNDECIDED
    assert "no counter" in found.missing


def test_s14_is_decided_by_switches_a_byte():
    """More, fewer, uncounted."""
    assert outcome("S14", of=runs(counters={"context-switches": growing})) is CONFIRMED
    assert outcome("S14", of=runs(counters={"context-switches": shrinking})) is REFUTED
    assert outcome("S14", of=runs(counters={"context-switches": only("onecopy", shrinking, growing)})) is DEPENDS
    assert outcome("S14", of=runs()) is UNDECIDED


def crossing(mode_that_crosses: str, at: float):
    """That mode's throughput passes two-copy's at a size; the steeper the further away."""
    return lambda mode, size, _: 10 * ((size / at) ** 0.3 if mode == mode_that_crosses else 1.0)


@pytest.mark.parametrize(("identity", "mode", "claimed"), [("S15", "onecopy", 4096), ("S16", "zerocopy", 16384)])
def test_s15_and_s16_need_a_crossover_near_the_size(identity, mode, claimed):
    """There; elsewhere; nowhere because one mode leads throughout; unclear."""
    assert outcome(identity, of=runs(crossing(mode, claimed * 1.2))) is CONFIRMED
    assert outcome(identity, of=runs(crossing(mode, {4096: 30000.0, 16384: 2000.0}[claimed]))) is REFUTED
    assert outcome(identity, of=runs(by_mode(**{mode: 0.5}))) is REFUTED
    assert outcome(identity, of=runs(by_mode(**{mode: 2.0}))) is REFUTED
    assert outcome(identity, of=runs(by_mode())) is UNDECIDED


def test_s17_needs_zero_copy_to_be_surely_less_than_five_percent_ahead():
    """Slower; clearly faster; too noisy to say."""
    noisy = runs(by_mode(), noise=(1.0, 1.5, 0.7, 1.3, 0.8))
    large = plan(sizes=[16384])

    assert outcome("S17", of=runs(SLOW)) is CONFIRMED
    assert outcome("S17", of=runs(by_mode(zerocopy=2.0))) is REFUTED
    assert outcome("S17", of=noisy) is UNDECIDED
    assert outcome("S17", of=runs(SLOW, of=large)) is UNDECIDED


TIME_CLAIMS = ["S6", "S7", "S8", "S9", "S10", "S11", "S12", "S13", "S14", "S15", "S16", "S17"]
TELLING: dict[str, Any] = {
    "throughput": by_mode(zerocopy=0.2, onecopy=2.0), "latency": rising, "demand": falling,
    "counters": {"context-switches": growing, "LLC-load-misses": fewer_misses, "cycles": falling},
}  # fmt: skip


@pytest.mark.parametrize("identity", TIME_CLAIMS)
def test_no_claim_on_time_or_cpu_is_decided_by_an_emulated_cpu(identity):
    """Whatever its figures say; and the reason is given."""
    found = ruling(identity, of=runs(**TELLING, emulated=True))

    assert found.outcome is UNDECIDED
    assert "emulated" in found.missing


@pytest.mark.parametrize("identity", TIME_CLAIMS)
def test_no_claim_on_time_or_cpu_is_decided_by_one_repetition(identity):
    """A figure without an interval is an anecdote."""
    found = ruling(identity, of=[one for one in runs(**TELLING) if one.repetition == 0])

    assert found.outcome is UNDECIDED
    assert "(there are 1): nettrace sweep --repetitions" in found.missing


def attempt(level: int, counts: str, worked: bool, **other: Any) -> PerfAttempt:
    return PerfAttempt(level=level, counts=counts, worked=worked, **other)


@pytest.mark.parametrize(
    ("attempts", "expected"),
    [
        ([attempt(3, "default", False), attempt(1, "default", True)], CONFIRMED),
        ([attempt(2, "default", True), attempt(2, "kernel", True)], REFUTED),
        ([attempt(2, "kernel", False), attempt(1, "kernel", False)], REFUTED),
        (
            [attempt(2, "default", True, user_only=True), attempt(2, "kernel", False), attempt(1, "kernel", True)],
            DEPENDS,
        ),
        ([attempt(3, "default", False)], UNDECIDED),
        ([attempt(1, "default", True)], UNDECIDED),
        ([], UNDECIDED),
        (None, UNDECIDED),
    ],
)
def test_s18_is_decided_by_trying(attempts, expected):
    """Refused above level 1 and allowed below; allowed anyway; only in part; not tried both ways."""
    assert outcome("S18", perf_attempts=attempts) is expected


def test_s18_tells_a_refusal_from_a_perf_that_is_not_there():
    """A wrapper without its program is no answer of the kernel's; it is quoted."""
    wrapper = "WARNING: perf not found for kernel 6.8.0-31"
    found = ruling("S18", perf_attempts=[attempt(3, "default", False, absent=True, message=wrapper)])

    assert (found.outcome, found.cases) == (UNDECIDED, [])
    assert wrapper in found.missing


def test_s18_says_what_perf_leaves_out():
    """A success that counts user mode alone is told as such."""
    tried = [attempt(2, "default", True, user_only=True), attempt(2, "kernel", False), attempt(1, "kernel", True)]

    assert "user mode alone" in ruling("S18", perf_attempts=tried).sentence


# ---- all of them ----------------------------------------------------------------------------------------------------


def test_without_any_evidence_every_claim_is_open():
    """And each says what is missing."""
    rulings = judge(Evidence([], []))

    assert [one.id for one in rulings] == [f"S{number}" for number in range(1, 19)]
    assert {one.outcome for one in rulings} == {UNDECIDED}
    assert all(one.missing and one.missing in one.sentence for one in rulings)


def test_every_rule_has_a_sentence_for_every_outcome():
    """Sentences are data; none may be missing."""
    for rule in RULES:
        assert set(rule.because) == {CONFIRMED, REFUTED, DEPENDS}
        assert "{on}" in rule.because[DEPENDS]


def test_runs_without_any_payload_decide_nothing():
    """A recording of nothing has no ratio."""
    empty = msgspec.structs.replace(copied("twocopy"), observed=workload("twocopy", payload_bytes=0, received_bytes=0))

    assert outcome("S1", recordings=[empty]) is UNDECIDED


def wild(seed: int) -> list[Run]:
    """Throughput without any trend at all, scattered by a factor of ten."""
    dice = random.Random(seed)
    return [
        run(*cell, number, gbps=10 ** dice.random(), label=cell.label)
        for cell in plan().cells()
        for number in range(11)
    ]


def test_noise_alone_decides_nothing():
    """Eight sweeps of nothing but noise: their 48 comparisons each once made a dependence of it."""
    outcomes = {outcome(identity, of=wild(seed)) for seed in range(8) for identity in ("S6", "S7", "S15", "S17")}

    assert outcomes == {UNDECIDED}


def test_a_dependence_shows_in_both_halves_of_the_repetitions():
    """22 of 26 repetitions say that zerocopy is the odd one out; if one half has the other four, it does not say so."""
    of = plan(repetitions=26)
    odd, even = runs(only("zerocopy", falling, rising), of=of), runs(rising, of=of)

    def mixed(*like_the_rest: int) -> list[Run]:
        return [two if one.repetition in like_the_rest else one for one, two in zip(odd, even, strict=True)]

    assert ruling("S6", of=mixed(3, 9, 17, 22)).depends_on == ["mode"]
    found = ruling("S6", of=mixed(14, 17, 20, 23))
    assert found.outcome is UNDECIDED
    assert "depends on mode does not show in both halves" in found.missing


def test_few_repetitions_say_how_many_it_takes():
    """For as many comparisons as the rule makes."""
    found = ruling("S6", of=[one for one in runs() if one.repetition < 5])

    assert found.outcome is UNDECIDED
    assert "11 repetitions for 36 comparisons (there are 5): nettrace sweep --repetitions 11" in found.missing


def case(holds: bool | None, **where: Any) -> Case:
    return Case(where=where, holds=holds, text="")


def test_an_outcome_takes_at_least_half_of_the_cases():
    """Two clear cases among noise do not settle a claim."""
    assert conclude([case(True), case(True), case(None), case(None)]) is CONFIRMED
    assert conclude([case(True), case(None), case(None)]) is UNDECIDED
    assert conclude([case(True), case(False)]) is DEPENDS
    assert conclude([case(False), case(False)]) is REFUTED
    assert conclude([]) is UNDECIDED


def test_a_dependence_names_what_separates_the_cases():
    """The link tells them apart; the size, which occurs on both sides, does not."""
    cases = [case(True, link="nic", size=1), case(True, link="nic", size=2), case(False, link="lo", size=1)]

    assert dependence(cases) == ["link"]


def test_a_dependence_without_a_single_cause_names_all_that_varies():
    """It takes both to tell."""
    cases = [
        case(True, sg=True, bounce=False, link="nic"),
        case(False, sg=False, bounce=False, link="nic"),
        case(False, sg=True, bounce=True, link="nic"),
    ]

    assert dependence(cases) == ["sg", "bounce"]
