"""Links: what they make, and that nothing of it stays."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tracer.errors import Interrupted, MachineError, UsageError
from tracer.machine.leftovers import NAMESPACES, owned_name
from tracer.machine.links import RECEIVER_ADDRESS, SENDER_ADDRESS, VETH, open_link
from tracer.machine.namespaces import create_netns, enter_netns, inside, netns_inode, read_optmem_max, remove_netns
from tracer.machine.nics import read_nic, set_scatter_gather
from tracer.model import Link

pytestmark = pytest.mark.system

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need CAP_SYS_ADMIN and CAP_NET_ADMIN")


def namespaces() -> list[str]:
    """Names of the namespaces that this process has made."""
    mine = owned_name("x").removesuffix("x")
    return [path.name for path in NAMESPACES.glob(f"{mine}*")]


def descriptors() -> set[str]:
    """Open files of this process, as numbers."""
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def as_nobody(code: str) -> str:
    """What the code prints in an own process without any privilege."""
    # Imports first: nobody may not be allowed to read this directory.
    imports = "import os, pyroute2\nfrom tracer.machine.links import open_link, Link"
    script = f"{imports}\nos.setgroups([]); os.setgid(65534); os.setuid(65534)\n{code}"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return ran.stdout + ran.stderr


def test_loopback_is_the_callers_own_namespace():
    """Nothing is made for loopback, so it needs no privilege."""
    with open_link(Link.LO) as link:
        own = Path("/proc/self/ns/net").stat().st_ino

        assert (link.address, link.device, link.sender_netns, link.receiver_netns) == ("127.0.0.1", "lo", None, None)
        assert (link.sender_netns_inode, link.receiver_netns_inode) == (own, own)


@needs_root
def test_a_loopback_that_is_down_is_told_with_its_fix():
    """A new namespace has a lo that is down; the user is told so, not left with a connection that hangs."""
    name = owned_name("down")
    create_netns(name)
    try:
        with pytest.raises(MachineError) as told:
            inside(name, lambda: open_link(Link.LO).__enter__())
    finally:
        remove_netns(name)

    assert told.value.fix == "ip link set lo up"


@needs_root
def test_veth_carries_tcp_between_two_namespaces():
    """As soon as the block begins, a connection crosses the pair from one namespace to the other."""
    with open_link(Link.VETH) as link:
        listener = inside(link.receiver_netns, lambda: socket.create_server((link.address, 0)))
        port = listener.getsockname()[1]
        connected = inside(link.sender_netns, lambda: socket.create_connection((link.address, port), 5))
        with listener, connected:
            accepted, peer = listener.accept()
            accepted.close()

        assert peer[0] == SENDER_ADDRESS
        assert link.address == RECEIVER_ADDRESS
        assert link.sender_netns_inode == netns_inode(link.sender_netns) != link.receiver_netns_inode


@needs_root
def test_veth_is_gone_after_the_block():
    """Neither namespaces nor threads, nor open files of the netlink library stay."""
    with open_link(Link.VETH):
        pass  # imports and caches of the first use are not what this test is about
    before = descriptors(), threading.active_count()
    with open_link(Link.VETH):
        made = namespaces()

    assert len(made) == 2
    assert namespaces() == []
    assert (descriptors(), threading.active_count()) == before


@needs_root
@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, SystemExit, Interrupted])
def test_any_exception_inside_removes_the_veth(failure: Callable[[str], BaseException]):
    """Whatever ends the block, the namespaces go."""
    with pytest.raises(failure), open_link(Link.VETH):  # type: ignore[call-overload]
        raise failure("enough")

    assert namespaces() == []


@needs_root
def test_a_signal_while_the_link_is_made_leaves_nothing():
    """SIGINT that arrives in the middle of the making is delivered after it, and the namespaces go."""
    code = """
import os, signal, threading, time
from tracer.machine import links
real, nettrace = links.create_netns, os.getpid()
def interrupted(name):
    os.kill(nettrace, signal.SIGINT)
    real(name)
links.create_netns = interrupted
try:
    with links.open_link(links.Link.VETH):
        print("not interrupted")
except KeyboardInterrupt:
    print("interrupted", [name for name in os.listdir("/run/netns") if f"-{os.getpid()}-" in name])
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ran.stdout == "interrupted []\n"
    assert ran.stderr == ""


@needs_root
def test_a_name_that_is_taken_is_told_and_left_alone():
    """A namespace that somebody else holds is neither used nor removed."""
    taken = owned_name("rx")
    create_netns(taken)
    try:
        with pytest.raises(MachineError) as told, open_link(Link.VETH):
            pass
        left = namespaces()
    finally:
        remove_netns(taken)

    assert told.value.fix == "nettrace doctor --clean"
    assert left == [taken]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")
