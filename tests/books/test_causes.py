"""The table of causes: each row for, against and unknown; the words of a cause stand nowhere else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.entry_samples import TAP, deferred, linearized
from tests.function_samples import on_nic
from tests.samples import PAYLOAD, changed, ethernet, experiment
from tracer.books.causes import LATER_COPIES, ROWS, hints, row_of, with_cause
from tracer.books.scene import Scene, scene_of
from tracer.model import Cause, Entry, Link, Nic, Stage

ROOT = Path(__file__).parents[2]
BOUNCED = Entry(stage=Stage.BOUNCE, function="swiotlb_map", source="fentry", bytes=PAYLOAD)
DEFERRED, LINEAR = deferred(PAYLOAD, None), linearized(PAYLOAD, None)


def scene(
    link: Link = Link.NIC,
    nic: Nic | None = None,
    taps: list[str] | None = None,
    without_sg: bool = False,
    copied: tuple[int, int] | None = None,
    elsewhere: bool = False,
) -> Scene:
    return Scene(link, nic, taps, without_sg, copied, is_read_elsewhere=elsewhere)


TUN, BRIDGE, VETH = (ethernet(kind=kind, device=f"{kind}0") for kind in ("tun", "bridge", "veth"))
NO_SG, NO_CSUM = ethernet(scatter_gather=False), ethernet(tx_checksum=False)
NO_SG_ASKED = ethernet(scatter_gather=None, tx_checksum=None)
NEITHER = ethernet(scatter_gather=False, tx_checksum=False)


@pytest.mark.parametrize(
    ("cause", "entry", "where", "evidence"),
    [
        (Cause.LOCAL_DELIVERY, DEFERRED, scene(Link.LO), True),
        (Cause.LOCAL_DELIVERY, DEFERRED, scene(Link.VETH), True),
        (Cause.LOCAL_DELIVERY, DEFERRED, scene(nic=ethernet()), False),
        (Cause.LOCAL_DELIVERY, DEFERRED, scene(nic=BRIDGE), None),
        (Cause.LOCAL_DELIVERY, DEFERRED, scene(), None),
        (Cause.PACKET_TAP, DEFERRED, scene(taps=[TAP]), True),
        (Cause.PACKET_TAP, DEFERRED, scene(taps=[]), False),
        (Cause.PACKET_TAP, DEFERRED, scene(taps=None), None),
        (Cause.TUN, DEFERRED, scene(nic=TUN), True),
        (Cause.TUN, DEFERRED, scene(nic=ethernet()), False),
        (Cause.TUN, DEFERRED, scene(Link.LO), False),
        (Cause.TUN, DEFERRED, scene(nic=BRIDGE), None),
        (Cause.TUN, DEFERRED, scene(), None),
        (Cause.FORWARDING, DEFERRED, scene(Link.VETH), False),
        (Cause.FORWARDING, DEFERRED, scene(nic=VETH, elsewhere=True), True),
        (Cause.FORWARDING, DEFERRED, scene(nic=ethernet(), elsewhere=True), False),
        (Cause.FORWARDING, DEFERRED, scene(nic=TUN, elsewhere=True), None),
        (Cause.FORWARDING, DEFERRED, scene(nic=VETH), None),
        (Cause.NO_SCATTER_GATHER, LINEAR, scene(nic=NO_SG), True),
        (Cause.NO_SCATTER_GATHER, LINEAR, scene(nic=NO_SG_ASKED, without_sg=True), True),
        (Cause.NO_SCATTER_GATHER, LINEAR, scene(nic=NO_CSUM), False),
        (Cause.NO_SCATTER_GATHER, LINEAR, scene(), None),
        (Cause.FRAGMENTATION, LINEAR, scene(Link.LO, nic=ethernet(mtu=68)), True),
        (Cause.FRAGMENTATION, LINEAR, scene(nic=ethernet(mtu=1500)), None),
        (Cause.FRAGMENTATION, LINEAR, scene(), None),
        (Cause.CHANGED_PACKET, LINEAR, scene(nic=ethernet()), None),
        (Cause.CHECKSUM, LINEAR, scene(nic=NO_CSUM), True),
        (Cause.CHECKSUM, LINEAR, scene(nic=ethernet()), False),
        (Cause.CHECKSUM, LINEAR, scene(nic=NEITHER), False),
        (Cause.CHECKSUM, LINEAR, scene(nic=ethernet(tx_checksum=False, scatter_gather=None)), None),
        (Cause.CHECKSUM, LINEAR, scene(), None),
        (Cause.BOUNCE_BUFFER, BOUNCED, scene(), True),
        (Cause.UNKNOWN, DEFERRED, scene(Link.LO), None),
    ],
)
def test_evidence_is_for_against_or_absent(cause, entry, where, evidence):
    """What was not recorded decides nothing."""
    assert row_of(cause).evidence(where, entry) is evidence


@pytest.mark.parametrize(
    ("entry", "where", "cause"),
    [
        (DEFERRED, scene(Link.LO), Cause.LOCAL_DELIVERY),
        (DEFERRED, scene(Link.LO, taps=[TAP]), Cause.UNKNOWN),
        (DEFERRED, scene(nic=ethernet(), taps=[TAP]), Cause.PACKET_TAP),
        (DEFERRED, scene(nic=ethernet(), taps=[]), Cause.UNKNOWN),
        (DEFERRED, scene(nic=TUN, taps=[]), Cause.TUN),
        (DEFERRED, scene(nic=TUN, taps=[TAP]), Cause.UNKNOWN),
        (DEFERRED, scene(nic=BRIDGE, taps=[]), Cause.UNKNOWN),
        (LINEAR, scene(nic=NO_SG), Cause.NO_SCATTER_GATHER),
        (LINEAR, scene(nic=NEITHER), Cause.NO_SCATTER_GATHER),
        (LINEAR, scene(nic=NO_CSUM), Cause.CHECKSUM),
        (LINEAR, scene(nic=ethernet()), Cause.UNKNOWN),
        (LINEAR, scene(), Cause.UNKNOWN),
        (BOUNCED, scene(), Cause.BOUNCE_BUFFER),
    ],
)
def test_a_cause_is_inferred_where_one_row_alone_is_sure(entry, where, cause):
    """Two that could both be are none."""
    assert with_cause(entry, where).cause is cause


def test_what_is_inferred_says_from_what_and_what_was_seen_does_not():
    """An observer that saw the caller is not overruled by the scene."""
    seen = deferred(PAYLOAD, Cause.PACKET_TAP)

    assert with_cause(seen, scene(Link.LO)) == seen
    assert with_cause(DEFERRED, scene(Link.LO)).cause_inferred_from == "the link leads to a local socket"
    assert with_cause(DEFERRED, scene()).cause_inferred_from == ""


def test_a_caller_that_serves_two_causes_needs_the_scene():
    """A local socket's packets and those that are passed on lost their pages in one function, before 6.17."""
    arrived = deferred(PAYLOAD, Cause.FORWARDING)

    shown = with_cause(arrived, scene(nic=VETH, taps=[TAP], elsewhere=True))
    assert (shown.cause, shown.cause_inferred_from) == (Cause.FORWARDING, row_of(Cause.FORWARDING).inferred_from)
    assert with_cause(arrived, scene(nic=VETH, taps=[TAP])).cause is Cause.UNKNOWN


