"""Equalities that every socket of a program must keep: TCP is the second witness, where no engine knows the truth.

TCP's sequence numbers count a SYN and a FIN as one byte each; where a statement allows for them it says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from tracer.model import LawState
from tracer.model.sockets import IN_WINDOW, NOTHING_BEFORE, READ_BY_COPY, Socket, SocketLaw, TcpState, Tls

_NO_TCP = "TCP's own books do not speak of this socket: {} is above it"


def laws_of(socket: Socket) -> list[SocketLaw]:
    """All laws of one socket."""
    if socket.tcp is None:
        return list(_datagram_laws(socket)) if socket.protocol in ("udp", "udplite") else []
    if socket.above == "mptcp":
        return [_unjudged(socket, "MPTCP")]
    if socket.tls is not None:
        return list(_laws_of_records(socket, socket.tcp, socket.tls))
    if socket.above is not None:
        calls = _unjudged(socket, "a protocol such as kernel TLS")
        return [calls, *_leaving_laws(socket, socket.tcp), _arriving_law(socket, socket.tcp)]
    return [*_sending_laws(socket, socket.tcp), *_reading_laws(socket, socket.tcp)]


def _unjudged(socket: Socket, above: str) -> SocketLaw:
    return _law(socket, "S", "TCP's books agree with the calls", None, None, note=_NO_TCP.format(above))


def _laws_of_records(socket: Socket, tcp: TcpState, tls: Tls) -> Iterator[SocketLaw]:
    """TCP counts records, which are longer than what the calls gave by as much as kernel TLS itself says."""
    before = socket.before or NOTHING_BEFORE
    sent, each = socket.sent_bytes + socket.added_out, f"{tls.record_adds} B a record"
    yield _law(
        socket, "S1", f"accepted by send calls + {each} = left IP - sent again + never left (a FIN counts 1)",
        sent + before.unsent, socket.left.bytes - socket.left.again + tcp.unsent,
        slack=1 if tcp.unsent or before.unsent else 0, both=before.unsent > 0,
    )  # fmt: skip
    yield from _leaving_laws(socket, tcp)
    yield _law(
        socket, "S4", f"accepted by send calls + {each} = TCP's bytes_acked + unacknowledged (SYN and FIN count 1)",
        sent + before.unacked, tcp.acked + tcp.unacked, slack=2,
    )  # fmt: skip
    yield _arriving_law(socket, tcp)
    # What a record held may be decrypted and not read; its peer may pad it (TLS 1.3).
    came, read = tcp.received + before.unread - tcp.unread, socket.read_bytes + socket.added_in
    statement = f"TCP's bytes_received - unread >= returned by reads + {each}"
    yield _law(socket, "R2", statement, max(came, read), came)


def _sending_laws(socket: Socket, tcp: TcpState) -> Iterator[SocketLaw]:
    left, before = socket.left, socket.before or NOTHING_BEFORE
    # A FIN that waits to be sent is in write_seq - snd_nxt, one that waits for its acknowledgement in - snd_una.
    yield _law(
        socket, "S1", "accepted by send calls = left IP - sent again + never left (a FIN counts 1)",
        socket.sent_bytes + before.unsent, left.bytes - left.again + tcp.unsent,
        slack=socket.connections if tcp.unsent or before.unsent else 0, both=before.unsent > 0,
    )  # fmt: skip
    yield from _leaving_laws(socket, tcp)
    yield _law(
        socket, "S4", "accepted by send calls = TCP's bytes_acked + unacknowledged (SYN and FIN count 1)",
        socket.sent_bytes + before.unacked, tcp.acked + tcp.unacked, slack=2 * socket.connections,
    )  # fmt: skip
    if (sent := socket.sent.get("zerocopy")) is not None:
        yield _law(socket, "S5", "zero-copy sends = notifications that TCP numbered", sent.calls, tcp.zerocopy_ids)
    if socket.completions is not None and socket.completions.reaped is not None and socket.ended:
        # Not those that were seen to be posted: of the last one the program may be quicker than whoever looks.
        taken, numbered = socket.completions.reaped, tcp.zerocopy_ids
        statement = "notifications taken by the program <= sends that TCP numbered"
        yield _law(socket, "S6", statement, min(taken, numbered), taken)


def _leaving_laws(socket: Socket, tcp: TcpState) -> Iterator[SocketLaw]:
    yield _sent_law(socket, tcp)
    yield _retransmission_law(socket, tcp)


_UNWATCHED = "nobody watched drops on this machine"


def _sent_law(socket: Socket, tcp: TcpState) -> SocketLaw:
    """What was stopped before it left IP is sent to TCP."""
    left, stopped = socket.left.bytes, socket.stopped_bytes
    statement = f"left IP {'+ dropped before it ' if stopped else ''}= TCP's bytes_sent"
    if stopped is None and left != tcp.sent:
        return _law(socket, "S2", statement, left, None, note=_UNWATCHED)
    return _law(socket, "S2", statement, left + (stopped or 0), tcp.sent)


def _retransmission_law(socket: Socket, tcp: TcpState) -> SocketLaw:
    """A drop that TCP is told of at once (a full queue here) leaves the skb unsent: it goes out again uncounted."""
    statement = "sent again = TCP's bytes_retrans"
    again = socket.left.again
    watched = socket.dropped_bytes is not None and socket.stopped_bytes is not None
    if again != tcp.retransmitted and (socket.dropped_bytes or socket.stopped_bytes or not watched):
        note = "some were dropped on this machine" if watched else _UNWATCHED
        return _law(socket, "S3", statement, again, None, note=note)
    return _law(socket, "S3", statement, again, tcp.retransmitted)


def _arriving_law(socket: Socket, tcp: TcpState) -> SocketLaw:
    came = socket.came.bytes + (socket.before or NOTHING_BEFORE).missed
    statement = "came from IP >= TCP's bytes_received (a FIN counts 1)"
    return _law(socket, "R1", statement, max(came, tcp.received - socket.connections), came)


def _reading_laws(socket: Socket, tcp: TcpState) -> Iterator[SocketLaw]:
    before = socket.before or NOTHING_BEFORE
    yield _arriving_law(socket, tcp)
    # A read steps over an urgent byte, which only one with MSG_OOB returns, from beside the skbs.
    urgent = socket.urgent_packets
    outside, counted = socket.connections + urgent, "a FIN counts 1" + (", an urgent byte 1" if urgent else "")
    yield _law(
        socket, "R2", f"read position moved + unread = TCP's bytes_received ({counted})",
        socket.consumed_bytes,
        None if socket.consumed_bytes is None else tcp.received + before.unread - tcp.unread, slack=outside, both=True,
    )  # fmt: skip
    taken = socket.read_bytes
    yield _law(
        socket, "R3", f"returned by reads, in all ways = read position moved ({counted})",
        taken, socket.consumed_bytes, slack=outside, both=urgent > 0,
    )  # fmt: skip
    copied = socket.read_by(*READ_BY_COPY)
    statement = "copied out of skbs = returned by reads that copy"
    yield _law(socket, "R4", statement, socket.copied_out_bytes, copied, slack=urgent)


def _datagram_laws(socket: Socket) -> Iterator[SocketLaw]:
    thrown = socket.discarded_bytes
    statement = "accepted by send calls = left IP" + (" + thrown away with its datagram" if thrown else "")
    yield _law(socket, "S1", statement, socket.sent_bytes, socket.left.bytes + thrown)
    read = socket.read_bytes
    statement = "came from IP >= returned by reads (the rest was cut, dropped, or not read)"
    yield _law(socket, "R1", statement, max(socket.came.bytes, read), socket.came.bytes)


def _law(
    socket: Socket, name: str, statement: str, left: int | None, right: int | None, *,
    slack: int = 0, both: bool = False, note: str = "",
) -> SocketLaw:  # fmt: skip
    """Holds where right - left is 0 to slack; `both`: or the other way round."""
    if left is None or right is None:
        note = note or "its probe point is not there"
        return SocketLaw(id=name, statement=statement, state=LawState.UNKNOWN, left=left, right=right, note=note)
    difference = abs(right - left) if both else right - left
    state = LawState.HOLDS if 0 <= difference <= slack else LawState.BROKEN
    if state is LawState.BROKEN and (why := _excuse(socket, name)):
        state, note = LawState.UNKNOWN, why
    return SocketLaw(id=name, statement=statement, state=state, left=left, right=right, note=note)


def _excuse(socket: Socket, law: str) -> str:
    """Why a difference says nothing of the counting; empty where it does."""
    if not socket.ended and not socket.whole:
        # Its counters were read one after the other while it went on.
        return "the socket went on while it was read"
    if socket.in_progress:
        return "a call was in progress when the watching ended"
    if law == "R4" and socket.faulted:
        return "a read ended with EFAULT: what it had begun to copy was counted"
    if socket.tls is not None and law in _OF_RECORDS and (why := _excuse_of_records(socket, socket.tls, law)):
        return why
    if socket.born == IN_WINDOW:
        return ""
    before = socket.before
    if before is None:
        return "what it had sent and received before it was watched is not known"
    if (law in ("S1", "S4") and not socket.sent) or (law in ("R3", "R4") and not socket.read):
        return "no call has returned since it is watched: one was in progress"
    if (before.was_sending and law in ("S1", "S4", "S5")) or (before.was_reading and law in ("R2", "R3", "R4")):
        return "a call was in progress when the watching began"
    if law in ("S5", "S6"):
        return "sends before it was watched had numbers, and notifications"
    if law == "R1" and not socket.came.packets:
        return "it had passed IP before it was watched"
    return ""


_OF_RECORDS = ("S1", "S4", "R2")


def _excuse_of_records(socket: Socket, tls: Tls, law: str) -> str:
    if not socket.ended:
        return "a record may be open, or a call in progress"
    if socket.born != IN_WINDOW:
        return "a call may have been in progress when the watching began"
    if law == "R2" and "splice" in socket.read:
        return "where functions cannot be probed, what is spliced out is counted as records"
    # A key update starts them at 0 again (Linux 6.14, TLS 1.3).
    return "" if tls.version == "1.2" else "new keys may have set the number of its records back"


def balance(sockets: Iterable[Socket]) -> Counter[LawState]:
    """How many sockets keep all their laws, break one, or cannot be judged in one."""
    states: Counter[LawState] = Counter()
    for socket in sockets:
        found = {law.state for law in laws_of(socket)}
        worst = next((state for state in (LawState.BROKEN, LawState.UNKNOWN) if state in found), LawState.HOLDS)
        states[worst] += 1
    return states
