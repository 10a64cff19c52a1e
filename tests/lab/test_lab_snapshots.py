"""Guests that go on from a snapshot: fresh, exact, several at once; and what may happen to a snapshot."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.command import (
    LAB_DEADLINE_S,
    NETTRACE,
    ROOT,
    children,
    command_line,
    document,
    nettrace,
    stage_bytes,
    wait_until_gone,
)
from tracer.lab import kept, kernels, making, opening, places, snapshots
from tracer.lab.guest import Guest
from tracer.lab.opening import Wanted
from tracer.lab.snapshots import Place, Snapshot
from tracer.runs import warming

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1500)]

WORK = ("zerocopy", "--size", 10007, "--messages", 23)
PAYLOAD = 10007 * 23


@pytest.fixture(scope="module", autouse=True)
def nothing_stays() -> Iterator[None]:
    """Every command gets a fresh guest."""
    kept.stop()
    yield
    kept.stop()


def place() -> Place:
    wanted = warming.wanted(kernels.default())
    return opening.place(wanted, opening.hardware(wanted, print))


@pytest.fixture(scope="module")
def ready() -> Snapshot:
    """Made unless it is there."""
    maker = warming.maker(kernels.default(), False)
    return making.wait_for(place(), maker, warming.ALL, print)


@pytest.fixture
def guest(ready: Snapshot) -> Iterator[Guest]:
    with opening.guest(warming.wanted(kernels.default()), print) as one:
        assert one.step == ready.step == warming.ALL
        yield one


def output_of(guest: Guest, *argv: str) -> str:
    said = bytearray()
    guest.run(argv, stdout=said.extend, stderr=said.extend)
    return said.decode()


def test_a_restored_guest_knows_what_time_it_is(guest: Guest) -> None:
    """Its clock stood still since it was saved, until the first command set it."""
    assert abs(float(output_of(guest, "date", "+%s")) - time.time()) < 60


def test_a_guest_is_saved_with_the_programs_that_its_host_compiled(guest: Guest) -> None:
    """Those of functions, with stacks too, of tracepoints and of record: of itself it would have compiled two."""
    said = bytearray()
    guest.run(["ls", "/root/.cache/nettrace/programs-of-guests"], stdout=said.extend, host_files=False)

    assert [bool(re.fullmatch("[0-9a-f]{32}", name)) for name in said.decode().split()] == [True] * 4


@pytest.mark.usefixtures("ready")
def test_a_fresh_guest_knows_nothing_of_the_one_before() -> None:
    """The same state each time."""
    assert nettrace("lab", "exec", "--", "touch", "/run/mark").returncode == 0
    assert nettrace("lab", "exec", "--", "test", "-e", "/run/mark").returncode == 1


@pytest.mark.usefixtures("ready")
def test_it_sees_the_host_s_files_as_they_are_now(tmp_path: Path) -> None:
    """Not as they were when it was saved, nor when it looked last."""
    (tmp_path / "file").write_text("new")

    assert nettrace("lab", "exec", "--", "cat", tmp_path / "file").stdout == "new"


def test_a_network_namespace_of_one_command_is_there_for_the_next(guest: Guest) -> None:
    """What is set up in a guest is set up for all that runs in it."""
    output_of(guest, "ip", "netns", "add", "mine")

    assert "mine" in output_of(guest, "ip", "netns")


@pytest.mark.usefixtures("ready")
def test_two_at_once_are_exact() -> None:
    """Each has a guest and a receiver of its own."""
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(lambda _: document(*WORK, "--link", "nic", "--lab", timeout=LAB_DEADLINE_S), range(2)))

    assert [one["observed"]["received_bytes"] for one in found] == [PAYLOAD, PAYLOAD]
    assert [one["workload"]["received_bytes"] for one in found] == [PAYLOAD, PAYLOAD]
    assert [one["ledger"]["trustworthy"] for one in found] == [True, True]


@pytest.mark.usefixtures("ready")
def test_set_up_is_done_before_the_passes_and_told() -> None:
    """Scatter-gather off: what was pinned is copied after all, and the recording says who switched it off."""
    command = "ethtool -K eth0 sg off"
    found = document(*WORK, "--link", "nic", "--setup", command, "--lab", timeout=LAB_DEADLINE_S)

    assert found["experiment"]["setup"] == [command]
    assert found["host"]["nic"]["scatter_gather"] is False
    assert found["observed"]["retransmitted_bytes"] == 0
    assert stage_bytes(found)["linearize"] == PAYLOAD


@pytest.mark.usefixtures("ready")
def test_set_up_that_fails_is_an_error() -> None:
    """Nothing is measured in a guest that is not what was asked for."""
    done = nettrace("run", *WORK, "--setup", "echo no such thing; exit 3", "--lab", timeout=LAB_DEADLINE_S)

    assert done.returncode == 4
    assert "no such thing" in done.stderr


def edited(tmp_path: Path, name: str, old: str, new: str) -> Path:
    """A copy of the repository with one change."""
    for package in ("tracer", "workloads", "bpf", "tests"):
        shutil.copytree(ROOT / package, tmp_path / package)
    text = (tmp_path / name).read_text()
    assert old in text
    (tmp_path / name).write_text(text.replace(old, new))
    return tmp_path


@pytest.mark.usefixtures("ready")
def test_an_edit_of_nettrace_s_python_is_seen_and_costs_no_snapshot(tmp_path: Path) -> None:
    """The modules are handed in; the guest still is the one that was saved."""
    home = edited(tmp_path, "tracer/runs/passes.py", '"observed pass: bytes, at "', '"edited pass: bytes, at "')

    done = nettrace("run", *WORK, "--lab", cwd=home, timeout=LAB_DEADLINE_S)

    assert done.returncode == 0, done.stderr
    assert "edited pass" in done.stderr
    assert "booting" not in done.stderr


def end_makers(home: Path) -> None:
    """Whoever makes a snapshot of this copy's modules, which nobody wants any more."""
    for process in Path("/proc").glob("[0-9]*"):
        words = command_line(int(process.name)).split()
        if str(home) in words and "tracer.runs" in " ".join(words):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(process.name), signal.SIGKILL)


