"""Observations of the function observer made of literal numbers: 23 messages of 10007 bytes in 29 packets."""

from __future__ import annotations

from tests.samples import PAYLOAD, changed, experiment, host, recording, workload
from tracer.books.function_rows import ROWS_WITH_PAGES, Row, caller_tally
from tracer.model import Link, Nic, Observation, Recording, Tally

HEADERS = 29 * 54
WIRE = PAYLOAD + HEADERS
PAGES = 92
# e1000e pulls 4 bytes of each packet.
PULLED = 29 * 4

Counted = dict[str, tuple[int, ...]]


def functions(counted: Counted, missing: tuple[str, ...] = (), lost: int | None = 0) -> Observation:
    """All rows at zero, but for those given as {row: (events, bytes[, pages])} and those of missing symbols."""
    tallies = {}
    for row in Row:
        if set(row.needs) & set(missing):
            continue
        events, size, *pages = counted.get(row, (0, 0, 0))
        tallies[row.value] = Tally(events=events, bytes=size, pages=pages[0] if row in ROWS_WITH_PAGES else None)
    others = {name: Tally(events=events, bytes=size) for name, (events, size, *_) in counted.items()}
    symbols = {symbol for row in Row for symbol in row.needs} | {"kfree_skb"}
    attached = {symbol: "fentry" for symbol in symbols if symbol not in missing}
    unattached = dict.fromkeys(missing, "no such function: inlined, or of another kernel")
    return Observation(
        observer="functions", tallies=others | tallies, attached=attached, unattached=unattached, lost=lost
    )


def sent(mode: str, resent: int = 0) -> Counted:
    """What every run counts on the sender's side, up to the driver."""
    counted: Counted = {
        Row.SEND_RETURN: (23, PAYLOAD),
        Row.TRANSMIT: (29, PAYLOAD + resent),
        Row.RETRANSMIT: (1 if resent else 0, resent),
        Row.XMIT_PAYLOAD: (29, PAYLOAD + resent),
        Row.XMIT_WIRE: (29, WIRE + resent),
        Row.CHECK_ANY: (100, 0),
    }
    if mode == "zerocopy":
        pinned: Counted = {
            Row.ZEROCOPY_STREAM: (25, PAYLOAD),
            Row.USER_PAGES: (25, 0, PAGES),
            Row.ACCOUNTED: (23, PAYLOAD, 115),
            Row.XMIT_ZEROCOPY: (29, PAYLOAD + resent),
        }
        return counted | pinned
    return counted | {Row.CHECK_SEND: (31, PAYLOAD), Row.BREAK_FROM_ITER: (31, PAYLOAD)}


def received() -> Counted:
    """What the reader of a looped run counts."""
    names = (
        Row.RECEIVE_RETURN, Row.CHECK_RECEIVE, Row.COPY_TO_ITER,
        Row.BREAK_TO_ITER,
    )  # fmt: skip
    return dict.fromkeys(names, (29, PAYLOAD))


def completed(copied: int, zerocopy: int) -> Counted:
    """Completed ranges, in bytes by what their flag says."""
    sizes = {Row.COMPLETION_COPIED: copied, Row.COMPLETION_ZEROCOPY: zerocopy}
    return {row: (2 if size else 0, size) for row, size in sizes.items()}


def handed_over(bounced: bool = False, resent: int = 0) -> Counted:
    """What the device's DMA counts."""
    wire, payload = WIRE + resent, PAYLOAD + resent
    return {
        Row.DMA_WIRE: (29, wire),
        Row.DMA: (29, 0 if bounced else payload),
        Row.BOUNCE_WIRE: (29 if bounced else 0, wire if bounced else 0),
        Row.BOUNCE: (29 if bounced else 0, payload if bounced else 0),
    }


def looped(mode: str = "zerocopy", resent: int = 0, link: Link = Link.LO) -> Recording:
    """Over lo or veth."""
    counted = sent(mode, resent) | received()
    if mode == "zerocopy":
        deferred = (29, PAYLOAD + resent)
        counted |= completed(PAYLOAD, 0) | {Row.COPY_UBUFS: deferred, caller_tally("ip_local_deliver_finish"): deferred}
    observed = workload(mode, elapsed_s=0.0011, retransmitted_bytes=resent)
    return recording(functions(counted), mode, link, observed=observed)


def on_nic(mode: str = "zerocopy", *, scatter_gather: bool = True, bounce: bool = False, copied: int = 0) -> Recording:
    """A NIC; without scatter-gather, half is segmented and half linearized. `copied` completions say so."""
    counted = sent(mode) | handed_over(bounce)
    if scatter_gather:
        counted |= {Row.PULL: (29, PULLED), Row.COPY_BITS: (29, PULLED)}
    else:
        counted |= {
            Row.SEGMENT_COPY: (28, PAYLOAD - 1448),
            Row.LINEARIZE: (1, 1448),
            Row.COPY_BITS: (29, PAYLOAD),
            Row.XMIT_LINEAR: (29, PAYLOAD),
        }
    if mode == "zerocopy":
        counted |= completed(copied * 10007, PAYLOAD - copied * 10007)
    asked = experiment(mode, Link.NIC, scatter_gather=scatter_gather, bounce=bounce)
    base = recording(functions(counted), mode, Link.NIC)
    nic = Nic(device="eth0", driver="e1000e", scatter_gather=scatter_gather, tx_checksum=True, tso=scatter_gather)
    return changed(base, experiment=asked, observed=workload(mode, copied=copied), host=host(nic=nic))


def with_counted(sample: Recording, name: str, size: int) -> Recording:
    """The same recording with other bytes in one row of its first observation."""
    first, *others = sample.observations
    tallies = {**first.tallies, name: Tally(events=1, bytes=size, pages=first.tallies[name].pages)}
    return changed(sample, observations=[changed_observation(first, tallies=tallies), *others])


def changed_observation(base: Observation, **fields: object) -> Observation:
    """The same observation with other fields."""
    import msgspec

    return msgspec.structs.replace(base, **fields)
