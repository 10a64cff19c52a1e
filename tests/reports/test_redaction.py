"""--redact: what others should not see is in no string; what a report is about stays."""

from __future__ import annotations

import msgspec

from tests.html_samples import program
from tests.samples import changed, experiment, host, looped
from tests.socket_samples import recording, run_with, sender
from tracer.model.socket_recording import Finding
from tracer.model.watching import Subject
from tracer.reports.redaction import HIDDEN, redacted


def ends(local: str, peer: str) -> tuple[str, str]:
    found = redacted(recording(sender(local=local, peer=peer))).sockets[0]
    return found.local, found.peer


def test_an_address_has_a_number_and_keeps_its_port() -> None:
    """The same one wherever it stands; IPv4 in IPv6 is the same host."""
    assert ends("192.0.2.7:443", "[2001:db8::7]:80") == ("address-1:443", "address-2:80")
    assert ends("[::ffff:192.0.2.7]:443", "192.0.2.7:80") == ("address-1:443", "address-1:80")
    assert ends("[fe80::1%eth0]:443", "[fe80::1]:1") == ("address-1:443", "address-1:1")


def test_what_names_no_host_is_named() -> None:
    """Loopback and "any" are the same everywhere."""
    assert ends("127.0.0.1:1", "[::1]:2") == ("loopback:1", "loopback:2")
    assert ends("0.0.0.0:1", "[::]:2") == ("any:1", "any:2")


def test_arguments_users_and_cgroups_are_left_out() -> None:
    """The program's name stays, its directory does not."""
    base = program(2)
    in_cgroup = msgspec.structs.replace(base.sockets[0], cgroup="/user.slice/user-1000.slice")
    users = msgspec.structs.replace(base.subject, user=1000, other_users=[1001])
    found = redacted(msgspec.structs.replace(base, subject=users, sockets=[in_cgroup]))

    assert found.subject.argv == ["curl", HIDDEN]
    # Not 0, which is root.
    assert (found.subject.user, found.subject.other_users) == (None, [])
    assert found.sockets[0].cgroup == HIDDEN
    assert b"alice" not in msgspec.json.encode(found)
    assert b"user-1000" not in msgspec.json.encode(found)


def test_a_run_s_sockets_and_its_command_line_are_hidden_too() -> None:
    """As its experiment is."""
    base = run_with(sender(local="192.0.2.7:443", peer="192.0.2.9:80", cgroup="/nettrace-7"))
    asked = experiment(peer="192.0.2.9:5001", setup=("ip addr add 192.0.2.7",))
    subject = msgspec.structs.replace(base.subject, argv=["nettrace", "run", "zerocopy", "--peer", "192.0.2.9:5001"])
    found = redacted(changed(base, experiment=asked, subject=subject))

    assert b"192.0.2" not in msgspec.json.encode(found)
    assert found.subject.argv[:3] == ["nettrace", "run", "zerocopy"]
    assert (found.subject.user, found.sockets[0].cgroup) == (None, HIDDEN)


def test_findings_quote_nothing() -> None:
    """Addresses and arguments are searched in words; versions and functions are none."""
    finding = Finding(
        code="x", sentence="10.1.2.3 and 2001:db8::7, on 6.18.44", why="std::dec at 12:30", fix="--to host7"
    )
    subject = Subject(kind="command", argv=["curl", "--to", "host7"], pids=[1], exit_status=0, user=1)
    found = redacted(recording(sender(), findings=[finding], subject=subject)).findings[0]

    assert found.sentence == "address-1 and address-2, on 6.18.44"
    assert found.why == "std::dec at 12:30"
    assert found.fix == f"{HIDDEN} {HIDDEN}"


def test_a_command_of_ordinary_words_takes_no_figure_away() -> None:
    """Ways and stages are no text of the user's, whatever the command was called with."""
    subject = Subject(kind="command", argv=["copy", "copy", "tcp", "inet"], pids=[1], exit_status=0, user=1)
    found = redacted(recording(sender(), subject=subject))

    assert found.sockets[0].sent == sender().sent
    assert found.sockets[0].protocol == "tcp"


def test_a_run_has_no_user_peer_or_setup() -> None:
    """Nor has a note."""
    asked = experiment(peer="203.0.113.9:5201", setup=("useradd alice",))
    found = redacted(
        changed(
            looped(), user="alice (uid 1000)", experiment=asked, notes=["203.0.113.9 was slow for alice"],
            host=host(packet_taps=["tcpdump (pid 7) on 203.0.113.9"]),
        )
    )  # fmt: skip

    assert found.user == HIDDEN
    assert (found.experiment.peer, found.experiment.setup) == ("address-1:5201", (HIDDEN,))
    assert found.notes == [f"{HIDDEN} was slow for {HIDDEN}"]
    assert b"203.0.113.9" not in msgspec.json.encode(found)


def test_a_long_argument_is_left_out_also_where_it_was_cut() -> None:
    """A script in a command line, of which a sentence quotes the beginning."""
    script = "curl http://host7/ " * 1000
    finding = Finding(code="x", sentence=f"started by bash -c {script[:300]}...")
    subject = Subject(kind="command", argv=["bash", "-c", script], pids=[1], exit_status=0, user=1)
    found = redacted(recording(sender(), findings=[finding], subject=subject))

    assert found.findings[0].sentence == f"started by bash -c {HIDDEN}"
