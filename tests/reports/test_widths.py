"""Narrow screens: what is no report of a run has its lines broken too, and loses no number."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from tests.socket_samples import reader, recording, sender
from tests.study.test_compare import by_mode, compared
from tests.study.test_sweep_answer import swept
from tracer.books.difference import difference_of
from tracer.model.socket_recording import SocketRecording
from tracer.model.sockets import Totals, Transfer
from tracer.reports.compare import print_comparison
from tracer.reports.difference import print_difference
from tracer.reports.lab import print_kernels, print_snapshots
from tracer.reports.sockets import print_sockets
from tracer.reports.sweep import print_sweep
from tracer.reports.tables import make_console

KERNELS = [
    {"name": "6.12", "suite": "trixie", "bytes": 93_000_000, "release": "6.12.117+deb13-amd64", "default": True},
    {"name": "6.16", "suite": None, "bytes": None, "release": None, "default": False},
]


def sockets() -> SocketRecording:
    moved = {"copy": Transfer(calls=12_345_678, bytes=123_456_789_012)}
    peeked = {"peek": Transfer(calls=1, bytes=7)}
    totals = Totals(sent=moved, read={**moved, **peeked}, copied_out_bytes=123_456_789_012)
    return recording(sender(), reader(), totals=totals, sizes={"copy": [0] * 13 + [12_345_678]})


def compare(console: Console) -> None:
    print_comparison(compared(by_mode(twocopy=5.0, onecopy=10.0, zerocopy=1.0)), console)


SCREENS: dict[str, tuple[Callable[[Console], None], list[str]]] = {
    "record": (lambda console: print_sockets(sockets(), console), ["123,456,789,012", "12,345,678"]),
    "diff": (
        lambda console: print_difference(difference_of(sockets(), sockets(), ("a", "b")), console),
        ["123,456,789,012", "12,345,678"],
    ),
    "compare": (compare, ["2.02x", "(1.92x", "9.9x"]),
    "sweep": (lambda console: print_sweep(swept(), Path("s"), console), ["10", "22"]),
    "lab kernels": (lambda console: print_kernels(KERNELS, console), ["93", "6.12.117+deb13-amd64", "n/a"]),
    "lab status": (
        lambda console: print_snapshots([{"name": "6.12-bounce-b388d48767ca.2", "bytes": 345_000_000}], console),
        ["345", "6.12-bounce-b388d48767ca.2"],
    ),
}


def shown(name: str) -> str:
    stream = io.StringIO()
    SCREENS[name][0](make_console(stream))
    return stream.getvalue()


@pytest.mark.parametrize("width", [20, 40, 80, 100])
@pytest.mark.parametrize("name", list(SCREENS))
def test_every_width_has_every_number(name: str, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the edge is nothing but a word or a number wider than the screen, and no number loses its middle."""
    monkeypatch.setenv("COLUMNS", str(width))
    text = shown(name)

    beyond = [line for line in text.splitlines() if len(line.rstrip()) > width]
    assert [line for line in beyond if len(set(line.split()) - {"B"}) > 1] == []
    assert [word for word in text.split() if "…" in word and not re.match(r"[A-Za-z_(\[]", word)] == []
    assert [number for number in SCREENS[name][1] if number not in text.split()] == []


def test_what_was_not_counted_of_reads_is_n_a() -> None:
    """Sizes of calls are counted of sends alone, and a peek is no share of what was read."""
    rows = {line[:10]: line.split() for line in shown("record").splitlines()}

    assert rows["send: copy"][-5:] == ["8", "KiB", "to", "16", "KiB"]
    assert rows["read: copy"][-3:] == ["100.0", "%", "n/a"]
    assert rows["read: peek"][-2:] == ["n/a", "n/a"]
