"""What a killed run leaves is found and removed; what belongs to a living one is not touched."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tracer.commands.doctor import command
from tracer.machine import leftovers
from tracer.machine.leftovers import Leftover, is_orphan, orphaned_events, owned_name, start_time
from tracer.machine.namespaces import create_netns, remove_netns

pytestmark = pytest.mark.system

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need CAP_SYS_ADMIN and CAP_NET_ADMIN")


def name_of_the_dead(suffix: str) -> str:
    """A name that a process has given that is no longer there."""
    code = f"from tracer.machine.leftovers import owned_name; print(owned_name({suffix!r}))"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_a_name_of_a_living_process_is_no_orphan():
    """What this very process has made is in use."""
    assert not is_orphan(owned_name("tx"))


def test_a_name_of_a_dead_process_is_an_orphan():
    """Its maker has ended, so nobody else will remove it."""
    assert is_orphan(name_of_the_dead("tx"))


def test_a_pid_that_was_given_again_does_not_protect_a_leftover():
    """Same pid, other start time: the maker is dead, whoever has its pid now."""
    pid = os.getpid()
    earlier = (start_time(pid) or 0) - 1

    assert is_orphan(f"nettrace-{pid}-{earlier}-tx")


@needs_root
def test_a_living_process_of_another_pid_namespace_owns_its_things():
    """A container that shares /run/netns with us: its pids mean others here; gone with its last process."""
    code = "from tracer.machine.leftovers import owned_name; print(owned_name('tx'), flush=True); input()"
    inside = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", code]
    with subprocess.Popen(inside, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        name = process.stdout.readline().strip()
        while_it_lives = is_orphan(name)
        process.communicate("\n")

    assert not while_it_lives
    assert is_orphan(name)


def test_names_of_earlier_versions_are_known():
    """Without the PID namespace: nettrace-PID-STARTTIME-SUFFIX."""
    assert is_orphan(f"nettrace-{os.getpid()}-1-tx")


@pytest.mark.parametrize(
    "name", ["nettrace", "nettrace-1-tx", "nettrace-1-2-", "nettrace-x-2-tx", "mynettrace-1-2-tx", "nettrace-1-2-t/x"]
)
def test_other_names_are_never_orphans(name: str):
    """Only the exact form that nettrace gives is its own."""
    assert not is_orphan(name)


def test_a_killed_runs_kprobes_are_found_among_others():
    """A living run's stay, and so do those of other programs, dead or not."""
    dead, alive = (name.replace("-", "_") for name in (name_of_the_dead("k0"), owned_name("k0")))
    definitions = (
        f"r4096:kprobes/{dead}_bcc_71 tcp_recvmsg_locked\n"
        f"p:kprobes/{alive}_bcc_72 tcp_sendmsg_locked\n"
        "p:kprobes/p_tcp_sendmsg_bcc_1 tcp_sendmsg\n"
        "p:mine/probe do_exit\n"
    )

    assert orphaned_events(definitions) == [f"kprobes/{dead}_bcc_71"]
    assert orphaned_events("") == []


def test_a_process_whose_name_has_spaces_and_parentheses_has_a_start_time(tmp_path: Path):
    """The command in /proc/PID/stat is in parentheses and may hold any character."""
    program = tmp_path / "a ) 1 (b"
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([program, "60"]) as process:
        started = start_time(process.pid)
        process.kill()

    assert started is not None
    assert started >= (start_time(os.getpid()) or 0)


def test_temporary_files_of_the_dead_are_found_and_removed(tmp_path: Path):
    """Files and whole directories; what a living process owns and what is not ours stays."""
    dead = name_of_the_dead("guest")
    (tmp_path / dead).mkdir()
    (tmp_path / dead / "image").write_text("x")
    (tmp_path / name_of_the_dead("file")).write_text("x")
    (tmp_path / owned_name("file")).write_text("x")
    (tmp_path / "nettrace-notes").write_text("x")

    leftovers.remove(leftovers.find(namespaces=tmp_path / "none", temporary=tmp_path))

    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["nettrace-notes", owned_name("file")])


def test_a_link_is_removed_and_not_what_it_points_to(tmp_path: Path):
    """A name in /tmp may be a trap that points elsewhere."""
    target = tmp_path / "target"
    target.mkdir()
    (tmp_path / name_of_the_dead("file")).symlink_to(target)

    leftovers.remove(leftovers.find(namespaces=tmp_path / "none", temporary=tmp_path))

    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_files_of_another_user_are_left_alone(tmp_path: Path):
    """Anyone may put a file of such a name into /tmp."""
    foreign = tmp_path / name_of_the_dead("file")
    foreign.write_text("x")
    os.chown(foreign, 65534, 65534)

    assert leftovers.find(namespaces=tmp_path / "none", temporary=tmp_path) == []


def test_what_has_gone_meanwhile_is_no_error(tmp_path: Path):
    """Two people may clean up at once."""
    leftovers.remove([Leftover("temporary file", tmp_path / "gone")])


@needs_root
def test_clean_removes_a_dead_runs_namespace_and_spares_a_living_ones():
    """`doctor --clean` after a SIGKILL: the namespace of the dead goes, that of this process stays."""
    dead, alive = name_of_the_dead("tx"), owned_name("spared")
    create_netns(dead)
    create_netns(alive)
    try:
        cleaned = CliRunner().invoke(command, ["--clean"])
        left = {path.name for path in leftovers.NAMESPACES.iterdir()}
    finally:
        remove_netns(alive)
        remove_netns(dead)

    assert cleaned.exit_code == 0
    assert f"removed namespace /run/netns/{dead}\n" in cleaned.output
    assert alive in left
    assert dead not in left
