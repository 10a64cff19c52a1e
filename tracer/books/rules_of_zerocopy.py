"""Rules about zero-copy that was asked for: whether it was done, and whether it paid. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from tracer.books.causes import row_of
from tracer.books.finding import Figures, Rule
from tracer.books.later_copies import BY_FUNCTION, BY_PACKETS, LaterCopies
from tracer.books.rules_of_queues import FEW
from tracer.books.scene import Scene
from tracer.model import Cause, Link
from tracer.model.socket_recording import SocketRecording
from tracer.model.sockets import PINNED, Socket
from tracer.units import percent

_IGNORED = {
    (False, True): (
        "SO_ZEROCOPY is not set on the socket",
        "setsockopt(SOL_SOCKET, SO_ZEROCOPY, 1) before the first send",
    ),
    (False, False): (
        "SO_ZEROCOPY is not set on the socket, and its device cannot scatter and gather",
        "send without the flag, or over a device with scatter-gather, after setsockopt(SOL_SOCKET, SO_ZEROCOPY, 1)",
    ),
    (True, False): (
        "the socket's device cannot scatter and gather (or checksum)",
        "send over a device with scatter-gather (ethtool -k), or without the flag",
    ),
    (True, True): (
        "SO_ZEROCOPY was set in the end, so probably after these sends",
        "setsockopt(SOL_SOCKET, SO_ZEROCOPY, 1) before the first send",
    ),
}  # fmt: skip
_EITHER = (
    "the socket has no SO_ZEROCOPY, or its device cannot scatter, gather and checksum",
    "setsockopt(SOL_SOCKET, SO_ZEROCOPY, 1) before the first send",
)


def _ignored(recording: SocketRecording) -> Iterator[Figures]:
    """Once for each reason that the sockets show; what no listed socket accounts for has either."""
    found: Counter[tuple[str, str]] = Counter()
    for socket in recording.sockets:
        if (moved := socket.sent.get("zerocopy_ignored")) is not None:
            found[_why_ignored(socket)] += moved.bytes
    whole = recording.totals.sent.get("zerocopy_ignored")
    found[_EITHER] += max(0, (whole.bytes if whole else 0) - found.total())
    for (why, fix), number in found.items():
        if number:
            yield {"bytes": number, "why": why, "fix": fix}


def _why_ignored(socket: Socket) -> tuple[str, str]:
    if socket.so_zerocopy is None or socket.scatter_gather is None:
        return _EITHER
    return _IGNORED[socket.so_zerocopy, socket.scatter_gather]


def _copied(recording: SocketRecording) -> Iterator[Figures]:
    """Once for each cause."""
    pinned = recording.totals.pinned_bytes
    found = _copied_by_cause(recording) if pinned else Counter()
    for (cause, function, inferred), number in found.items():
        why = row_of(cause).why(_scene(recording))
        yield {
            "bytes": number,
            "pinned": pinned,
            "cause": str(cause),
            "why": f"{'probably ' if inferred else ''}{why}{f' ({function})' if function else ''}",
            "fix": row_of(cause).fix_of_a_program,
        }


def _copied_by_cause(recording: SocketRecording) -> Counter[tuple[Cause, str, bool]]:
    """Bytes by cause, with the function that had them copied, and whether the cause is inferred."""
    found: Counter[tuple[Cause, str, bool]] = Counter()
    copies, deferred = LaterCopies(recording), recording.totals.deferred
    later = copies.in_all()
    if not later.bytes:
        return found
    if later.source == BY_FUNCTION and deferred is not None:
        for copy in deferred:
            found[copies.cause_of(copy.caller), copy.caller.partition(".")[0], False] += copy.bytes
    else:
        by_packets = BY_PACKETS in later.source
        found[Cause.LOCAL_DELIVERY if by_packets else Cause.UNKNOWN, "", by_packets] += later.bytes
    return found


def _scene(recording: SocketRecording) -> Scene:
    links = {socket.link for socket in recording.sockets if socket.pinned_bytes and socket.link}
    return Scene(Link.LO if links == {"lo"} else Link.NIC, None, None, False)


def _flagged(recording: SocketRecording) -> Iterator[Figures]:
    """Where the kernel's flag alone tells: how many sends, not how many bytes."""
    done = recording.totals.completions
    if done is None or not done.copied or LaterCopies(recording).in_all().bytes is not None:
        return
    scene = _scene(recording)
    cause, probably = (Cause.LOCAL_DELIVERY, "probably ") if scene.link is Link.LO else (Cause.UNKNOWN, "")
    yield {"sends": done.copied, "of": done.total, "why": f"{probably}{row_of(cause).why(scene)}"}


