"""Observations of the function observer made of literal numbers: 23 messages of 10007 bytes in 29 packets."""

from __future__ import annotations

from tests.samples import PAYLOAD, changed, experiment, recording, workload
from tracer.books.function_rows import ROWS_WITH_PAGES, Row
from tracer.books.probes import PROBE_POINTS, tells_of
from tracer.model import Link, Observation, Recording, Tally

HEADERS = 29 * 54
WIRE = PAYLOAD + HEADERS
PAGES = 92
# e1000e pulls 4 bytes of each packet.
PULLED = 29 * 4

Counted = dict[str, tuple[int, ...]]


def functions(
    counted: Counted, missing: tuple[str, ...] = (), lost: int | None = 0, transport: str = "tcp"
) -> Observation:
    """All rows at zero, but for those given as {row: (events, bytes[, pages])} and those of missing symbols."""
    points = [point.symbol for point in PROBE_POINTS if tells_of(point, transport)]
    attached = {symbol: "fentry" for symbol in points if symbol not in missing}
    tallies = {}
    for name in Row:
        if not name.is_known(attached):
            continue
        events, size, *pages = counted.get(str(name), (0, 0, 0))
        tallies[str(name)] = Tally(events=events, bytes=size, pages=pages[0] if name in ROWS_WITH_PAGES else None)
    attached["kfree_skb"] = "tracepoint"
    unattached = dict.fromkeys(missing, "no such function: inlined, or of another kernel")
    return Observation(observer="functions", tallies=tallies, attached=attached, unattached=unattached, lost=lost)


def sent(mode: str, resent: int = 0) -> Counted:
    """What every run counts on the sender's side, up to the driver."""
    counted: Counted = {
        "tcp_sendmsg_locked:return": (23, PAYLOAD),
        "__tcp_transmit_skb:entry": (29, PAYLOAD + resent),
        "tcp_retransmit_skb:tracepoint": (1 if resent else 0, resent),
        "net_dev_start_xmit:payload": (29, PAYLOAD + resent),
        "net_dev_start_xmit:wire": (29, WIRE + resent),
        "__check_object_size:any": (100, 0),
    }
    if mode == "zerocopy":
        pinned: Counted = {
            "skb_zerocopy_iter_stream:return": (25, PAYLOAD),
            "get_user_pages_fast:return": (25, 0, PAGES),
            "mm_account_pinned_pages:entry": (23, PAYLOAD, 115),
            "net_dev_start_xmit:zerocopy": (29, PAYLOAD + resent),
        }
        return counted | pinned
    return counted | {"__check_object_size:send": (31, PAYLOAD), "_copy_from_iter:breakpoint": (31, PAYLOAD)}


def received() -> Counted:
    """What the reader of a looped run counts."""
    names = (
        "tcp_recvmsg_locked:return", "__check_object_size:receive", "simple_copy_to_iter:entry",
        "_copy_to_iter:breakpoint",
    )  # fmt: skip
    return dict.fromkeys(names, (29, PAYLOAD))


def completed(copied: int, zerocopy: int) -> Counted:
    """Completed ranges, in bytes by what their flag says."""
    return {"__msg_zerocopy_callback:copied": (2, copied), "__msg_zerocopy_callback:zerocopy": (2, zerocopy)}


def handed_over(bounced: bool = False, resent: int = 0) -> Counted:
    """What the device's DMA counts."""
    wire, payload = WIRE + resent, PAYLOAD + resent
    return {
        "dma_map_page_attrs:wire": (29, wire),
        "dma_map_page_attrs:payload": (29, 0 if bounced else payload),
        "swiotlb_map:wire": (29 if bounced else 0, wire if bounced else 0),
        "swiotlb_map:payload": (29 if bounced else 0, payload if bounced else 0),
    }


def looped(mode: str = "zerocopy", resent: int = 0, link: Link = Link.LO) -> Recording:
    """Over lo or veth."""
    counted = sent(mode, resent) | received()
    if mode == "zerocopy":
        counted |= completed(PAYLOAD, 0) | {"skb_copy_ubufs:return": (29, PAYLOAD + resent)}
    observed = workload(mode, elapsed_s=0.0011, retransmitted_bytes=resent, bytes_sent=PAYLOAD + resent)
    return recording(functions(counted), mode, link, observed=observed)


def on_nic(mode: str = "zerocopy", *, scatter_gather: bool = True, bounce: bool = False, copied: int = 0) -> Recording:
    """A NIC; without scatter-gather, half is segmented and half linearized. `copied` completions say so."""
    counted = sent(mode) | handed_over(bounce)
    if scatter_gather:
        counted |= {"__pskb_pull_tail:pull": (29, PULLED), "skb_copy_bits:entry": (29, PULLED)}
    else:
        counted |= {
            "skb_copy_bits:segment": (28, PAYLOAD - 1448),
            "__pskb_pull_tail:linearize": (1, 1448),
            "skb_copy_bits:entry": (29, PAYLOAD),
            "net_dev_start_xmit:linear": (29, PAYLOAD),
        }
    if mode == "zerocopy":
        counted |= completed(copied * 10007, PAYLOAD - copied * 10007)
    asked = experiment(mode, Link.NIC, scatter_gather=scatter_gather, bounce=bounce, lab="6.12")
    base = recording(functions(counted), mode, Link.NIC)
    return changed(base, experiment=asked, observed=workload(mode, copied=copied))


def with_counted(sample: Recording, name: str, size: int) -> Recording:
    """The same recording with other bytes in one row of its first observation."""
    first, *others = sample.observations
    tallies = {**first.tallies, name: Tally(events=1, bytes=size, pages=first.tallies[name].pages)}
    return changed(sample, observations=[changed_observation(first, tallies=tallies), *others])


def changed_observation(base: Observation, **fields: object) -> Observation:
    """The same observation with other fields."""
    import msgspec

    return msgspec.structs.replace(base, **fields)
