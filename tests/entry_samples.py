"""Documents whose ledger is given entry by entry: what the books and the reports make of causes, whoever saw them."""

from __future__ import annotations

from typing import Any

import msgspec

from tests.function_samples import looped, on_nic
from tests.samples import PAYLOAD, changed, ethernet, experiment, host
from tracer.books.analysis import document_of
from tracer.books.causes import with_cause
from tracer.books.ledger import copies_of
from tracer.books.scene import scene_of
from tracer.books.verdict import verdict_of
from tracer.model import Cause, Document, Entry, LawState, Link, Recording, Stage

TAP = "tcpdump (pid 4711) on any device"


def entry(stage: Stage, size: int | None, cause: Cause | None = None, function: str = "f", **other: Any) -> Entry:
    ratio = None if size is None else size / PAYLOAD
    return Entry(
        stage=stage, function=function, source=f"fentry:{function}", bytes=size, per_payload_byte=ratio, cause=cause,
        **other,
    )  # fmt: skip


def judged(sample: Recording, *entries: Entry, **ledger: Any) -> Document:
    """The sample with these entries in the place of the ledger's own of the same stages.

    Laws that the sample's own counts break are left out: the entries tell what those counts lack.
    """
    document = document_of(sample)
    stages = {one.stage for one in entries}
    kept = [one for one in document.ledger.entries if one.stage not in stages]
    found = [*kept, *(with_cause(one, scene_of(sample)) for one in entries)]
    order = list(Stage)
    found.sort(key=lambda one: order.index(one.stage))
    laws = [law for law in document.ledger.laws if law.state is LawState.HOLDS]
    fields = {"laws": laws, "trustworthy": True, "doubts": [], "copies_per_byte": copies_of(found, PAYLOAD), **ledger}
    books = msgspec.structs.replace(document.ledger, entries=found, **fields)
    return msgspec.structs.replace(document, ledger=books, verdict=verdict_of(sample, books))


def deferred(size: int | None, cause: Cause | None, **other: Any) -> Entry:
    return entry(Stage.DEFERRED_COPY, size, cause, "skb_copy_ubufs", **other)


def linearized(size: int, cause: Cause | None, function: str = "skb_segment") -> Entry:
    return entry(Stage.LINEARIZE, size, cause, function)


def dropped(size: int, place: str = "qdisc netem on lo", reason: str = "QDISC_DROP") -> Entry:
    return entry(Stage.DROPPED, size, None, place, events=3, note=reason)


def tapped_lo() -> Document:
    """A tap on lo: one copy for the tap, one for the receiver."""
    sample = changed(looped(), host=host(packet_taps=[TAP]))
    return judged(sample, deferred(PAYLOAD, Cause.LOCAL_DELIVERY), deferred(PAYLOAD, Cause.PACKET_TAP))


def tapped_nic() -> Document:
    """A tap on a NIC: a copy for the tap, while the device reads the sender's pages."""
    sample = on_nic(copied=23)
    where = changed(sample, host=host(nic=ethernet(), where="lab", packet_taps=[TAP]))
    return judged(where, deferred(PAYLOAD, Cause.PACKET_TAP))


def without_checksum() -> Document:
    """A NIC that computes no checksums, with scatter-gather."""
    sample = on_nic(copied=23)
    where = changed(sample, host=host(nic=ethernet(tx_checksum=False), where="lab", packet_taps=[]))
    return judged(where, linearized(PAYLOAD, Cause.CHECKSUM, "skb_checksum_help"))


def with_drops() -> Document:
    """A queue on lo that drops."""
    return judged(looped(), dropped(2896), dropped(1448, "qdisc tbf on lo", "QDISC_OVERLIMIT"))


def over_peer(kind: str | None, **nic: Any) -> Recording:
    """A peer that this machine reaches through a device of this kind, on a host without function probes."""
    from tests.samples import PAGES, recording, tracepoints, workload

    at_driver = {f"net_dev_start_xmit__{state}": (0, 0) for state in ("copied", "mixed", "linear")}
    seen = tracepoints(
        cgroup_egress__zerocopy=(9, PAYLOAD, PAGES), net_dev_start_xmit__zerocopy=(9, PAYLOAD), **at_driver
    )
    device = ethernet(**{"kind": kind, "device": "eth0" if kind == "ethernet" else f"{kind}0", **nic})
    return recording(
        seen, link=Link.NIC, observed=workload(received_bytes=None), host=host(nic=device),
        experiment=experiment("zerocopy", Link.NIC, peer="172.17.0.2:5201"),
    )  # fmt: skip
