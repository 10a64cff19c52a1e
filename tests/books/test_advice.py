"""What to try next: never the command just run, never one that this machine refuses, never round in a circle."""

from __future__ import annotations

import itertools
import re
import shlex

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.entry_samples import TAP, deferred, entry, judged, linearized, over_peer
from tests.function_samples import looped, on_nic, with_counted
from tests.samples import PAYLOAD, changed, copied, ethernet, experiment, host, recording, tracepoints, workload
from tests.samples import looped as seen_by_tracepoints
from tracer.books.advice import Advice, command_line
from tracer.books.analysis import document_of
from tracer.books.causes import ROWS
from tracer.books.scene import scene_of
from tracer.books.verdict import judgement_of
from tracer.commands.run import command as run_command
from tracer.errors import UsageError
from tracer.model import Cause, Document, Experiment, Link, ObserverChoice, Recording, Stage

PEER = "198.51.100.7:5201"
KINDS = (None, "ethernet", "bridge", "macvlan", "tun", "veth")
# The same examples on every machine: a test that finds something by luck is none.
EVERY_TIME = settings(max_examples=500, derandomize=True, deadline=None, database=None)
STAGES = {Cause.NO_SCATTER_GATHER: Stage.LINEARIZE, Cause.CHECKSUM: Stage.LINEARIZE, Cause.BOUNCE_BUFFER: Stage.BOUNCE}


def asked_for(command: str) -> Experiment:
    """What `nettrace run` makes of a command line, by its own parser; a click error if it refuses."""
    words = shlex.split(command)
    assert words[:2] == ["nettrace", "run"]
    with run_command.make_context("run", words[2:]) as context:
        given = context.params
    return Experiment(
        mode=given["mode"], size=given["size"], threads=given["threads"], link=Link(given["link"]),
        observer=ObserverChoice(given["observer"]), scatter_gather=not given["no_sg"], bounce=given["bounce"],
        stacks=given["stacks"], peer=given["peer"], lab=given["lab"], setup=given["setup"],
    )  # fmt: skip


def is_possible(wanted: Experiment, sample: Recording) -> bool:
    """Whether the machine of the sample can do it: stated anew, not taken from the code under test."""
    in_guest = sample.host.where == "lab" and sample.experiment.lab is None
    if wanted.lab is not None:
        return not in_guest and wanted.peer is None
    if wanted.observer is ObserverChoice.FUNCTIONS and sample.host.where == "host":
        return sample.experiment.observer is ObserverChoice.FUNCTIONS
    return wanted.link is not Link.NIC or wanted.peer is not None


def is_on(sample: Recording, offload: str) -> bool | None:
    nic = sample.host.nic
    return None if nic is None else {"sg": nic.scatter_gather, "tx": nic.tx_checksum}[offload]


def problems(sample: Recording, advice: list[Advice]) -> list[str]:
    """What is wrong with it."""
    wrong = []
    for step in advice:
        if step.command.startswith("nettrace run"):
            wanted = asked_for(step.command)
            if command_line(wanted) == command_line(sample.experiment):
                wrong.append(f"the same again: {step.command}")
            if not is_possible(wanted, sample):
                wrong.append(f"impossible here: {step.command}")
        if step.run is not None and len(set(step.run.setup)) < len(step.run.setup):
            wrong.append(f"done already: {step.command}")
        # What was set up for the run just made is set up for the next one, too.
        text = step.command
        for command in sample.experiment.setup:
            text = text.replace(command, "")
        switched = re.search(r"ethtool -K (\S+) (sg|tx) on", text)
        if switched and is_on(sample, switched[2]):
            wrong.append(f"on already: {step.command}")
        if "nettrace lab exec" in step.command and sample.experiment.lab is None:
            wrong.append(f"no lab was used: {step.command}")
    texts = [str(step) for step in advice]
    return wrong + [f"twice: {text}" for text in texts if texts.count(text) > 1]


