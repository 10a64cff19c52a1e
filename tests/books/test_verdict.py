"""The one sentence: every case from a literal recording."""

from __future__ import annotations

import msgspec
import pytest

from tests.entry_samples import TAP, deferred, dropped, judged, linearized, tapped_lo, tapped_nic, with_drops
from tests.function_samples import looped as seen_by_functions
from tests.function_samples import on_nic
from tests.samples import (
    MESSAGES,
    PAGES,
    PAYLOAD,
    changed,
    copied,
    ethernet,
    host,
    looped,
    recording,
    tracepoints,
    workload,
)  # fmt: skip
from tests.socket_samples import run_with, sender
from tracer.books.analysis import document_of
from tracer.books.laws import law
from tracer.books.ledger import breach
from tracer.model import Cause, Completions, LawState, Link, Recording, Verdict


def verdict(sample: Recording) -> Verdict:
    return document_of(sample).verdict


def test_loopback_copies_zero_copy_after_all():
    """The headline: asked for, pinned, copied all the same, because of the loop to a local socket."""
    found = verdict(looped())

    assert found.code == "copied-by-loopback"
    assert "every byte was pinned, but every byte was copied after all" in found.sentence
    assert f"{MESSAGES} of {MESSAGES} say copied" in found.sentence
    assert any("--link nic --lab" in step for step in found.next)


def test_veth_is_named_where_it_is_the_cause():
    """The sentence names the link that looped the packets."""
    sample = changed(looped(), experiment=recording(tracepoints(), link=Link.VETH).experiment)

    assert "veth delivers packets to a local socket" in verdict(sample).sentence


def test_a_copying_mode_is_copied_once():
    """One copy in; the packing copy of two-copy is named as the sender's own."""
    assert verdict(copied("onecopy")).code == "copied"
    assert "packed by the sender" in verdict(copied("twocopy")).sentence
    assert "packed" not in verdict(copied("onecopy")).sentence


def test_a_nic_seen_by_tracepoints_alone_is_undecided():
    """Completions that say "not copied" are no proof: below the driver nobody watched."""
    observation = tracepoints(cgroup_egress__zerocopy=(9, PAYLOAD, PAGES))
    found = verdict(recording(observation, link=Link.NIC, observed=workload(copied=0, received_bytes=None)))

    assert found.code == "undecided"
    assert "deferred copy and bounce" in found.sentence


def test_linear_packets_prove_the_completion_flag_wrong():
    """Linearized payload with completions that say "not copied": the report says how many are wrong."""
    observation = tracepoints(cgroup_egress__zerocopy=(9, PAYLOAD, PAGES), net_dev_start_xmit__linear=(160, PAYLOAD))
    lacking = host(nic=ethernet(scatter_gather=False))
    seen = workload(copied=5, received_bytes=None)
    found = verdict(recording(observation, link=Link.NIC, observed=seen, host=lacking))

    assert found.code == "copied-without-sg"
    assert f"flag is wrong: {MESSAGES - 5} of {MESSAGES}" in found.sentence


def test_mixed_traffic_is_recognised():
    """skbs that hold both kinds are reported as such, not guessed apart."""
    observation = tracepoints(
        cgroup_egress__mixed=(9, PAYLOAD, 30),
        cgroup_ingress__copied=(9, PAYLOAD),
        skb_copy_datagram_iovec__copied=(11, PAYLOAD),
    )

    assert verdict(recording(observation)).code == "mixed"


def test_a_broken_law_is_said_first():
    """No verdict on top of books that do not balance."""
    found = verdict(changed(looped(), observed=workload(payload_bytes=PAYLOAD + 1)))

    assert found.code == "untrustworthy"
    assert "law T.L2a is broken" in found.sentence


def test_a_broken_law_says_which_side_has_more_and_what_could_explain_it():
    """By how much; and a quieter machine is asked for only where it can help."""
    found = verdict(changed(looped(), observed=workload(payload_bytes=PAYLOAD + 1)))

    assert "(the right side has 1 B more)" in found.sentence
    assert not any("quieter" in step for step in found.next)


def test_what_could_explain_broken_laws_is_told_once():
    """The laws' own words, behind all of them."""
    late = [
        msgspec.structs.replace(law(name, "a = b", 1010, 10), explanation="a packet that came late")
        for name in ("L2", "L3")
    ]
    sentence = judged(looped(), laws=late, trustworthy=False, doubts=[breach(one) for one in late]).verdict.sentence

    assert sentence == (
        "This measurement cannot be trusted: law L2 is broken: a = b (the left side has 1,000 B more); "
        "law L3 is broken: a = b (the left side has 1,000 B more). It could be: a packet that came late."
    )


def test_notifications_are_no_bytes():
    """A difference has the unit of its law."""
    notified = law("L7", "completion notifications = zero-copy send calls", 22, 23)

    assert breach(notified).endswith("(the right side has 1 more)")


def test_a_quieter_machine_helps_against_lost_events():
    """Noise is a cause that the user can do something about."""
    lossy = msgspec.structs.replace(looped().observations[0], lost=3)

    assert verdict(changed(looped(), observations=[lossy])).next == [
        "run it again on a quieter machine, or with fewer messages"
    ]


