"""nettrace compare: a winner only beyond noise, and nothing that was not observed."""

from __future__ import annotations

import io
import json
import re

import msgspec
import pytest

from tests.samples import copied, host, workload
from tests.sweep_samples import plan, profile, runs, sweep
from tracer.model import Stage
from tracer.reports.compare import encode_comparison, print_comparison
from tracer.reports.tables import make_console
from tracer.study.comparison import comparison_of
from tracer.study.contests import contest_of
from tracer.study.measurements import CYCLES, Samples

ONE = plan(sizes=[16384], threads=[1])


def compared(throughput=lambda *_: 10.0, of=ONE, found=None, **other):
    return comparison_of(sweep(runs(throughput, of=of) if found is None else found, of, **other))


def text_of(comparison):
    stream = io.StringIO()
    print_comparison(comparison, make_console(stream))
    return stream.getvalue()


def by_mode(**gbps):
    return lambda mode, *_: gbps[mode]


def contest(comparison, quantity="throughput"):
    return next(one for one in comparison.contests if one.quantity == quantity)


def test_the_winner_is_named_with_its_interval():
    """Against the next best, paired by repetition."""
    found = contest(compared(by_mode(twocopy=5.0, onecopy=10.0, zerocopy=1.0)))

    assert found.winner == "onecopy"
    assert found.sentence == (
        "throughput: onecopy wins; its throughput is 2.02x twocopy's (1.92x to 2.06x), 9.9x zerocopy's (9.71x to 10.4x)"
    )
    assert found.ratio is not None
    assert found.ratio.low is not None
    assert found.ratio.low > 1


def test_no_winner_is_named_within_the_noise():
    """The interval of the ratio holds 1."""
    found = contest(compared())

    assert found.winner is None
    assert "no difference beyond noise" in found.sentence


def test_a_tie_at_the_top_leaves_the_third_behind():
    """Two modes alike, and one that is clearly slower: both are said."""
    found = contest(compared(by_mode(twocopy=10.0, onecopy=10.0, zerocopy=2.0)))

    assert found.winner is None
    assert "no difference beyond noise between" in found.sentence
    assert "'s throughput is " in found.sentence
    assert "5x zerocopy's (" in found.sentence


def test_the_least_time_and_the_least_cost_win():
    """For latency and CPU, less is better."""
    cheap = runs(
        latency=lambda mode, *_: 5.0 if mode == "zerocopy" else 10.0,
        demand=lambda mode, *_: 0.2 if mode == "twocopy" else 1.0, of=ONE,
    )  # fmt: skip
    comparison = compared(found=cheap)

    assert contest(comparison, "latency").winner == "zerocopy"
    assert contest(comparison, "demand").winner == "twocopy"


@pytest.mark.parametrize("repetitions", [1, 4])
def test_too_few_repetitions_name_no_winner(repetitions):
    """However large the difference."""
    few = plan(sizes=[16384], threads=[1], repetitions=repetitions)
    found = contest(compared(by_mode(twocopy=1.0, onecopy=10.0, zerocopy=1.0), of=few))

    assert found.winner is None
    assert "too few" in found.sentence


def test_one_mode_alone_has_no_opponent():
    """Nothing to compare, no traceback."""
    alone = plan(modes=["twocopy"], sizes=[16384], threads=[1])

    assert contest(compared(of=alone)).winner is None


def test_copies_stand_side_by_side_by_stage():
    """What a mode does not do is 0, what nobody saw is n/a."""
    comparison = compared()

    assert comparison.copies["twocopy"]["pack"] == 1
    assert comparison.copies["onecopy"]["pack"] == 0
    assert comparison.copies["zerocopy"]["deferred_copy"] == 1
    assert "deferred copy, x payload" in text_of(comparison)


def test_counters_that_are_absent_are_n_a_on_the_screen():
    """A machine without a PMU."""
    line = next(line for line in text_of(compared()).splitlines() if line.startswith("cycles a byte"))

    assert line.split()[3:6] == ["n/a", "n/a", "n/a"]


def test_cpu_by_stage_stands_beside_the_bytes_where_it_was_sampled():
    """CPU time a byte for each stage of the profile."""
    found = [
        msgspec.structs.replace(one, recording=msgspec.structs.replace(one.recording, profile=profile(copy_in=0.25)))
        for one in runs(of=ONE)
    ]

    assert "CPU: copy in, ns/B" in text_of(compared(found=found))


