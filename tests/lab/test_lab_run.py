"""Experiments in the lab: what befalls packets, and how a lab run ends badly."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import msgspec
import pytest

from bench.matrix_cells import MESSAGES, SIZE
from tests.command import LAB_DEADLINE_S, Running, nettrace
from tracer.books.analysis import document_of
from tracer.books.function_rows import Row
from tracer.books.recording import decode
from tracer.errors import Interrupted, LabError, MachineError, PrivilegeError, UsageError, WorkloadError
from tracer.lab import kept
from tracer.lab.guest import Guest
from tracer.model import Experiment, LawState, ObserverChoice, Stage
from tracer.runs.in_lab import Complaint, error_of, record, renew
from tracer.runs.orders import Answer, CommandAnswer, CommandOrder, Failure

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def lab() -> Iterator[None]:
    kept.stop()
    yield
    kept.stop()


def guest_of(parent: int) -> int:
    """PID of the QEMU that a nettrace has started."""
    (child,) = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return int(child)


def told(*lines: str) -> Complaint:
    complaint = Complaint(lambda _: None)
    for line in lines:
        complaint.hear(line.encode())
    return complaint


@pytest.mark.parametrize("kind", [UsageError, PrivilegeError, Interrupted, MachineError, WorkloadError])
def test_the_guest_s_error_is_raised_again_here(kind):
    """The same class with what, why and fix, whatever words they hold."""
    failure = Failure(kind=kind.__name__, what="it broke\n  why: no", why="because", fix="mend it")
    error = error_of(msgspec.json.decode(msgspec.json.encode(Answer(failure=failure)), type=Answer).failure)

    assert type(error) is kind
    assert (error.what, error.why, error.fix) == ("it broke\n  why: no", "because", "mend it")


@pytest.mark.parametrize("kind", ["Exception", "annotations", "NoSuchError"])
def test_an_error_of_no_kind_of_ours_is_a_lab_error(kind):
    """What another edition of nettrace raised is told, not guessed."""
    error = error_of(Failure(kind=kind, what="it broke", why="", fix=""))

    assert isinstance(error, LabError)
    assert error.why == "it broke"


def test_a_directory_that_the_guest_lacks_is_an_error_that_says_so(tmp_path: Path) -> None:
    """It sees the host's files, but for /run and the like; the order is answered before anything is loaded."""
    order = CommandOrder(
        argv=[b"true"], cwd=os.fsencode(tmp_path / "missing"), user=None, most_s=None, wait=False, peers=False,
        profile=False, cache=str(tmp_path), answer=str(tmp_path / "answer"),
    )  # fmt: skip
    code = (
        "import sys; from tracer.runs import in_guest; sys.exit(in_guest.do(sys.stdin.buffer.read(), {}, None, None))"
    )
    done = subprocess.run([sys.executable, "-c", code], input=msgspec.json.encode(order), cwd=ROOT, check=False)
    answer = msgspec.json.decode((tmp_path / "answer").read_bytes(), type=CommandAnswer)

    assert done.returncode == 4
    assert answer.recording is None
    assert f"no directory {tmp_path}/missing" in str(error_of(answer.failure))


@pytest.mark.parametrize(
    ("edited", "settled", "anew"), [(False, True, False), (True, False, False), (True, True, True)]
)
def test_another_release_is_saved_anew_and_an_edit_is_not(
    monkeypatch: pytest.MonkeyPatch, edited: bool, settled: bool, anew: bool
) -> None:
    """Whatever order it was that brought the modules along."""
    made: list[str] = []
    monkeypatch.setattr("tracer.runs.in_lab.sources.settled", lambda: settled)
    monkeypatch.setattr("tracer.runs.in_lab.opening.hardware", lambda *_: None)
    monkeypatch.setattr("tracer.runs.in_lab.opening.place", lambda *_: "place")
    monkeypatch.setattr("tracer.runs.in_lab.snapshots.remove_prepared", made.append)
    monkeypatch.setattr("tracer.runs.in_lab.making.start_behind", lambda *_: None)
    guest = SimpleNamespace(hardware=SimpleNamespace(kernel=SimpleNamespace(name="6.12"), bounce=False))

    renew(cast("Guest", guest), [], edited, lambda _: None)

    assert made == (["place"] if anew else [])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_anything_was_measured_is_an_interrupt(number):
    """While the guest still loads, a signal ends it without a word."""
    assert told().error(128 + number).exit_code == 130


def test_a_crash_in_the_guest_is_a_lab_error_with_its_last_lines():
    """No traceback of ours; the guest's last words say what happened there."""
    error = told("Traceback (most recent call last):\n", "ValueError: no\n").error(1)

    assert isinstance(error, LabError)
    assert "ValueError: no" in error.why


def test_progress_is_passed_on_and_kept_out_of_the_error():
    """Lines that begin as ours do."""
    heard = []
    complaint = Complaint(heard.append)
    complaint.hear(b"nettrace: bare pass\nerror: no\n")

    assert heard == ["bare pass"]
    assert "error: no" in complaint.error(4).why