def test_without_privilege_veth_says_what_it_needs():
    """EPERM becomes a PrivilegeError with a fix, and loopback still opens."""
    code = """
with open_link(Link.LO) as link: print(link.address)
try:
    with open_link(Link.VETH): pass
except Exception as error: print(type(error).__name__, error.exit_code, error.fix.split()[0])
"""

    assert as_nobody(code) == "127.0.0.1\nPrivilegeError 3 sudo\n"


def test_an_unknown_namespace_is_told():
    """A name that does not exist is an error of its own, not a missing file."""
    with pytest.raises(MachineError, match="no network namespace nettrace-none"):
        enter_netns("nettrace-none")


@needs_root
def test_each_namespace_has_its_own_limit_for_notifications():
    """net.core.optmem_max is read inside the namespace; one that has none is ruled by the first one's."""
    with open_link(Link.VETH) as link:
        limit = read_optmem_max(link.sender_netns)

    assert limit is not None
    assert limit > 0


def test_loopback_reports_its_offloads():
    """Loopback has scatter-gather, always on, and no driver to name."""
    nic = read_nic("lo")

    assert (nic.device, nic.driver, nic.scatter_gather, nic.tx_checksum) == ("lo", None, True, True)


def test_an_unknown_device_is_told():
    """A device that does not exist is an error, not one without offloads."""
    with pytest.raises(MachineError, match="offloads of nettrace9"):
        read_nic("nettrace9")


@needs_root
def test_scatter_gather_is_off_in_the_block_and_on_after_it():
    """Switching it off takes TSO with it (netdev_fix_features), and both come back under an exception too."""
    with open_link(Link.VETH) as link:
        before = read_nic(VETH, link.sender_netns)
        with contextlib.suppress(ValueError), set_scatter_gather(VETH, False, link.sender_netns):
            off = read_nic(VETH, link.sender_netns)
            raise ValueError("enough")
        after = read_nic(VETH, link.sender_netns)

    assert (before.driver, before.scatter_gather, before.tso) == ("veth", True, True)
    assert (off.scatter_gather, off.tso) == (False, False)
    assert after == before


@needs_root
def test_scatter_gather_that_is_fixed_is_told():
    """Loopback cannot switch it; the error says so and names the lab."""
    switching = set_scatter_gather("lo", False)
    with pytest.raises(MachineError, match="cannot switch scatter-gather of lo off") as told:
        switching.__enter__()

    assert "--lab" in told.value.fix


@pytest.mark.parametrize("peer", [None, "", "host", "host:", ":80", "host:0", "host:65536", "host:-1", "host:x"])
def test_a_malformed_peer_is_a_usage_error(peer: str | None):
    """HOST:PORT with a port from 1 to 65535; anything else is told with the way to get one."""
    with pytest.raises(UsageError, match="needs a peer") as told, open_link(Link.NIC, peer):
        pass

    assert "nettrace serve" in told.value.fix


@pytest.mark.parametrize("peer", ["[::1]:80", "::1:80", "[fe80::1%eth0]:80", "2001:db8::7:80"])
def test_an_ipv6_peer_is_refused_as_one(peer: str):
    """Nobody is told that an address has no address."""
    with pytest.raises(UsageError, match="is an IPv6 address") as told, open_link(Link.NIC, peer):
        pass

    assert "IPv4" in told.value.fix


@pytest.mark.parametrize("host", ["nosuch.invalid", "256.1.1.1", "\udcff", "a" * 300, "a..b"])
def test_a_name_that_nobody_knows_is_told(host: str):
    """Whatever keeps it from being a name."""
    with pytest.raises(UsageError, match="no IPv4 address is known") as told, open_link(Link.NIC, f"{host}:80"):
        pass

    assert "(" not in told.value.why


def test_a_peer_that_is_this_machine_is_refused():
    """Its packets would take the loopback and answer another question."""
    with pytest.raises(UsageError, match="is this machine"), open_link(Link.NIC, "127.0.0.1:5000"):
        pass


@needs_root
def test_a_peer_without_a_route_is_told():
    """Inside a namespace without devices nothing can be reached."""
    name = owned_name("island")
    create_netns(name)
    try:
        with pytest.raises(MachineError, match="no route leads to 198"):
            inside(name, lambda: open_link(Link.NIC, "198.18.0.2:5000").__enter__())
    finally:
        remove_netns(name)


def test_signals_are_delivered_as_before_after_the_block():
    """Opening a link leaves the signal mask as it was."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    with open_link(Link.LO):
        inside_the_block = signal.pthread_sigmask(signal.SIG_BLOCK, [])

    assert before == inside_the_block == signal.pthread_sigmask(signal.SIG_BLOCK, [])
