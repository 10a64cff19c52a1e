"""The lab matrix: what it consists of, what its oracle finds wrong, how its tables are made. The runs are the lab's."""

from __future__ import annotations

import pytest

from bench import lab_matrix
from bench.lab_matrix import Asked, Cell, cells, judged, table, ten_rows
from bench.matrix_cells import READINGS, WAYS, size_of
from tests.entry_samples import TAP
from tests.function_samples import looped, on_nic, with_counted
from tests.samples import changed, host
from tracer.books.modes import NAMES
from tracer.lab import kernels
from tracer.model import Recording


def test_every_mode_goes_by_every_link_and_every_way_to_read_has_three():
    """On each kernel; six modes over IPv6, and with a tap."""
    asked = [(one.link, one.mode) for one in cells(["6.1"], list(WAYS), list(NAMES))]
    modes_by = {link: [mode for way, mode in asked if way == link] for link in WAYS}

    assert all(modes_by[link] == list(NAMES) for link in ("lo", "veth", "nic", "nic --no-sg", "nic --bounce"))
    assert all(modes_by[link] == ["onecopy", "zerocopy", "sendfile"] for link in READINGS)
    assert all(
        len(modes_by[link]) == 6 for link in ("lo --ipv6", "veth --ipv6", "lo tapped", "veth tapped", "nic tapped")
    )
    assert len(asked) == len(set(asked))


def test_a_reader_that_maps_is_sent_whole_pages():
    """To all others odd bytes are sent."""
    assert size_of("zerocopy", "lo map") % 4096 == 0
    assert size_of("zerocopy", "lo peek") % 2 == 1


def test_the_readme_shows_what_the_oracle_foretells() -> None:
    """Ten rows, on which all kernels agree."""
    assert ten_rows() == lab_matrix.README.read_text().partition(lab_matrix.BEGIN)[2].partition(lab_matrix.END)[0][1:]
    assert len(ten_rows().splitlines()) == 12


def judged_on(link: str, recording: Recording, kernel: str = "6.12") -> Cell:
    return judged(Asked("", kernel, recording.experiment.mode, link), recording)


@pytest.mark.parametrize(("link", "sample"), [("lo", looped()), ("lo", looped("onecopy")), ("nic", on_nic())])
def test_a_run_that_is_right_has_no_problem(link: str, sample: Recording) -> None:
    """By the oracle alone."""
    assert judged_on(link, sample).problems == []


@pytest.mark.parametrize(
    ("link", "sample", "problem"),
    [
        ("lo", with_counted(looped(), "skb_copy_ubufs:return", 230160), "deferred_copy: 230160 not 230161"),
        ("nic", on_nic(copied=23), "law F.L8"),
        ("lo", changed(looped(), host=host(packet_taps=[TAP])), "taps: "),
        ("lo", with_counted(looped("onecopy"), "skb_copy_ubufs:return", 1), "deferred_copy: 1 not 0"),
    ],
)
def test_a_run_that_is_not_is_told_why(link: str, sample: Recording, problem: str) -> None:
    """One byte is enough."""
    assert problem in "; ".join(judged_on(link, sample).problems)


def test_runs_that_came_out_alike_share_a_row_without_columns_that_say_nothing() -> None:
    """Kernels that differ have rows of their own."""
    same = [judged_on("lo", looped(), kernel) for kernel in kernels.names()[:2]]
    another = judged_on("lo", looped("onecopy"), kernels.names()[0])
    other = judged_on("lo", with_counted(looped(), "skb_copy_ubufs:return", 1), kernels.names()[2])
    head, _, first, second, third = table([same[0], another, same[1], other]).splitlines()

    assert first.startswith(f"| {', '.join(kernels.names()[:2])} | zerocopy | lo | 0 | 1x | 1x |")
    assert second.startswith(f"| {kernels.names()[2]} | zerocopy | lo | 0 | 1x | 1 B |")
    assert third.startswith(f"| {kernels.names()[0]} | onecopy | lo |")
    assert "pin" in head
    assert "bounce" not in head
