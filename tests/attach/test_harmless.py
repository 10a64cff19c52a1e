"""The target notices nothing, by its own word; and nothing of nettrace's stays."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.attach.targets import Told, attached, programs
from tests.command import NETTRACE, ROOT, remains_of, wait_for
from tracer.machine.leftovers import cgroup2_mount
from tracer.observers.attached import OF_PROCESSES, Attachment, no_cgroup
from tracer.observers.sockets import SocketObserver

pytestmark = pytest.mark.live


def test_a_pending_error_and_unread_data_are_the_targets(tmp_path: Path) -> None:
    """The error is taken once; who looked at the socket before would have taken it."""
    with Told() as target:
        target.tell(
            "import struct\n"
            "a, b = pair(); b.sendall(bytes(101))\n"
            "b.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0)); b.close()\n"
            "c, d = pair(); d.sendall(bytes(1009))"
        )
        with attached(tmp_path, "-p", target.pid) as nettrace:
            nettrace.end()
        error = target.tell("said = a.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)")
        again = target.tell("said = a.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)")
        read = target.tell("said = take(c, 1009)")

    assert (error, again, read) == (104, 0, 1009)  # ECONNRESET


def test_a_fin_goes_out_while_nettrace_watches(tmp_path: Path) -> None:
    """The last descriptor is the target's: when it closes, its peer reads the end."""
    listener = socket.create_server(("127.0.0.1", 0))
    with listener, Told() as target:
        target.tell(f"a = socket.create_connection(('127.0.0.1', {listener.getsockname()[1]}))")
        peer = listener.accept()[0]
        peer.settimeout(20)
        with peer, attached(tmp_path, "-p", target.pid) as nettrace:
            target.tell("a.close()")
            end = peer.recv(1)
            watches = nettrace.running.process.poll() is None
            nettrace.end()

    assert (end, watches) == (b"", True)


def test_a_socket_that_comes_from_another_process_is_named_as_not_seen(tmp_path: Path) -> None:
    """Passed by SCM_RIGHTS while it is watched: nothing has marked it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs, socket.create_server(("127.0.0.1", 0)) as passed:
        port = passed.getsockname()[1]
        with Told(pass_fds=[theirs.fileno()]) as target:
            target.tell(f"channel = socket.socket(fileno={theirs.fileno()})")
            with attached(tmp_path, "-p", target.pid) as nettrace:
                socket.send_fds(ours, [b"."], [passed.fileno()])
                target.tell("fds = socket.recv_fds(channel, 1, 1)[1]")
                recording = nettrace.end()

    finding = next(finding for finding in recording.findings if finding.code == "not-seen")
    assert f"port {port}" in finding.sentence
    assert "not seen" in nettrace.report


RING = """
import ctypes
libc, parameters = ctypes.CDLL(None, use_errno=True), ctypes.create_string_buffer(120)
ring = libc.syscall(425, 4, parameters)
a, b = pair()
said = os.fstat(a.fileno()).st_ino if libc.syscall(427, ring, 2, (ctypes.c_int * 1)(a.fileno()), 1) == 0 else 0
a.close()
"""


def test_a_direct_descriptor_of_io_uring_is_named_as_not_seen(tmp_path: Path) -> None:
    """It was registered and closed before: no descriptor of the process leads to it."""
    with Told() as target:
        inode = target.tell(RING)
        if f"socket:[{inode}]" not in target.tell("said = open(f'/proc/self/fdinfo/{ring}').read()"):
            pytest.skip("this kernel does not say which socket io_uring has registered")
        with attached(tmp_path, "-p", target.pid) as nettrace:
            recording = nettrace.end()

    finding = next(finding for finding in recording.findings if finding.code == "not-seen")
    assert f"socket:[{inode}]" in finding.sentence
    assert finding.figures == {"sockets": 1}


# What only attach loads, each name as the kernel cuts it off.
OF_ATTACH = (b"on_attached", b"on_sched_proces", b"on_tcp_beginnin")


def test_nothing_stays_of_one_that_is_killed(tmp_path: Path) -> None:
    """At twenty moments of its beginning: no program, hence no link, and no cgroup; the target goes on."""
    before = programs(*OF_ATTACH)
    seen = set[int]()
    with Told() as target:
        target.tell("a, b = pair()")
        begun = time.monotonic()
        with attached(tmp_path, "-p", target.pid):
            takes_s = time.monotonic() - begun
        for moment in range(20):
            process = subprocess.Popen(
                [*NETTRACE, "attach", "-p", str(target.pid)], cwd=ROOT, stderr=subprocess.DEVNULL
            )
            until = time.monotonic() + takes_s * (0.3 + 0.05 * moment)
            while time.monotonic() < until:
                seen |= programs(*OF_ATTACH) - before
                os.sched_yield()
            process.send_signal(signal.SIGKILL)
            process.wait()
            assert remains_of(process.pid) == []
        wait_for(lambda: not programs(*OF_ATTACH) - before, "programs stay")
        target.tell("send(a, 3, 4099, b)")

    assert seen, "it was never seen attached"


def has_links(pid: int) -> bool:
    """Whether it holds a BPF link: it has begun to attach. Before it is nettrace it has what this process has."""
    if b"attach" not in Path(f"/proc/{pid}/cmdline").read_bytes():
        return False
    descriptors = list(Path(f"/proc/{pid}/fd").iterdir())
    # One that is closed meanwhile leads nowhere.
    return any(os.path.realpath(one).endswith("bpf_link") for one in descriptors)


def test_a_target_that_ends_while_nettrace_attaches_ends_the_watching(tmp_path: Path) -> None:
    """Its programs are attached already, and its sockets are being looked for."""
    with Told() as target:
        target.tell("a, b = pair()")
        process = subprocess.Popen(
            [*NETTRACE, "attach", "-p", str(target.pid), "-o", str(tmp_path / "recording")],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        wait_for(lambda: has_links(process.pid) or process.poll() is not None, "it does not attach")
        target.process.kill()
        target.process.wait()
        out, errors = process.communicate(timeout=240)

    assert process.returncode == 0, errors
    assert "Traceback" not in errors
    assert "none of its TCP or UDP sockets moved a byte while it was watched" in " ".join(out.split())


def test_a_process_that_ended_before_it_is_named_is_none_that_is_watched() -> None:
    """Nobody would tell its end any more, and the watching would never end."""
    gone = subprocess.Popen(["true"])
    gone.wait()
    root = cgroup2_mount()
    assert root is not None
    with contextlib.closing(SocketObserver(plan=OF_PROCESSES, elements=no_cgroup())) as observer:
        observer.attach(root)
        attachment = Attachment(observer, None, children=True)
        found = attachment.begin([gone.pid])

        assert (found, attachment.alive(), attachment.descriptors()) == (0, [], [])