@contextlib.contextmanager
def given_back(ready: Snapshot, home: Path) -> Iterator[None]:
    """Whatever is done to the snapshot meanwhile is undone: to make one anew takes a minute.

    Its files have a second name as long as that.
    """
    aside = Path(tempfile.mkdtemp(dir=places.home()))
    shutil.copytree(ready.directory, aside / "snapshot", copy_function=os.link)
    try:
        yield
    finally:
        end_makers(home)
        with place().lock(wait=True):
            snapshots.remove_prepared(place())
            (aside / "snapshot").rename(ready.directory)
        aside.rmdir()


def test_an_edit_of_a_program_is_compiled_and_makes_another_snapshot(ready: Snapshot, tmp_path: Path) -> None:
    """This run compiles its own; the next one finds it compiled."""
    home = edited(tmp_path, "bpf/sockets.bpf.c", '#include "sockets/rows.h"', '// edited\n#include "sockets/rows.h"')
    work = ("run", *WORK, "--observer", "tracepoints", "--lab")
    with given_back(ready, home):
        first = nettrace(*work, cwd=home, timeout=LAB_DEADLINE_S)
        assert first.returncode == 0, first.stderr
        assert "sockets.bpf.c changed: making another snapshot" in first.stderr

        second = nettrace(*work, cwd=home, timeout=LAB_DEADLINE_S)
        assert (second.returncode, "sockets.bpf.c changed" in second.stderr) == (0, False)
        made = place().best(warming.RUN)
        assert made is not None
        assert made.sources != ready.sources


@pytest.mark.parametrize("what", ["ram.bin", "state.bin"])
def test_a_damaged_snapshot_falls_back_to_a_boot_and_is_removed(ready: Snapshot, what: str, tmp_path: Path) -> None:
    """The command answers all the same, and says why it took so long."""
    with given_back(ready, tmp_path):
        (ready.directory / what).unlink()
        (ready.directory / what).write_bytes(b"")
        done = nettrace("lab", "exec", "--", "uname", "-r", timeout=LAB_DEADLINE_S)

        assert done.returncode == 0
        assert "booting one" in done.stderr
        assert not ready.directory.exists()


def left_behind() -> list[Path]:
    """Directories of guests whose process is gone (it held a lock), and half-made snapshots of this kernel."""
    dead = []
    for directory in places.guests().iterdir():
        with contextlib.suppress(OSError):  # of somebody else's run: alive, or just gone
            held = os.open(directory, os.O_RDONLY)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                dead.append(directory)
            finally:
                os.close(held)
    return [*dead, *places.snapshots().glob(f"{kernels.default()}-[0-9a-f]*.part")]


