"""The page of a program's sockets: what the terminal's report says of them, all of them to be sorted and filtered."""

from __future__ import annotations

import shlex
from typing import Any, NamedTuple

from tracer.books.copies import copies_of_read, copies_of_sent
from tracer.books.groups import busiest
from tracer.books.later_copies import LaterCopies
from tracer.books.socket_file import members_of
from tracer.books.socket_ledger import ledger_of
from tracer.books.socket_verdict import sentences_of
from tracer.books.walk import walk_of_sockets
from tracer.model.socket_recording import SocketRecording
from tracer.reports.html.answers import changes_of, is_copy, reason_of, sampled, times, trusted
from tracer.reports.html.bounds import bounded
from tracer.reports.html.charts import cpu_bars, size_bars, ways_over_time
from tracer.reports.html.facts import hooks_grid
from tracer.reports.html.flow import flow_of
from tracer.reports.html.grid import grid_of, plain_console
from tracer.reports.html.of_run import BY_SAMPLE, cpu_flames
from tracer.reports.html.page import Answer, Page, Section
from tracer.reports.html.socket_grids import MOST_SOCKETS, Judged, sockets_grid
from tracer.reports.picture import Leg
from tracer.reports.picture_of_sockets import reading_legs, sending_legs
from tracer.reports.redaction import redacted
from tracer.reports.socket_costs import LABELS_OF_PROGRAMS, profile_table, too_few_samples, watching
from tracer.reports.socket_lists import View, groups_table, unix_table, watched_peers_table
from tracer.reports.sockets import books_line, figures_table, places_table, title_of, ways_table
from tracer.reports.stage_styles import stage_of_way

# Groups, and the sockets at the other ends in the data.
MOST_GROUPS = 100
_NAMED_PIDS = 20


class Way(NamedTuple):
    """One of the two ways that bytes go."""

    title: str
    legs: list[Leg]


def page_of_sockets(recording: SocketRecording, by: str = "program", *, hide: bool = False) -> Page:
    """Everything derived anew from what was counted.

    Args:
        by: Name of a grouping.
        hide: Without addresses, users and command lines.
    """
    whole = bounded(redacted(recording) if hide else recording)
    ways, judged, books = _ways_of(whole), Judged([*whole.sockets, *whole.peers]), books_line(whole)
    is_sound = judged.is_sound and not whole.lost
    laws = Section("laws", "Laws", _LAWS, grids=judged.grids(), lines=[books])
    return Page(
        title=title_of(whole),
        sentences=sentences_of(whole) or [finding.sentence for finding in whole.findings[:1]],
        sections=_sections(whole, by, ways, laws),
        data=_data_of(whole),
        command=_command_of(whole),
        findings=whole.findings,
        answers=_answers(whole, ways, f"{trusted(is_sound, judged.unknown)}: {books}"),
        trustworthy=is_sound,
        is_redacted=hide,
    )


def _ways_of(recording: SocketRecording) -> list[Way]:
    """Those that bytes went."""
    ways = [Way("What it sent", sending_legs(recording)), Way("What it read", reading_legs(recording))]
    return [way for way in ways if way.legs]


def _data_of(recording: SocketRecording) -> Any:
    """The sockets that are listed, and the totals over all."""
    listed, _ = busiest(recording.sockets, MOST_SOCKETS)
    peers, _ = busiest(recording.peers, MOST_GROUPS)
    return members_of(recording, 0, listed, peers)


def _command_of(recording: SocketRecording) -> str:
    subject = recording.subject
    if subject.ran_already:
        return f"nettrace attach {' '.join(f'-p {pid}' for pid in subject.pids[:_NAMED_PIDS])}".rstrip()
    options = (["--peers"] if recording.peers else []) + (["--profile"] if recording.profile else [])
    return shlex.join(["nettrace", "record", *options, "--", *subject.argv])


