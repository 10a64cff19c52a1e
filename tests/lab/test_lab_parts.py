"""The parts of the lab that need no virtual machine: frames, archive, pid file, freshness."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracer.errors import MachineError
from tracer.lab import freshness, image, machine
from tracer.lab.agent import Frames, Request, frame
from tracer.lab.guest import named, request
from tracer.lab.kernels import Kernel

KERNEL = Kernel("6.12", "6.12.107+deb13-amd64", "6.12.107-1", Path("/cache/kernels/6.12"))


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test here sees the user's lab."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@given(st.lists(st.tuples(st.sampled_from([b"o", b"e", b"x"]), st.binary(max_size=99))), st.integers(1, 50))
def test_frames_survive_any_splitting(frames: list[tuple[bytes, bytes]], step: int) -> None:
    """However the stream is cut into reads, the same frames come out."""
    stream = b"".join(frame(kind, payload) for kind, payload in frames)
    parser, seen = Frames(), []

    for start in range(0, len(stream), step):
        seen += parser.feed(stream[start : start + step])

    assert seen == frames


def test_a_request_arrives_as_it_was_sent() -> None:
    """Arguments, environment and directory pass the frames unchanged, empty and odd ones too."""
    received = Request()

    for kind, text in request(["printf", "", "a=b\nc"], "/work", {"A": "x=y", "B": ""}, 600, stale=False):
        received.add(kind, os.fsencode(text))

    assert received.argv == [b"printf", b"", b"a=b\nc"]
    assert received.environment == {b"A": b"x=y", b"B": b""}
    assert received.cwd == b"/work"


def test_a_stale_guest_is_told_first() -> None:
    """The guest forgets the host's files before it runs anything."""
    assert next(iter(request(["true"], "/", {}, 600, stale=True))) == (b"f", "")


def test_the_archive_is_newc() -> None:
    """Every record starts on a multiple of four with the magic number and the right sizes."""
    data = image.archive([image.Entry("init", stat.S_IFREG | 0o755, b"#!/bin/sh\n")])

    assert data[:6] == b"070701"
    assert int(data[54:62], 16) == 10
    assert int(data[94:102], 16) == len("init\0")
    assert data[110:115] == b"init\0"
    assert len(data) % 4 == 0
    assert b"TRAILER!!!\0" in data


def test_busybox_unpacks_the_archive(tmp_path: Path) -> None:
    """The archive holds directories, files and links as they were put in."""
    entries = [
        image.Entry("boot", stat.S_IFDIR | 0o755),
        image.Entry("boot/x.ko", stat.S_IFREG | 0o644, b"odd"),
        image.Entry("modules", stat.S_IFLNK | 0o777, b"/cache/6.12"),
    ]

    subprocess.run(["busybox", "cpio", "-i"], input=image.archive(entries), cwd=tmp_path, check=True)

    assert (tmp_path / "boot/x.ko").read_bytes() == b"odd"
    assert (tmp_path / "modules").readlink() == Path("/cache/6.12")


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that is not the lab's."""
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


def test_a_stale_pid_file_kills_nobody(sleeper: subprocess.Popen[bytes]) -> None:
    """The number in an old pid file may be somebody else's process by now."""
    (machine.state() / "pid").write_text(f"{sleeper.pid}\n")

    assert machine.stop() is False
    assert sleeper.poll() is None


@pytest.mark.parametrize("content", ["", "x", "99999999", "-1"])
def test_a_damaged_pid_file_is_no_process(content: str) -> None:
    """Whatever the file holds, nothing runs and nothing breaks."""
    (machine.state() / "pid").write_text(content)

    assert machine.process() is None
    assert machine.running() is None


def test_the_state_is_the_user_s_own() -> None:
    """Nobody else may speak with the guest."""
    assert stat.S_IMODE(machine.state().stat().st_mode) == 0o700


def test_the_host_is_read_only_and_the_guest_has_one_cpu() -> None:
    """What must never be missing from QEMU's command line."""
    words = machine.arguments(KERNEL, Path("/i.cpio"), bounce=True, emulated=True, idle_s=600)

    assert "readonly=on" in words[words.index("-fsdev") + 1]
    assert words[words.index("-smp") + 1] == "1"
    assert "swiotlb=force" in words[words.index("-append") + 1]


def test_without_qemu_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without QEMU gets the command that installs it."""
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(MachineError) as caught:
        machine.start(KERNEL, Path("/i.cpio"), bounce=False, counting=False, idle_s=600)

    assert "apt-get install qemu-system-x86" in caught.value.fix


def test_an_edited_file_makes_the_guest_stale(tmp_path: Path) -> None:
    """A file of the working directory that is written after the mark is noticed, once."""
    (tmp_path / "script.py").write_text("old")
    freshness.mark()
    (tmp_path / "script.py").write_text("new")

    assert freshness.is_stale(named(tmp_path, ["python3", "script.py"]))


def test_what_changed_before_the_mark_is_not_stale(tmp_path: Path) -> None:
    """A change that the guest has been told of is not told again."""
    (tmp_path / "script.py").write_text("new")
    changed = freshness.newest_change([tmp_path, tmp_path / "script.py", tmp_path / "absent"])

    freshness.mark()

    assert 0 < changed <= freshness.newest_change([machine.state() / "fresh"])
