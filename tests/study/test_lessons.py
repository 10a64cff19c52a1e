"""The lessons: whatever was measured is the answer, and what decides nothing is not called an answer."""

from __future__ import annotations

import ast
import io
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.command import DEADLINE_S, LAB_DEADLINE_S, NETTRACE, ROOT, children, nettrace, wait_for, wait_until_gone
from tests.function_samples import on_nic
from tests.samples import changed, copied, looped, tracepoints, workload
from tests.socket_samples import recording
from tests.sweep_samples import manifest, plan, runs
from tracer.books.analysis import document_of
from tracer.books.glossary import terms
from tracer.model import Document
from tracer.model.socket_recording import SocketRecording
from tracer.model.sockets import Packets, Totals, Transfer
from tracer.reports.lesson import print_answer
from tracer.study.crossovers import Crossover
from tracer.study.intervals import Interval
from tracer.study.lessons import (
    from_which_size,
    when_sendfile_wins,
    when_the_flag_lies,
    where_send_copies,
    zerocopy_over_loopback,
)
from tracer.study.lessons.all_lessons import NUMBERS, lesson
from tracer.study.lessons.lesson import Answer, Lesson
from tracer.study.sweep_plan import Sweep

LESSONS = [lesson(number) for number in NUMBERS]
LESS, MORE, ALIKE = Interval(0.5, 0.4, 0.6, 21), Interval(2.0, 1.5, 2.5, 21), Interval(1.0, 0.9, 1.1, 21)


def untrustworthy() -> Document:
    return document_of(changed(looped(), observations=[tracepoints(lost=3)]))


@pytest.mark.parametrize("taught", LESSONS, ids=lambda one: one.title)
def test_a_lesson_asks_runs_and_leads_on(taught: Lesson) -> None:
    """Its words are the glossary's, and no choice is told before it is measured."""
    assert taught.question.endswith("?")
    assert len(taught.choices) > 2
    assert taught.trials
    assert set(taught.words) <= set(terms())
    assert taught.onwards


@pytest.mark.parametrize("number", NUMBERS)
def test_no_figure_of_an_answer_stands_in_a_lesson(number: int) -> None:
    """Answers are made in functions, of what was measured: the texts themselves hold no copies, bytes or times."""
    texts = " ".join((lesson(number).about, lesson(number).question))

    assert re.findall(r"\d[\d.,]* ?(?:x|%|ns|Gb/s|copies|times)\b", texts) == []


def test_where_send_copies_is_counted() -> None:
    """Two copies, by a ledger that says so; the packing is told apart."""
    answer = where_send_copies.answer_of([document_of(copied("onecopy")), document_of(copied("twocopy"))])

    assert answer.choice == "2"
    assert "each byte 2x: copy-in and copy-out" in answer.sentence
    assert "one more copy in the program itself" in answer.sentence


def test_zerocopy_over_loopback_is_counted() -> None:
    """As often as without it, elsewhere; the flag is quoted."""
    answer = zerocopy_over_loopback.answer_of([document_of(copied("onecopy")), document_of(looped())])

    assert answer.choice == "2"
    assert "2x (deferred-copy and copy-out); without it 2x (copy-in and copy-out)" in answer.sentence
    assert "23 of 23 say 'copied'" in answer.sentence


def test_reasons_follow_each_other() -> None:
    """The deferred copy and why it is made stand together; what would change a copy stands behind all reasons."""
    stream = io.StringIO()
    taught = lesson(2)
    answer = taught.answer([document_of(copied("onecopy")), document_of(looped())])
    print_answer(taught, None, answer, Console(file=stream, width=400))
    reasons, _, changes = stream.getvalue().partition("What would change it:")
    words = [line.split(":")[0].strip() for line in reasons.split("Why, and where that can be read:")[1].splitlines()]

    assert [word for word in words if word] == ["pin", "pin", "loop", "deferred-copy", "local-delivery", "copy-out"]
    assert "deferred-copy: Over a NIC with scatter-gather" in changes


def test_another_kernel_would_have_another_answer() -> None:
    """One that delivered pinned pages to a local reader would be said to copy once."""
    kept = tracepoints(
        cgroup_egress__zerocopy=(9, 230161, 92), cgroup_ingress__zerocopy=(9, 230161),
        skb_copy_datagram_iovec__zerocopy=(11, 230161),
    )  # fmt: skip
    other = document_of(changed(looped(), observed=workload(copied=0), observations=[kept]))

    assert zerocopy_over_loopback.answer_of([document_of(copied("onecopy")), other]).choice == "1"


