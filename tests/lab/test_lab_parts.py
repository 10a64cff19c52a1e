"""The parts of the lab that need no virtual machine: frames, archive, images, snapshots, processes."""

from __future__ import annotations

import contextlib
import io
import json
import os
import stat
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracer.errors import LabError, MachineError
from tracer.lab import image, kept, machine, needs, opening, places, rootfs, snapshots, sources
from tracer.lab.agent import Frames, Request, frame
from tracer.lab.guest import request
from tracer.lab.kernels import Kernel
from tracer.lab.machine import Hardware, Machine
from tracer.lab.opening import Wanted
from tracer.lab.snapshots import Place

KERNEL = Kernel("6.12", "6.12.107+deb13-amd64", "6.12.107-1", Path("/cache/kernels/6.12"))
HARDWARE = Hardware(KERNEL, Path("/i.cpio"), Path("/r.squashfs"), bounce=True)


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

    for kind, text in request(["printf", "", "a=b\nc"], "/work", {"A": "x=y", "B": ""}, 600, host_files=True):
        received.add(kind, os.fsencode(text))

    assert received.argv == [b"printf", b"", b"a=b\nc"]
    assert received.environment == {b"A": b"x=y", b"B": b""}
    assert received.cwd == b"/work"
    assert received.among_host_files


def test_the_clock_is_set_before_anything_runs() -> None:
    """A guest that was saved is as far behind as it is old."""
    assert next(iter(request(["true"], "/", {}, 600, host_files=False)))[0] == b"t"


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


def test_a_stale_number_of_a_process_kills_nobody(sleeper: subprocess.Popen[bytes]) -> None:
    """The number that an old file names may be somebody else's process by now."""
    facts = kept.Facts(sleeper.pid, "6.12", "6.12.107", bounce=False, emulated=True, counting=False)
    (places.kept() / "guest.json").write_text(json.dumps(asdict(facts)))

    assert kept.running() is None
    assert kept.stop() is False
    assert sleeper.poll() is None


@pytest.mark.parametrize("content", ["", "x", "[]", '{"pid": 99999999}'])
def test_a_damaged_guest_file_is_no_guest(content: str) -> None:
    """Whatever the file holds, nothing runs and nothing breaks."""
    (places.kept() / "guest.json").write_text(content)

    assert kept.running() is None


def test_the_lab_is_the_user_s_own() -> None:
    """Nobody else may speak with the guest or read its memory."""
    assert stat.S_IMODE(places.home().stat().st_mode) == 0o700


def test_the_host_is_read_only_and_the_guest_has_one_cpu() -> None:
    """What must never be missing from QEMU's command line."""
    words = HARDWARE.words()

    assert "readonly=on" in words[words.index("-fsdev") + 1]
    assert words[words.index("-smp") + 1] == "1"
    assert "swiotlb=force" in words[words.index("-append") + 1]


def test_all_that_is_missing_is_named_in_one_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is fetched: one message, every package."""
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(MachineError) as caught:
        needs.require_programs()

    assert caught.value.fix == "apt-get install " + " ".join(needs.PACKAGES.values())


def test_squashfs_tools_alone_is_no_reason_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it there is no snapshot, and the lab boots."""
    monkeypatch.setattr("shutil.which", lambda program: None if program == "sqfstar" else f"/bin/{program}")

    needs.require_programs()


def test_what_dead_commands_left_is_removed_and_what_lives_stays() -> None:
    """A directory whose process still holds its lock is somebody's."""
    (places.guests() / "dead").mkdir()

    with machine.own_directory() as first, machine.own_directory() as second:
        left = sorted(places.guests().iterdir())

        assert left == sorted([first, second])
    assert list(places.guests().iterdir()) == []


def test_a_long_cache_path_is_no_obstacle(tmp_path: Path) -> None:
    """A socket's address has 107 bytes; the directory may be deeper."""
    deep = tmp_path / ("x" * 120)
    deep.mkdir()

    with machine._listening(deep / "agent"):
        Machine(deep, 0).connect("agent").close()


def test_pages_of_zeros_take_no_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The copy of a guest's RAM is the same bytes, and holes where nothing was written or nothing but zeros."""
    monkeypatch.setattr(snapshots, "MEMORY", 8 << 20)
    source = os.memfd_create("ram")
    os.ftruncate(source, 8 << 20)
    os.pwrite(source, b"payload", 3 << 20)
    os.pwrite(source, bytes(1 << 20), 5 << 20)
    with (tmp_path / "ram").open("wb") as file:
        snapshots.copy_sparse(source, file.fileno())

    assert (tmp_path / "ram").read_bytes() == os.pread(source, 8 << 20, 0)
    assert (tmp_path / "ram").stat().st_blocks * 512 < 1 << 20
    os.close(source)


def saved(place: Place, step: int, **key: object) -> Path:
    directory = places.snapshots() / f"{place.name}.{step}"
    directory.mkdir()
    whole = {"facts": place.facts, "sources": "abc", "boot": None} | key
    (directory / "key.json").write_text(json.dumps(whole))
    return directory


