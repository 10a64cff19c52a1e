"""Whose sockets: threads, children that live and that come, other users and network namespaces, cgroups."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attach.targets import BYTES, CALLS, SIZE, Told, attached, moved, unheld
from tests.command import children, nettrace
from tracer.books.socket_file import decode_sockets
from tracer.machine.leftovers import cgroup2_mount

pytestmark = pytest.mark.live

# A child that works when a byte comes, and ends when that is done.
FORK = """
gate, go = os.pipe()
done, tell = os.pipe()
if os.fork() == 0:
    os.read(gate, 1)
    {work}
    os.write(tell, b".")
    os._exit(0)
"""
WORK = f"send(a, {CALLS}, {SIZE}, b)"
GO = "os.write(go, b'.'); os.read(done, 1)"


def test_threads_and_children_that_live_are_watched_with_their_process(tmp_path: Path) -> None:
    """A child with a connection of its own, and one that the parent's thread uses."""
    with Told() as target:
        target.tell("c, d = pair()\n" + FORK.format(work="a, b = pair(); " + WORK) + "os.close(tell)")
        with attached(tmp_path, "-p", target.pid) as watching:
            target.tell(f"{GO}; t = threading.Thread(target=send, args=(c, 7, 1009, d)); t.start(); t.join()")
            recording = watching.end()

    assert moved(recording) == (BYTES + 7063, BYTES + 7063)
    assert len(recording.subject.pids) == 2
    assert unheld(recording) == []


def test_children_that_come_later_are_watched_too(tmp_path: Path) -> None:
    """A child, and its child, which makes sockets itself."""
    inner = "p = os.fork()\n    if p == 0:\n        a, b = pair(); " + WORK + "; os._exit(0)\n    os.waitpid(p, 0)"
    with Told() as target, attached(tmp_path, "-p", target.pid) as watching:
        target.tell(FORK.format(work=inner) + GO)
        recording = watching.end()

    assert moved(recording) == (BYTES, BYTES)
    assert {socket.pids[0] for socket in recording.sockets} == set(recording.subject.pids) - {target.pid}
    assert unheld(recording) == []


def test_no_children_leaves_them_out(tmp_path: Path) -> None:
    """Neither the one that lives nor the one that comes."""
    with Told() as target:
        target.tell(FORK.format(work="a, b = pair(); " + WORK))
        with attached(tmp_path, "-p", target.pid, "--no-children") as watching:
            target.tell(GO + "\n" + FORK.format(work="a, b = pair(); " + WORK) + GO)
            target.tell("c, d = pair(); send(c, 7, 1009, d)")
            recording = watching.end()

    assert moved(recording) == (7063, 7063)
    assert recording.subject.pids == [target.pid]


def test_another_process_is_not_counted(tmp_path: Path) -> None:
    """Its traffic goes over the same loopback."""
    with Told() as target, Told() as other:
        target.tell("a, b = pair()")
        other.tell("a, b = pair()")
        with attached(tmp_path, "-p", target.pid) as watching:
            other.tell(WORK + "; c, d = pair(); send(c, 1, 9, d)")
            target.tell("send(a, 3, 4099, b)")
            recording = watching.end()

    assert moved(recording) == (12297, 12297)


def test_a_process_of_another_user_that_cannot_be_traced_is_watched(tmp_path: Path) -> None:
    """Not dumpable, which closes ptrace and pidfd_getfd to it; iterators do not ask."""
    with Told() as target:
        target.tell("import ctypes; ctypes.CDLL(None).prctl(4, 0); os.setuid(65534); a, b = pair()")
        with attached(tmp_path, "-p", target.pid) as watching:
            target.tell(WORK)
            recording = watching.end()

    assert moved(recording) == (BYTES, BYTES)
    assert unheld(recording) == []
    assert (recording.subject.user, recording.subject.other_users) == (65534, [])


def test_the_users_are_those_of_the_processes(tmp_path: Path) -> None:
    """As of a server whose workers give up root."""
    with Told() as target:
        become = "os.setuid(65534); os.close(go); os.write(tell, b'.'); os.read(gate, 1); os._exit(0)"
        target.tell(f"gate, go = os.pipe(); done, tell = os.pipe()\nif os.fork() == 0: {become}\nos.read(done, 1)")
        with attached(tmp_path, "-p", target.pid) as watching:
            recording = watching.end()

    assert (recording.subject.user, recording.subject.other_users) == (os.geteuid(), [65534])


