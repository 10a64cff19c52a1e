"""nettrace compare --all on the command line: what it refuses, and which modes it leaves out with which reason."""

from __future__ import annotations

import msgspec
import pytest

from tests.command import said
from tests.sweep_samples import plan
from tracer.books.modes import NAMES
from tracer.commands.compare import record_if_possible
from tracer.model import Stage
from tracer.runs.dispatch import record_run
from tracer.study.all_modes import plan_of_all, try_all
from tracer.study.comparison import comparison_of
from tracer.study.sweep import measure


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--modes", "onecopy"], "--all and --modes exclude each other"),
        (["--repetitions", "9"], "--all and --repetitions exclude each other"),
        (["--link", "nic"], "link nic needs a receiver on another machine"),
        (["--receive", "splice", "--link", "nic", "--lab"], "--receive needs a receiver of this run"),
    ],
)
def test_what_no_mode_can_do_is_a_usage_error(options: list[str], words: str) -> None:
    """Before anything is measured."""
    code, _, stderr = said("compare", "--all", *options)

    assert code == 2
    assert words in stderr


@pytest.mark.live
def test_every_mode_is_measured_or_has_its_reason() -> None:
    """Of messages that are no datagrams, those over TCP alone; each with what it copied. Once each, and little."""
    asked = plan(modes=list(NAMES), sizes=[65519], threads=[1], repetitions=1, receive="peek", bytes_budget=1 << 20)
    tried = try_all(asked, record_if_possible)
    absent = tried.refused
    modes = [name for name in NAMES if name not in absent]
    once = msgspec.structs.replace(plan_of_all(asked, tried), repetitions=1)
    found = comparison_of(measure(once, lambda *_: None, record_run), absent)

    assert {"udp", "udp-gso", "udp-zerocopy"} <= set(absent)
    assert all(absent.values())
    # One that has kernel TLS cannot peek there.
    assert {"ktls", "ktls-sendfile"} <= set(absent)
    assert found.modes == modes
    assert {mode: copies[Stage.COPY_OUT] for mode, copies in found.copies.items()} == dict.fromkeys(modes, 2.0)
    assert found.trustworthy
