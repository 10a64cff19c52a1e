"""Each way to read, on this machine's own kernel: every byte is located."""

from __future__ import annotations

from typing import Any

import pytest

from tests.command import measured, nettrace, stage_bytes
from tracer.books.modes import mode, predicted
from tracer.books.receiving import RECEIVE_NAMES, receive
from tracer.model import Link, Stage

pytestmark = pytest.mark.live

AT_THE_READER = (Stage.COPY_OUT, Stage.SPLICE_OUT, Stage.MAP_OUT)


def assert_read(found: dict[str, Any], payload: int) -> None:
    """The laws hold, and the books say what the oracle does; where that leaves it open, all is copied or mapped."""
    asked, stages = found["experiment"], stage_bytes(found)
    read = {stage: stages.get(stage) or 0 for stage in AT_THE_READER}
    wanted = predicted(mode(asked["mode"]), Link(asked["link"]), receive=receive(asked["receive"]))

    assert {law["id"]: law["state"] for law in found["ledger"]["laws"] if law["state"] != "holds"} == {}
    assert found["observed"]["received_bytes"] == payload
    for stage in AT_THE_READER:
        if stage in wanted:
            assert read[stage] == wanted[stage] * payload
    if Stage.COPY_OUT not in wanted:
        assert read[Stage.COPY_OUT] + read[Stage.MAP_OUT] == payload


@pytest.mark.parametrize("sent", ["onecopy", "zerocopy", "sendfile"])
@pytest.mark.parametrize("name", RECEIVE_NAMES)
def test_every_byte_that_is_read_is_located(name: str, sent: str) -> None:
    """To the byte, on both links, with several connections; and that is what was asked for."""
    for link, size, threads in (("lo", 10007, 1), ("veth", 4096, 3)):
        arguments = ["--receive", name, "--link", link, "--size", size, "--messages", 97, "--threads", threads]
        found = measured(sent, *arguments, "--observer", "tracepoints")

        assert found["experiment"]["receive"] == name
        assert_read(found, 97 * size * threads)


@pytest.mark.parametrize("name", [name for name in RECEIVE_NAMES if receive(name).is_seen])
def test_verify_sees_every_byte_in_each_way(name: str) -> None:
    """Of mapped pages too, and of what comes out of the pipe."""
    found = measured(
        "zerocopy", "--receive", name, "--size", 65536, "--fields", 1, "--messages", 31, "--verify",
        "--observer", "tracepoints",
    )  # fmt: skip

    assert found["observed"]["verified"] is True
    assert_read(found, 31 * 65536)


def test_pages_of_deferred_copies_are_mapped() -> None:
    """Whole ones: after the copy on the way there is none to the reader."""
    arguments = ["--receive", "map", "--size", 65536, "--fields", 1, "--messages", 31, "--observer", "tracepoints"]
    found = measured("zerocopy", *arguments)

    mapped = stage_bytes(found)["map_out"]
    assert mapped
    assert mapped % 4096 == 0


def test_the_title_and_the_suggested_commands_say_the_way() -> None:
    """So that what is suggested is the same run, but for what it changes."""
    done = nettrace("run", "twocopy", "--receive", "splice", "--messages", 23)
    screen = " ".join(done.stdout.split())

    assert done.returncode == 0
    assert ", --receive splice" in screen
    assert "nettrace run onecopy --receive splice" in screen