def test_a_process_in_another_network_namespace_is_watched(tmp_path: Path) -> None:
    """The connections that it had, and new ones."""
    loopback = "import subprocess; subprocess.run(['ip', 'link', 'set', 'lo', 'up'], check=True)"
    with Told("unshare", "-n") as target:
        target.tell(loopback + "; a, b = pair(); send(a, 3, 4099, b)")
        with attached(tmp_path, "-p", target.pid) as watching:
            target.tell(WORK + "; c, d = pair(); send(c, 7, 1009, d)")
            recording = watching.end()

    assert moved(recording) == (BYTES + 7063, BYTES + 7063)
    assert unheld(recording) == []
    assert all(socket.netns for socket in recording.sockets)


@pytest.fixture
def cgroup() -> Iterator[Path]:
    mount = cgroup2_mount()
    assert mount is not None
    directory = mount / f"nettrace-test-{os.getpid()}.service"
    directory.mkdir()
    yield directory
    directory.rmdir()


@pytest.mark.parametrize("how", ["--cgroup", "--unit"])
def test_a_cgroup_is_all_its_processes_and_what_is_made_in_it(tmp_path: Path, cgroup: Path, how: str) -> None:
    """By its path, or by the unit that it is named after; one that enters it later makes sockets that count."""
    name = cgroup.name.removesuffix(".service") if how == "--unit" else str(cgroup)
    with Told() as target, Told() as late:
        (cgroup / "cgroup.procs").write_text(str(target.pid))
        target.tell("a, b = pair()")
        with attached(tmp_path, how, name) as watching:
            (cgroup / "cgroup.procs").write_text(str(late.pid))
            late.tell("c, d = pair(); send(c, 7, 1009, d)")
            target.tell(WORK)
            recording = watching.end()
        target.end()
        late.end()

    assert moved(recording) == (BYTES + 7063, BYTES + 7063)
    assert unheld(recording) == []


def test_two_attaches_to_one_process_agree(tmp_path: Path) -> None:
    """Each has programs of its own."""
    (tmp_path / "1").mkdir()
    with Told() as target:
        target.tell("a, b = pair()")
        with attached(tmp_path, "-p", target.pid) as one, attached(tmp_path / "1", "-p", target.pid) as two:
            target.tell(WORK)
            first, second = one.end(), two.end()

    assert moved(first) == moved(second) == (BYTES, BYTES)
    assert unheld(first) == unheld(second) == []


def test_what_pidof_prints_is_taken(tmp_path: Path) -> None:
    """Blanks or commas, behind -p or as further arguments."""
    with Told() as one, Told() as two, Told() as three:
        pids = [one.pid, two.pid, three.pid]
        forms = ["-p", f"{pids[0]} {pids[1]}", str(pids[2])], ["-p", f"{pids[0]},{pids[1]}", "-p", str(pids[2])]
        found = []
        for arguments in forms:
            with attached(tmp_path, *arguments) as watching:
                found.append(watching.end().subject.pids)

    assert found == [sorted(pids)] * 2


def test_what_cannot_be_watched_is_said_and_why() -> None:
    """No process, none of that id, a kernel thread, a zombie, nettrace itself, no number: exit code 2, in words."""
    gone = subprocess.Popen(["true"])
    gone.wait()
    zombie = subprocess.Popen(["true"])
    os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
    kernel = next(
        int(path.name) for path in Path("/proc").glob("[0-9]*") if (path / "comm").read_text().startswith("kthreadd")
    )
    told = {
        "no number": nettrace("attach", "-p", "nginx"),
        "zero": nettrace("attach", "-p", "0"),
        "negative": nettrace("attach", "-p", "-1"),
        "none given": nettrace("attach"),
        "gone": nettrace("attach", "-p", gone.pid),
        "kernel": nettrace("attach", "-p", kernel),
        "zombie": nettrace("attach", "-p", zombie.pid),
        "itself": nettrace("attach", "-p", "$$", before=("sh", "-c", 'shift 0; eval exec "$@"', "sh")),
        "both": nettrace("attach", "-p", os.getpid(), "--unit", "ssh"),
        "no cgroup": nettrace("attach", "--cgroup", "/there/is/none"),
        "no unit": nettrace("attach", "--unit", "there-is-none"),
    }
    zombie.wait()

    assert {name: done.returncode for name, done in told.items()} == dict.fromkeys(told, 2)
    words = {
        **{"gone": "there is no process", "kernel": "thread of the kernel", "zombie": "zombie", "itself": "itself"},
        **{"no number": "'nginx' is no process id", "zero": "'0' is no", "negative": "a number from 1 on"},
    }
    for name, done in told.items():
        assert [line[:7] for line in done.stderr.splitlines()] == ["error: ", "  why: ", "  fix: "], name
        assert words.get(name, "") in done.stderr


