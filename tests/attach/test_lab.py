"""attach under the kernels that people run: programs in full flow in the guest, and one that counts to the byte.

One guest a kernel watches them one after the other, and prints the recordings.
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

import platformdirs
import pytest

from tests.attach.targets import BYTES, CALLS, SIZE, held, moved, unexcused, unheld
from tests.attach.test_programs import NGINX
from tests.command import ROOT, file_server, needs, nettrace
from tracer.books.socket_file import decode_sockets
from tracer.model.socket_recording import SocketRecording

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1500)]

NGINX_PORT, REDIS_PORT, GO_PORT = 4711, 4712, 4713
# nettrace starts before those that it attaches to: one processor takes it a minute beside them.
SCRIPT = """
set -e
cd {root}
export PYTHONPATH={root} XDG_CACHE_HOME={cache} NETTRACE_LAB=yes
attach() {{ # NAME PID...
  name=$1; shift
  nice -n -19 {python} -m tracer attach -p "$@" -d 2 -o /run/recording >/run/report ||
    {{ cat /run/report >&2; exit 1; }}
  echo "recording $name $(cat /run/recording)"
}}
listens() {{ until grep -q ":$(printf %04X $1) .* 0A " /proc/net/tcp; do :; done; }}
flows() {{ until grep -q ":$(printf %04X $1) 01 " /proc/net/tcp; do :; done; }}

mkfifo /run/in /run/out /run/said
{python} {root}/tests/programs/told.py </run/in >/run/out & told=$!
exec 3>/run/in 4</run/out
tell() {{ echo "$1" >&3; read -r answer <&4; case $answer in *error*) echo "$answer" >&2; exit 1;; esac; }}
tell '"a, b = pair(); a.sendall(bytes(5003)); b.sendall(bytes(4001))"'
{python} -m tracer attach -p $told -o /run/recording >/run/report 2>/run/said & nettrace=$!
exec 5</run/said
until read -r line <&5; case $line in *watching*) true;; *) echo "$line" >&2; false;; esac; do :; done
tell '"take(b, 5003); take(a, 4001); send(a, {calls}, {size}, b); c, d = pair(); send(c, 7, 1009, d)"'
kill -INT $nettrace; wait $nettrace
echo "recording told $(cat /run/recording)"
exec 3>&-

/usr/sbin/nginx -c {place}/nginx.conf & nginx=$!
listens {nginx}
wrk -t1 -c8 -d600 http://127.0.0.1:{nginx}/file >/dev/null & client=$!
flows {nginx}
attach nginx $nginx
kill $client $nginx

redis-server --port {redis} --save '' --dir /run >/dev/null & server=$!
listens {redis}
redis-benchmark -p {redis} -t set -n 100000000 -d 1009 -c 8 >/dev/null & client=$!
flows {redis}
attach redis $server $client
kill $client $server

{place}/file_server {go} {place} & server=$!
listens {go}
wrk -t1 -c8 -d600 http://127.0.0.1:{go}/file >/dev/null & client=$!
flows {go}
attach go $server $client
kill $client $server
"""


@cache
def recordings(kernel: str, place: Path) -> dict[str, SocketRecording]:
    """By the name of what was attached to."""
    # Keeps what the guest has compiled, which takes its processor a minute.
    assert nettrace("record", "--lab", kernel, "--", "true", timeout=400).returncode == 0
    ports = {"nginx": NGINX_PORT, "redis": REDIS_PORT, "go": GO_PORT}
    script = SCRIPT.format(
        root=ROOT, python=sys.executable, cache=platformdirs.user_cache_path(), place=place, calls=CALLS, size=SIZE,
        **ports,
    )  # fmt: skip
    done = nettrace("lab", "exec", "--kernel", kernel, "--", "sh", "-c", script, timeout=1000)
    assert done.returncode == 0, done.stderr
    told = [line.split(" ", 2)[1:] for line in done.stdout.splitlines() if line.startswith("recording ")]
    return {name: decode_sockets(text.encode(), name) for name, text in told}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the programs' files are, of the host and so of the guest."""
    directory = tmp_path_factory.mktemp("attached")
    directory.chmod(0o755)
    (directory / "file").write_bytes(bytes(100_003))
    (directory / "nginx.conf").write_text(NGINX.format(place=directory, port=NGINX_PORT) + "user root;\n")
    file_server(directory)
    return directory


@needs("nginx", "wrk", "redis-server", "redis-benchmark", "go")
@pytest.mark.parametrize("kernel", ["6.1", "6.12"])
@pytest.mark.parametrize("name", ["nginx", "redis", "go"])
def test_a_program_in_full_flow_is_exact_but_for_what_is_marked(kernel: str, name: str, place: Path) -> None:
    """nginx by its master, whose workers send; a file is spliced; nobody else's connections are there."""
    recording = recordings(kernel, place)[name]

    assert recording.hooks.calls == "fexit"
    assert (unexcused(recording), recording.lost) == ([], 0)
    assert {"S1", "S2", "R3", "R4"} <= held(recording)
    way, programs = {
        "nginx": ("splice", {"nginx"}),
        "redis": ("copy", {"redis-server", "redis-benchmark"}),
        "go": ("splice", {"file_server", "wrk"}),
    }[name]
    assert recording.totals.sent[way].bytes > 1009
    assert {one.comm.partition(":")[0] for one in recording.sockets if one.comm and one.sent_bytes} == {
        program[:15] for program in programs
    }


@needs("nginx", "wrk", "redis-server", "redis-benchmark", "go")
@pytest.mark.parametrize("kernel", ["6.1", "6.12"])
def test_what_was_queued_and_what_comes_later_is_exact(kernel: str, place: Path) -> None:
    """To the byte, on a connection that was there and on a new one."""
    recording = recordings(kernel, place)["told"]

    assert moved(recording) == (BYTES + 7063, BYTES + 7063 + 5003 + 4001)
    assert sorted(one.before.unread for one in recording.sockets if one.before) == [4001, 5003]
    assert (unheld(recording), recording.lost) == ([], 0)