def first_that_sends(listener: socket.socket) -> socket.socket:
    """The first connection over which a byte has come; those that only try whether anybody listens are let go."""
    while True:
        connection, _ = listener.accept()
        if connection.recv(1):
            return connection
        connection.close()


pytest_lab = [pytest.mark.lab, pytest.mark.timeout(900), pytest.mark.usefixtures("lab")]


class TestLab:
    pytestmark = pytest_lab

    @pytest.mark.parametrize(
        ("setup", "messages", "row"),
        [
            ("tc qdisc add dev lo root netem duplicate 100%", MESSAGES, Row.XMIT_UNOWNED),
            # So few that no connection waits for its third SYN, and so many packets that some are changed.
            ("tc qdisc add dev lo root netem corrupt 4%", 2003, Row.WHOLE_COPY),
            ("ip link set lo mtu 68", MESSAGES, Row.FRAGMENT_COPY),
        ],
    )
    def test_what_befalls_packets_on_their_way_breaks_no_law(self, setup: str, messages: int, row: Row) -> None:
        """Doubled, changed, cut into fragments: both observers have counted it, and nothing is without its place."""
        asked = Experiment(
            mode="zerocopy", size=SIZE, messages=messages, lab="6.12", observer=ObserverChoice.ALL, setup=(setup,)
        )
        document = document_of(record(asked, lambda _: None))
        broken = [law.id for law in document.ledger.laws if law.state is LawState.BROKEN]

        assert broken == []
        assert document.ledger.trustworthy
        assert document.observations[0].tallies[row].bytes > 0
        assert document.observed.received_bytes == SIZE * messages

    def test_stacks_name_the_way_of_the_deferred_copy(self) -> None:
        """It runs where a packet is handed to a local socket, whatever task is current."""
        asked = Experiment(mode="zerocopy", size=SIZE, messages=MESSAGES, stacks=True, lab="6.12")
        entry = document_of(record(asked, lambda _: None)).ledger.entry(Stage.DEFERRED_COPY)

        assert sum(stack.bytes for stack in entry.stacks) == entry.bytes
        assert "__netif_receive_skb_one_core" in entry.stacks[0].frames

    def test_the_guest_s_refusal_is_the_command_s(self) -> None:
        """A peer that no route leads to: three lines and the same exit code."""
        done = nettrace("run", "onecopy", "--link", "nic", "--peer", "192.0.2.1:7", "--lab", timeout=LAB_DEADLINE_S)

        assert done.returncode == 4
        assert "error:" in done.stderr
        assert "192.0.2.1" in done.stderr

    def test_a_way_that_the_kernel_refuses_is_an_error_before_anything_is_measured(self) -> None:
        """It says what is missing and what would help; nothing is on standard output."""
        off = ("--setup", "sysctl -w kernel.io_uring_disabled=2")
        done = nettrace("run", "uring-send", "--messages", MESSAGES, *off, "--lab", "6.12", timeout=LAB_DEADLINE_S)

        assert (done.returncode, done.stdout) == (4, "")
        assert "the sender cannot have io_uring" in done.stderr
        assert "EPERM" in done.stderr
        assert "kernel.io_uring_disabled=0" in done.stderr
        done = nettrace("run", "onecopy", "--receive", "uring", *off, "--lab", "6.12", timeout=LAB_DEADLINE_S)

        assert "the receiver cannot have io_uring" in done.stderr
        assert "--receive recv" in done.stderr

    @pytest.mark.parametrize("mode", ["zerocopy", "ktls"])
    def test_an_interrupt_reaches_the_guest_and_gives_the_partial_recording(self, mode: str) -> None:
        """Ctrl-C ends the pass that runs in the guest; the figures so far come back, exit code 130.

        Records are read by a program without keys; what was sent until then is known.
        """
        with socket.create_server(("127.0.0.1", 0)) as listener:
            peer = f"10.0.2.2:{listener.getsockname()[1]}"  # this machine, as the guest sees it
            running = Running("run", mode, "--duration", "60", "--link", "nic", "--peer", peer, "--lab", "--json")
            listener.settimeout(100)
            sender = first_that_sends(listener)
            running.process.send_signal(signal.SIGINT)
            with sender:
                while sender.recv(1 << 20):
                    pass
        code, output, _ = running.finish()

        assert code == 130
        assert decode(output.encode()).complete is False

    def test_a_guest_that_is_killed_is_an_error_with_its_console(self) -> None:
        """QEMU gone in the middle of a run: exit code 4, three lines; the next command starts a new guest."""
        running = Running("run", "zerocopy", "--duration", "60", "--lab", "6.12")
        running.wait_for("bare pass")
        os.kill(guest_of(running.pid), signal.SIGKILL)
        code, _, errors = running.finish()

        assert code == 4
        assert "the lab's guest died" in errors
