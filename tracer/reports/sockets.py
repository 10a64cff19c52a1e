"""What the sockets of a program did: the answer in a sentence, then by way, by place, by group, and the books."""

from __future__ import annotations

import textwrap
from typing import NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tracer.books.groups import busiest, grouped
from tracer.books.socket_laws import balance
from tracer.books.socket_ledger import ledger_of
from tracer.books.socket_verdict import sentences_of
from tracer.model import LawState
from tracer.model_sockets import SKB_STATES, Packets, Socket, SocketRecording, Transfer
from tracer.reports.tables import make_table
from tracer.units import format_count, format_size, percent


class View(NamedTuple):
    """How much is shown.

    Args:
        by: Name of a grouping.
        top: Sockets and groups; the rest is one row.
    """

    by: str = "program"
    top: int = 10


def print_sockets(recording: SocketRecording, console: Console, view: View | None = None) -> None:
    """The whole report, without the blanks that tables end their lines with."""
    view = view or View()
    with console.capture() as captured:
        _print_parts(recording, console, view)
    console.file.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


def _print_parts(recording: SocketRecording, console: Console, view: View) -> None:
    console.print(Text(_title(recording), style="dim"))
    console.print()
    for sentence in sentences_of(recording):
        console.print(_hanging(sentence, "  ", console, "bold"))
    for finding in recording.findings:
        text = f"{finding.sentence}: {finding.why}" if finding.why else finding.sentence
        console.print(_hanging(f"note: {text}", "      ", console, "yellow"))
        if finding.fix:
            console.print(_hanging(f"  fix: {finding.fix}", "       ", console))
    if not recording.sockets:
        return
    tables = (
        _ways_table(recording, console),
        _places_table(recording, console),
        _figures_table(recording, console),
        _groups_table(recording, console, view),
        _sockets_table(recording, console, view),
    )
    for table in tables:
        if table.row_count:
            console.print()
            console.print(table)
    console.print()
    console.print(_hanging(_books(recording), "  ", console, "dim"))


