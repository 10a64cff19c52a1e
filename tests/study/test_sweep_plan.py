"""What a sweep does, in which order, and what is left of it."""

from __future__ import annotations

from typing import get_type_hints

from tests.sweep_samples import REPETITIONS, SMALL, plan, sweep
from tracer.model import Experiment, Settings
from tracer.study.sweep_plan import default_budget, experiment_of, jobs_left, jobs_of


def test_every_repetition_runs_every_cell_once():
    """So that drift hits all alike, and ratios can be paired."""
    jobs = jobs_of(plan())
    per_repetition = len(plan().cells())

    assert len(jobs) == REPETITIONS * per_repetition == 396
    for repetition in range(REPETITIONS):
        part = jobs[repetition * per_repetition : (repetition + 1) * per_repetition]
        assert {job.repetition for job in part} == {repetition}
        assert {job.cell for job in part} == set(plan().cells())


def test_the_order_is_shuffled_and_repeatable():
    """The seed decides; another seed, another order; each repetition has its own."""
    assert jobs_of(plan()) == jobs_of(plan())
    assert jobs_of(plan()) != jobs_of(plan(seed=2))
    first, second = ([job.cell for job in jobs_of(plan()) if job.repetition == one] for one in (0, 1))
    assert first != second
    assert first != plan().cells()


def test_settings_are_those_of_an_experiment_and_of_every_run():
    """By the same names, types and defaults; and each is in the plan that a directory is compared by."""
    asked = {"fields": 3, "ipv6": True, "congestion": "reno", "nodelay": True, "sndbuf": 65536, "rcvbuf": 32768}
    set_so = plan(**asked, receive="splice", cpus=(0, 1))
    names = Settings.__struct_fields__
    types = [{one: get_type_hints(of, include_extras=True)[one] for one in names} for of in (Settings, Experiment)]

    assert types[0] == types[1]
    assert [getattr(Settings(), one) for one in names] == [getattr(Experiment(mode="m", size=1), one) for one in names]
    for job in jobs_of(set_so):
        experiment = experiment_of(set_so, job)
        assert {one: getattr(experiment, one) for one in names} == {one: getattr(set_so, one) for one in names}
    assert set_so != plan()


def test_modes_do_the_same_work():
    """At one size and number of threads, every mode sends as many messages."""
    jobs = [job for job in jobs_of(plan()) if job.cell.size == 4096 and job.cell.threads == 4]
    work = {experiment_of(plan(), job).messages for job in jobs}

    assert len(work) == 1


def test_in_the_lab_only_bytes_are_measured():
    """An emulated CPU's costs say nothing, and it sends 50 times less in the same time."""
    here, lab = plan(), plan(lab="6.12", bytes_budget=default_budget("6.12"))
    job = jobs_of(lab)[0]

    assert experiment_of(here, job).counters
    assert experiment_of(lab, job).lab == "6.12"
    assert not experiment_of(lab, job).counters
    assert not experiment_of(lab, job).profile
    assert experiment_of(lab, job).messages < experiment_of(here, job).messages


def test_what_is_left_is_what_is_not_there():
    """By cell and repetition, in the order of the plan."""
    done = sweep(of=SMALL).runs[:4]

    assert len(jobs_left(SMALL, done)) == 8
