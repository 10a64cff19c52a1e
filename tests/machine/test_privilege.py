"""What this process may not, told by its cause, by run and doctor alike: no root, a dropped capability, a namespace."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests.command import nettrace
from tracer.errors import PrivilegeError
from tracer.machine import privilege
from tracer.machine.kernel import capabilities
from tracer.machine.leftovers import cgroup2_mount, owned_name
from tracer.machine.namespaces import create_netns, remove_netns

ALL = frozenset(capabilities.CAPABILITIES)
RUN = ("run", "onecopy", "--messages", 23, "--size", 10007)


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch):
    """A process with these capabilities, of root or of somebody, in a user namespace or not."""

    def set_to(held: frozenset[str], uid: int = 0, namespace: bool = False) -> None:
        for module in (privilege, capabilities):
            monkeypatch.setattr(module, "held_capabilities", lambda: held)
            monkeypatch.setattr(module, "in_user_namespace", lambda: namespace)
        monkeypatch.setattr(os, "geteuid", lambda: uid)

    return set_to


def test_a_user_is_told_to_become_root(process) -> None:
    """The command, with the path that sudo would not find."""
    process(frozenset(), uid=1000)
    error = privilege.refusal("cannot watch", "EPERM", "CAP_BPF", "CAP_PERFMON")

    assert "lacks CAP_BPF, CAP_PERFMON" in error.why
    assert error.fix == f"sudo {capabilities.nettrace_path()} ..."


def test_root_is_never_told_to_become_root(process) -> None:
    """Its capability was dropped: by name, and where it is given back."""
    process(ALL - {"CAP_NET_ADMIN"})
    error = privilege.refusal("cannot make a veth pair", "Operation not permitted", "CAP_NET_ADMIN")

    assert "lacks CAP_NET_ADMIN" in error.why
    assert "sudo" not in error.fix
    assert "--cap-add NET_ADMIN" in error.fix


def test_root_of_a_user_namespace_is_told_so(process) -> None:
    """The kernel asks for root of the first namespace."""
    process(frozenset(), namespace=True)
    error = privilege.refusal("cannot watch", "EPERM", "CAP_BPF")

    assert "user namespace" in error.why
    assert error.fix.startswith("outside of this user namespace: sudo ")


def test_who_has_all_it_takes_is_refused_by_something_else(process) -> None:
    """A seccomp filter, a security module: root is no help."""
    process(ALL)
    error = privilege.refusal("cannot watch", "EPERM", "CAP_BPF")

    assert "seccomp" in error.why
    assert "sudo" not in error.fix


def test_cap_sys_admin_holds_what_was_split_off_it(process) -> None:
    """CAP_BPF and CAP_PERFMON, since 5.8; not CAP_NET_ADMIN."""
    process(frozenset({"CAP_SYS_ADMIN"}))
    privilege.require("trace", "CAP_BPF", "CAP_PERFMON")

    with pytest.raises(PrivilegeError, match="trace"):
        privilege.require("trace", "CAP_NET_ADMIN")


@pytest.mark.parametrize(
    ("mounts", "path"),
    [
        ("none /sys/fs/cgroup cgroup2 rw 0 0\n", "/sys/fs/cgroup"),
        ("none /mnt/my\\040groups cgroup2 rw 0 0\n", "/mnt/my groups"),
        ("none /mnt/\udcff cgroup2 rw 0 0\n", "/mnt/\udcff"),
        ("cgroup2 /mnt/x tmpfs rw 0 0\n\n", None),
    ],
)
def test_the_hierarchy_is_found_wherever_it_is_mounted(mounts: str, path: str | None) -> None:
    """Paths with blanks, or with bytes that are no text."""
    found = cgroup2_mount(mounts)

    assert (None if found is None else str(found)) == path


def started_without(*dropped: str) -> list[str]:
    """The start of a command line: root without these capabilities."""
    if shutil.which("setpriv") is None:
        pytest.skip("no setpriv (Debian: util-linux)")
    names = ",".join(f"-{name}" for name in dropped)
    return ["setpriv", "--bounding-set", names, "--inh-caps", names]


def errors_of(before: list[str], *arguments: object) -> tuple[int, str, subprocess.CompletedProcess[str]]:
    """Exit code and stderr of a run, and the doctor's answer in the same place."""
    done = nettrace(*(arguments or RUN), before=before)
    return done.returncode, done.stderr, nettrace("doctor", before=before)


