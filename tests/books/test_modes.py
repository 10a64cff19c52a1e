"""The one oracle: what each stage should do to a byte, on any link in any condition."""

from __future__ import annotations

import pytest

from tracer.books import modes
from tracer.books.modes import USUAL, Conditions, predicted
from tracer.errors import UsageError
from tracer.model import Link, Stage
from workloads.child.sender import numbered


def copies_after_the_send_call(mode: str, link: Link, **conditions: bool) -> dict[Stage, float]:
    found = predicted(modes.mode(mode), link, Conditions(**conditions))
    later = (Stage.DEFERRED_COPY, Stage.LINEARIZE, Stage.BOUNCE)
    return {stage: found[stage] for stage in later if found[stage]}


@pytest.mark.parametrize(
    ("mode", "link", "conditions", "later"),
    [
        ("zerocopy", Link.NIC, {}, {}),
        ("zerocopy", Link.LO, {}, {Stage.DEFERRED_COPY: 1.0}),
        ("zerocopy", Link.LO, {"tapped": True}, {Stage.DEFERRED_COPY: 2.0}),
        ("zerocopy", Link.NIC, {"tapped": True}, {Stage.DEFERRED_COPY: 1.0}),
        ("zerocopy", Link.NIC, {"forwarded": True}, {}),
        ("zerocopy", Link.NIC, {"forwarded": True, "taken_off": True}, {Stage.DEFERRED_COPY: 1.0}),
        ("sendfile", Link.NIC, {"forwarded": True, "taken_off": True}, {}),
        ("zerocopy", Link.NIC, {"summed": True}, {Stage.LINEARIZE: 1.0}),
        ("onecopy", Link.NIC, {"summed": True}, {}),
        ("onecopy", Link.NIC, {"tapped": True}, {}),
        ("onecopy", Link.NIC, {"linear": True}, {Stage.LINEARIZE: 1.0}),
        ("zerocopy", Link.NIC, {"linear": True, "summed": True}, {Stage.LINEARIZE: 1.0}),
        ("twocopy", Link.NIC, {"bounced": True}, {Stage.BOUNCE: 1.0}),
        ("sendfile", Link.LO, {}, {}),
        ("sendfile", Link.LO, {"tapped": True}, {}),
        ("sendfile", Link.NIC, {"summed": True}, {Stage.LINEARIZE: 1.0}),
        ("ktls", Link.LO, {"tapped": True}, {}),
        ("ktls", Link.NIC, {"summed": True}, {Stage.LINEARIZE: 1.0}),
        ("zerocopy-more", Link.VETH, {}, {Stage.DEFERRED_COPY: 1.0}),
    ],
)
def test_later_copies_follow_from_the_link_and_its_conditions(mode, link, conditions, later):
    """Pinned pages are copied for a tap, spliced ones too to be summed up; without scatter-gather, everything."""
    assert copies_after_the_send_call(mode, link, **conditions) == later


@pytest.mark.parametrize(
    ("mode", "link", "size", "conditions", "pinned"),
    [
        ("udp-zerocopy", Link.LO, 32768, {}, True),
        ("udp-zerocopy", Link.VETH, 1472, {}, True),
        ("udp-zerocopy", Link.VETH, 1473, {}, False),
        ("udp-zerocopy", Link.VETH, 1453, {"ipv6": True}, False),
        ("udp-zerocopy", Link.NIC, 1472, {}, True),
        ("udp-zerocopy", Link.NIC, 1472, {"linear": True}, False),
        ("udp-zerocopy", Link.NIC, 1472, {"summed": True}, False),
        ("udp", Link.LO, 1472, {}, False),
    ],
)
def test_udp_pins_what_one_packet_takes_as_it_is(mode, link, size, conditions, pinned):
    """Else it copies in the send call, and what is copied at once is not copied again."""
    found = predicted(modes.mode(mode), link, Conditions(**conditions), size=size)

    assert (found[Stage.PIN], found[Stage.COPY_IN]) == (float(pinned), float(not pinned))
    assert found[Stage.DEFERRED_COPY] == float(pinned and link is not Link.NIC)


def test_what_the_kernel_cuts_into_datagrams_a_linear_device_gets_copied() -> None:
    """A datagram that is cut by nobody, or by IP, is linear from the beginning."""
    found = {
        name: predicted(modes.mode(name), Link.NIC, Conditions(linear=True), size=10007) for name in ("udp", "udp-gso")
    }

    assert [found[name][Stage.LINEARIZE] for name in found] == [0.0, 1.0]


def test_a_cipher_reads_in_place_what_lies_in_few_pages() -> None:
    """A record's payload may lie in 17: eight fields always do, of nine it is not known; a file's pages are spliced."""
    few, many = (predicted(modes.mode("ktls"), Link.LO, size=10007, fields=fields) for fields in (8, 9))
    of_a_file = predicted(modes.mode("ktls-sendfile"), Link.LO, size=10007, fields=9)

    assert (few[Stage.COPY_IN], few[Stage.PIN], few[Stage.ENCRYPT], few[Stage.DECRYPT]) == (0, 1, 1, 1)
    assert Stage.PIN not in many
    assert of_a_file[Stage.SPLICE] == 1
    assert Stage.COPY_OUT not in few


@pytest.mark.parametrize("bounced", [True, False])
def test_a_byte_is_handed_over_in_place_or_bounced(bounced):
    """Never both."""
    found = predicted(modes.mode("zerocopy"), Link.NIC, Conditions(bounced=bounced))

    assert found[Stage.DMA] + found[Stage.BOUNCE] == 1


def test_no_hardware_reads_what_another_namespace_passes_on():
    """Not from this device; what the last one does is another's."""
    assert predicted(modes.mode("zerocopy"), Link.NIC, Conditions(forwarded=True))[Stage.DMA] == 0


@pytest.mark.parametrize("link", list(Link))
@pytest.mark.parametrize("mode", modes.NAMES)
def test_the_send_call_takes_each_byte_once(mode, link):
    """Copied, pinned or referenced, on every link; of one with a header, some copied and the rest pinned."""
    found = predicted(modes.mode(mode), link, USUAL, size=10007)

    assert found[Stage.COPY_IN] + found[Stage.PIN] + found[Stage.SPLICE] == 1


def test_a_header_is_the_first_field() -> None:
    """1,250 of 10,007 B are copied, 8,757 pinned; a message of one field has none."""
    long, short = (predicted(modes.mode("zerocopy-more"), Link.NIC, size=size) for size in (10007, 7))

    assert [round(long[stage] * 10007) for stage in (Stage.COPY_IN, Stage.PIN)] == [1250, 8757]
    assert (short[Stage.COPY_IN], short[Stage.PIN]) == (0, 1)


def test_an_unknown_mode_suggests_the_near_miss() -> None:
    """The user's word is quoted."""
    with pytest.raises(UsageError, match="unknown mode 'zero-copi'") as caught:
        modes.mode("zero-copi")

    assert "did you mean zerocopy?" in caught.value.fix


def test_a_mode_is_a_row_of_words_that_the_engine_knows() -> None:
    """Its call and its buffers are names in workloads/engine/engine.h; each row is another way."""
    rows = [(mode.call, mode.buffers, mode.way, mode.header, mode.protocol, mode.segmented) for mode in modes.MODES]

    assert all(numbered(word) >= 0 for call, buffers, *_ in rows for word in (call, buffers))
    assert len(set(rows)) == len(set(modes.NAMES)) == len(rows)
    assert set(modes.STUDIED) <= set(modes.NAMES)
