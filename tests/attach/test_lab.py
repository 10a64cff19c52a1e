"""attach under the kernels that people run: programs in full flow in the guest, and one that counts to the byte.

One guest a kernel watches them, and prints the recordings.
"""

from __future__ import annotations

import json
import sys
from functools import cache
from pathlib import Path

import platformdirs
import pytest

from tests.attach.targets import BYTES, CALLS, SIZE, held, moved, unexcused, unheld
from tests.attach.test_programs import NGINX
from tests.command import ROOT, file_server, needs, nettrace
from tests.record.programs_in_guest import only
from tracer.books.socket_file import decode_sockets
from tracer.model.socket_recording import SocketRecording

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1500)]

KERNELS = ["6.1", "6.12", "7.2"]
# Both sides are seen without a tracing program: packets by the cgroup's, and TCP's own books.
OF_PACKETS = {"S2", "S3", "R1"}
PORTS = {"nginx": 4711, "redis": 4712, "go": 4713}


@cache
def recordings(kernel: str, place: Path) -> dict[str, SocketRecording]:
    """By the name of what was attached to."""
    # Keeps what the guest has compiled, which takes its processor a minute.
    assert nettrace("record", "--lab", kernel, "--", "true", timeout=400).returncode == 0
    given = {"place": str(place), "ports": PORTS, "calls": CALLS, "size": SIZE}
    environment = (f"PYTHONPATH={ROOT}", f"XDG_CACHE_HOME={platformdirs.user_cache_path()}", "NETTRACE_LAB=yes")
    command = ("env", *environment, sys.executable, ROOT / "tests/attach/in_guest.py", json.dumps(given))
    done = nettrace("lab", "exec", "--kernel", kernel, "--", *command, timeout=1000)
    assert done.returncode == 0, done.stderr
    told = [line.split("\t")[1:] for line in done.stdout.splitlines() if line.startswith("recording\t")]
    return {name: decode_sockets(text.encode(), name) for name, text in told}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the programs' files are, of the host and so of the guest."""
    directory = tmp_path_factory.mktemp("attached")
    directory.chmod(0o755)
    (directory / "file").write_bytes(bytes(100_003))
    (directory / "nginx.conf").write_text(NGINX.format(place=directory, port=PORTS["nginx"]) + "user root;\n")
    file_server(directory)
    return directory


@needs("nginx", "wrk", "redis-server", "redis-benchmark", "go")
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("name", ["nginx", "redis", "go"])
def test_a_program_in_full_flow_is_exact_but_for_what_is_marked(kernel: str, name: str, place: Path) -> None:
    """Three at once; nginx by its master, whose workers send; a file is spliced; nobody else's sockets are there.

    7.2 interrupts more calls in the middle of a program than there are programs at a hook: how many calls none of them
    may have counted is told.
    """
    recording = only(recordings(kernel, place)["full flow"], name, PORTS[name])

    assert recording.hooks.calls == "fexit"
    assert recording.lost == 0
    assert not recording.hooks.skipped or kernel == "7.2"
    assert not unexcused(recording) or recording.hooks.skipped
    assert OF_PACKETS.isdisjoint(law.id for law in unexcused(recording))
    assert {"S1", "S2", "R3", "R4"} <= held(recording)
    way, programs = {
        "nginx": ("splice", {"nginx"}),
        "redis": ("copy", {"redis-server", "redis-benchmark"}),
        "go": ("splice", {"file_server", "wrk"}),
    }[name]
    assert sum(one.sent[way].bytes for one in recording.sockets if way in one.sent) > 1009
    assert {one.comm.partition(":")[0] for one in recording.sockets if one.comm and one.sent_bytes} == {
        program[:15] for program in programs
    }


@needs("nginx", "wrk", "redis-server", "redis-benchmark", "go")
@pytest.mark.parametrize("kernel", KERNELS)
def test_what_was_queued_and_what_comes_later_is_exact(kernel: str, place: Path) -> None:
    """To the byte, on a connection that was there and on a new one."""
    recording = recordings(kernel, place)["told"]

    assert moved(recording) == (BYTES + 7063, BYTES + 7063 + 5003 + 4001)
    assert sorted(one.before.unread for one in recording.sockets if one.before) == [4001, 5003]
    assert (unheld(recording), recording.lost) == ([], 0)
