"""Pages of what has just been measured: with the command as it was typed, or without it where that is asked for."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.command import nettrace
from tests.html_samples import data_in
from tests.record.test_ways import PROGRAM

pytestmark = pytest.mark.live

BYTES = 23 * 10007


def test_a_run_has_a_page_with_its_very_command(tmp_path: Path) -> None:
    """Every byte of it is in the page's data; the screen is printed all the same."""
    page = tmp_path / "run.html"
    done = nettrace("run", "onecopy", "--size", 10007, "--messages", 23, "--html", page)

    assert done.returncode == 0, done.stderr
    assert "copied once into the kernel" in done.stdout
    data = data_in(page.read_text())
    assert data["observed"]["payload_bytes"] == BYTES
    assert f"nettrace run onecopy --size 10007 --messages 23 --html {page}" in page.read_text()


@pytest.mark.parametrize("redact", [False, True])
def test_a_record_has_a_page_that_can_be_shared(tmp_path: Path, redact: bool) -> None:
    """The program's arguments and its sockets' addresses are there, or nowhere."""
    page, options = tmp_path / "record.html", ["--redact"] if redact else []
    done = nettrace("record", *options, "--html", page, "--", sys.executable, PROGRAM, "send", "recv", 23, 10007)

    assert done.returncode == 0, done.stderr
    text = page.read_text()
    assert data_in(text)["totals"]["sent_bytes"] == data_in(text)["totals"]["read_bytes"] == BYTES
    assert (str(PROGRAM) in text, "127.0.0.1" in text, "loopback:" in text) == (not redact, not redact, redact)