@pytest.mark.parametrize("module", [where_send_copies, zerocopy_over_loopback])
def test_what_cannot_be_trusted_answers_nothing(module: Any) -> None:
    """Lost events: the sentence says so."""
    answer = module.answer_of([document_of(copied("onecopy")), untrustworthy()])

    assert answer.choice is None
    assert answer.sentence.startswith("This measurement cannot be trusted: ")


def test_the_flag_that_lies_is_found() -> None:
    """By bytes that were copied for the device and completions that deny it."""
    documents = [document_of(looped()), document_of(on_nic()), document_of(on_nic(scatter_gather=False))]
    answer = when_the_flag_lies.answer_of(documents)

    assert answer.choice == "no-sg"
    assert "completion flag is wrong" in answer.sentence


def test_flags_that_are_right_are_called_so() -> None:
    """A kernel whose completions owned up would be."""
    documents = [document_of(looped()), document_of(on_nic()), document_of(on_nic(scatter_gather=False, copied=23))]

    assert when_the_flag_lies.answer_of(documents).choice == "none"


def of_a_file(way: str) -> SocketRecording:
    moved = {way: Transfer(calls=1, bytes=10007)}
    left = Packets(copied=10007, packets=1, fragments=1)
    return recording(totals=Totals(sent=moved, read={"copy": Transfer(calls=1, bytes=10007)}, left=left))


@pytest.mark.parametrize(
    ("small", "large", "choice"),
    [
        (LESS, LESS, "both"), (MORE, LESS, "large"), (ALIKE, LESS, "large"), (LESS, MORE, "small"),
        (LESS, ALIKE, "small"), (MORE, MORE, "neither"), (ALIKE, ALIKE, "neither"), (MORE, ALIKE, "neither"),
        (None, LESS, None), (LESS, Interval(0.5, None, None, 3), None),
    ],
)  # fmt: skip
def test_sendfile_wins_where_the_interval_says_so(
    small: Interval | None, large: Interval | None, choice: str | None
) -> None:
    """Each of the choices can come true, and too few rounds decide nothing."""
    answer = when_sendfile_wins.answer_of([of_a_file("copy"), of_a_file("splice"), small, large])

    assert answer.choice == choice
    assert "copied each byte 1x with send, 0x with sendfile" in answer.sentence


def test_cpu_times_are_paired_by_round() -> None:
    """A slow moment hits both ways alike."""
    slow = [1.0, 5.0, 1.0, 9.0, 1.0, 1.0, 1.0, 1.0]
    found = when_sendfile_wins.ratio({"send": slow, "sendfile": [2 * one for one in slow]})

    assert found == Interval(2.0, 2.0, 2.0, 8)


def crossover(**fields: Any) -> Crossover:
    return Crossover(**{"challenger": "zerocopy", "reference": "onecopy", "threads": 1, "found": False, "reason": "r",
                        **fields})  # fmt: skip


@pytest.mark.parametrize(
    ("found", "choice"),
    [
        (crossover(found=True, low=1024, high=16384, ahead=[16384, 262144], behind=[1024]), "16KiB"),
        (crossover(ahead=from_which_size.SIZES), "1KiB"),
        (crossover(behind=from_which_size.SIZES), "never"),
        (crossover(), "never"),
        (crossover(ahead=[1024], behind=[16384]), None),
    ],
)
def test_the_size_from_which_it_pays_is_the_crossovers(found: Crossover, choice: str | None) -> None:
    """A change back decides nothing."""
    answer = from_which_size.answer_by(found)

    assert answer.choice == choice
    assert choice is None or choice in lesson(5).choices


def test_the_size_is_found_in_a_sweep() -> None:
    """By throughputs that cross between two of its sizes."""
    sizes, modes = from_which_size.SIZES, [from_which_size.REFERENCE, from_which_size.CHALLENGER]
    ratios = dict(zip(sizes, (0.5, 0.8, 2.0), strict=True))
    asked = plan(modes=modes, sizes=sizes, threads=[1])
    done = runs(lambda mode, size, _: 10 * (ratios[size] if mode == "zerocopy" else 1), of=asked)
    found = Sweep(manifest=manifest(asked), runs=done)

    assert from_which_size.answer_of([found]).choice == "256KiB"
    assert len(lesson(5).trials[0].show(found)) == len(sizes)


