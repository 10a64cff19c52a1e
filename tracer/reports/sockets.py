"""What the sockets of a program did: the answer in a sentence, then by way, by place, by group, and the books."""

from __future__ import annotations

import msgspec
from rich.console import Console
from rich.table import Table

from tracer.books.groups import grouped
from tracer.books.later_copies import LaterCopies
from tracer.books.socket_laws import balance
from tracer.books.socket_ledger import ledger_of
from tracer.books.socket_verdict import sentences_of
from tracer.model import LawState
from tracer.model.socket_recording import SocketRecording
from tracer.model.sockets import SKB_STATES, Packets, Socket
from tracer.reports.attached import attached_title
from tracer.reports.socket_costs import profile_table, too_few_samples, watching
from tracer.reports.socket_lists import View, groups_table, sockets_table, unix_table, watched_peers_table
from tracer.reports.tables import make_table, paragraph, trimmed
from tracer.texts import all_printable, counted
from tracer.units import format_count, format_size, percent


def print_sockets(recording: SocketRecording, console: Console, view: View | None = None) -> None:
    """The whole report.

    Programs name themselves, and a command line may hold anything: it is shown, not sent to the terminal.
    """
    with trimmed(console):
        _print_parts(harmless(recording), console, view or View())


def harmless(recording: SocketRecording) -> SocketRecording:
    """With nothing in its texts that a terminal would obey.

    Most have nothing of the kind, and 30,000 sockets have a million strings to look at.
    """
    if _is_plain(recording):
        return recording
    return msgspec.convert(all_printable(msgspec.to_builtins(recording)), SocketRecording)


def _is_plain(recording: SocketRecording) -> bool:
    """Whether its JSON, which escapes what is below a blank, needs no escape and no letter beyond ASCII."""
    try:
        encoded = msgspec.json.encode(recording)
    except UnicodeEncodeError:  # half of a pair of surrogates, which stands for a byte that is no UTF-8
        return False
    return encoded.isascii() and b"\\" not in encoded and b"\x7f" not in encoded


def _print_parts(recording: SocketRecording, console: Console, view: View) -> None:
    console.print(paragraph(title_of(recording), console, style="dim"))
    console.print()
    for sentence in sentences_of(recording):
        console.print(paragraph(sentence, console, "  ", "bold"))
    for finding in recording.findings:
        text = f"{finding.sentence}: {finding.why}" if finding.why else finding.sentence
        console.print(paragraph(f"note: {text}", console, "      ", "yellow"))
        if finding.fix:
            console.print(paragraph(f"  fix: {finding.fix}", console, "       "))
    if not recording.sockets and not recording.unix:
        return
    tables = (
        ways_table(recording, console),
        places_table(recording, console),
        figures_table(recording, console),
        groups_table(recording, console, view),
        sockets_table(recording, console, view),
        watched_peers_table(recording, console, view),
        unix_table(recording, console, view),
        profile_table(recording, console),
    )
    for table in tables:
        if table.row_count:
            console.print()
            console.print(table)
    console.print()
    console.print(paragraph(books_line(recording), console, "  ", "dim"))
    if why := too_few_samples(recording):
        console.print(paragraph(why, console, "  ", "dim"))
    console.print(paragraph(watching(recording), console, "  ", "dim"))


def title_of(recording: SocketRecording) -> str:
    """Who, how it ended, how long, where."""
    subject, status = recording.subject, recording.subject.exit_status
    if subject.ran_already:
        return attached_title(recording)
    command = " ".join(subject.argv)
    command = command if len(command) <= 60 else command[:57] + "..."
    end = "goes on" if status is None else f"exit {status}" if status >= 0 else f"signal {-status}"
    return f"{command} ({end}), {recording.window.elapsed_s:.2f} s, Linux {recording.kernel}"