def test_the_furthest_prepared_snapshot_is_taken() -> None:
    """One that is not far enough is none; neither is another key's."""
    place, other = Place("6.12", {"QEMU": "7"}), Place("6.12", {"QEMU": "10"})
    for step in (0, 1):
        saved(place, step)

    best = place.best(0)

    assert best is not None
    assert best.step == 1
    assert place.best(2) is None
    assert other.best(0) is None
    assert other.why_stale() == "QEMU"


def test_a_snapshot_that_may_not_have_reached_the_disk_is_none_after_a_reboot() -> None:
    """What was saved in haste counts as long as this machine is up."""
    place = Place("6.12", {"QEMU": "7"})
    saved(place, 1, boot="another")

    assert place.best(0) is None


def test_few_snapshots_are_kept() -> None:
    """The last used ones."""
    names = [saved(Place(f"6.{number}", {}), 2) for number in range(snapshots.KEPT + 2)]
    for age, path in enumerate(names):
        os.utime(path, (1000 + age, 1000 + age))

    snapshots.prune()

    assert [one.directory for one in snapshots.everything()] == names[:1:-1]


@pytest.mark.parametrize(
    ("name", "place"), [("/lib/x/libc.so.6", "usr/lib/x/libc.so.6"), ("/usr/bin/perf", "usr/bin/perf")]
)
def test_a_file_lies_in_the_image_where_the_guest_looks(name: str, place: str) -> None:
    """Below /usr what the old directories link to."""
    assert rootfs.place_of(name) == place


def test_bytecode_of_this_interpreter_goes_with_its_module(tmp_path: Path) -> None:
    """And that of others does not: the guest would compile what it imports, twenty times slower."""
    tag = sys.implementation.cache_tag
    mine = ["one.py", f"__pycache__/one.{tag}.pyc"]
    (tmp_path / "__pycache__").mkdir()
    for name in (*mine, f"__pycache__/one.{tag}.opt-1.pyc", "__pycache__/one.cpython-27.pyc"):
        (tmp_path / name).write_text("")

    assert set(rootfs._below(str(tmp_path))) == {str(tmp_path / name) for name in mine}


def test_an_image_that_another_nettrace_made_meanwhile_is_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Who has waited for it looks again: of two images one would be stale, and the guests that were saved with it."""
    made: list[Path] = []
    locked = places.locked

    def compress(_names: list[str], path: Path) -> None:
        path.write_bytes(b"image")
        made.append(path)

    @contextlib.contextmanager
    def wait_while_it_is_made(path: Path, *told: Any) -> Iterator[None]:
        monkeypatch.setattr(places, "locked", locked)
        rootfs.image()
        with locked(path, *told):
            yield

    (tmp_path / "file").write_text("")
    monkeypatch.setattr(rootfs, "contents", lambda: {str(tmp_path / "file")})
    monkeypatch.setattr(rootfs, "_compress", compress)
    monkeypatch.setattr(places, "locked", wait_while_it_is_made)

    assert rootfs.image().read_bytes() == b"image"
    assert (places.locked is locked, len(made)) == (True, 1)


def test_an_edit_gives_the_modules_another_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Content decides, not time; and the tar holds what is there now, with bytecode that asks for no time either."""
    (tmp_path / "tracer").mkdir()
    monkeypatch.setattr(sources, "HOME", tmp_path)
    module = tmp_path / "tracer/one.py"
    module.write_text("A = 1\n")
    before = sources.digest()
    module.touch()
    same = sources.digest()
    module.write_text("A = 2\n")
    after = sources.digest()
    with tarfile.open(fileobj=io.BytesIO(sources.bundle(after))) as archive:
        names = archive.getnames()
        bytecode = archive.extractfile(names[1])

        assert before == same != after
        assert names[0] == "tracer/one.py"
        assert bytecode is not None
        assert bytecode.read()[4] == 1  # PEP 552: hash-based, unchecked


class Impatient(Machine):
    """A QEMU that the user does not wait for."""

    killed = False

    def connect(self, name: str) -> NoReturn:
        raise KeyboardInterrupt(name)

    def kill(self) -> None:
        self.killed = True


def test_a_guest_that_nobody_waits_for_any_more_does_not_go_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One that was booted to stay would, and `lab down` would know nothing of it."""
    booted = Impatient(tmp_path, 4711)
    monkeypatch.setattr("tracer.lab.opening.needs.require_programs", lambda: None)
    monkeypatch.setattr("tracer.lab.opening.rootfs.image", refuse_image)
    monkeypatch.setattr("tracer.lab.opening.kernels.get", lambda *_: KERNEL)
    monkeypatch.setattr("tracer.lab.opening.image.build", lambda _: Path("/i.cpio"))
    monkeypatch.setattr("tracer.lab.opening.machine.launch", lambda *_, **__: booted)

    with pytest.raises(KeyboardInterrupt):
        opening.start(Wanted("6.12", False, lambda *_: [], "resident"), tmp_path, print, stays=True)

    assert booted.killed


def refuse_image() -> NoReturn:
    raise LabError("no image")