@pytest.mark.parametrize(
    ("predicted", "choice", "words"),
    [
        ("2", "2", "Your prediction came true: 2 (twice)."),
        ("1", "2", "You predicted 1 (once); it is 2 (twice)."),
        (None, "2", "The answer: 2 (twice). No prediction was asked for"),
        ("1", None, "That decides nothing here"),
        ("1", "7", "You predicted 1 (once); it is 7."),
    ],
)
def test_the_prediction_is_set_beside_the_measurement(predicted: str | None, choice: str | None, words: str) -> None:
    """Also where something came out that nobody could predict."""
    stream = io.StringIO()
    print_answer(lesson(1), predicted, Answer(choice, "So it was."), Console(file=stream, width=200, soft_wrap=True))

    assert "Measured: So it was." in stream.getvalue()
    assert words in stream.getvalue()


def test_the_program_of_a_lesson_needs_python_alone() -> None:
    """A reader runs it by itself."""
    tree = ast.parse(when_sendfile_wins.PROGRAM.read_text())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}

    assert {name.partition(".")[0] for name in names} <= {*sys.stdlib_module_names}


@pytest.mark.system
def test_the_program_of_a_lesson_measures_each_round() -> None:
    """One value a way and a round; nothing is left behind."""
    words = [sys.executable, when_sendfile_wins.PROGRAM, "both", "100003", "3"]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=240)
    found = json.loads(done.stdout)

    assert {way: len(values) for way, values in found.items()} == {"send": 3, "sendfile": 3}
    assert all(value > 0 for values in found.values() for value in values)


@pytest.mark.system
def test_the_reader_ends_with_its_sender() -> None:
    """However that ends: Ctrl-C in the middle of a lesson leaves nothing behind."""
    words = [sys.executable, when_sendfile_wins.PROGRAM, "send", "1048576", "1000000"]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    wait_for(lambda: children(process.pid), "there is no reader")
    reader = children(process.pid)
    process.kill()
    process.wait(DEADLINE_S)

    wait_until_gone(reader)


@pytest.mark.live
@pytest.mark.parametrize("number", [1, 2, 4])
def test_a_lesson_runs_through_without_a_terminal(number: int) -> None:
    """Question, commands, measured answer, why; and nobody is asked."""
    done = nettrace("explain", "--lesson", number, stdin=subprocess.DEVNULL)

    assert done.returncode == 0, done.stderr
    _check_parts(number, done.stdout)
    assert "as there is no terminal" in " ".join(done.stdout.split())


def _check_parts(number: int, output: str) -> None:
    text = " ".join(output.split())
    places = [
        text.index(part) for part in (f"Lesson {number} of 5", "?", "$ ", "Measured: ", "Why, and where", "next:")
    ]

    assert places == sorted(places)
    assert output.count("\n$ ") == len(lesson(number).trials)


@pytest.mark.live
@pytest.mark.timeout(900)
def test_the_sizes_are_swept_for_real() -> None:
    """Lesson 5: it takes longer than the others."""
    done = nettrace("explain", "--lesson", 5, stdin=subprocess.DEVNULL, timeout=LAB_DEADLINE_S)

    assert done.returncode == 0, done.stderr
    _check_parts(5, done.stdout)


@pytest.mark.lab
@pytest.mark.timeout(900)
def test_the_flag_lies_for_real() -> None:
    """Lesson 3, on the lab's card: without scatter-gather."""
    done = nettrace("explain", "--lesson", 3, stdin=subprocess.DEVNULL, timeout=LAB_DEADLINE_S)

    assert done.returncode == 0, done.stderr
    _check_parts(3, done.stdout)
    assert "The answer: no-sg" in done.stdout


@pytest.mark.live
def test_a_terminal_is_asked_for_a_prediction() -> None:
    """What is no choice is asked for again; the prediction then stands beside the answer."""
    controller, terminal = pty.openpty()
    environment = {**os.environ, "TERM": "dumb", "COLUMNS": "100"}
    process = subprocess.Popen(
        [*NETTRACE, "explain", "--lesson", "2"], stdin=terminal, stdout=terminal, stderr=terminal, cwd=ROOT,
        env=environment,
    )  # fmt: skip
    os.close(terminal)
    os.write(controller, b"seven\n0\n")
    text = " ".join(_all_of(controller).split())

    assert process.wait(60) == 0
    assert "Your prediction (0, 1, 2):" in text
    assert "'seven' is not one of" in text
    assert "You predicted 0 (never: that is what it is for); it is 2 (twice)." in text


def _all_of(controller: int) -> str:
    """Until the other end is closed."""
    parts = []
    try:
        while part := os.read(controller, 65536):
            parts.append(part)
    except OSError:  # EIO: nobody has the terminal any more
        pass
    os.close(controller)
    return b"".join(parts).decode()


def test_the_program_is_shipped() -> None:
    """It lies where the lesson looks for it."""
    assert Path(when_sendfile_wins.PROGRAM).is_file()
