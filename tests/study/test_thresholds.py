"""What a sweep of this machine says about small zero-copy sends, and how record gets to know it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.books.test_findings import CALLS, pinning, whole
from tests.sweep_samples import SIZES, manifest, plan, runs
from tracer.machine import thresholds
from tracer.machine.thresholds import keep_threshold, kept_threshold
from tracer.model import Link
from tracer.model.socket_recording import DOCUMENTED, Threshold
from tracer.runs.judging import with_findings
from tracer.study.sweep_plan import Sweep
from tracer.study.thresholds import threshold_of

FOUND = Threshold(bytes=4096, source="a sweep")


def overtaking(mode: str, size: int, threads: int) -> float:  # noqa: ARG001
    """Zero-copy is at half the speed up to 4 KiB, and at twice from 16 KiB on."""
    factor = (0.5 if size <= 4096 else 2) if mode == "zerocopy" else 1
    return size / 1024 * factor


def sweep(lab: str | None = None) -> Sweep:
    of = plan(threads=[1], lab=lab)
    return Sweep(manifest=manifest(of), runs=runs(overtaking, of=of))


def test_the_threshold_is_where_copying_still_wins_clearly() -> None:
    """With the sweep, its link and its day named."""
    found = threshold_of(sweep())

    assert found is not None
    assert (found.bytes, SIZES[1]) == (4096, 4096)
    assert found.source == "a sweep of this machine over lo, 2026-11-22; it wins clearly from 16 KiB on"


def test_a_sweep_of_the_lab_says_nothing_of_this_machine() -> None:
    """Nor does one in which no mode overtakes another."""
    of = plan(threads=[1])

    assert threshold_of(sweep(lab="6.12")) is None
    assert threshold_of(Sweep(manifest=manifest(of), runs=runs(of=of))) is None


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "cache" / "thresholds.json"
    monkeypatch.setattr(thresholds, "_path", lambda: path)
    return path


def test_what_was_kept_is_found_again_by_link(kept: Path) -> None:
    """The last sweep over a link counts; another link's stays."""
    keep_threshold(Link.LO, Threshold(bytes=1, source="older"))
    keep_threshold(Link.NIC, Threshold(bytes=2, source="other"))
    keep_threshold(Link.LO, FOUND)

    assert kept.exists()
    assert (kept_threshold(Link.LO), kept_threshold(Link.VETH)) == (FOUND, None)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"lo": 7}', b'{"lo": {"bytes": -1, "source": "x"}}', b"\xff"])
def test_a_damaged_file_is_done_without(kept: Path, data: bytes) -> None:
    """And written anew by the next sweep."""
    kept.parent.mkdir()
    kept.write_bytes(data)
    assert kept_threshold(Link.LO) is None

    keep_threshold(Link.LO, FOUND)
    assert kept_threshold(Link.LO) == FOUND


@pytest.mark.parametrize(("link", "used"), [("lo", FOUND), ("eth0", DOCUMENTED), (None, DOCUMENTED)])
def test_record_takes_the_threshold_of_the_link_that_was_used(kept: Path, link: str | None, used: Threshold) -> None:
    """Over another link the documented one stays."""
    keep_threshold(Link.LO, FOUND)
    small = {"zerocopy": [0] * 10 + [CALLS]}

    assert kept.exists()
    found = with_findings(whole(pinning(link=link), sizes=small))
    assert found.zerocopy_pays == used
    assert any(used.source in finding.why for finding in found.findings)