def _sections(recording: SocketRecording, by: str, moved: list[Way], laws: Section) -> list[Section]:
    console, view = plain_console(), View(by, MOST_GROUPS)
    groups = grid_of(groups_table(recording, console, view), f"Sockets by {by}")
    others = grid_of(watched_peers_table(recording, console, view), "The other ends")
    unix = grid_of(unix_table(recording, console, view), "Unix sockets: calls only, in no total")
    ways = grid_of(ways_table(recording, console), "Ways", _stages_of_ways(recording))
    places = grid_of(places_table(recording, console), "Stages", _stages_of_places(recording))
    return [
        Section("way", "The way of a byte", flows=[flow_of(way.title, way.legs) for way in moved]),
        Section("ledger", "Where bytes are copied, and where not", grids=[places]),
        Section("ways", "How bytes were handed over", areas=ways_over_time(recording), grids=[ways]),
        Section("sockets", "Sockets", _SOCKETS, grids=[sockets_grid(recording)]),
        Section("groups", "Sockets together", grids=[groups, others, unix]),
        Section("sizes", "Sizes of send calls", _SIZES, bars=size_bars(recording)),
        Section("figures", "Figures", grids=[grid_of(figures_table(recording, console), "Figures")]),
        _cpu_section(recording),
        laws,
        Section("host", "Where this was measured", grids=[hooks_grid(recording)]),
    ]


_SOCKETS = "The busiest first; a heading sorts. Bytes as calls gave or took them."
_SIZES = "Calls by the bytes that they handed over; the number behind each bar counts calls."
_LAWS = "TCP's own books are the second witness: each side of a law was counted by somebody else."


def _stages_of_ways(recording: SocketRecording) -> list[str]:
    """Of the rows of the table of ways."""
    totals = recording.totals
    found = []
    for verb, transfers in (("send", totals.sent), ("read", totals.read)):
        found += [stage_of_way(verb, way) for way in sorted(transfers, key=lambda way: -transfers[way].bytes)]
    return found


def _stages_of_places(recording: SocketRecording) -> list[str]:
    """Of the rows of the table of places."""
    entries = ledger_of(recording.totals, recording.hooks.calls, LaterCopies(recording).in_all())
    return [str(entry.stage) for entry in entries if entry.bytes != 0]


def _cpu_section(recording: SocketRecording) -> Section:
    profile = recording.profile
    bars = cpu_bars(profile, LABELS_OF_PROGRAMS) if profile else None
    flames = cpu_flames(profile)
    table = profile_table(recording, plain_console())
    stages = [cost.stage for cost in profile.stages] if profile else []
    return Section(
        "cost", "What it cost the CPU", BY_SAMPLE if flames else "", bars=[bars] if bars else [], flames=flames,
        grids=[grid_of(table, "CPU by stage, while watched", stages)],
        lines=[line for line in (too_few_samples(recording), watching(recording)) if line],
    )  # fmt: skip


def _answers(recording: SocketRecording, ways: list[Way], books: str) -> list[Answer]:
    fixes = [f"{finding.sentence}: {finding.fix}" for finding in recording.findings if finding.fix]
    asked = [
        Answer("How many times was each byte copied?", _how_often(recording)),
        Answer("Where, and why?", [line for way in ways for line in _reasons(way.legs)]),
        Answer("What would change it, a NIC for example?", [*fixes, *changes_of(walk_of_sockets(recording))]),
        Answer("What did it cost?", _costs(recording)),
        Answer("Can I trust it?", [f"{books}."]),
    ]
    return [answer for answer in asked if answer.lines]


def _how_often(recording: SocketRecording) -> list[str]:
    """Kernel copies of a byte at this end, of either direction that was used."""
    totals = recording.totals
    later = LaterCopies(recording).in_all().bytes
    moved = (
        ("sent", totals.sent_bytes, copies_of_sent(totals, later)),
        ("read", totals.read_bytes, copies_of_read(totals)),
    )
    return [
        f"What it {verb}: {times(copies)} in the kernel, at this end, by the bytes copied for each byte of payload."
        for verb, size, copies in moved
        if size
    ]


def _reasons(legs: list[Leg]) -> list[str]:
    return [f"{leg.what}, by {leg.where}, {leg.amount}: {reason_of(leg.stage)}" for leg in legs if is_copy(leg.stage)]


def _costs(recording: SocketRecording) -> list[str]:
    bars = cpu_bars(recording.profile, LABELS_OF_PROGRAMS) if recording.profile else None
    told = sampled(recording.profile, bars) if recording.profile and bars else ""
    lines = [told or "CPU time: n/a; record --profile samples it."]
    return [*lines, f"{watching(recording)}."]