def _hanging(text: str, indent: str, console: Console, style: str = "") -> Text:
    lines = textwrap.wrap(text, console.width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return Text("\n".join(lines), style=style)


def _title(recording: SocketRecording) -> str:
    subject, status = recording.subject, recording.subject.exit_status
    command = " ".join(subject.argv)
    command = command if len(command) <= 60 else command[:57] + "..."
    end = "goes on" if status is None else f"exit {status}" if status >= 0 else f"signal {-status}"
    return f"{command} ({end}), {recording.window.elapsed_s:.2f} s, Linux {recording.kernel}"


def _ways_table(recording: SocketRecording, console: Console) -> Table:
    numbers = ("calls", "bytes", "share", "median call")
    table = make_table(console, "handed over by", *numbers, right=numbers)
    totals = recording.totals
    for verb, transfers, whole in (("send", totals.sent, totals.sent_bytes), ("read", totals.read, totals.read_bytes)):
        for way, transfer in sorted(transfers.items(), key=lambda item: -item[1].bytes):
            size = _median(recording.sizes.get(way, [])) if verb == "send" else ""
            share = percent(transfer.bytes, whole) if way != "peek" else ""
            table.add_row(
                f"{verb}: {way.replace('_', ' ')}",
                format_count(transfer.calls),
                format_count(transfer.bytes),
                share,
                size,
            )
    return table


def _median(histogram: list[int]) -> str:
    """The class of sizes in which the middle call lies."""
    half, seen = sum(histogram) / 2, 0
    for power, calls in enumerate(histogram):
        seen += calls
        if seen >= half and calls:
            return f"{format_size(1 << power)} to {format_size(2 << power)}"
    return ""


def _places_table(recording: SocketRecording, console: Console) -> Table:
    table = make_table(console, "stage", "where in the kernel", "bytes", "seen by", right=("bytes",))
    for entry in ledger_of(recording.totals, recording.hooks.calls):
        if entry.bytes != 0:
            where = entry.where or "not observed"
            table.add_row(entry.stage.replace("_", " "), where, format_count(entry.bytes), entry.note or entry.source)
    return table


def _figures_table(recording: SocketRecording, console: Console) -> Table:
    table = make_table(console, "figure", "value")
    totals, done = recording.totals, recording.totals.completions
    for name, packets in (("left IP", totals.left), ("came from IP", totals.came)):
        if packets.packets:
            table.add_row(name, _packets(packets))
    if totals.left.again:
        table.add_row("sent again", f"{totals.left.again:,} B")
    if totals.dropped_bytes:
        table.add_row("dropped on this machine", f"{totals.dropped_bytes:,} B")
    if done is not None:
        text = f"{done.total:,}: {done.copied:,} copied, {done.zerocopy:,} zero-copy"
        if done.reaped is not None:
            text += f"; the program took {done.reaped:,} in {done.ranges or 0:,} ranges"
            text += f"; most outstanding {done.most_outstanding:,}"
        table.add_row("completions (the kernel's flag)", text)
    refused = totals.refused
    if refused.eagain or refused.enobufs or refused.other:
        text = f"EAGAIN {refused.eagain:,}, ENOBUFS {refused.enobufs:,}, other errors {refused.other:,}"
        table.add_row("send calls refused", text)
    return table


def _packets(packets: Packets) -> str:
    """Bytes, what the skbs were made of, and how full they were."""
    states = ((state, getattr(packets, state)) for state in SKB_STATES)
    made_of = ", ".join(f"{state} {percent(number, packets.bytes)}" for state, number in states if number)
    each = f"{packets.bytes / packets.packets:,.0f} B and {packets.fragments / packets.packets:.1f} fragments an skb"
    return f"{packets.bytes:,} B in {packets.packets:,} skb{'' if packets.packets == 1 else 's'} ({each}): {made_of}"


def _groups_table(recording: SocketRecording, console: Console, view: View) -> Table:
    numbers = ("sockets", "sent", "read")
    table = make_table(console, f"by {view.by}", *numbers, "ways", right=numbers)
    groups = grouped(recording.sockets, view.by)
    if len(groups) < 2:
        return table
    for group in groups[: view.top]:
        _add_sockets(table, group.name, group.sockets)
    if rest := [socket for group in groups[view.top :] for socket in group.sockets]:
        _add_sockets(table, f"{len(groups) - view.top:,} more", rest)
    return table


def _add_sockets(table: Table, name: str, sockets: list[Socket]) -> None:
    sent, read = (sum(getattr(socket, figure) for socket in sockets) for figure in ("sent_bytes", "read_bytes"))
    ways = {f"send {way}" for socket in sockets for way in socket.sent} | {
        f"read {way}" for socket in sockets for way in socket.read
    }
    table.add_row(name, format_count(len(sockets)), format_count(sent), format_count(read), _ways(ways))


def _ways(ways: set[str]) -> str:
    return ", ".join(sorted(way.replace("_", " ") for way in ways))


def _sockets_table(recording: SocketRecording, console: Console, view: View) -> Table:
    numbers = ("sent", "read")
    table = make_table(console, "socket", *numbers, "by", "program", right=numbers)
    top, rest = busiest(recording.sockets, view.top)
    for socket in top:
        table.add_row(
            _name(socket), format_count(socket.sent_bytes), format_count(socket.read_bytes), _of(socket), _who(socket)
        )
    if rest or recording.unlisted_sockets:
        sent = recording.totals.sent_bytes - sum(socket.sent_bytes for socket in top)
        read = recording.totals.read_bytes - sum(socket.read_bytes for socket in top)
        more = len(rest) + recording.unlisted_sockets
        table.add_row(f"{more:,} more", format_count(sent), format_count(read), "", "")
    return table


def _name(socket: Socket) -> str:
    return f"{socket.protocol} {socket.local} > {socket.peer}"


def _of(socket: Socket) -> str:
    ways: dict[str, Transfer] = {way: one for way, one in socket.sent.items() if one.bytes}
    ways |= {f"read {way}": one for way, one in socket.read.items() if one.bytes and way != "copy"}
    return ", ".join(way.replace("_", " ") for way in ways)


def _who(socket: Socket) -> str:
    return f"{socket.comm} {socket.pids[0]}" if socket.comm and socket.pids else ""


def _books(recording: SocketRecording) -> str:
    states = balance(recording.sockets)
    held, broken, unknown = (states[state] for state in (LawState.HOLDS, LawState.BROKEN, LawState.UNKNOWN))
    text = f"books: {held:,} of {len(recording.sockets):,} sockets balance, {broken:,} do not, "
    text += f"{unknown:,} cannot be judged; {recording.lost:,} lost; "
    text += f"calls seen by {recording.hooks.calls}; {recording.hooks.row_bytes:,} B a socket"
    if missing := {
        name for name in recording.hooks.refused if name in ("tcp_rcv_space_adjust", "skb_copy_ubufs", "kfree_skb")
    }:
        text += f"; not watched here: {', '.join(sorted(missing))}"
    return text
