"""nettrace explain: modes, files, words and commands are told apart; what the screen says, in any width."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from tests.command import document, nettrace, said
from tests.datagram_samples import pinned
from tests.entry_samples import over_peer, tapped_lo
from tests.function_samples import on_nic
from tests.samples import copied, looped
from tests.socket_samples import reader, recording, sender
from tracer.books.analysis import document_of
from tracer.books.glossary import terms
from tracer.books.socket_file import encode_sockets
from tracer.books.steps import STEPS
from tracer.machine.recordings import save
from tracer.model import Document
from tracer.model.sockets import Packets, Totals, Transfer
from tracer.reports.explain import print_document_walk
from tracer.units import format_count


def screen(found: Document, width: int = 100, *, colour: bool = False) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=width, height=25, highlight=False, soft_wrap=True, force_terminal=colour,
                      color_system="standard" if colour else None)  # fmt: skip
    print_document_walk(found, console)
    return stream.getvalue()


def steps_of(text: str) -> dict[str, str]:
    """What is said of each step, in one line, by its word."""
    parts = re.split(r"^ {1,2}\d+  ([a-z-]+)", text.partition("[brackets]")[2], flags=re.MULTILINE)
    return {word: " ".join(told.split()) for word, told in zip(parts[1::2], parts[2::2], strict=True)}


def test_every_step_is_there_with_what_the_run_did() -> None:
    """Those not taken too: function and bytes of each that was."""
    told = steps_of(screen(document_of(looped())))

    assert list(told) == [step.word for step in STEPS]
    assert "in: skb_copy_ubufs(), net/core/skbuff.c" in told["deferred-copy"]
    assert "this run: A COPY, 230,161 B, 1x each byte [seen by cgroup:ingress, inferred]" in told["deferred-copy"]
    assert "Here for local delivery: " in told["deferred-copy"]
    assert "this run: no copy, 230,161 B, 1x each byte" in told["pin"]
    assert "this run: 23 of 23 say 'copied'" in told["completion"]
    assert " - not taken" in told["copy-in"]


def test_what_was_not_taken_steps_back() -> None:
    """Dimmed where there is colour; said in words everywhere."""
    coloured = screen(document_of(looped()), colour=True)
    heads = {word: line for line in coloured.splitlines() for word in ("copy-in:", "pin:") if f"  {word}" in line}

    assert heads["copy-in:"].startswith("\x1b[2m")
    assert heads["pin:"].startswith("\x1b[1;36m")
    assert "\x1b" not in screen(document_of(looped()))


def test_what_nobody_observed_is_said_and_is_not_zero() -> None:
    """Neither taken nor not taken; and the sum says what is missing."""
    text = screen(document_of(over_peer("ethernet")))
    told = steps_of(text)

    assert "this run: n/a, not observed" in told["bounce"]
    assert "not taken" not in told["bounce"]
    assert "not observed: tap, bounce, deferred-copy, copy-out." in " ".join(text.split())


def test_of_datagrams_it_is_said_that_the_steps_are_tcps() -> None:
    """And where UDP does the same; what the send calls accepted has been passed down."""
    text = screen(document_of(pinned()))

    assert "The functions that the steps name are TCP's. UDP goes the same way" in " ".join(text.split())
    assert "this run: no copy, 230,161 B, 1x each byte" in steps_of(text)["transmit"]
    assert "UDP" not in screen(document_of(looped())).partition("The way of a byte")[0]


def test_every_statement_has_its_brackets() -> None:
    """A source for each: no line of the kernel's without one."""
    for words in steps_of(screen(document_of(looped()))).values():
        assert "[" in words


@pytest.mark.parametrize("found", [document_of(looped()), tapped_lo(), document_of(on_nic(scatter_gather=False))])
@pytest.mark.parametrize("width", [20, 40, 80, 1000])
def test_no_number_is_lost_on_any_screen(found: Document, width: int) -> None:
    """Lines are broken at blanks alone."""
    whole, narrow = (re.findall(r"[\d,]{4,}", screen(found, columns)) for columns in (1000, width))

    assert narrow == whole
    assert format_count(230161) in whole


def test_a_saved_run_and_a_saved_recording_are_explained(tmp_path: Path) -> None:
    """Both kinds of file, by their contents; without root."""
    run, program = tmp_path / "run.json", tmp_path / "record.json"
    save(document_of(copied("onecopy")), run)
    totals = Totals(sent={"copy": Transfer(calls=1, bytes=10007)}, read={"copy": Transfer(calls=1, bytes=10007)},
                    left=Packets(copied=10007, packets=1, fragments=1))  # fmt: skip
    program.write_bytes(encode_sockets(recording(sender(), reader(), totals=totals)))

    for path in (run, program):
        code, output, errors = said("explain", path)

        assert (code, errors) == (0, "")
        assert "this run: A COPY" in steps_of(output)["copy-in"]