@st.composite
def experiments(draw: st.DrawFn) -> Recording:
    """Any experiment on any machine, with nothing observed yet."""
    link = draw(st.sampled_from(list(Link)))
    lab = draw(st.sampled_from([None, "6.1", "6.12"]))
    in_guest = lab is None and draw(st.booleans())
    on_a_nic = link is Link.NIC
    asked = experiment(
        draw(st.sampled_from(["twocopy", "onecopy", "zerocopy"])), link, threads=draw(st.sampled_from([1, 2])),
        observer=draw(st.sampled_from(list(ObserverChoice))), stacks=draw(st.booleans()), lab=lab,
        peer=PEER if on_a_nic and lab is None else None, scatter_gather=not (on_a_nic and draw(st.booleans())),
        bounce=draw(st.booleans()),
        setup=draw(st.sampled_from([(), ("ethtool -K eth0 sg on",), ("ip link set lo up",)])) if lab else (),
    )  # fmt: skip
    flags = st.sampled_from([True, False, None])
    nic = ethernet(kind=draw(st.sampled_from(KINDS)), scatter_gather=draw(flags), tx_checksum=draw(flags))
    taps = draw(st.sampled_from([None, [], [TAP]]))
    where = "lab" if lab or in_guest else "host"
    seen = draw(st.sampled_from([looped, on_nic, _by_tracepoints]))
    return changed(
        seen(asked.mode),
        experiment=asked,
        host=host(nic=draw(st.sampled_from([None, nic])), where=where, packet_taps=taps),
    )


def _by_tracepoints(mode: str) -> Recording:
    return seen_by_tracepoints() if mode == "zerocopy" else copied(mode)


@st.composite
def documents(draw: st.DrawFn, first: Cause | None) -> Document:
    """Any experiment with this cause or none, and with any others, seen, unseen or broken."""
    sample = draw(experiments())
    others = draw(st.lists(st.sampled_from(list(Cause)), max_size=2, unique=True)) if first else []
    causes = [cause for cause in [first, *(one for one in others if one is not first)] if cause]
    size = st.sampled_from([PAYLOAD, 1448, None])
    later = [entry(STAGES.get(cause, Stage.DEFERRED_COPY), draw(size), cause) for cause in causes]
    pins = draw(st.sampled_from([[], [], [entry(Stage.PIN, None)], [entry(Stage.PIN, 1448)]]))
    books = draw(st.sampled_from([
        {}, {}, {"mixed_bytes": PAYLOAD}, {"trustworthy": False, "doubts": ["d"]},
        {"trustworthy": False, "doubts": ["d"], "lost_events": 3},
    ]))  # fmt: skip
    return judged(sample, *later, *pins, **books)


def sample_of(document: Document) -> Recording:
    return Recording(**{name: getattr(document, name) for name in Recording.__struct_fields__})


CODES = {
    "copied", "zero-copy", "partly-copied", "mixed", "undecided", "untrustworthy", "copied-by-loopback",
    "copied-by-local-delivery", "copied-for-tap", "copied-by-tun", "copied-by-forwarding", "copied-without-sg",
    "copied-for-checksum", "bounced", "copied-after-all", "copied-to-be-changed", "copied-for-fragments",
}  # fmt: skip


def test_no_advice_repeats_the_run_or_asks_for_what_this_machine_cannot_do():
    """Over all verdicts, causes, links, places, modes, observers and flags; the command line's own parser is asked.

    And every verdict is a plain sentence or two: whatever is known or not, no Python shows through.
    """
    met = {}

    def holds(document):
        sample, sentence = sample_of(document), document.verdict.sentence
        if document.verdict.next or document.verdict.code not in met:
            met[document.verdict.code] = document

        assert problems(sample, judgement_of(sample, document.ledger).advice) == []
        assert not re.search(r"None|Cause\.|Stage\.|\{|\}|  |\.\.|: :", sentence)
        assert sentence.endswith(".")

    for first in (None, *Cause):
        settings(EVERY_TIME, max_examples=50 if first else 500)(given(documents(first))(holds))()

    assert set(met) == CODES, "else it would prove less than it says"
    silent = {code for code, document in met.items() if not document.verdict.next}
    assert silent <= {"partly-copied", *(row.code(scene_of(met[code])) for code in silent for row in ROWS)}


