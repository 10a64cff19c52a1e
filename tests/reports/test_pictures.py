"""What is drawn in the page and for other viewers: bands as wide as their bytes, boxes within callers, one look."""

from __future__ import annotations

import re

import msgspec
import pytest

from tests.entry_samples import tapped_lo, with_drops
from tests.function_samples import on_nic
from tests.html_samples import STACKS, profile, program, run_page, whole_run
from tests.reports.test_reports import DOCUMENTS
from tests.samples import changed, looped
from tracer.books.analysis import document_of
from tracer.books.rates import spans_of
from tracer.books.steps import STEPS
from tracer.model import Entry, Stage
from tracer.model.socket_recording import Sample
from tracer.model.sockets import READ_WAYS, SEND_WAYS
from tracer.reports.html.charts import HEIGHT, cpu_bars, size_bars, ways_over_time
from tracer.reports.html.colours import contrast, ink_on, stage_styles, swatch_patterns
from tracer.reports.html.flame import flame_of
from tracer.reports.html.flow import BAND, WIDTH, flow_of
from tracer.reports.picture import Leg, legs_of
from tracer.reports.speedscope import speedscope_of
from tracer.reports.stage_styles import LOOKS, NO_COLOUR, Kind, look_of, stage_of_way, style_of


def leg(stage: str, size: int | None, origin: str = "a", place: str = "b", **other: object) -> Leg:
    return Leg(stage, origin, place, stage, size, None, "f", **other)  # type: ignore[arg-type]


def test_bands_are_as_wide_as_their_bytes() -> None:
    """Side by side between the same places; together with the gaps they fill the way."""
    flow = flow_of("x", [leg("copy_in", 600), leg("pin", 300), leg("splice", 100)])
    widths = [band.width for band in flow.bands]

    assert widths[0] == pytest.approx(2 * widths[1]) == pytest.approx(6 * widths[2])
    assert flow.bands[-1].x + widths[-1] == pytest.approx((WIDTH + BAND) / 2)
    assert len({band.y for band in flow.bands}) == 1


def test_what_a_step_leaves_alone_is_drawn_as_it_is() -> None:
    """A third is copied later: the rest of the way goes on beside it."""
    flow = flow_of("x", [leg("copy_in", 600), leg("pin", 300), leg("deferred_copy", 300, "b", "c")])
    copied, alone = flow.bands[2:]

    assert (copied.stage, alone.stage, alone.number) == ("deferred_copy", "", 0)
    assert alone.width == pytest.approx(2 * copied.width)


def test_what_nobody_observed_is_as_wide_as_the_way_and_marked() -> None:
    """Unknown is neither nothing nor all."""
    flow = flow_of("x", legs_of(DOCUMENTS["zerocopy-container"]))
    unknown = [band for band in flow.bands if band.is_unknown]

    assert [band.width for band in unknown] == [BAND, BAND]
    assert len({band.y for band in unknown}) == 2


def test_what_leads_aside_is_drawn_beside_the_way() -> None:
    """A tap's copy takes nothing from the way; what is dropped does."""
    tapped = flow_of("x", legs_of(tapped_lo()))
    dropped = flow_of("x", legs_of(with_drops()))
    beside = [band for band in (*tapped.bands, *dropped.bands) if band.x > (WIDTH + BAND) / 2]

    assert [band.stage for band in beside] == ["deferred_copy", "dropped", "dropped"]
    assert [band.width for band in tapped.bands if not band.number] == [BAND]
    assert all(band.width < BAND for band in dropped.bands if not band.number)


@pytest.mark.parametrize("name", list(DOCUMENTS))
def test_a_picture_lies_within_its_frame_and_counts_its_steps(name: str) -> None:
    """No band above, below or beside it; a number for each step of the list."""
    legs = legs_of(DOCUMENTS[name])
    flow = flow_of("x", legs)

    assert [band.number for band in flow.bands if band.number] == list(range(1, len(legs) + 1))
    assert all(band.x >= 0 and band.x + band.width <= WIDTH for band in flow.bands)
    assert all(band.y >= 0 and band.y + band.height <= flow.height for band in flow.bands)


