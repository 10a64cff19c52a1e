"""The function observer's laws: what each function moved, against its neighbours, TCP's counters and the payload."""

from __future__ import annotations

from tracer.books import drops
from tracer.books import function_entries as functions
from tracer.books.causes import LOCAL_KINDS
from tracer.books.function_rows import Row
from tracer.books.law import bound, copied_as_completed, given_to_driver, law, read_law, unless, unless_dropped
from tracer.books.receiving import peeked_bytes
from tracer.books.records import ADDED, enciphered
from tracer.books.scene import Scene
from tracer.books.tallies import bytes_at, difference, total
from tracer.model import Law, Link, Observation, Workload


def function_laws(observation: Observation, scene: Scene, workload: Workload) -> list[Law]:
    """Those that the link allows."""
    if workload.datagrams:
        return _laws_of_datagrams(observation, scene, workload)
    laws = _send_laws(observation, workload) + _transmit_laws(observation, scene, workload)
    if scene.link is Link.NIC:
        return laws + _device_laws(observation, scene)
    return laws + (_decryption_laws if workload.encrypted else _receive_laws)(observation, workload)


def _laws_of_datagrams(observation: Observation, scene: Scene, workload: Workload) -> list[Law]:
    """Some of it is summed up while it is copied, by functions that are not watched: there the counts are bounds."""
    payload, dropped = workload.payload_bytes, drops.dropped_by_sender(observation)
    pinned, transmitted = (bytes_at(observation, row) for row in (Row.DATAGRAM_PINNED, Row.DATAGRAM_TRANSMIT))
    checked = total(functions.checked_bytes(observation, functions.CHECK_SEND), pinned)
    laws = [
        law("L1", "returned by udp_sendmsg = payload that send calls accepted",
            bytes_at(observation, Row.DATAGRAM_SENT), payload),
        bound("L1a", "payload >= checked before copy_from_user + pinned", payload, checked),
        law("L2b", "bytes through ip_send_skb = payload", transmitted, payload),
        unless_dropped(_driver_law(observation, dropped), dropped),
        _copy_law(observation),
        *_completion_laws(observation, workload),
    ]  # fmt: skip
    if workload.completions is not None:
        laws.append(_completed_law(observation))
    if scene.link is Link.NIC:
        return laws + _device_laws(observation, scene)
    read, received = bytes_at(observation, Row.DATAGRAM_READ), workload.received_bytes
    checked = functions.checked_bytes(observation, functions.CHECK_RECEIVE)
    return [
        *laws,
        _reception_law(observation),
        law("L6", "returned by udp_recvmsg = bytes the receiver read", read, received),
        bound("L6b", "returned by udp_recvmsg >= checked before copy_to_user", read, checked),
    ]


def _send_laws(observation: Observation, workload: Workload) -> list[Law]:
    """Three counts of copy_from_user, each completed by what was not copied, against the payload."""
    payload = workload.payload_bytes
    if workload.encrypted:
        call, by_page, of = Row.SOCKET_SENT, Row.SOCKET_SENDPAGE, "read in place"
    else:
        call, by_page, of = Row.SEND_RETURN, Row.SENDPAGES, "pinned"
    avoided = total(bytes_at(observation, functions.pinning_row(observation)), functions.spliced_bytes(observation))
    accepted = total(
        bytes_at(observation, call), bytes_at(observation, by_page) if by_page in observation.tallies else 0
    )
    checked = functions.checked_bytes(observation, functions.CHECK_SEND)
    broken_at = bytes_at(observation, functions.BREAK_IN)
    laws = [
        law("L1", f"returned by {call.symbol} = payload that send calls accepted", accepted, payload),
        law("L1a", f"checked before copy_from_user + {of} + spliced = payload", total(checked, avoided), payload),
        law("L1b", f"_copy_from_iter at a breakpoint + {of} + spliced = payload", total(broken_at, avoided), payload),
    ]
    if workload.encrypted:
        encrypted = bytes_at(observation, Row.ENCRYPTED)
        laws.append(law("L1c", f"through {Row.ENCRYPTED.symbol} = payload", encrypted, payload))
    return [*laws, _completed_law(observation)] if workload.completions is not None else laws


def _completed_law(observation: Observation) -> Law:
    completed = bytes_at(observation, Row.COMPLETION_ZEROCOPY, Row.COMPLETION_COPIED)
    accounted = bytes_at(observation, Row.ACCOUNTED)
    return law("L7b", "bytes of completed ranges = bytes accounted when they were sent", completed, accounted)