@pytest.mark.live
@pytest.mark.parametrize(
    ("dropped", "named"),
    [
        (("bpf", "sys_admin"), "CAP_BPF"),
        (("perfmon", "sys_admin"), "CAP_PERFMON"),
        (("net_admin", "sys_admin"), "CAP_NET_ADMIN"),
    ],
)
def test_a_dropped_capability_is_named_by_run_and_doctor(dropped: tuple[str, ...], named: str) -> None:
    """Exit code 3 and 4; nobody tells root to become root."""
    code, errors, doctor = errors_of(started_without(*dropped))

    assert (code, doctor.returncode) == (3, 4)
    assert f"lacks {named}" in errors
    assert named in doctor.stdout
    assert "sudo" not in errors + doctor.stdout


@pytest.mark.live
@pytest.mark.parametrize("dropped", ["syslog", "ipc_lock", "net_raw", "sys_ptrace", "sys_resource", "chown"])
def test_what_a_run_does_not_need_may_be_dropped(dropped: str) -> None:
    """The run works, and doctor says that it does."""
    code, errors, doctor = errors_of(started_without(dropped))

    assert (code, doctor.returncode) == (0, 0), errors


@pytest.mark.live
@pytest.mark.parametrize("dropped", ["setuid", "setgid", "kill"])
def test_who_cannot_become_the_invoking_user_says_so_before_the_run(
    dropped: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing runs as root instead, and nothing is left that could not be ended."""
    monkeypatch.setenv("SUDO_UID", "65534")
    monkeypatch.setenv("SUDO_GID", "65534")
    done = nettrace(*RUN, before=started_without(dropped))

    assert done.returncode == 3
    assert f"lacks CAP_{dropped.upper()}" in done.stderr
    assert "(uid 65534)" in done.stderr


@pytest.mark.live
@pytest.mark.parametrize("arguments", [RUN, ("record", "--", "true")])
def test_root_in_a_user_namespace_is_told_what_it_is(arguments: tuple[object, ...]) -> None:
    """`unshare -Ur`: uid 0, all capabilities, and the kernel refuses."""
    unshare = ["unshare", "-Ur"]
    if subprocess.run([*unshare, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no user namespace can be made here")
    code, errors, doctor = errors_of(unshare, *arguments)

    assert (code, doctor.returncode) == (3, 4)
    assert "user namespace" in errors
    assert "user namespace" in doctor.stdout


@pytest.fixture
def netns() -> Iterator[str]:
    """A named network namespace."""
    name = owned_name("hidden")
    create_netns(name)
    yield name
    remove_netns(name)


@pytest.mark.live
def test_the_sys_that_ip_netns_hides_is_named(netns: str) -> None:
    """With the command that enters the network alone, and which works."""
    inside = ["ip", "netns", "exec", netns]
    subprocess.run([*inside, "ip", "link", "set", "lo", "up"], check=True)
    code, errors, doctor = errors_of(inside)

    assert (code, doctor.returncode) == (4, 4)
    for told in (errors, " ".join(doctor.stdout.split())):
        assert "`ip netns exec` has mounted another /sys" in told
        assert f"nsenter --net=/run/netns/{netns}" in told
    assert nettrace(*RUN, before=["nsenter", f"--net=/run/netns/{netns}"]).returncode == 0


@pytest.mark.live
def test_doctor_meets_what_a_run_meets(netns: str) -> None:
    """A loopback device that is down is no fact of the kernel's; only a run finds it."""
    code, errors, doctor = errors_of(["nsenter", f"--net=/run/netns/{netns}"])

    assert (code, doctor.returncode) == (4, 4)
    assert "ip link set lo up" in errors
    assert "ip link set lo up" in doctor.stdout


@pytest.mark.live
def test_a_pid_namespace_is_no_hindrance() -> None:
    """`unshare -p`: the workers have other numbers than the kernel's own."""
    code, errors, doctor = errors_of(["unshare", "-pf", "--mount-proc"])

    assert (code, doctor.returncode) == (0, 0), errors


@pytest.mark.live
def test_a_cgroup_that_cannot_be_made_is_said() -> None:
    """A read-only hierarchy, as in a container."""
    mount = cgroup2_mount()
    script = f'mount --bind {mount} {mount} && mount -o remount,bind,ro {mount} && exec "$@"'
    code, errors, doctor = errors_of(["unshare", "-m", "sh", "-c", script, "sh"])

    assert (code, doctor.returncode) == (4, 4)
    assert "Read-only file system" in errors
    assert "Read-only file system" in doctor.stdout