def ways_table(recording: SocketRecording, console: Console) -> Table:
    """Calls and bytes of each way."""
    numbers = ("calls", "bytes", "share", "median call")
    table = make_table(console, "handed over by", *numbers, right=numbers)
    totals = recording.totals
    for verb, transfers, whole in (("send", totals.sent, totals.sent_bytes), ("read", totals.read, totals.read_bytes)):
        for way, transfer in sorted(transfers.items(), key=lambda item: -item[1].bytes):
            # Sizes are counted of send calls alone; what is peeked at is no part of what was read.
            size = _median(recording.sizes.get(way, [])) if verb == "send" else "n/a"
            share = percent(transfer.bytes, whole) if way != "peek" else "n/a"
            table.add_row(
                f"{verb}: {way.replace('_', ' ')}",
                format_count(transfer.calls),
                format_count(transfer.bytes),
                share,
                size,
            )
    return table


def _median(histogram: list[int]) -> str:
    """The class of sizes in which the middle call lies; n/a where none was counted."""
    half, seen = sum(histogram) / 2, 0
    for power, calls in enumerate(histogram):
        seen += calls
        if seen >= half and calls:
            return f"{format_size(1 << power)} to {format_size(2 << power)}"
    return "n/a"


def places_table(recording: SocketRecording, console: Console) -> Table:
    """Where bytes were copied, and where they were not."""
    table = make_table(console, "stage", "where in the kernel", "bytes", "seen by", right=("bytes",))
    for entry in ledger_of(recording.totals, recording.hooks.calls, LaterCopies(recording).in_all()):
        if entry.bytes != 0:
            where = entry.where or "not observed"
            table.add_row(entry.stage.replace("_", " "), where, format_count(entry.bytes), entry.note or entry.source)
    return table


def figures_table(recording: SocketRecording, console: Console) -> Table:
    """Packets, completions, refusals, the other end."""
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
            text += f"; the program took {done.reaped:,} in {counted(done.ranges or 0, 'range')}"
            text += f"; most outstanding at a socket {format_count(done.most_outstanding)}"
        table.add_row("completions (the kernel's flag)", text)
    for name, sockets in _peers(recording):
        table.add_row("at the other end", f"{name}: {counted(len(sockets), 'socket')}")
    refused = totals.refused
    if refused.eagain or refused.enobufs or refused.other:
        text = f"EAGAIN {refused.eagain:,}, ENOBUFS {refused.enobufs:,}, other errors {refused.other:,}"
        table.add_row("send calls refused", text)
    return table


def _peers(recording: SocketRecording) -> list[tuple[str, list[Socket]]]:
    """Processes of this machine that the program spoke with, as far as they were found."""
    known = [socket for socket in recording.sockets if socket.peer_comm]
    return [(group.name, group.sockets) for group in grouped(known, "peer")[:5]]


def _packets(packets: Packets) -> str:
    """Bytes, what the skbs were made of, and how full they were."""
    states = ((state, getattr(packets, state)) for state in SKB_STATES)
    made_of = ", ".join(f"{state} {percent(number, packets.bytes)}" for state, number in states if number)
    each = f"{packets.bytes / packets.packets:,.0f} B and {packets.fragments / packets.packets:.1f} fragments an skb"
    return f"{packets.bytes:,} B in {packets.packets:,} skb{'' if packets.packets == 1 else 's'} ({each}): {made_of}"


def books_line(recording: SocketRecording) -> str:
    """Whether the books balance, and how all this was seen."""
    states = balance((*recording.sockets, *recording.peers))
    held, broken, unknown = (states[state] for state in (LawState.HOLDS, LawState.BROKEN, LawState.UNKNOWN))
    watched = counted(len(recording.sockets) + len(recording.peers), "socket")
    text = f"books: {held:,} of {watched} balance, {broken:,} do not, "
    text += f"{unknown:,} cannot be judged; {recording.lost:,} lost; "
    text += f"calls seen by {recording.hooks.calls}; {recording.hooks.row_bytes:,} B a socket"
    if recording.hooks.optmem_bytes is not None:
        text += f", {recording.hooks.optmem_bytes:,} B of its optmem"
    if missing := {
        name for name in recording.hooks.refused if name in ("tcp_rcv_space_adjust", "skb_copy_ubufs", "kfree_skb")
    }:
        text += f"; not watched here: {', '.join(sorted(missing))}"
    return text
