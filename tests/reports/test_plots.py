"""Pictures: drawn where there are figures, named where there are none, the same file for the same data.

A picture takes a third of a second: each sweep is drawn once, and the tests look at the same files or figures.
"""

from __future__ import annotations

from collections.abc import Iterator
from unittest import mock

import matplotlib.pyplot as plt
import msgspec
import pytest
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.text import Text

from tests.samples import copied, host, workload
from tests.sweep_samples import plan, profile, rising, runs, sweep
from tracer.books.stage_table import Work
from tracer.books.stages import UNMAPPED
from tracer.errors import MachineError
from tracer.model import Stage
from tracer.reports import plots
from tracer.reports.plots import _STYLE, _save, draw_all, figures_of
from tracer.reports.stage_styles import look_of
from tracer.study.measurements import THROUGHPUT
from tracer.study.sweep_plan import Plan

EVENTS = {"cycles": rising, "LLC-load-misses": rising, "context-switches": rising}
ALL = {
    "throughput-by-size", "latency-by-size", "latency-by-threads", "cycles-by-size", "demand-by-size",
    "misses-by-size", "switches-by-threads", "copies-by-stage", "cpu-by-stage",
}  # fmt: skip
# Of the pictures of lines, one of each kind.
LOOKED_AT = ("throughput-by-size", "latency-by-threads", "demand-by-size")
SMALL = plan(sizes=[1024, 65536], threads=[1, 8])
ODD: dict[str, Plan] = {
    "one point": plan(sizes=[1024], threads=[1], repetitions=1, modes=["zerocopy"]),
    "three repetitions": plan(sizes=[1024, 4096], threads=[1, 2], repetitions=3),
    "three panels": plan(sizes=[1, 1000, 1048576], threads=[1, 2, 16]),
    "an A/A check": plan(modes=["twocopy", "onecopy"], sizes=[1024, 4096], threads=[1], same_mode_twice=True),
}

Figures = dict[str, Figure]


def with_profiles(found):
    shares = profile(copy_in=0.3, tcp_ip=0.3, copy_out=0.2, locks=0.1, unmapped=0.1)
    return [
        msgspec.structs.replace(one, recording=msgspec.structs.replace(one.recording, profile=shares)) for one in found
    ]


def figures(of: Plan, kept: int | None = None) -> Figures:
    """The pictures of a sweep, or of its first runs."""
    found = with_profiles(runs(of=of, counters=EVENTS))[:kept]
    with mock.patch.object(plots, "PICTURES", [one for one in plots.PICTURES if one.name in LOOKED_AT]):
        return {name: figure for name, figure, _ in figures_of(sweep(found, of)) if figure}


@pytest.fixture(scope="module")
def whole() -> list[tuple[str, Figure | None, str]]:
    """A sweep with everything, as figures."""
    with plt.rc_context(_STYLE):
        return list(figures_of(sweep(with_profiles(runs(counters=EVENTS, of=SMALL)), SMALL)))


@pytest.fixture(scope="module")
def bare() -> list[tuple[str, Figure | None, str]]:
    """A sweep that nobody counted, observed to the end or sampled, on an emulated CPU."""
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
    with plt.rc_context(_STYLE):
        return list(figures_of(sweep(found, SMALL, host=host(emulated=True, cpu="QEMU TCG"))))


@pytest.fixture(scope="module")
def odd() -> Iterator[dict[str, Figures]]:
    """Sweeps as they should not matter, as figures."""
    with plt.rc_context({"figure.max_open_warning": 0}):
        yield {name: figures(of) for name, of in ODD.items()}
    plt.close("all")


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]  # type: ignore[attr-defined]


def test_a_sweep_with_everything_gives_every_picture(whole):
    """Nothing is left out."""
    assert {name for name, figure, _ in whole if figure is not None} == ALL


def test_what_nobody_counted_is_named_and_not_drawn(bare):
    """A machine without counters or samples, books that do not balance: no empty axes, no zeros."""
    drawn = {name for name, figure, _ in bare if figure is not None}
    skipped = {name: why for name, figure, why in bare if figure is None}

    assert drawn == {"throughput-by-size", "latency-by-size", "latency-by-threads", "demand-by-size"}
    assert skipped.keys() == ALL - drawn
    assert all(skipped.values())
    assert skipped["copies-by-stage"] == "no run was observed, or none can be trusted"


def test_values_of_two_sources_are_not_drawn_in_one_picture():
    """LLC misses beside branch misses would be a lie."""
    of = plan(sizes=[1024], threads=[1])
    mixed = (
        runs(counters={"LLC-load-misses": rising}, of=of)[:10] + runs(counters={"branch-misses": rising}, of=of)[10:]
    )
    why = {name: text for name, _, text in figures_of(sweep(mixed, of))}
    plt.close("all")

    assert why["misses-by-size"].startswith("its values come from different sources")


@pytest.mark.parametrize("name", ODD)
def test_no_text_is_cut(odd, name):
    """One panel is narrow, its caption and legend are not: they go on in the next line."""
    for picture in ("throughput-by-size", "latency-by-threads", "cpu-by-stage"):
        figure = odd[name][picture]
        figure.canvas.draw()
        width, height = figure.bbox.width, figure.bbox.height
        for text in [*figure.texts, *(text for legend in figure.legends for text in legend.get_texts())]:
            box = text.get_window_extent()

            assert box.x0 >= -1, text
            assert box.x1 <= width + 1, text
            assert box.y0 >= -1, text
            assert box.y1 <= height + 1, text


