"""Pictures: drawn where there are figures, named where there are none, the same file for the same data."""

from __future__ import annotations

import msgspec
import pytest

from tests.samples import copied, workload
from tests.sweep_samples import plan, profile, rising, runs, sweep
from tracer.errors import MachineError
from tracer.reports.plots import COLOURS, draw_all

EVENTS = {"cycles": rising, "LLC-load-misses": rising, "context-switches": rising}
ALL = {
    "throughput-by-size", "latency-by-size", "latency-by-threads", "cycles-by-size", "demand-by-size",
    "misses-by-size", "switches-by-threads", "copies-by-stage", "cpu-by-stage",
}  # fmt: skip
SMALL = plan(sizes=[1024, 65536], threads=[1, 8])


def with_profiles(found):
    shares = profile(copy_in=0.3, tcp_ip=0.3, copy_out=0.2, locks=0.1, unmapped=0.1)
    return [
        msgspec.structs.replace(one, recording=msgspec.structs.replace(one.recording, profile=shares)) for one in found
    ]


def names(files):
    return {path.stem for path in files}


def test_a_sweep_with_everything_gives_every_picture_twice(tmp_path):
    """As SVG and as PNG."""
    files, skipped = draw_all(sweep(with_profiles(runs(counters=EVENTS, of=SMALL)), SMALL), tmp_path)

    assert names(files) == ALL
    assert sorted(path.suffix for path in files) == [".png"] * len(ALL) + [".svg"] * len(ALL)
    assert all(path.stat().st_size > 1000 for path in files)
    assert skipped == []


def test_what_nobody_counted_is_named_and_not_drawn(tmp_path):
    """A machine without counters or samples: no empty axes, no zeros."""
    files, skipped = draw_all(sweep(runs(of=SMALL), SMALL), tmp_path)

    assert names(files) == ALL - {"cycles-by-size", "misses-by-size", "switches-by-threads", "cpu-by-stage"}
    assert all("n/a" in text for text in skipped)
    assert {text.partition(":")[0] for text in skipped} == ALL - names(files)


def test_values_of_two_sources_are_not_drawn_in_one_picture(tmp_path):
    """LLC misses beside branch misses would be a lie."""
    mixed = (
        runs(counters={"LLC-load-misses": rising}, of=SMALL)[:10]
        + runs(counters={"branch-misses": rising}, of=SMALL)[10:]
    )
    _, skipped = draw_all(sweep(mixed, SMALL), tmp_path)

    assert any("misses-by-size: n/a, its values come from different sources" in text for text in skipped)


@pytest.mark.parametrize(
    ("of", "kept"),
    [
        (plan(sizes=[1024], threads=[1], repetitions=1, modes=["zerocopy"]), None),
        (plan(repetitions=1), 3),
        (plan(sizes=[1, 1000, 1048576], threads=[1, 2, 3, 16]), None),
        (plan(modes=["twocopy"], sizes=[1024], threads=[1], same_mode_twice=True), None),
    ],
)
def test_small_unfinished_and_odd_sweeps_are_drawn(tmp_path, of, kept):
    """One repetition, three runs, one size, odd sizes, an A/A check: pictures without a traceback."""
    files, _ = draw_all(sweep(runs(lambda *_: 3.0, of=of)[:kept], of), tmp_path)

    assert "throughput-by-size" in names(files)


def test_untrustworthy_bytes_are_not_drawn(tmp_path):
    """Books that do not balance are no figures."""
    broken = copied("twocopy", observed=workload("twocopy", received_bytes=1))
    found = [
        msgspec.structs.replace(
            one,
            recording=msgspec.structs.replace(
                one.recording, observed=broken.observed, observations=broken.observations
            ),
        )
        for one in runs(of=SMALL)
    ]
    _, skipped = draw_all(sweep(found, SMALL), tmp_path)

    assert any("copies-by-stage: n/a" in text for text in skipped)


def test_the_same_sweep_gives_the_same_svg(tmp_path):
    """No dates, no random names: a picture in a repository changes only if its figures do."""
    found = sweep(runs(of=SMALL), SMALL)
    draw_all(found, tmp_path / "one")
    draw_all(found, tmp_path / "two")

    assert (tmp_path / "one/throughput-by-size.svg").read_bytes() == (
        tmp_path / "two/throughput-by-size.svg"
    ).read_bytes()


def test_host_and_link_are_in_the_picture(tmp_path):
    """A picture that travels alone says where it was made."""
    draw_all(sweep(runs(of=SMALL), SMALL), tmp_path)
    text = (tmp_path / "throughput-by-size.svg").read_text()

    assert "Linux 6.18.44, AMD EPYC, 2 cores, link lo" in text


def test_an_emulated_cpu_is_named_in_the_picture(tmp_path):
    """Its times must not be mistaken for a CPU's."""
    from tests.samples import host

    draw_all(sweep(runs(of=SMALL), SMALL, host=host(emulated=True, cpu="QEMU TCG")), tmp_path)

    assert "EMULATED CPU QEMU TCG" in (tmp_path / "throughput-by-size.svg").read_text()


def test_a_directory_that_cannot_be_written_is_a_clear_error(tmp_path):
    """A file in its place."""
    (tmp_path / "file").write_text("")

    with pytest.raises(MachineError, match="cannot write"):
        draw_all(sweep(runs(of=SMALL), SMALL), tmp_path / "file")


def test_colours_are_those_of_okabe_and_ito():
    """No two modes share one."""
    assert len(set(COLOURS)) == len(COLOURS)
    assert COLOURS[:3] == ("#E69F00", "#0072B2", "#009E73")