def test_boxes_lie_within_their_callers() -> None:
    """Shares add up, and the deepest is as wide as its samples."""
    flame = flame_of("x", "samples", STACKS, lambda stack: stack.rpartition(";")[2])
    sender = next(box for box in flame.boxes if box.name == "sender")
    copying = next(box for box in flame.boxes if box.name == "skb_copy_ubufs")

    assert (flame.total, flame.boxes[0].value, flame.boxes[0].width) == (201, 201, 100)
    assert (sender.value, copying.value, copying.stage) == (150, 90, "skb_copy_ubufs")
    assert sender.left <= copying.left
    assert copying.left + copying.width <= sender.left + sender.width + 1e-9


def test_small_boxes_are_counted_and_not_drawn() -> None:
    """The picture is bounded, whatever the profile is."""
    stacks = {"a;b": 100_000} | {f"a;c{number}": 1 for number in range(5000)} | {";".join("d" * 5000): 3000}
    flame = flame_of("x", "samples", stacks, lambda _: "")

    assert len(flame.boxes) <= 500
    assert flame.hidden > 4000
    assert flame.boxes[0].value == 108_000


def test_nothing_sampled_draws_nothing() -> None:
    """Neither a box nor a bar."""
    assert flame_of("x", "samples", {}, str).boxes == []
    assert cpu_bars(profile({}), {}) is None


def test_few_samples_have_no_bars() -> None:
    """Under a hundred no share is known."""
    assert cpu_bars(profile({"sender;kernel;tcp_sendmsg": 99}), {}) is None
    assert cpu_bars(profile({"sender;kernel;tcp_sendmsg": 100}), {}) is not None


def test_rates_are_the_differences_of_totals() -> None:
    """By way, over the time between two samples; a way that begins later had moved nothing."""
    samples = [Sample(t=2.0, sent={"copy": 100}), Sample(t=3.0, sent={"copy": 400, "splice": 50})]
    spans = spans_of(program(samples=samples), "send")

    assert [(span.start, span.stop, span.rates) for span in spans] == [
        (0.0, 2.0, {"copy": 50.0, "splice": 0.0}), (2.0, 3.0, {"copy": 300.0, "splice": 50.0}),
    ]  # fmt: skip
    assert spans_of(program(samples=samples), "read") == []
    assert spans_of(program(samples=samples[:1]), "send") == []


def test_areas_lie_on_top_of_each_other() -> None:
    """The greatest sum is the picture's top; the lowest area stands on its floor."""
    samples = [Sample(t=1.0, sent={"copy": 100, "splice": 100}), Sample(t=2.0, sent={"copy": 150, "splice": 150})]
    copied, spliced = ways_over_time(program(samples=samples))[0].areas

    assert copied.path.startswith(f"M0.0 {HEIGHT / 2:.1f}")
    assert spliced.path.startswith("M0.0 0.0")
    assert (copied.stage, spliced.stage) == ("copy_in", "splice")


def test_bars_of_sizes_span_the_classes_that_were_seen() -> None:
    """With the empty ones between them."""
    (bars,) = size_bars(program(sizes={"copy": [0, 0, 3, 0, 9], "splice": [0, 0]}))

    assert [(bar.name, bar.told) for bar in bars.bars] == [
        ("4 B to 8 B", "3"), ("8 B to 16 B", "0"), ("16 B to 32 B", "9"),
    ]  # fmt: skip


def test_a_stage_looks_alike_everywhere() -> None:
    """One table: the page's colours are its colours, each has a class there, and its hatch is drawn."""
    page = run_page()

    for name, look in LOOKS.items():
        rule = re.search(rf"\.stage-{name}{{([^}}]*)}}", page)
        assert rule is not None, name
        assert f"--colour:{'var(--surface)' if look.colour == NO_COLOUR else look.colour};" in rule[1]
        assert (f'id="hatch-{name}"' in page) == bool(look.hatch)
    assert stage_styles() in page
    assert swatch_patterns() in page