def _transmit_laws(observation: Observation, scene: Scene, workload: Workload) -> list[Law]:
    dropped = drops.dropped_by_sender(observation)
    return [
        unless_dropped(_driver_law(observation, dropped), dropped),
        *_counter_laws(observation, workload, dropped),
        *_linear_laws(observation, scene, dropped),
        *_completion_laws(observation, workload),
    ]


def _completion_laws(observation: Observation, workload: Workload) -> list[Law]:
    """One copied packet makes the completion of its whole range say so (uarg->zerocopy, net/core/skbuff.c).

    What copies, copies every packet, and then the range's bytes are the bound; but for what changes single packets.
    """
    copied_later = total(functions.linearized_bytes(observation), bytes_at(observation, Row.COPY_UBUFS))
    laws = copied_as_completed(copied_later, bytes_at(observation, functions.pinning_row(observation)), workload)
    reason = "single packets were copied: the completion of a range speaks for all that are in it"
    return [unless(one, reason, less=None if bytes_at(observation, Row.WHOLE_COPY) else 0) for one in laws]


def _driver_law(observation: Observation, dropped: int | None) -> Law:
    but = " - dropped on this machine" if dropped else ""
    down = functions.transmit_row(observation)
    statement = f"bytes given to the driver = bytes through {down.symbol}{but}"
    owned, orphaned = bytes_at(observation, Row.XMIT_PAYLOAD), functions.orphaned_bytes(observation)
    went_on = difference(bytes_at(observation, down), dropped or 0)
    return given_to_driver("L2", statement, owned, orphaned, went_on)


def _counter_laws(observation: Observation, workload: Workload, dropped: int | None) -> list[Law]:
    """What TCP itself counts; told of a local drop, it sends again and calls it no retransmission."""
    transmitted, again = bytes_at(observation, Row.TRANSMIT), functions.retransmitted_bytes(observation)
    as_sent, sign = (bound, ">=") if dropped else (law, "=")
    records = f" + {ADDED} B a record" if workload.encrypted else ""
    statement = f"bytes through __tcp_transmit_skb {sign} payload{records} + retransmitted"
    sent = total(workload.payload_bytes, enciphered(observation, Row.ENCRYPTED) if workload.encrypted else 0)
    by_tcp = law("L2c", "retransmitted, by the tracepoint = by TCP's own count (tcpi_bytes_retrans)", again,
        workload.retransmitted_bytes)  # fmt: skip
    return [
        law("L2a", "bytes through __tcp_transmit_skb = bytes that TCP handed down (tcpi_bytes_sent)", transmitted,
            workload.bytes_sent),
        unless_dropped(as_sent("L2b", statement, transmitted, total(sent, again)), dropped),
        unless(by_tcp, "TCP counts retransmissions that a queue refused, too", less=dropped or 0),
    ]  # fmt: skip


def _linear_laws(observation: Observation, scene: Scene, dropped: int | None) -> list[Law]:
    """Payload becomes linear by copies alone: TCP puts it into fragments. The packets at the driver are witnesses."""
    linear, doubled = functions.linearized_bytes(observation), functions.doubled_bytes(observation)
    lost = None if dropped is None else total(dropped, drops.dropped_bytes(observation, drops.Place.UNOWNED))
    reason = "packets were dropped or doubled by a qdisc: how many of them were linear, nobody knows"
    witnessed = law("L4b", f"payload in the linear part at the driver = {_BY_COPIES}",
        bytes_at(observation, Row.XMIT_LINEAR), linear)  # fmt: skip
    laws = [
        _copy_law(observation),
        unless(witnessed, reason, less=lost, more=doubled or 0),
    ]
    if scene.without_sg:
        given = bytes_at(observation, Row.XMIT_PAYLOAD, Row.XMIT_UNOWNED)
        statement = "without scatter-gather: segmented + linearized = bytes given to the driver"
        laws.append(unless(law("L4a", statement, linear, given), reason, less=doubled or 0, more=lost))
    return laws


_BY_COPIES = "segmented + linearized + copied whole"


def _copy_law(observation: Observation) -> Law:
    linear, pulled = functions.linearized_bytes(observation), functions.pulled_bytes(observation)
    copied = total(linear, bytes_at(observation, Row.COPY_AGAIN), pulled)
    statement = f"skb_copy_bits = {_BY_COPIES} + pulled by the driver"
    return law("L4", statement, bytes_at(observation, Row.COPY_BITS), copied)