def _unreported(recording: SocketRecording) -> Iterator[Figures]:
    """Copied, by another witness, and no notification says so: only with IORING_SEND_ZC_REPORT_USAGE would it."""
    if "uring_zerocopy" not in recording.totals.sent:
        return
    later, found = LaterCopies(recording), []
    for socket in recording.sockets:
        done = socket.completions
        if "uring_zerocopy" in socket.sent and done is not None and done.total and not done.copied:
            copied = later.of(socket)
            if "zerocopy" not in socket.sent and copied.bytes and copied.source in (BY_FUNCTION, BY_PACKETS):
                found.append((done.total, copied.bytes))
    if found:
        yield {"sends": sum(sends for sends, _ in found), "bytes": sum(number for _, number in found)}


def _too_small(recording: SocketRecording) -> Iterator[Figures]:
    """Sends whose whole class of sizes is below what pays."""
    threshold = recording.zerocopy_pays
    histograms = [recording.sizes.get(way, []) for way in PINNED]
    below = sum(
        calls for sizes in histograms for power, calls in enumerate(sizes) if (2 << power) - 1 < threshold.bytes
    )
    calls = sum(map(sum, histograms))
    if calls >= FEW and 2 * below >= calls:
        limit = max(2**power for power in range(32) if 2**power <= threshold.bytes)
        yield {
            "below": below, "calls": calls, "share": percent(below, calls), "limit": limit,
            "pays": threshold.bytes, "source": threshold.source,
        }  # fmt: skip


def _mixed(recording: SocketRecording) -> Iterator[Figures]:
    left = recording.totals.left
    if left.mixed:
        yield {"bytes": left.mixed, "left": left.bytes, "share": percent(left.mixed, left.bytes)}


RULES = (
    Rule(
        "zerocopy-ignored",
        _ignored,
        sentence="{bytes:,} B were sent with MSG_ZEROCOPY and copied all the same",
        why="{why}",
        fix="{fix}",
    ),
    Rule(
        "zerocopy-copied",
        _copied,
        sentence="zero-copy was copied after all: {bytes:,} B after the send call; {pinned:,} B were pinned",
        why="{why}",
        fix="{fix}",
    ),
    Rule(
        "zerocopy-flagged",
        _flagged,
        sentence="zero-copy was copied after all: so says the kernel's flag of {sends:,} of {of:,} notifications",
        why="{why}",
        fix="on a kernel that lets functions be probed record names the cause: nettrace record --lab -- CMD",
    ),
    Rule(
        "uring-unreported",
        _unreported,
        sentence="{bytes:,} B of io_uring's zero-copy sends were copied, and none of {sends:,} notifications says so",
        why="probably they were sent without IORING_SEND_ZC_REPORT_USAGE",
        fix="sqe->ioprio |= IORING_SEND_ZC_REPORT_USAGE, and look at cqe->res of the notification",
    ),
    Rule(
        "zerocopy-too-small",
        _too_small,
        sentence="{share} of the zero-copy sends ({below:,} of {calls:,}) were below {limit:,} B",
        why="below {pays:,} B pinning and notifying cost more than the copy ({source})",
        fix="copy small messages, or join them before they are sent",
    ),
    Rule(
        "mixed-packets",
        _mixed,
        sentence="{bytes:,} B ({share}) left in packets that mix copied and pinned payload",
        why="a copied send, such as a header, and a zero-copy one were joined in one skb; the socket's memory is then "
        "charged with all of it",
        fix="hand over header and body by one sendmsg with MSG_ZEROCOPY, or end the header by MSG_EOR",
    ),
)  # fmt: skip