def test_what_is_copied_is_told_by_the_look_alone() -> None:
    """Plain: copied. White and hatched: not copied. Coloured and hatched: work, or a cipher's. As in a terminal."""
    for name, look in LOOKS.items():
        assert (look.colour == NO_COLOUR) == (look.kind in (Kind.AVOIDED, Kind.LOST)), name
        assert bool(look.hatch) == (look.kind is not Kind.COPIED), name
    styles = {
        stage: style_of(Entry(stage=stage, function="f", source="s", bytes=1)) for stage in Stage
    }  # fmt: skip
    by_kind = {(look_of(stage).kind, style) for stage, style in styles.items()}
    assert len(by_kind) == len({kind for kind, _ in by_kind}) == 4
    assert "green" not in styles.values()


def test_text_on_every_colour_can_be_read() -> None:
    """WCAG 2, level AA."""
    plain = {name: look for name, look in LOOKS.items() if look.colour != NO_COLOUR}

    assert {name for name, look in plain.items() if contrast(ink_on(look), look.colour) < 4.5} == set()
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


def test_every_way_has_a_look_but_the_unknown() -> None:
    """Sending by copy looks like copy in, mapped reading like mapping."""
    ways = [("send", way) for way in SEND_WAYS] + [("read", way) for way in READ_WAYS]
    without = [way for way in ways if stage_of_way(*way) not in LOOKS]

    assert without == [("send", "unknown"), ("read", "discard")]
    assert stage_of_way("send", "zerocopy_ignored") == "copy_in"


def test_what_looks_like_a_copy_is_told_as_one() -> None:
    """The look and the words about each step agree, and each copy can be changed."""
    looks = {step.stage: look_of(step.stage).kind is Kind.COPIED for step in STEPS if step.stage}

    assert {step.stage: step.is_copy for step in STEPS if step.stage} == looks
    assert [step.word for step in STEPS if step.is_copy and not step.changes] == []


def test_speedscope_has_every_sample_below_its_functions() -> None:
    """A profile a context, outermost first, in ns; and bytes where stacks of copies were collected."""
    data = msgspec.json.decode(speedscope_of(document_of(whole_run()), "run.json"))
    names = [frame["name"] for frame in data["shared"]["frames"]]
    sender = data["profiles"][0]

    assert data["$schema"] == "https://www.speedscope.app/file-format-schema.json"
    assert [one["name"] for one in data["profiles"]] == ["CPU, sender", "CPU, receiver"]
    assert (sender["type"], sender["unit"], sender["startValue"]) == ("sampled", "nanoseconds", 0)
    assert sender["endValue"] == sum(sender["weights"]) == 150 * 100_000
    assert len(sender["samples"]) == len(sender["weights"])
    assert [names[at] for at in sender["samples"][0]][::4] == ["kernel", "skb_zerocopy_iter_stream"]


def test_speedscope_of_copies_counts_bytes() -> None:
    """Where --stacks collected them."""
    base = on_nic(scatter_gather=False)
    stacks = {"skb_copy_bits:segment": [{"frames": ["skb_copy_bits", "skb_segment"], "events": 2, "bytes": 4096}]}
    observed = msgspec.structs.replace(base.observations[0], stacks=msgspec.convert(stacks, dict[str, list[_stack()]]))
    data = msgspec.json.decode(speedscope_of(document_of(changed(base, observations=[observed])), "x"))

    assert [(one["name"], one["unit"], one["endValue"]) for one in data["profiles"]] == [
        ("bytes copied", "bytes", 4096)
    ]


def _stack() -> type:
    from tracer.model import Stack

    return Stack


def test_speedscope_of_nothing_is_nothing() -> None:
    """No file without a stack."""
    assert speedscope_of(document_of(looped()), "x") == b""
