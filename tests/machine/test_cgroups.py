"""Cgroups of our own, and what others make in them."""

from __future__ import annotations

import pytest

from tracer.machine import leftovers
from tracer.machine.cgroups import cgroups_below, open_cgroup
from tracer.machine.commands import processes_in
from tracer.machine.leftovers import cgroups_in

pytestmark = pytest.mark.live


def test_a_threaded_cgroup_tells_no_processes_and_hides_none() -> None:
    """Its cgroup.procs cannot be read (EOPNOTSUPP): its processes are among those of what holds it."""
    with open_cgroup() as cgroup:
        threaded, plain = cgroup / "threaded", cgroup / "plain"
        threaded.mkdir()
        plain.mkdir()
        (threaded / "cgroup.type").write_text("threaded")

        assert processes_in(cgroup) == []


def test_what_is_removed_while_one_looks_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever else uses cgroups makes and removes them at any time."""
    with open_cgroup() as cgroup:
        (cgroup / "stays").mkdir()
        gone = [*cgroups_in(cgroup), cgroup / "gone"]
        for place in ("tracer.machine.cgroups.cgroups_in", "tracer.machine.commands.cgroups_in"):
            monkeypatch.setattr(place, lambda _: gone)

        assert list(cgroups_below(cgroup).values()) == [f"/{cgroup.name}/stays"]
        assert processes_in(cgroup) == []


def test_a_cgroup_goes_with_all_that_was_made_in_it() -> None:
    """The innermost first; one that has gone by itself is no error."""
    with open_cgroup() as cgroup:
        (cgroup / "one/two").mkdir(parents=True)
    leftovers.remove_cgroup(cgroup)

    assert not cgroup.exists()
