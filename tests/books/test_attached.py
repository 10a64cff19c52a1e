"""Laws and findings of sockets that were there before they were watched."""

from __future__ import annotations

import msgspec
import pytest

from tests.socket_samples import recording, sender
from tracer.books.attach_findings import Uncounted, attached_findings
from tracer.books.socket_findings import findings_of
from tracer.books.socket_laws import balance, laws_of
from tracer.model import LawState
from tracer.model.socket_recording import SocketRecording
from tracer.model.sockets import Before, Packets, Socket, TcpState, Transfer
from tracer.model.watching import Subject
from tracer.reports.attached import attached_title

# 500 B had been written and not sent, 300 B received and not read, 40 B had passed IP; then 1,009 B were sent and
# 700 B came, of which all were read.
SOCKET = Socket(
    cookie=1,
    protocol="tcp",
    local="127.0.0.1:80",
    peer="127.0.0.1:40000",
    born="before",
    whole=True,
    before=Before(unsent=500, unacked=500, unread=300, missed=40),
    sent={"copy": Transfer(calls=1, bytes=1009)},
    read={"copy": Transfer(calls=2, bytes=1040)},
    left=Packets(copied=1509),
    came=Packets(copied=700, packets=1),
    consumed_bytes=1040,
    copied_out_bytes=1040,
    tcp=TcpState(sent=1509, acked=1509, received=740),
)


def states(socket: Socket) -> dict[str, LawState]:
    return {law.id: law.state for law in laws_of(socket)}


def test_what_stood_in_the_socket_before_is_on_the_side_where_it_came_out() -> None:
    """Queued data leaves IP without a send, and is read without having come."""
    assert set(states(SOCKET).values()) == {LawState.HOLDS}


@pytest.mark.parametrize(("member", "law"), [("unsent", "S1"), ("unacked", "S4"), ("unread", "R2"), ("missed", "R1")])
def test_each_of_it_is_needed(member: str, law: str) -> None:
    """Without it a law is broken: none of them is for show."""
    assert SOCKET.before is not None
    before = msgspec.structs.replace(SOCKET.before, **{member: 0})

    assert states(msgspec.structs.replace(SOCKET, before=before, ended=True))[law] is LawState.BROKEN


def test_a_socket_read_at_one_moment_is_judged_though_it_lives_on() -> None:
    """One whose counters were read one after the other is not; one inside of a call is not either."""
    wrong = msgspec.structs.replace(SOCKET, copied_out_bytes=1)
    torn = msgspec.structs.replace(wrong, whole=False)
    inside = msgspec.structs.replace(
        SOCKET, left=Packets(copied=3000), tcp=TcpState(sent=3000, acked=3000, received=740)
    )

    assert (states(wrong)["R4"], states(torn)["R4"]) == (LawState.BROKEN, LawState.UNKNOWN)
    assert states(inside)["S1"] is LawState.UNKNOWN
    assert balance([wrong, SOCKET, inside]) == {LawState.BROKEN: 1, LawState.HOLDS: 1, LawState.UNKNOWN: 1}


def test_a_call_that_had_begun_before_makes_its_laws_unknown_and_no_others() -> None:
    """A send says nothing of the reads."""
    assert SOCKET.before is not None
    waited = msgspec.structs.replace(SOCKET.before, was_sending=True)
    wrong = {"sent": {"copy": Transfer(calls=1, bytes=9)}, "copied_out_bytes": 1, "before": waited}
    found = states(msgspec.structs.replace(SOCKET, left=Packets(copied=400), **wrong))

    assert (found["S1"], found["R4"]) == (LawState.UNKNOWN, LawState.BROKEN)


def attached(*sockets: Socket) -> SocketRecording:
    subject = Subject(kind="processes", argv=["nginx"], pids=[7], exit_status=None, user=0)
    return recording(*sockets, subject=subject)


def test_what_was_queued_under_way_or_not_seen_is_said_with_its_figure() -> None:
    """And nothing of it where there was nothing."""
    fresh = msgspec.structs.replace(SOCKET, before=None, born="in-window", ended=True)
    said = {one.code: one.figures for one in attached_findings(attached(SOCKET), ["descriptor 3 of nginx 7"]).findings}

    assert said["queued-at-the-beginning"] == {"unsent": 500, "unread": 340}
    assert said["not-seen"] == {"sockets": 1}
    assert not {"queued-at-the-beginning", "in-progress", "not-seen", "no-socket"} & {
        one.code for one in attached_findings(attached(fresh), []).findings
    }


def test_a_finding_of_any_recording_stands_behind_those_of_attaching_once() -> None:
    """As it was found, by whoever knew this machine; but for those that blame a command for having no socket."""
    broken = msgspec.structs.replace(SOCKET, copied_out_bytes=1)
    common = findings_of(attached(broken))
    empty = findings_of(attached())

    assert [one.code for one in common.findings] == ["law-broken"]
    assert [one.code for one in attached_findings(common, []).findings] == ["queued-at-the-beginning", "law-broken"]
    assert attached_findings(common, []).findings[-1] is common.findings[0]
    assert [one.code for one in empty.findings] == ["no-socket"]
    assert [one.why for one in attached_findings(empty, []).findings] == [
        "it was idle, it uses none, or another process does its work"
    ]


@pytest.mark.parametrize(
    ("before", "sentence", "said", "unsaid"),
    [
        (Before(unsent=500), "when the watching began 500 B waited to leave", "calls", "reads"),
        (Before(unread=300, missed=40), "when the watching began 340 B waited to be read", "reads", "calls"),
        (SOCKET.before, "when the watching began 500 B waited to leave and 340 B waited to be read", "calls", ";;"),
    ],
)
def test_of_what_was_queued_only_what_there_was_is_told(before: Before, sentence: str, said: str, unsaid: str) -> None:
    """Neither a figure that is nothing, nor its reason."""
    found = attached_findings(attached(msgspec.structs.replace(SOCKET, before=before)), []).findings
    one = next(one for one in found if one.code == "queued-at-the-beginning")

    assert one.sentence == sentence
    assert said in one.why
    assert unsaid not in one.why


@pytest.mark.parametrize(
    ("sockets", "words"),
    [([], "0 sockets (0 from before)"), ([SOCKET], "1 socket (1 from before)"),
     ([SOCKET, sender()], "2 sockets (1 from before)")],
)  # fmt: skip
def test_the_title_says_how_many_sockets_are_older_than_the_watching(sockets: list[Socket], words: str) -> None:
    """Of those that are listed."""
    assert attached_title(attached(*sockets)) == f"attached to nginx (pid 7; goes on), 1.00 s, {words}, Linux 6.12"


def test_what_tcp_alone_knows_is_told_in_place_of_what_is_lost() -> None:
    """Not where all was counted; and that none moved a byte is not said where nobody looked."""
    lost = findings_of(msgspec.structs.replace(attached(), lost=4))
    found = attached_findings(lost, [], Uncounted(connections=3, ended=1, sent=1009, received=101, why="EPERM"))

    assert [one.code for one in lost.findings] == ["no-socket", "lost"]
    assert [one.code for one in found.findings] == ["past-not-seen"]
    (one,) = found.findings
    assert one.figures == {"connections": 3, "ended": 1, "sent": 1009, "received": 101}
    assert "1 more ended" in one.sentence
    assert "EPERM" in one.why
    assert [one.code for one in attached_findings(lost, []).findings] == ["no-socket", "lost"]