def test_several_causes_are_each_named_with_their_bytes():
    """A tap on lo: one copy for the receiver, one for the tap; the code is the one without the tap."""
    found = tapped_lo()

    assert found.verdict.code == "copied-by-loopback"
    assert "bytes were copied after all, 230,161 B before the reader got it: loopback" in found.verdict.sentence
    assert f"230,161 B: a packet tap ({TAP}) gets a copy of every packet" in found.verdict.sentence
    assert found.ledger.copies_per_byte.send == 2


def test_a_tap_on_a_nic_does_not_take_the_senders_pages_from_the_device():
    """The tap's copy is beside the way; nothing is said of a loop."""
    found = tapped_nic().verdict

    assert found.code == "copied-for-tap"
    assert "The device still reads the sender's pages." in found.sentence
    assert "loopback" not in found.sentence
    assert "local socket" not in found.sentence


def test_tracepoints_say_that_they_do_not_see_a_taps_copies():
    """What nobody observed is told, not left out."""
    sentence = verdict(changed(looped(), host=host(packet_taps=[TAP]))).sentence

    assert f"What was copied besides was not observed: a packet tap ({TAP})" in sentence


def test_a_checksum_is_not_called_a_lack_of_scatter_gather():
    """Scatter-gather is on: only a device that sums can spare the copy."""
    lacking = changed(on_nic(copied=23), host=host(nic=ethernet(tx_checksum=False), where="lab"))
    found = judged(lacking, linearized(PAYLOAD, None, "skb_checksum_help")).verdict

    assert found.code == "copied-for-checksum"
    assert "the device computes no checksum" in found.sentence
    assert "scatter-gather" not in found.sentence
    assert found.next == [
        "if the driver can: nettrace run zerocopy --size 10007 --link nic --setup 'ethtool -K eth0 tx on' --lab 6.12"
    ]


def test_a_copy_that_nobody_can_explain_is_said_to_be_unexplained():
    """Unknown is a cause of its own, with a way to find out."""
    found = judged(on_nic(copied=23), deferred(PAYLOAD, None)).verdict

    assert found.code == "copied-after-all"
    assert "every byte was copied after all: why was not observed (completions" in found.sentence
    assert found.next == ["see who copies: nettrace run zerocopy --size 10007 --link nic --stacks --lab 6.12"]


def test_part_of_the_payload_is_not_every_byte():
    """Bytes are quoted where not all were copied."""
    sentence = judged(seen_by_functions(), deferred(1448, Cause.LOCAL_DELIVERY)).verdict.sentence

    assert "but 1,448 of 230,161 B were copied after all before the reader got it" in sentence


def test_drops_on_this_machine_are_told_with_their_places():
    """In any verdict; the bytes came all the same, as TCP sent them again."""
    sample = changed(copied("onecopy"), observed=workload("onecopy", received_bytes=None))

    assert with_drops().verdict.sentence.endswith(
        "On the way 2,896 B were dropped by qdisc netem on lo, 1,448 B by qdisc tbf on lo, and sent again."
    )
    assert judged(sample, dropped(7)).verdict.sentence.endswith("On the way 7 B were dropped by qdisc netem on lo.")


def test_two_whole_copies_are_two():
    """A sum of the ratios of 28 and of 1 packets of 29 is not."""
    assert document_of(on_nic("onecopy", scatter_gather=False)).ledger.copies_per_byte.send == 2


def test_an_interrupt_before_the_observed_pass_is_said():
    """A partial result claims nothing."""
    assert verdict(changed(looped(), observed=None, observations=[], complete=False)).code == "interrupted"


@pytest.mark.parametrize(("stuck", "word"), [("", "Interrupted"), ("nothing has moved", "Given up")])
def test_an_observed_pass_that_was_cut_short_is_no_broken_one(stuck: str, word: str):
    """What was on its way then was neither read nor notified; and yet it is not the whole, on which one could rely."""
    cut = workload(received_bytes=PAYLOAD - 9, completions=Completions(total=3, copied=3, zerocopy=0, ranges=1))
    cut = msgspec.structs.replace(cut, stopped=True)
    found = document_of(changed(looped(), observed=cut, complete=False, stuck=stuck))
    states = {law.id: law.state for law in found.ledger.laws}

    assert {name for name, state in states.items() if state is LawState.UNKNOWN} == {"E1", "L7"}
    assert LawState.BROKEN not in states.values()
    assert (found.verdict.code, found.ledger.trustworthy) == ("interrupted", False)
    assert found.verdict.sentence.startswith(f"{word} in the middle of the observed pass, when 230,161 B")


def test_what_breaks_though_the_pass_was_cut_short_is_said_first():
    """A socket's own books tell what it had still to send, and to read."""
    one = sender()
    wrong = msgspec.structs.replace(one, left=msgspec.structs.replace(one.left, copied=one.left.copied - 1))
    sample, cut = run_with(wrong), workload("onecopy", stopped=True)

    assert verdict(changed(sample, observed=cut, complete=False)).code == "untrustworthy"
    assert verdict(changed(run_with(one), observed=cut, complete=False)).code == "interrupted"


def test_the_overhead_is_the_ratio_of_times_per_byte():
    """0.0011 s observed over 0.001 s bare."""
    assert round(document_of(looped()).overhead.observed_over_bare, 6) == 1.1


def test_an_interrupted_observed_pass_has_no_overhead():
    """Half a pass is not compared with a whole one."""
    assert document_of(changed(looped(), complete=False)).overhead.observed_over_bare is None