@pytest.mark.parametrize(
    ("name", "words", "bars"),
    [
        ("one point", "1 repetition, too few for intervals (at least 5)", 0),
        ("three repetitions", "medians of 3 repetitions, too few for intervals (at least 5)", 0),
        ("three panels", "medians of 11 repetitions with their 95 % intervals", 9),
    ],
)
def test_intervals_are_promised_and_drawn_where_there_are_some(odd, name, words, bars):
    """Too few repetitions are points: without bars, which would look sure, and without lines."""
    figure = odd[name]["throughput-by-size"]
    drawn = [one for axis in figure.axes for one in axis.containers if isinstance(one, ErrorbarContainer)]
    styles = {line.get_linestyle() for axis in figure.axes for line in axis.lines if line.get_label()[0] != "_"}

    assert words in " ".join(" ".join(texts(figure)).split())
    assert len(drawn) == bars
    assert styles == ({"-"} if bars else {"None"})


def test_the_last_panel_of_each_column_has_its_axis_labelled(odd):
    """Three panels in two columns: the one on the upper right has none below it."""
    figure = odd["three panels"]["throughput-by-size"]
    figure.canvas.draw()
    labelled = [
        axis.get_title()
        for axis in figure.axes
        if axis.get_visible() and any(label.get_visible() and label.get_text() for label in axis.get_xticklabels())
    ]

    assert labelled == ["2 threads", "16 threads"]


def test_no_two_modes_look_alike(odd):
    """In colour, nor without."""
    lines = [line for line in odd["an A/A check"]["throughput-by-size"].axes[0].lines if line.get_label()[0] != "_"]

    assert len(lines) == 4
    assert len({line.get_color() for line in lines}) == 4
    assert len({line.get_marker() for line in lines}) == 4


def test_a_point_is_drawn_where_it_was_measured(odd):
    """The median of the repetitions, on the axis of sizes."""
    of = ODD["three repetitions"]
    found = THROUGHPUT.read(sweep(runs(of=of), of).runs[0].recording)
    line = odd["three repetitions"]["throughput-by-size"].axes[0].lines[0]

    assert found is not None
    assert list(line.get_ydata()) == pytest.approx([1.0, 4.0], rel=0.02)
    assert list(line.get_xdata()) == pytest.approx([1024, 4096], rel=0.1)


def test_a_dozen_samples_are_no_bar():
    """A share of twelve samples is chance."""
    of = plan(sizes=[1024], threads=[1], repetitions=1)
    seldom = msgspec.structs.replace(profile(copy_in=0.5, locks=0.5), samples=12)
    found = [
        msgspec.structs.replace(one, recording=msgspec.structs.replace(one.recording, profile=seldom))
        for one in runs(of=of)
    ]
    why = {name: text for name, _, text in figures_of(sweep(found, of))}
    plt.close("all")

    assert why["cpu-by-stage"] == "no run was sampled 100 times"


def test_an_unfinished_sweep_is_drawn():
    """Three runs of all."""
    found = figures(SMALL, kept=3)
    plt.close("all")

    assert "throughput-by-size" in found


def test_the_same_sweep_gives_the_same_svg(tmp_path):
    """No dates, no random names: a picture in a repository changes only if its figures do."""
    with plt.rc_context(_STYLE):
        for name in ("one", "other"):
            _, figure, _ = next(figures_of(sweep(runs(of=SMALL), SMALL)))
            _save(figure, tmp_path / name)

    assert all(path.stat().st_size > 1000 for path in tmp_path.iterdir())
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "other.svg").read_bytes()


def test_host_and_link_are_in_the_picture(whole, bare):
    """A picture that travels alone says where it was made; an emulated CPU's times must not be mistaken for a CPU's."""
    real = next(figure for name, figure, _ in whole if name == "throughput-by-size")
    emulated = next(figure for name, figure, _ in bare if name == "throughput-by-size")

    assert "Linux 6.18.44, AMD EPYC, 2 cores, link lo" in " ".join(texts(real))
    assert "EMULATED CPU QEMU TCG" in " ".join(texts(emulated))


def test_a_directory_that_cannot_be_written_is_a_clear_error(tmp_path):
    """A file in its place."""
    (tmp_path / "file").write_text("")

    with pytest.raises(MachineError, match="cannot write"):
        draw_all(sweep(runs(of=SMALL)[:3], SMALL), tmp_path / "file")


def test_a_stage_looks_the_same_in_every_picture(odd):
    """Copies and CPU time: copy in is one colour, and no two stages share one."""
    seen: dict[str, set[tuple[object, str]]] = {}
    for figure in (one[name] for one in odd.values() for name in ("copies-by-stage", "cpu-by-stage")):
        for bars in figure.axes[0].containers:
            fill = (bars.patches[0].get_facecolor(), bars.patches[0].get_hatch())
            seen.setdefault(bars.get_label().removesuffix(" (not a copy)"), set()).add(fill)

    assert [name for name, fills in seen.items() if len(fills) != 1] == []
    assert {"copy in", "copy out", "pin", "tcp ip"} <= seen.keys()


def test_no_two_stages_look_alike():
    """But packing, which has one name in the ledger and another among the costs."""
    names = {*map(str, Stage), *map(str, Work), UNMAPPED} - {Work.USER_PACK}

    assert len({look_of(name) for name in (*names, "4 others")}) == len(names) + 1


def test_noise_does_not_fill_a_logarithmic_axis(odd):
    """Values that are all alike are drawn so: the axis is at least two octaves high."""
    low, high = odd["three panels"]["demand-by-size"].axes[0].get_ylim()

    assert high / low >= 4


def test_sizes_are_named_as_people_say_them(odd):
    """No 0.000976562 KiB."""
    figure = odd["three panels"]["throughput-by-size"]

    assert [label.get_text() for label in figure.axes[1].get_xticklabels()] == ["1 B", "1000 B", "1 MiB"]