@pytest.mark.parametrize("seed", range(int(os.environ.get("NETTRACE_KILLS", "5"))))
def test_a_kill_while_a_guest_is_restored_leaves_a_working_lab(ready: Snapshot, seed: int) -> None:
    """At a random moment; no QEMU outlives its nettrace, and the next command works."""
    process = subprocess.Popen(
        [*NETTRACE, "run", *map(str, WORK), "--lab"], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(random.Random(seed).uniform(0.05, 1.0))
    machines = children(process.pid)
    process.kill()
    process.wait()

    wait_until_gone(machines)
    assert nettrace("lab", "exec", "--", "true", timeout=LAB_DEADLINE_S).returncode == 0
    assert left_behind() == []
    assert ready.directory.exists()


# Makes snapshots of a kind of its own whose steps do nothing: all of the time is booting and saving.
MAKER = f"""
import sys; sys.path.insert(0, {str(ROOT)!r})
from tests.lab.test_lab_snapshots import of_its_own
from tracer.lab import making, opening
wanted = of_its_own()
hardware = opening.hardware(wanted, print)
making.make(opening.place(wanted, hardware), hardware, "none", [making.Step("step", [making.Command(["true"])])] * 2)
"""


def of_its_own() -> Wanted:
    """A guest that none but this file's makers prepare."""
    return Wanted(kernels.default(), False, lambda *_: [sys.executable, "-c", MAKER], "a resident of its own", 2)


@pytest.fixture
def own_place() -> Iterator[Place]:
    where = opening.place(of_its_own(), opening.hardware(of_its_own(), print))
    snapshots.remove_prepared(where)
    yield where
    snapshots.remove_prepared(where)


@pytest.mark.parametrize("seed", range(int(os.environ.get("NETTRACE_KILLS", "2"))))
def test_a_kill_while_a_snapshot_is_made_leaves_a_working_lab(own_place: Place, seed: int) -> None:
    """At a random moment of booting, preparing and saving; nothing half-made is ever taken for a snapshot."""
    process = subprocess.Popen([sys.executable, "-c", MAKER], cwd=ROOT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(random.Random(seed).uniform(1, 12))
    process.kill()
    process.wait()

    with opening.guest(of_its_own(), print) as guest:
        assert guest.step == 2
        assert output_of(guest, "echo", "works") == "works\n"
    with own_place.lock(wait=True):  # until its maker has tidied up
        assert left_behind() == []
    assert nettrace("lab", "exec", "--", "true", timeout=LAB_DEADLINE_S).returncode == 0


def test_a_full_disk_costs_the_snapshot_alone(tmp_path: Path) -> None:
    """The command boots, answers, and says why."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300M", "tmpfs", disk], check=True)
    try:
        (disk / "nettrace").mkdir()
        shutil.copytree(kernels.cache() / kernels.default(), disk / "nettrace/kernels" / kernels.default())
        done = nettrace(
            "lab", "exec", "--", "uname", "-r", timeout=LAB_DEADLINE_S, env={**os.environ, "XDG_CACHE_HOME": str(disk)}
        )

        assert done.returncode == 0, done.stderr
        assert "no snapshot of the lab's guest" in done.stderr
        assert not list((disk / "nettrace/lab/snapshots").glob("*.part"))
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def test_what_is_not_used_for_longest_is_pruned(ready: Snapshot) -> None:
    """The bytes are told, and the last used ones stay."""
    with tempfile.TemporaryDirectory(dir=places.home()) as cache:
        kept_here = Path(cache, "nettrace/lab/snapshots")
        for age in range(snapshots.KEPT + 2):
            copy = kept_here / f"{kernels.default()}-0123456789a{age}.1"
            shutil.copytree(ready.directory, copy, copy_function=os.link)
            os.utime(copy, (1000 - age, 1000 - age))
        done = nettrace("lab", "prune", env={**os.environ, "XDG_CACHE_HOME": cache})

        assert (done.returncode, done.stderr) == (0, "")
        assert re.fullmatch(r"freed \d+ MB; \d+ MB are in use\n", done.stdout)
        assert {path.name[-3] for path in kept_here.glob("*.1")} == set("01234")
