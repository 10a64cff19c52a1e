"""Why a copy was made after the send call: one row a cause, and every word that is said about it. Pure.

An observer that saw the copying function's caller names the cause in the entry. Where it did not, the rows are asked
what the machine shows; a cause is inferred where one row alone is sure, else it is unknown.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from tracer.books.advice import (
    Advice,
    another_run,
    by_copying,
    change_the_machine,
    look_at_the_machine,
    on_a_nic,
    with_function_probes,
)
from tracer.books.receiving import taken_in
from tracer.books.scene import Scene, scene_of
from tracer.model import Cause, Entry, Link, Recording, Stage

LATER_COPIES = (Stage.LINEARIZE, Stage.BOUNCE, Stage.DEFERRED_COPY)

# What a device is whose packets may stay on this machine; IFLA_INFO_KIND, drivers/net/.
LOCAL_KINDS = {
    "bridge": "a bridge, which can lead to a local socket",
    "ipvlan": "an ipvlan device, which can lead to a local socket",
    "loopback": "a loopback device, which leads to a local socket",
    "macvlan": "a macvlan device, which can lead to a local socket",
    "macvtap": "a macvtap device, which a program or a virtual machine reads",
    "tun": "a tun/tap device, which a program or a virtual machine reads",
    "veth": "one end of a veth pair, which leads to another namespace of this machine",
}
_READ_BY_PROGRAMS = ("macvtap", "tun")


class CauseRow(NamedTuple):
    """All that is known about one cause.

    Args:
        stages: Later copies that it can explain.
        evidence: Whether the scene shows that it made this entry's copy; None where the scene does not tell.
        inferred_from: What the evidence is, in words.
        code: The verdict's word for programs.
        name: A word or two, for tables and pictures.
        how: What the copy was made for, in the verdict's sentence.
        place: Where it leads, in the picture; empty where the stage or the link tells.
        why: The reason, a clause.
        fix: What can be done about it, on the machine of this recording.
        source: Kernel file and function.
        story: What lies behind it, for somebody who has not heard of it; true of every machine.
        fix_of_a_program: What can be done about it for a program that was recorded.
    """

    cause: Cause
    stages: tuple[Stage, ...]
    evidence: Callable[[Scene, Entry], bool | None]
    inferred_from: str
    code: Callable[[Scene], str]
    name: str
    how: str
    place: str
    why: Callable[[Scene], str]
    fix: Callable[[Recording, str | None], list[Advice]]
    source: str
    story: str
    fix_of_a_program: str = (
        "send without MSG_ZEROCOPY (SEND_ZC) on this way: the copy is made all the same, "
        "and pinning and notifications are saved"
    )


def row_of(cause: Cause) -> CauseRow:
    """The row of a cause; every cause has one."""
    return next(row for row in ROWS if row.cause is cause)


def with_cause(entry: Entry, scene: Scene) -> Entry:
    """A later copy with its cause: the observer's, else what the scene shows, else unknown.

    What copied nothing, and what nobody counted, has none.
    """
    if entry.stage not in LATER_COPIES or not entry.bytes:
        return msgspec.structs.replace(entry, cause=None)
    if entry.cause is Cause.FORWARDING:
        return _if_shown(entry, scene, row_of(entry.cause))
    if entry.cause is not None:
        return entry
    sure = [row for row in ROWS if entry.stage in row.stages and row.evidence(scene, entry)]
    if len(sure) != 1:
        return msgspec.structs.replace(entry, cause=Cause.UNKNOWN)
    return msgspec.structs.replace(entry, cause=sure[0].cause, cause_inferred_from=sure[0].inferred_from)


def _if_shown(entry: Entry, scene: Scene, row: CauseRow) -> Entry:
    """What its caller leaves open, and the scene may tell."""
    if row.evidence(scene, entry):
        return msgspec.structs.replace(entry, cause_inferred_from=row.inferred_from)
    return msgspec.structs.replace(entry, cause=Cause.UNKNOWN)


def hints(scene: Scene) -> str:
    """What may explain a copy that nobody has seen: completions, the kind of the device, taps."""
    found = []
    if scene.copied:
        found.append(f"{scene.copied[0]:,} of {scene.copied[1]:,} completions say copied")
    if scene.nic and scene.kind in LOCAL_KINDS:
        found.append(f"{scene.nic.device} is {LOCAL_KINDS[scene.kind]}")
    if scene.packet_taps:
        found.append(f"packets are tapped by {', '.join(scene.packet_taps)}")
    return "; ".join(found)


def _is_local(scene: Scene, entry: Entry) -> bool | None:
    return True if scene.link is not Link.NIC or scene.kind == "loopback" else _unless_a_real_device(scene, entry)


def _unless_a_real_device(scene: Scene, _: Entry) -> bool | None:
    """False for what cannot be where packets leave the machine by hardware; elsewhere nobody knows."""
    return False if scene.kind == "ethernet" else None


def _is_tapped(scene: Scene, entry: Entry) -> bool | None:
    """A tap gets a clone: what is made of the packet that arrives says nothing about it."""
    if scene.packet_taps is None:
        return None
    return bool(scene.packet_taps) and not entry.source.startswith("cgroup:")


def _is_tun(scene: Scene, _: Entry) -> bool | None:
    if scene.link is not Link.NIC:
        return False
    return scene.kind in _READ_BY_PROGRAMS if scene.kind is not None and scene.kind != "bridge" else None


def _is_forwarded(scene: Scene, entry: Entry) -> bool | None:
    """Before it was known whither; so it is shown by where they were read. Links of our own forward nothing."""
    if scene.link is not Link.NIC or _unless_a_real_device(scene, entry) is False:
        return False
    return True if scene.is_read_elsewhere and scene.kind == "veth" else None


def _lacks_sg(scene: Scene, _: Entry) -> bool | None:
    known = scene.nic.scatter_gather if scene.nic else None
    return True if scene.without_sg else (None if known is None else not known)


def _lacks_checksum(scene: Scene, entry: Entry) -> bool | None:
    """Without scatter-gather a packet is linear before its checksum is asked for."""
    known = scene.nic.tx_checksum if scene.nic else None
    if known is None or known:
        return None if known is None else False
    lacks_sg = _lacks_sg(scene, entry)
    return None if lacks_sg is None else not lacks_sg


# net.ipv4.tcp_min_snd_mss, and the headers without options: smaller packets TCP does not make, IP cuts them.
_TCP_S_SMALLEST = 48 + 40


def _is_fragmented(scene: Scene, _: Entry) -> bool | None:
    """A larger MTU proves nothing: what the kernel has learnt of the path may be less."""
    return True if scene.nic and scene.nic.mtu and scene.nic.mtu < _TCP_S_SMALLEST else None


def _local_code(scene: Scene) -> str:
    return "copied-by-local-delivery" if scene.link is Link.NIC else "copied-by-loopback"


def _why_local(scene: Scene) -> str:
    device = (
        scene.device
        if scene.kind not in LOCAL_KINDS or scene.link is not Link.NIC
        else f"{scene.device} ({scene.kind})"
    )
    return f"{device} delivers packets to a local socket, and the kernel does not let a reader hold the sender's pages"


def _why_tapped(scene: Scene) -> str:
    who = f" ({', '.join(scene.packet_taps)})" if scene.packet_taps else " (tcpdump, lldpd, a DHCP client)"
    return f"a packet tap{who} gets a copy of every packet"


def _why_unknown(scene: Scene) -> str:
    found = hints(scene._replace(copied=None))
    return "why was not observed" + (f"; {found}" if found else "")


def _without_pinning(recording: Recording) -> list[Advice]:
    """Not to a reader that maps: the pages of this copy alone are such that it can."""
    if recording.observed is not None and taken_in(recording.observed, "mapped"):
        return []
    return by_copying(recording, "copies just as often here, without pinning pages and reaping completions")


def _fix_local(recording: Recording, _: str | None) -> list[Advice]:
    return [
        *on_a_nic(recording, "a NIC with scatter-gather is where zero-copy is real"),
        *_without_pinning(recording),
    ]


_LIST_TAPS = "ss -0lp"


def _fix_tap(recording: Recording, _: str | None) -> list[Advice]:
    if recording.host.packet_taps:
        return [Advice(f"end what taps the packets: {', '.join(recording.host.packet_taps)}")]
    return [Advice("see who taps the packets", look_at_the_machine(recording, _LIST_TAPS))]


_FORWARDED_AS_THEY_ARE = "Linux 6.17 and later forward the sender's pages as they are"


def _fix_forwarding(recording: Recording, _: str | None) -> list[Advice]:
    return [Advice(_FORWARDED_AS_THEY_ARE), *_without_pinning(recording)]


def _fix_sg(recording: Recording, _: str | None) -> list[Advice]:
    if scene_of(recording).without_sg:
        return another_run(recording, "the same with scatter-gather", scatter_gather=True)
    return _switch_on(recording, "sg", recording.host.nic.scatter_gather if recording.host.nic else None)


def _fix_checksum(recording: Recording, _: str | None) -> list[Advice]:
    return _switch_on(recording, "tx", recording.host.nic.tx_checksum if recording.host.nic else None)


def _switch_on(recording: Recording, offload: str, now: bool | None) -> list[Advice]:
    """By ethtool, unless it is on already: then the packets are of a kind that the device cannot do it for."""
    nic = recording.host.nic
    if nic is None or now:
        return [Advice("another device, or another kind of packet: this device can, but not for these")] if now else []
    return change_the_machine(recording, "if the driver can", f"ethtool -K {nic.device} {offload} on")


def _why_fragmented(scene: Scene) -> str:
    mtu = f" ({scene.nic.mtu:,} B)" if scene.nic and scene.nic.mtu else ""
    return f"packets are larger than the MTU{mtu} of the way, and IP copies them into fragments"


def _fix_fragmentation(recording: Recording, _: str | None) -> list[Advice]:
    nic = recording.host.nic
    return [Advice("see the MTU", look_at_the_machine(recording, f"ip link show {nic.device}"))] if nic else []


def _fix_changed(recording: Recording, _: str | None) -> list[Advice]:
    nic = recording.host.nic
    return (
        [Advice("see what changes them", look_at_the_machine(recording, f"tc qdisc show dev {nic.device}"))]
        if nic
        else []
    )


def _fix_bounce(recording: Recording, _: str | None) -> list[Advice]:
    if scene_of(recording).bounce and recording.host.where == "lab":
        return another_run(recording, "the same without the bounce buffer", bounce=False)
    return [Advice("boot without swiotlb=force; in a confidential VM it cannot be avoided")]


def _fix_unknown(recording: Recording, observer: str | None) -> list[Advice]:
    if observer != "functions":
        return with_function_probes(recording, observer)
    return another_run(recording, "see who copies", stacks=True)


def _code(code: str) -> Callable[[Scene], str]:
    return lambda _: code


def _says(why: str) -> Callable[[Scene], str]:
    return lambda scene: why.format(device=scene.device)


# In the order of the verdict: the copy that every byte on the way went through comes first, what befell some of them
# after it, a tap's copy last.
ROWS: tuple[CauseRow, ...] = (
    CauseRow(
        Cause.NO_SCATTER_GATHER,
        stages=(Stage.LINEARIZE,),
        evidence=_lacks_sg,
        inferred_from="the device's scatter-gather is off",
        code=_code("copied-without-sg"),
        name="no scatter-gather",
        how=" to make linear packets",
        place="",
        why=_says("the device has no scatter-gather"),
        fix=_fix_sg,
        source="net/core/dev.c: validate_xmit_skb(); net/core/skbuff.c: skb_segment()",
        story="A device without scatter-gather sends only what lies in one piece of memory, so the kernel copies "
        "headers and payload together for it. TCP does not ask the device before it pins pages: they are pinned "
        "all the same, and copied here.",
    ),
    CauseRow(
        Cause.FRAGMENTATION,
        stages=(Stage.LINEARIZE,),
        evidence=_is_fragmented,
        inferred_from="the device's MTU is less than TCP's smallest packet",
        code=_code("copied-for-fragments"),
        name="IP fragments",
        how=" into IP fragments",
        place="",
        why=_why_fragmented,
        fix=_fix_fragmentation,
        source="net/ipv4/ip_output.c: ip_do_fragment(), ip_frag_next()",
        story="IP cuts a packet that is larger than what the way takes at once (its MTU), and copies the payload into "
        "the pieces. TCP makes packets that fit, down to a least size of its own.",
    ),
    CauseRow(
        Cause.CHECKSUM,
        stages=(Stage.LINEARIZE,),
        evidence=_lacks_checksum,
        inferred_from="the device's checksum offload is off, its scatter-gather is on",
        code=_code("copied-for-checksum"),
        name="checksum",
        how=" to make linear packets",
        place="",
        why=_says(
            "the device computes no checksum of these packets, and the kernel, which does it instead, first takes "
            "the payload out of pages that the sender could still change"
        ),
        fix=_fix_checksum,
        source="net/core/dev.c: skb_checksum_help()",
        story="A checksum must be that of the bytes that are sent. Where the device does not compute it, the kernel "
        "does, and the program could change pinned pages between the two: so they are copied first.",
    ),
    CauseRow(
        Cause.BOUNCE_BUFFER,
        stages=(Stage.BOUNCE,),
        evidence=lambda *_: True,
        inferred_from="",
        code=_code("bounced"),
        name="bounce buffer",
        how=" into a bounce buffer (swiotlb)",
        place="",
        why=_says("the device's DMA may not, or cannot, reach the pages themselves"),
        fix=_fix_bounce,
        source="kernel/dma/swiotlb.c: swiotlb_map()",
        story="A device reads memory by itself (DMA). Where it may not reach a page, as in a confidential virtual "
        "machine or with swiotlb=force, the packet is copied into memory that it may reach.",
    ),
    CauseRow(
        Cause.LOCAL_DELIVERY,
        stages=(Stage.DEFERRED_COPY,),
        evidence=_is_local,
        inferred_from="the link leads to a local socket",
        code=_local_code,
        name="local delivery",
        how=" before the reader got it",
        place="receiver's socket",
        why=_why_local,
        fix=_fix_local,
        source="include/linux/skbuff.h: skb_orphan_frags_rx(), from net/core/dev.c: __netif_receive_skb_core(), "
        "since 6.17 net/ipv4/ip_input.c: ip_local_deliver_finish()",
        story="A program on this machine may leave a packet unread for as long as it likes, and the sender would have "
        "to wait for its pages all that time. So before a packet with pinned pages enters a local socket, they "
        "are copied.",
    ),
    CauseRow(
        Cause.TUN,
        stages=(Stage.DEFERRED_COPY,),
        evidence=_is_tun,
        inferred_from="the device is a tun/tap device",
        code=_code("copied-by-tun"),
        name="tun/tap, vhost",
        how="",
        place="tun/tap device's reader",
        why=_says("a program or a virtual machine reads the packets from a tun/tap device (or vhost), at its leisure"),
        fix=_fix_local,
        source="drivers/net/tun.c: tun_net_xmit()",
        story="A tun or tap device hands packets to a program or a virtual machine, which reads them when it likes: "
        "the sender's pages cannot wait for it, and are copied.",
    ),
    CauseRow(
        Cause.FORWARDING,
        stages=(Stage.DEFERRED_COPY,),
        evidence=_is_forwarded,
        inferred_from="the device is a veth, and the receiver is on another machine",
        code=_code("copied-by-forwarding"),
        name="forwarding",
        how="",
        place="forwarded packet",
        why=_says("this machine forwards the packets, and before Linux 6.17 takes them off the sender's pages first"),
        fix=_fix_forwarding,
        source="net/core/dev.c: __netif_receive_skb_core(), before 6.17",
        story="A machine that passes packets on (a router, a container's host) took them off the sender's pages as "
        "they came in, until Linux 6.17 put that off until a local socket wants them.",
        fix_of_a_program=_FORWARDED_AS_THEY_ARE,
    ),
    CauseRow(
        Cause.CHANGED_PACKET,
        stages=(Stage.LINEARIZE,),
        evidence=lambda *_: None,
        inferred_from="",
        code=_code("copied-to-be-changed"),
        name="changed packet",
        how=" into packets of their own",
        place="",
        why=_says("something on the way to {device} changes packets, and may not do so in pages that others use"),
        fix=_fix_changed,
        source="include/linux/skbuff.h: skb_unshare(), from net/sched/sch_netem.c: netem_enqueue()",
        story="A packet shares its payload with the original that TCP keeps to send again. Whatever changes a packet "
        "on its way makes a copy of its own first.",
    ),
    CauseRow(
        Cause.PACKET_TAP,
        stages=(Stage.DEFERRED_COPY,),
        evidence=_is_tapped,
        inferred_from="packet sockets are open on the link",
        code=_code("copied-for-tap"),
        name="packet tap",
        how="",
        place="",
        why=_why_tapped,
        fix=_fix_tap,
        source="net/core/dev.c: dev_queue_xmit_nit(), deliver_skb()",
        story="A packet socket gets every packet of its device, and reads it when it likes. The kernel's own pages are "
        "shared with it; a program's pinned pages are copied, once for all taps.",
        fix_of_a_program=f"end what taps the packets: {_LIST_TAPS}",
    ),
    CauseRow(
        Cause.UNKNOWN,
        stages=LATER_COPIES,
        evidence=lambda *_: None,
        inferred_from="",
        code=_code("copied-after-all"),
        name="cause unknown",
        how="",
        place="",
        why=_why_unknown,
        fix=_fix_unknown,
        source="",
        story="A copy was counted, and neither the function that asked for it was seen nor does the machine show one "
        "cause that alone could have made it.",
    ),
)