def _device_laws(observation: Observation, scene: Scene) -> list[Law]:
    wire = bytes_at(observation, Row.XMIT_WIRE)
    mapped = bytes_at(observation, Row.DMA_WIRE)
    one = law("L5", "bytes mapped for the device's DMA = packets given to the driver, headers too", mapped, wire)
    kind = LOCAL_KINDS.get(scene.kind or "")
    laws = [one if kind is None else unless(one, f"it is {kind}: nothing maps what never leaves memory", less=None)]
    if scene.bounce:
        bounced = bytes_at(observation, Row.BOUNCE_WIRE)
        laws.append(law("L5a", "bytes bounced = packets given to the driver, headers too", bounced, wire))
    return laws


def _receive_laws(observation: Observation, workload: Workload) -> list[Law]:
    uncopied = functions.uncopied_bytes(observation, workload)

    def copied(name: str, words: str, size: int | None) -> Law:
        return read_law(name, words, total(size, uncopied), workload)

    return [
        _reception_law(observation),
        copied("L6", "copied to the reader", bytes_at(observation, Row.COPY_TO_ITER)),
        _return_law(observation, workload),
        copied("L6b", "checked before copy_to_user", functions.checked_bytes(observation, functions.CHECK_RECEIVE)),
        copied("L6c", "_copy_to_iter at a breakpoint", bytes_at(observation, functions.BREAK_OUT)),
        *_pipe_laws(observation, workload),
    ]


def _decryption_laws(observation: Observation, workload: Workload) -> list[Law]:
    """What is not copied to the reader, the cipher wrote into the reader's own pages: no function shows that."""
    payload, copied = workload.payload_bytes, bytes_at(observation, Row.COPY_TO_ITER)
    checked = functions.checked_bytes(observation, functions.CHECK_RECEIVE)
    broken_at = bytes_at(observation, functions.BREAK_OUT)
    return [
        _reception_law(observation),
        law("L6", f"through {Row.DECRYPTED.symbol} = payload", functions.decrypted_bytes(observation), payload),
        law("L6a", f"returned by {Row.SOCKET_READ.symbol} = payload", bytes_at(observation, Row.SOCKET_READ), payload),
        law("L6b", "checked before copy_to_user = copied to the reader", checked, copied),
        law("L6c", "_copy_to_iter at a breakpoint = copied to the reader", broken_at, copied),
        bound("L6e", "payload >= copied to the reader", payload, copied),
    ]


def _return_law(observation: Observation, workload: Workload) -> Law:
    """What the calls that take bytes told their callers, against the payload."""
    rows, taken = [Row.RECEIVE_RETURN], workload.taken or {}
    rows += [Row.SPLICE_READ] if "splice" in taken else []
    rows += [Row.ZEROCOPY_RECEIVE_MAPPED, Row.ZEROCOPY_RECEIVE_COPIED] if "mapped" in taken else []
    by, peeked = " + ".join(dict.fromkeys(row.symbol for row in rows)), peeked_bytes(workload)
    statement = f"returned by {by} = payload{' + peeked at' if peeked else ''}"
    return law("L6a", statement, bytes_at(observation, *rows), workload.payload_bytes + peeked)


def _pipe_laws(observation: Observation, workload: Workload) -> list[Law]:
    """A pipe that is full takes less than it is offered."""
    if "splice" not in (workload.taken or {}):
        return []
    offered, spliced = bytes_at(observation, Row.SPLICE_BITS), bytes_at(observation, Row.SPLICE_READ)
    return [bound("L6d", "offered to the pipe (skb_splice_bits) >= taken by it", offered, spliced)]


def _reception_law(observation: Observation) -> Law:
    deferred = difference(bytes_at(observation, Row.COPY_UBUFS), functions.copied_for_outgoing_taps(observation))
    one = law("L3", "deferred copy at reception = zero-copy bytes given to the driver", deferred,
        bytes_at(observation, Row.XMIT_ZEROCOPY))  # fmt: skip
    reason = "packets were dropped behind the device: how many of them had been copied by then, nobody knows"
    perhaps, surely_not = (drops.dropped_on_arrival(observation, perhaps_copied=either) for either in (True, False))
    return unless(one, reason, less=total(perhaps, surely_not))