def outcome(asked: Experiment, kind: str = "ethernet") -> Recording:
    """What a machine without function probes of its own makes of an experiment."""
    in_lab = asked.lab is not None
    if asked.link is Link.NIC and not in_lab:
        sample = over_peer(kind)
        if asked.mode != "zerocopy":
            sample = recording(tracepoints(cgroup_egress__copied=(9, PAYLOAD)), asked.mode, Link.NIC, host=sample.host)
            sample = changed(sample, observed=workload(asked.mode, received_bytes=None))
    elif asked.link is Link.NIC:
        sample = on_nic(asked.mode, scatter_gather=asked.scatter_gather, bounce=asked.bounce)
    else:
        sample = looped(asked.mode, link=asked.link) if in_lab else _by_tracepoints(asked.mode)
    where = changed(sample, experiment=asked)
    return changed(where, host=host(nic=where.host.nic, where="lab" if in_lab else "host", packet_taps=[]))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind])
@pytest.mark.parametrize("mode", ["twocopy", "onecopy", "zerocopy"])
@pytest.mark.parametrize("lab", [None, "6.12"])
def test_advice_does_not_lead_in_a_circle(mode, lab, kind):
    """Who follows it, from wherever he starts, comes to an end."""
    flags = list(itertools.product(Link, [True, False], [True, False]))
    for link, sg, bounce in flags:
        peer = PEER if link is Link.NIC and lab is None else None
        if (not sg and link is not Link.NIC) or (bounce and lab is None):
            continue
        start = experiment(mode, link, scatter_gather=sg, bounce=bounce, lab=lab, peer=peer)
        follow(start, (), kind)


def follow(asked: Experiment, before: tuple[str, ...], kind: str) -> None:
    line = command_line(asked)
    assert line not in before, f"in a circle: {before} -> {line}"
    sample = outcome(asked, kind)
    for step in judgement_of(sample, document_of(sample).ledger).advice:
        if step.run is not None:
            follow(asked_for(step.command), (*before, line), kind)


def test_a_container_on_this_machine_is_told_what_its_device_is():
    """No "Undecided ... add --lab", which the guest refuses: the peer is not there."""
    sample = over_peer("bridge")
    found = document_of(sample).verdict

    assert found.code == "undecided"
    assert "23 of 23 completions say copied; bridge0 is a bridge, which can lead to a local socket" in found.sentence
    assert found.next == [
        "see it with function probes, on the lab's veth pair, which does not leave the machine either: "
        "nettrace run zerocopy --size 10007 --link veth --lab"
    ]


def test_a_tap_on_the_labs_nic_is_not_answered_with_the_same_run():
    """A NIC with scatter-gather is what the run had."""
    sample = with_counted(on_nic(copied=23), "skb_copy_ubufs:return", PAYLOAD)
    found = judged(changed(sample, host=host(nic=ethernet(), where="lab")), deferred(PAYLOAD, Cause.PACKET_TAP))

    assert found.verdict.next == ["see who taps the packets: nettrace lab exec --kernel 6.12 -- ss -0lp"]


def test_an_offload_that_is_on_is_not_switched_on():
    """The device can, and did not for these packets."""
    found = judged(changed(on_nic(), host=host(nic=ethernet(), where="lab")), linearized(PAYLOAD, Cause.CHECKSUM))

    assert not any("ethtool" in step for step in found.verdict.next)


def test_a_refused_command_is_seen_by_the_property():
    """The parser that judges the advice does refuse."""
    with pytest.raises(UsageError):
        asked_for("nettrace run zerocopy --link wire --lab")
