"""What is printed: golden files for the screen and the JSON, and what holds for every width.

NETTRACE_REWRITE_GOLDEN=1 in the environment writes the golden files anew; read the difference before you keep it.
"""

from __future__ import annotations

import io
import os
import re
from pathlib import Path

import msgspec
import pytest

from tests.entry_samples import over_peer, tapped_lo, tapped_nic, with_drops, without_checksum
from tests.samples import (
    PAYLOAD,
    changed,
    copied,
    ethernet,
    experiment,
    host,
    looped,
    recording,
    tracepoints,
    workload,
)  # fmt: skip
from tracer.books.analysis import document_of
from tracer.books.recording import encode
from tracer.model import Document, Link
from tracer.model.sockets import Packets, Totals
from tracer.reports.tables import make_console
from tracer.reports.terminal import print_document

GOLDEN = Path(__file__).parents[1] / "golden"
NIC = tracepoints(cgroup_egress__zerocopy=(9, PAYLOAD, 92), net_dev_start_xmit__linear=(160, PAYLOAD))

SAMPLES = {
    "zerocopy-lo": looped(),
    "zerocopy-lo-retransmitted": looped(retransmitted=4999),
    "zerocopy-veth": changed(looped(), experiment=experiment("zerocopy", Link.VETH)),
    "zerocopy-lo-enobufs": changed(looped(), workload=workload(enobufs=3, enobufs_limit="optmem", verified=True)),
    "zerocopy-nic-linear": recording(
        NIC,
        link=Link.NIC,
        observed=workload(copied=5, received_bytes=None),
        host=host(nic=ethernet(scatter_gather=False), where="lab"),
    ),
    "zerocopy-container": over_peer("bridge"),
    "twocopy-lo": copied("twocopy"),
    "onecopy-lo-many-bytes": recording(
        tracepoints(
            cgroup_egress__copied=(84_100, 10**12),
            cgroup_ingress__copied=(84_100, 10**12),
            skb_copy_datagram_iovec__copied=(96_212, 10**12),
        ),
        "onecopy",
        observed=workload("onecopy", payload_bytes=10**12, received_bytes=10**12, bytes_sent=10**12),
    ),
    "interrupted": changed(looped(), observed=None, observations=[], complete=False),
    "broken-law": changed(looped(), observed=workload(payload_bytes=PAYLOAD + 1)),
}

DOCUMENTS = {name: document_of(sample) for name, sample in SAMPLES.items()} | {
    "zerocopy-lo-tap": tapped_lo(),
    "zerocopy-nic-tap": tapped_nic(),
    "zerocopy-nic-checksum": without_checksum(),
    "zerocopy-lo-drops": with_drops(),
}


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def screen(document: Document, stream: io.StringIO) -> str:
    print_document(document, make_console(stream))
    return stream.getvalue()


def check_golden(name: str, text: str) -> None:
    path = GOLDEN / name
    if "NETTRACE_REWRITE_GOLDEN" in os.environ:
        GOLDEN.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text()


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a terminal or a colleague's shell sets must not reach the golden files."""
    for name in ("COLUMNS", "NO_COLOR", "FORCE_COLOR", "LINES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")