def test_the_lab_s_own_receiver_is_elsewhere():
    """A peer that was named may be in the guest, and one of this machine's in another namespace of it."""
    asked = {"lab": "6.12", "link": Link.NIC}

    assert scene_of(changed(on_nic(), experiment=experiment(**asked))).is_read_elsewhere
    assert not scene_of(changed(on_nic(), experiment=experiment(**asked, peer="10.0.2.2:7"))).is_read_elsewhere
    assert not scene_of(changed(on_nic(), experiment=experiment(link=Link.NIC, peer="x:7"))).is_read_elsewhere


def test_what_copied_nothing_has_no_cause():
    """Nor has what nobody counted, nor the first copy."""
    first = Entry(stage=Stage.COPY_IN, function="_copy_from_iter", source="law:L1", bytes=PAYLOAD)

    assert with_cause(deferred(0, None), scene(Link.LO)).cause is None
    assert with_cause(deferred(None, None), scene(Link.LO)).cause is None
    assert with_cause(first, scene(Link.LO)).cause is None


def test_a_tap_does_not_explain_what_arrived_as_a_copy():
    """It gets a clone: the packets that reach the receiver's TCP show their own way alone."""
    arrived = Entry(stage=Stage.DEFERRED_COPY, function="skb_copy_ubufs", source="cgroup:ingress", bytes=PAYLOAD)

    assert with_cause(arrived, scene(Link.LO, taps=[TAP])).cause is Cause.LOCAL_DELIVERY


def test_every_cause_has_one_row_and_every_later_copy_some():
    """A new cause without a row, or a stage that nothing explains, does not pass."""
    assert sorted(row.cause for row in ROWS) == sorted(Cause)
    assert {stage for row in ROWS for stage in row.stages if row.cause is not Cause.UNKNOWN} == set(LATER_COPIES)


def test_each_word_for_programs_stands_for_one_cause():
    """The verdict's code tells the cause, on each link."""
    for link in Link:
        assert len({row.code(scene(link)) for row in ROWS}) == len(ROWS)


def test_loopback_is_never_blamed_on_a_real_device():
    """Neither in words nor in the code."""
    for row in ROWS:
        where = scene(nic=ethernet())

        assert "loopback" not in row.why(where)
        assert "loopback" not in row.code(where)


def test_hints_are_quoted_and_decide_nothing():
    """Completions, the kind of the device, who taps: what a reader would ask next."""
    where = scene(nic=BRIDGE, taps=[TAP], copied=(23, 23))

    assert hints(where) == (
        "23 of 23 completions say copied; bridge0 is a bridge, which can lead to a local socket; "
        f"packets are tapped by {TAP}"
    )
    assert hints(scene(nic=ethernet(), taps=[])) == ""


@pytest.mark.parametrize(
    "words",
    [
        "to a local socket", "no scatter-gather", "gets a copy of every packet", "tun/tap", "swiotlb=force; in",
        "computes no checksum", "forwards the packets", "ethtool -K",
    ],
)  # fmt: skip
def test_the_words_of_a_cause_stand_in_its_row_alone(words):
    """One place to correct them."""
    rooms = [ROOT / "tracer" / room for room in ("books", "reports", "study")]
    found = {
        path.name for room in rooms for path in room.rglob("*.py") if re.search(re.escape(words), path.read_text())
    }

    assert found == {"causes.py"}