def test_a_dozen_samples_are_no_cpu_time_by_stage():
    """They are left out, and counted in a note."""
    seldom = msgspec.structs.replace(profile(copy_in=0.25), samples=12)
    found = [
        msgspec.structs.replace(one, recording=msgspec.structs.replace(one.recording, profile=seldom))
        for one in runs(of=ONE)
    ]
    text = text_of(compared(found=found))

    assert "CPU: copy in" not in text
    assert "CPU time by stage takes 100 samples; there are: twocopy 12, onecopy 12, zerocopy 12" in text


def test_books_that_do_not_balance_are_told_and_make_it_untrustworthy():
    """Exit code 5; the doubtful bytes are left out."""
    broken = copied("twocopy", observed=workload("twocopy", received_bytes=1))
    found = [
        msgspec.structs.replace(one, recording=msgspec.structs.replace(one.recording, observed=broken.observed))
        if one.label == "twocopy" and one.recording.observed
        else one
        for one in runs(of=ONE)
    ]
    comparison = compared(found=found)

    assert not comparison.trustworthy
    assert comparison.copies["twocopy"] == {}
    assert "law E1 is broken" in text_of(comparison)


def test_no_name_of_the_json_document_is_in_a_sentence():
    """Of one mode there is nothing to compare, by no quantity."""
    alone = plan(modes=["onecopy"], sizes=[16384], threads=[1])
    told = text_of(compared(of=alone))
    by_cycles = contest_of(Samples([], CYCLES), ["onecopy"], 16384, 1, highest=False)

    assert "time per message: nothing to compare" in told
    assert "latency:" not in told
    assert by_cycles.sentence == "cycles per byte: nothing to compare"


def test_too_few_repetitions_are_told_with_one_number():
    """By each contest, and by the advice."""
    few = plan(sizes=[16384], threads=[1], repetitions=3)
    told = text_of(compared(of=few))

    assert len(set(re.findall(r"--repetitions (\d+)", told))) == 1


def test_the_title_counts_as_one_speaks():
    """One repetition has no plural."""
    one, two = (plan(sizes=[16384], threads=[1], repetitions=number) for number in (1, 2))

    assert ", 1 repetition in shuffled order, " in text_of(compared(of=one))
    assert ", 2 repetitions in shuffled order, " in text_of(compared(of=two))


def test_an_emulated_cpu_is_told():
    """Its times say nothing, so they name no winner."""
    comparison = compared(by_mode(twocopy=1.0, onecopy=10.0, zerocopy=1.0), host=host(emulated=True))

    assert comparison.contests == []
    assert "emulated" in text_of(comparison)


def test_the_json_document_has_a_schema():
    """And null where nothing was measured."""
    document = json.loads(encode_comparison(compared()))

    assert document["schema"] == "nettrace.compare/1"
    assert document["figures"]["cycles_per_byte"]["twocopy"] is None


def test_who_is_clearly_dearer_is_told_why():
    """The stage that takes most of the difference, with its figure; of who is as cheap, nothing."""
    costs = runs(demand=lambda mode, *_: 2.0 if mode == "zerocopy" else 1.0, of=ONE)
    sampled = {"twocopy": {"copy_in": 0.4}, "onecopy": {"copy_in": 0.4}, "zerocopy": {"timers": 0.6, "pin": 0.2}}
    found = [
        one if one.repetition else msgspec.structs.replace(
            one, recording=msgspec.structs.replace(one.recording, profile=profile(**sampled[one.label]))
        )
        for one in costs
    ]  # fmt: skip
    comparison = compared(found=found)

    assert [sentence.split()[1] for sentence in comparison.why] == ["zerocopy"]
    assert "x the packets" not in comparison.why[0]
    assert "0.600 ns/B more in timers" in comparison.why[0]
    assert "75% of the difference" in comparison.why[0]
    assert comparison.why[0] in " ".join(text_of(comparison).split())


def test_without_a_clear_difference_there_is_no_why():
    """Noise has no cause."""
    assert compared().why == []


def test_a_mode_in_the_clear_has_no_ciphers_work_beside_one_that_has():
    """None, which is known, and not n/a; a mode of which nothing is known has n/a."""
    found = compared(of=plan(modes=["onecopy", "ktls", "twocopy"], sizes=[16384], threads=[1]))
    copies = {"onecopy": {Stage.COPY_IN: 1.0}, "ktls": {Stage.ENCRYPT: 1.0}}
    text = text_of(msgspec.structs.replace(found, copies=copies))

    row = next(line for line in text.splitlines() if line.startswith("encrypt, x payload"))
    assert row.split()[3:6] == ["0", "1", "n/a"]