def test_without_privilege_the_capability_is_named() -> None:
    """Exit code 3, before anything is attached."""
    with Told() as target:
        done = nettrace("attach", "-p", target.pid, before=("setpriv", "--bounding-set", "-all", "--inh-caps", "-all"))

    assert done.returncode == 3
    assert "CAP_BPF" in done.stderr


CONTAINED = ("unshare", "--pid", "--fork", "--mount-proc")


@contextlib.contextmanager
def contained() -> Iterator[tuple[str, ...]]:
    """A container's first process; what enters it."""
    with Told(*CONTAINED) as first:
        first.tell("pass")
        init = children(first.pid)[0]
        yield ("nsenter", "--pid", "--mount", "--root", "--target", str(init))


def test_a_container_attaches_by_its_own_ids(tmp_path: Path) -> None:
    """Ids there are others than the kernel's, which one outside may have; a child is in a namespace below."""
    work = "a, b = pair(); send(a, 3, 4099, b)"
    inner = f"p = os.fork()\n    if p == 0:\n        {work}; os._exit(0)\n    os.waitpid(p, 0)"
    with Told() as outside, contained() as enter, Told(*enter) as target:
        outside.tell("a, b = pair()")
        here = target.tell("a, b = pair(); said = os.getpid()")
        nested = FORK.format(work="import ctypes; ctypes.CDLL(None).unshare(0x20000000); " + inner)  # CLONE_NEWPID
        with attached(tmp_path, "-p", here, before=enter) as watching:
            outside.tell(WORK)
            target.tell(WORK + "; s, t = socket.socketpair(); s.send(bytes(7))\n" + nested + GO)
            target.end()
            recording = watching.wait()

    assert moved(recording) == (BYTES + 12297, BYTES + 12297)
    assert unheld(recording) == []
    assert here in recording.subject.pids
    assert here < 100 < target.pid
    assert [(one.pid, one.bytes) for one in recording.unix] == [(here, 7)]
    assert {socket.pids[0] for socket in recording.sockets} <= set(recording.subject.pids)


def test_a_command_in_a_container_is_told_by_its_own_ids(tmp_path: Path) -> None:
    """Recorded there: its sockets are of the process that it was started as."""
    program = "import socket; a, b = socket.socketpair(); a.send(bytes(7))"
    file = tmp_path / "recording.json"
    done = nettrace("record", "-o", file, "--", sys.executable, "-c", program, before=CONTAINED)
    recording = decode_sockets(file.read_bytes(), str(file))

    assert done.returncode == 0, done.stderr
    assert [one.pid for one in recording.unix] == recording.subject.pids


def test_ids_of_another_pid_namespace_are_refused() -> None:
    """Where /proc shows others than the process is among; exit code 4, and what to do."""
    done = nettrace("attach", "-p", "1", before=("unshare", "--pid", "--fork"))

    assert done.returncode == 4
    assert "mount -t proc" in done.stderr


def test_the_watching_ends_with_the_last_process(tmp_path: Path) -> None:
    """Its child lives longer than itself; a zombie that is not waited for does not count."""
    with Told() as target:
        target.tell(FORK.format(work="a, b = pair(); " + WORK) + "\nif os.fork() == 0: os._exit(0)")
        target.tell("os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)")
        with attached(tmp_path, "-p", target.pid) as watching:
            target.tell(GO)
            target.end()
            recording = watching.wait()

    assert moved(recording) == (BYTES, BYTES)
    assert recording.subject.exit_status == 0