@pytest.mark.parametrize("width", [100, 80])
@pytest.mark.parametrize("name", list(DOCUMENTS))
def test_the_report_is_as_agreed(name: str, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole screen in a pipe, word by word."""
    if width != 100:
        monkeypatch.setenv("COLUMNS", str(width))
    check_golden(f"{name}-{width}.txt", screen(DOCUMENTS[name], io.StringIO()))


@pytest.mark.parametrize("name", ["zerocopy-lo", "twocopy-lo", "interrupted"])
def test_the_json_is_as_agreed(name: str) -> None:
    """Fields may be added; those that are there keep their names, places and values."""
    check_golden(f"{name}.json", encode(DOCUMENTS[name]).decode())


@pytest.mark.parametrize("width", [20, 33, 47, 60, 72, 80, 100, 160])
@pytest.mark.parametrize("name", list(DOCUMENTS))
def test_no_line_is_too_long_and_no_number_is_cut(name: str, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every width: all words, all numbers; beyond the edge is nothing but a number wider than the screen."""
    monkeypatch.setenv("COLUMNS", str(width))
    text = screen(DOCUMENTS[name], io.StringIO())
    document = DOCUMENTS[name]
    counts = {f"{entry.bytes:,}" for entry in document.ledger.entries if entry.bytes is not None}
    counts |= {f"{side:,}" for law in document.ledger.laws for side in (law.left, law.right) if side is not None}

    beyond = [line for line in text.splitlines() if len(line) > width]
    assert [line for line in beyond if len(set(line.split()) - {"│", "B", "B,"}) > 1] == []
    assert [word for word in text.split() if "…" in word and not re.match(r"[A-Za-z_(\[]", word)] == []
    assert [count for count in counts if not re.search(rf"(?<![\d,]){count}(?![\d,])", text)] == []
    assert not re.search(r"(^|\s),\d", text)
    words = text.split()
    assert [word for word in document.verdict.sentence.split() if word not in words] == []


def test_no_line_ends_in_blanks() -> None:
    """The report can be pasted into a document or a commit."""
    assert not re.search(r" $", screen(DOCUMENTS["zerocopy-lo"], io.StringIO()), re.MULTILINE)


def test_a_terminal_has_colour_and_a_pipe_has_none() -> None:
    """Escape sequences are for terminals alone."""
    assert "\x1b[" in screen(DOCUMENTS["zerocopy-lo"], Terminal())
    assert "\x1b" not in screen(DOCUMENTS["zerocopy-lo"], io.StringIO())


def test_no_color_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_COLOR: a terminal gets no colour (bold and dim are none)."""
    monkeypatch.setenv("NO_COLOR", "1")

    assert not re.search(r"\x1b\[[\d;]*3\d", screen(DOCUMENTS["zerocopy-lo"], Terminal()))


def test_a_dumb_terminal_has_no_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    """TERM=dumb: an editor's shell window."""
    monkeypatch.setenv("TERM", "dumb")

    assert "\x1b" not in screen(DOCUMENTS["zerocopy-lo"], Terminal())


def test_what_nobody_observed_is_not_zero() -> None:
    """A stage without a probe prints n/a, and so does the law that needs it."""
    text = screen(DOCUMENTS["zerocopy-nic-linear"], io.StringIO())
    row = next(line for line in text.splitlines() if line.startswith("deferred copy"))

    assert "n/a" in row
    assert not re.search(r"\b0\b", row)


def test_a_partial_result_says_so_first() -> None:
    """Nobody takes half a run for a whole one."""
    assert screen(DOCUMENTS["interrupted"], io.StringIO()).startswith("PARTIAL (interrupted): ")


def test_a_broken_law_is_said_before_anything_else() -> None:
    """Untrustworthy comes in the first sentence, with the law."""
    lines = screen(DOCUMENTS["broken-law"], io.StringIO()).splitlines()

    assert lines[2].startswith("This measurement cannot be trusted: law ")


@pytest.mark.parametrize(("acks", "row"), [(46, "ACKs to the sender 46, 2 a packet"), (None, "")])
def test_acks_are_shown_where_tcp_told_of_them(acks: int | None, row: str) -> None:
    """Beside the packets that they are divided by; a kernel that does not tell has no row."""
    totals, base = Totals(left=Packets(zerocopy=230161, packets=23, fragments=184)), looped()
    assert base.observed is not None
    found = changed(base, totals=totals, observed=msgspec.structs.replace(base.observed, acks=acks))
    words = " ".join(screen(document_of(found), io.StringIO()).split())

    assert "a packet (skb) 10,007 B in 8.0 fragments" in words
    assert ("ACKs to the sender" in words) == bool(row)
    assert row in words
