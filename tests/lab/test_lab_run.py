"""Experiments in the lab: the table of ways, to the byte, on two kernels; and how a lab run ends badly."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from bench.lab_matrix import MESSAGES, SIZE, run
from tests.command import Running, nettrace
from tracer.books.analysis import document_of
from tracer.books.recording import decode
from tracer.errors import Interrupted, LabError, MachineError, PrivilegeError, UsageError
from tracer.lab import machine
from tracer.lab.guest import guest_for, least_environment
from tracer.model import Experiment, LawState, Stage
from tracer.runs.in_guest import Order
from tracer.runs.in_lab import Complaint, record

ROOT = Path(__file__).parents[2]
PAYLOAD = SIZE * MESSAGES


@pytest.fixture(scope="module")
def lab() -> Iterator[None]:
    yield
    machine.stop()


def told(*lines: str) -> Complaint:
    complaint = Complaint(lambda _: None)
    for line in lines:
        complaint.hear(line.encode())
    return complaint


@pytest.mark.parametrize(
    ("status", "kind"), [(2, UsageError), (3, PrivilegeError), (130, Interrupted), (4, MachineError)]
)
def test_the_guest_s_error_is_raised_again_here(status, kind):
    """What, why and fix arrive whole, however the bytes came in; the exit code is the guest's."""
    error = told("error: it bro", "ke\n  why: because\n  f", "ix: mend it\n").error(status)

    assert isinstance(error, kind)
    assert error.exit_code == status
    assert (error.what, error.why, error.fix) == ("it broke", "because", "mend it")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_anything_was_measured_is_an_interrupt(number):
    """While the guest still loads, a signal ends it without a word."""
    assert told().error(128 + number).exit_code == 130


def test_an_error_without_a_reason_keeps_its_fix():
    """Two lines are as good as three."""
    error = told("error: interrupted\n  fix: run it again\n").error(130)

    assert (error.what, error.why, error.fix) == ("interrupted", "", "run it again")


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
    assert complaint.error(4).what == "no"


pytest_lab = [pytest.mark.lab, pytest.mark.timeout(300), pytest.mark.usefixtures("lab")]


class TestLab:
    pytestmark = pytest_lab

    @pytest.mark.parametrize(
        ("kernel", "mode", "link"),
        [
            ("6.1", "zerocopy", "lo"),
            ("6.1", "zerocopy", "nic"),
            ("6.1", "zerocopy", "nic --no-sg"),
            ("6.12", "onecopy", "nic --no-sg"),
            ("6.12", "zerocopy", "nic --no-sg"),
            ("6.12", "zerocopy", "nic"),
            ("6.12", "twocopy", "veth"),
            ("6.12", "zerocopy", "veth"),
            ("6.12", "zerocopy", "lo tapped"),
            ("6.12", "zerocopy", "nic tapped"),
            ("6.12", "zerocopy", "nic tx-off"),
            ("6.12", "onecopy", "nic tx-off"),
            ("6.12", "zerocopy", "lo netem-loss"),
            ("6.12", "onecopy", "lo full-qdisc"),
        ],
    )
    def test_every_byte_is_where_the_table_says(self, kernel: str, mode: str, link: str) -> None:
        """Both observers agree, all laws hold, each stage is exact, nothing was lost."""
        cell = run(kernel, mode, link)

        assert cell.problems == []
        assert cell.document.ledger.trustworthy
        assert [observation.lost for observation in cell.document.observations] == [0, 0]
        assert (cell.document.host.where, cell.document.experiment.lab) == ("lab", kernel)

    def test_kprobes_count_what_fentry_counts(self) -> None:
        """The fallback's shells read other registers, and give the same ledger."""
        code = (
            "import tracer.runs.in_guest as inside, tracer.observers.functions as functions\n"
            "text = functions.KernelText.of_running_kernel(allow_fentry=False)\n"
            "functions.KernelText.of_running_kernel = lambda: text\n"
            "raise SystemExit(inside.main())"
        )
        answer = bytearray()
        order = Order(experiment=Experiment(mode="zerocopy", size=SIZE, messages=MESSAGES))
        guest_for("6.12").run(
            [sys.executable, "-c", code], ROOT, least_environment() | {"NETTRACE_LAB": "6.12"}, reads=(),
            stdin=msgspec.json.encode(order), stdout=answer.extend,
        )  # fmt: skip
        document = document_of(decode(bytes(answer)))

        assert document.observations[0].attached["skb_copy_ubufs"] == "kprobe"
        assert {law.state for law in document.ledger.laws} == {LawState.HOLDS}
        assert document.ledger.bytes_of(Stage.DEFERRED_COPY) == PAYLOAD + (document.ledger.retransmitted_bytes or 0)
        assert document.verdict.code == "copied-by-loopback"

    def test_stacks_name_the_way_of_the_deferred_copy(self) -> None:
        """It runs where a packet is handed to a local socket, whatever task is current."""
        asked = Experiment(mode="zerocopy", size=SIZE, messages=MESSAGES, stacks=True, lab="6.12")
        entry = document_of(record(asked, lambda _: None)).ledger.entry(Stage.DEFERRED_COPY)

        assert sum(stack.bytes for stack in entry.stacks) == entry.bytes
        assert "__netif_receive_skb_one_core" in entry.stacks[0].frames

    def test_the_guest_s_refusal_is_the_command_s(self) -> None:
        """A port that is taken, a mode of another world: three lines and the same exit code."""
        done = nettrace("run", "onecopy", "--port", 1, "--link", "nic", "--peer", "192.0.2.1:7", "--lab", timeout=200)

        assert done.returncode == 4
        assert "error:" in done.stderr
        assert "192.0.2.1" in done.stderr

    def test_an_interrupt_reaches_the_guest_and_gives_the_partial_recording(self) -> None:
        """Ctrl-C ends the pass that runs in the guest; the figures so far come back, exit code 130."""
        running = Running("run", "zerocopy", "--duration", "60", "--lab", "6.12", "--json")
        running.wait_for("bare pass")
        time.sleep(1)  # some messages
        running.process.send_signal(signal.SIGINT)
        code, output, _ = running.finish()

        assert code == 130
        assert decode(output.encode()).complete is False

    def test_a_guest_that_is_killed_is_an_error_with_its_console(self) -> None:
        """QEMU gone in the middle of a run: exit code 4, three lines; the next command starts a new guest."""
        running = Running("run", "zerocopy", "--duration", "60", "--lab", "6.12")
        running.wait_for("bare pass")
        os.kill(machine.process() or 0, signal.SIGKILL)
        code, _, errors = running.finish()

        assert code == 4
        assert "the lab's guest died" in errors