def test_a_hostile_name_is_shown_and_not_sent(tmp_path: Path) -> None:
    """A recording is a file from anywhere."""
    path = tmp_path / "record.json"
    hostile = sender(comm="a\x1b[2Jb", protocol="udp")
    totals = Totals(sent={"copy": Transfer(calls=1, bytes=10007)})
    path.write_bytes(encode_sockets(recording(hostile, totals=totals)))
    code, output, _ = said("explain", path)

    assert code == 0
    assert "\x1b" not in output
    assert "1 socket not of TCP, whose steps these are" in output


def test_without_anything_the_whole_way_is_shown() -> None:
    """All steps, no counts, and how to get some."""
    code, output, errors = said("explain")

    assert (code, errors) == (0, "")
    assert list(steps_of(output)) == [step.word for step in STEPS]
    assert "this run" not in output
    assert "not taken" not in output
    assert "nettrace explain zerocopy" in output


@pytest.mark.parametrize("word", terms())
def test_every_word_is_explained(word: str) -> None:
    """With its statements and their sources."""
    code, output, errors = said("explain", word)

    assert (code, errors) == (0, "")
    assert output.startswith(f"{word}: ")
    assert "[" in output


def test_the_list_names_every_word() -> None:
    """And what each is."""
    lines = said("explain", "--list")[1].splitlines()

    assert [line.split()[0] for line in lines[1:] if not line.startswith(" ")] == list(terms())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["zerocpy"], ["'zerocpy' cannot be explained", "did you mean zerocopy?"]),
        (["defered-copy"], ["did you mean deferred-copy?"]),
        (["xyzzy"], ["no recording", "nettrace explain --list"]),
        (["nowhere.json"], ["cannot read nowhere.json"]),
        (["pin", "--list"], ["--list and pin exclude each other"]),
        (["pin", "--lesson", "1"], ["--lesson and pin exclude each other"]),
        (["pin", "--", "true"], ["-- CMD and pin exclude each other"]),
        (["--"], ["there is no command behind --"]),
        (["pin", "--size", "64K"], ["--size is no option for pin", "drop --size"]),
        (["--lesson", "2", "--link", "veth"], ["--link is no option for --lesson"]),
        (["--lesson", "6"], ["6 is not in the range 1<=x<=5"]),
        (["zerocopy", "--no-sg"], ["--no-sg"]),
    ],
)  # fmt: skip
def test_a_mistake_is_quoted_and_answered(arguments: list[str], words: list[str]) -> None:
    """Exit code 2 and three lines, before anything is run."""
    code, _, errors = said("explain", *arguments)

    assert code == 2, errors
    assert [line[:7] for line in errors.splitlines()] == ["error: ", "  why: ", "  fix: "]
    assert [word for word in words if word not in errors] == []


@pytest.mark.live
def test_a_mode_is_run_and_explained() -> None:
    """To the byte what the same run measures: 23 messages of 10007 bytes."""
    asked = ("zerocopy", "--size", 10007, "--messages", 23, "--observer", "tracepoints")
    done = nettrace("explain", *asked)
    told = steps_of(done.stdout)

    assert done.returncode == 0, done.stderr
    assert "this run: no copy, 230,161 B, 1x each byte" in told["pin"]
    assert "this run: A COPY, 230,161 B, 1x each byte" in told["copy-out"]
    assert document(*asked)["observed"]["payload_bytes"] == 230161


@pytest.mark.live
def test_a_command_is_recorded_and_explained(tmp_path: Path) -> None:
    """Its own output stays its own; both ways of sending a file lead to their step."""
    told = {}
    for way in ("send", "sendfile"):
        done = nettrace("explain", "--", "python3", _sender(tmp_path), way)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(f"{way} is done\n")
        told[way] = steps_of(done.stdout)

    assert "this run: A COPY, 230,161 B, 1x each byte" in told["send"]["copy-in"]
    assert "this run: no copy, 230,161 B, 1x each byte" in told["sendfile"]["splice-in"]
    assert "not taken" in told["sendfile"]["copy-in"]
    assert all("this run: A COPY, 230,161 B" in one["copy-out"] for one in told.values())


def _sender(directory: Path) -> Path:
    """Sends 230,161 B of a file to a thread of its own."""
    directory.chmod(0o755)
    path, file = directory / "sender.py", directory / "file"
    file.write_bytes(bytes(230161))
    path.write_text(f"""
import socket, sys, threading
listener = socket.create_server(("127.0.0.1", 0))
def read():
    connection, _ = listener.accept()
    while connection.recv(65536):
        pass
reader = threading.Thread(target=read)
reader.start()
with open({str(file)!r}, "rb") as file, socket.create_connection(listener.getsockname()) as connection:
    connection.sendfile(file) if sys.argv[1] == "sendfile" else connection.sendall(file.read())
reader.join()
print(sys.argv[1], "is done")
""")
    return path
