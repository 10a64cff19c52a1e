"""What goes wrong in a run: three lines and an exit code, and everything undone."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command import (
    NETTRACE,
    ROOT,
    Running,
    children,
    document,
    nettrace,
    remains_of,
    stage_bytes,
    wait_until_gone,
)
from tracer.machine.leftovers import owned_name
from tracer.machine.namespaces import create_netns, remove_netns

pytestmark = pytest.mark.live

NOBODY = 65534
# A run that does not end by itself while a test looks at it.
LONG = ("--duration", 60)
COMPILING, BARE, OBSERVED = "compiling the probes", "bare pass", "observed pass"


def assert_error_of_three_lines(errors: str, *words: str) -> None:
    """What, why, fix; and the words of this case among them."""
    lines = [line for line in errors.splitlines() if not line.startswith("nettrace: ")]

    assert [line[:7] for line in lines] == ["error: ", "  why: ", "  fix: "], errors
    assert [word for word in words if word not in errors] == []


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Temporary files of a run go where a test can see that none is left."""
    directory = tmp_path / "temporary"
    directory.mkdir()
    monkeypatch.setenv("TMPDIR", str(directory))
    yield directory
    assert list(directory.iterdir()) == []


@pytest.mark.parametrize("link", ["lo", "veth"])
@pytest.mark.parametrize("mode", ["onecopy", "zerocopy"])
def test_a_killed_receiver_is_named(mode: str, link: str) -> None:
    """SIGKILL for the receiver in mid-run: exit code 4, who died and how, nothing left behind."""
    running = Running("run", mode, "--link", link, *LONG)
    running.wait_for(BARE)
    running.wait_until_connected()
    workers = running.workers()
    os.kill(running.receiver(), signal.SIGKILL)
    code, output, errors = running.finish()

    assert (code, output) == (4, "")
    assert_error_of_three_lines(errors, "the receiver died", "SIGKILL")
    assert remains_of(running.pid) == []
    wait_until_gone(workers)


def test_a_killed_sender_is_named() -> None:
    """The same for the sender."""
    running = Running("run", "zerocopy", *LONG)
    running.wait_for(BARE)
    running.wait_until_connected()
    sender = next(pid for pid in running.workers() if pid != running.receiver())
    os.kill(sender, signal.SIGKILL)
    code, output, errors = running.finish()

    assert (code, output) == (4, "")
    assert_error_of_three_lines(errors, "the sender died", "SIGKILL")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("link", ["lo", "veth"])
@pytest.mark.parametrize("moment", [COMPILING, BARE, OBSERVED])
def test_an_interrupt_undoes_everything(moment: str, link: str, number: int) -> None:
    """SIGINT or SIGTERM at any moment: exit code 130, the partial result if there is one, nothing left."""
    work = ("--duration", 1) if moment == OBSERVED else LONG
    running = Running("run", "zerocopy", "--link", link, *work)
    running.wait_for(moment)
    workers = running.workers()
    running.process.send_signal(number)
    code, output, errors = running.finish()

    assert code == 130
    assert ("PARTIAL" in output) != ("interrupted" in errors)
    assert (moment == COMPILING) <= ("interrupted before anything was measured" in errors)
    assert (moment == OBSERVED) <= ("PARTIAL" in output)
    assert "cannot be trusted" not in output
    assert remains_of(running.pid) == []
    wait_until_gone(workers)


@pytest.mark.parametrize("moment", [COMPILING, BARE])
def test_an_impatient_user_gets_no_traceback(moment: str) -> None:
    """Ctrl-C again and again, while the first one is still being obeyed."""
    running = Running("run", "zerocopy", "--link", "veth", *LONG)
    running.wait_for(moment)
    workers = running.workers()
    while running.process.poll() is None:
        running.process.send_signal(signal.SIGINT)
    code, _, _ = running.finish()

    assert code == 130
    assert remains_of(running.pid) == []
    wait_until_gone(workers)


SWALLOWED = """
import os, signal, sys
from tracer.machine.processes import Workers

class Trap:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(1000):
            pass  # the handler runs here, and Python ignores what it raises

release = Workers.release
def release_and_fall_into_the_trap(self):
    release(self)
    Trap()

Workers.release = release_and_fall_into_the_trap
sys.argv = ["nettrace", "run", "zerocopy", "--duration", "60"]
from tracer.__main__ import main
main()
"""


def test_an_interrupt_that_python_swallowed_ends_the_run_all_the_same() -> None:
    """Raised inside a __del__, where Python ignores it: the wait for the workers finds it, not the end of a minute."""
    done = subprocess.run(
        [sys.executable, "-c", SWALLOWED], capture_output=True, text=True, cwd=ROOT, timeout=240, check=False
    )

    assert done.returncode == 130, done.stderr
    # The gate had just been opened: something was sent already, or nothing.
    assert ("PARTIAL" in done.stdout) != ("interrupted before anything was measured" in done.stderr)
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_a_partial_result_is_saved_and_says_that_it_is_one(tmp_path: Path) -> None:
    """--save after an interrupt: complete is false, and report says PARTIAL and 130 again."""
    path = tmp_path / "partial.json"
    running = Running("run", "onecopy", "--duration", 1, "--save", path)
    running.wait_for(OBSERVED)
    running.process.send_signal(signal.SIGINT)
    code, output, _ = running.finish()

    assert code == 130
    assert json.loads(path.read_text())["complete"] is False
    assert nettrace("report", path).stdout == output


def test_a_killed_nettrace_leaves_what_doctor_removes() -> None:
    """SIGKILL cannot be caught: the processes end by themselves, doctor --clean removes namespaces and cgroup."""
    running = Running("run", "zerocopy", "--link", "veth", *LONG)
    running.wait_for(BARE)
    processes = children(running.pid)
    running.process.kill()
    running.finish()
    wait_until_gone(processes)
    cleaned = nettrace("doctor", "--clean")

    assert cleaned.returncode == 0
    assert remains_of(running.pid) == []
    assert cleaned.stdout.count(f"/nettrace-{running.pid}-") == 3


def test_a_lowered_optmem_max_is_named_and_costs_no_byte() -> None:
    """ENOBUFS by too little room for notifications: counted, its limit named, every byte still located."""
    lowered = 'ip link set lo up && sysctl -qw net.core.optmem_max=1000 && exec "$@"'
    found = document(
        "zerocopy", "--size", 10007, "--messages", 97, "--observer", "tracepoints",
        before=["unshare", "-n", "sh", "-c", lowered, "sh"],
    )  # fmt: skip
    stages = stage_bytes(found)

    assert found["host"]["optmem_max"] == 1000
    assert found["observed"]["enobufs"] > 0
    assert found["observed"]["enobufs_limit"] == "optmem"
    assert found["observed"]["payload_bytes"] == 97 * 10007
    assert stages["pin"] == stages["copy_out"] == 97 * 10007
    assert found["ledger"]["trustworthy"] is True


def test_an_optmem_max_that_fits_nothing_is_an_error() -> None:
    """Not one notification fits: no endless loop, but the limit and the command that raises it."""
    lowered = 'ip link set lo up && sysctl -qw net.core.optmem_max=1 && exec "$@"'
    done = nettrace("run", "zerocopy", "--messages", 23, before=["unshare", "-n", "sh", "-c", lowered, "sh"])

    assert done.returncode == 4
    assert_error_of_three_lines(done.stderr, "ENOBUFS", "optmem_max is 1 bytes", "sysctl -w net.core.optmem_max")


def test_a_loopback_device_that_is_down_is_an_error() -> None:
    """A new namespace's lo is down until somebody sets it up."""
    done = nettrace("run", "onecopy", before=["unshare", "-n"])

    assert done.returncode == 4
    assert_error_of_three_lines(done.stderr, "loopback device is down", "ip link set lo up")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize("link", ["lo", "veth"])
def test_no_root_is_a_missing_privilege(link: str, tmp_path: Path) -> None:
    """Exit code 3, the capabilities by name, the command that helps; nothing was made before."""
    tmp_path.chmod(0o777)
    # Imports first: nobody may not be allowed to read this directory.
    code = (
        "import importlib, os, pkgutil, sys, tracer.cli, tracer.commands.run\n"
        "for name in ('tracer.books', 'tracer.machine', 'tracer.observers', 'tracer.runs', 'workloads'):\n"
        "    package = importlib.import_module(name)\n"
        "    for found in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):\n"
        "        importlib.import_module(found.name)\n"
        f"os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})\n"
        "sys.exit(tracer.cli.run(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "run", "zerocopy", "--messages", "23", "--link", link],
        env={**os.environ, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path), "TMPDIR": str(tmp_path)},
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip

    assert done.returncode == 3
    assert done.stdout == ""
    assert_error_of_three_lines(done.stderr, "CAP_BPF and CAP_PERFMON", "root")


def test_the_workload_runs_as_the_user_who_called_sudo(tmp_path: Path) -> None:
    """SUDO_UID: the engine works without privileges, and the saved file belongs to that user."""
    path = tmp_path / "run.json"
    environment = {**os.environ, "SUDO_UID": str(NOBODY), "SUDO_GID": str(NOBODY)}
    running = Running("run", "zerocopy", *LONG, "--save", path, env=environment)
    running.wait_for(BARE)
    running.wait_until_moving()
    users = {Path(f"/proc/{pid}").stat().st_uid for pid in running.workers()}
    running.process.send_signal(signal.SIGINT)
    code, _, _ = running.finish()

    assert code == 130
    assert users == {NOBODY}
    assert path.stat().st_uid == NOBODY
    assert json.loads(path.read_text())["user"] == f"nobody (uid {NOBODY})"


def test_nonsense_in_sudo_s_variables_is_quoted() -> None:
    """Nothing runs as root instead, and there is no traceback."""
    done = nettrace("run", "onecopy", "--messages", 23, env={**os.environ, "SUDO_UID": "abc", "SUDO_GID": "0"})

    assert done.returncode == 2
    assert_error_of_three_lines(done.stderr, "SUDO_UID is 'abc'")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["onecopy", "--cpus", "1023"], ["cannot be bound to CPU 1023", "taskset"]),
        (["onecopy", "--cpus", "0,1023"], ["the receiver cannot be bound to CPU 1023"]),
        (["onecopy", "--congestion", "nope"], ["congestion control 'nope'", "tcp_available_congestion_control"]),
        (["onecopy", "--rcvbuf", "1"], ["a receive buffer of", "the least is 1152"]),
        (["onecopy", "--sndbuf", "1"], ["a send buffer of", "the least is 2304"]),
        (["zerocopy", "--size", "1M"], ["RLIMIT_MEMLOCK is 65536 bytes", "ulimit -l"]),
        (["uring-zerocopy-fixed", "--size", "1M"], ["registered buffers", "ulimit -l"]),
        (["splice", "--threads", "64"], ["RLIMIT_NOFILE is 64", "ulimit -n"]),
    ],
)
def test_what_cannot_be_had_is_said_before_anything_is_measured(arguments: list[str], words: list[str]) -> None:
    """No pass has begun, and no progress was told."""
    environment = {**os.environ, "SUDO_UID": str(NOBODY), "SUDO_GID": str(NOBODY)}
    limited = ["bash", "-c", 'ulimit -l 64 -n 64; exec "$@"', "bash"]
    done = nettrace("run", *arguments, before=limited, env=environment)

    assert (done.returncode, done.stdout) == (4, "")
    assert "nettrace: " not in done.stderr
    assert_error_of_three_lines(done.stderr, *words)


@pytest.mark.parametrize(
    ("limit", "arguments", "words"),
    [
        ("-n 20", ["run", "onecopy"], ["RLIMIT_NOFILE is 20", "ulimit -n 1024"]),
        ("-n 20", ["record", "true"], ["RLIMIT_NOFILE is 20", "ulimit -n 1024"]),
        ("-n 20", ["attach", "-d", "1", "-p", str(os.getpid())], ["RLIMIT_NOFILE is 20", "ulimit -n 1024"]),
        ("-n 20", ["compare"], ["RLIMIT_NOFILE is 20", "ulimit -n 1024"]),
        ("-n 64", ["run", "splice", "--threads", "16"], ["a file in memory", "RLIMIT_NOFILE is 64", "ulimit -n 1024"]),
        ("-n 64", ["run", "onecopy", "--threads", "64"], ["RLIMIT_NOFILE is 64", "ulimit -n 1024"]),
        ("-v 250000", ["run", "onecopy", "--threads", "64"], ["its threads", "RLIMIT_AS is 256,000,000", "ulimit -v"]),
        ("-f 0", ["run", "splice"], ["its messages", "RLIMIT_FSIZE is 0", "ulimit -f unlimited"]),
    ],
)
def test_a_limit_of_the_shell_is_named_with_what_lifts_it(limit: str, arguments: list[str], words: list[str]) -> None:
    """Whoever met it: this process, a worker of it, or the compiler in it."""
    done = nettrace(*arguments, before=["bash", "-c", f'ulimit {limit}; exec "$@"', "bash"])

    assert done.returncode == 4
    assert_error_of_three_lines(done.stderr, *words)


def test_threads_that_a_user_may_not_have_are_named() -> None:
    """RLIMIT_NPROC binds whom sudo was called by, and root not."""
    environment = {**os.environ, "SUDO_UID": str(NOBODY), "SUDO_GID": str(NOBODY)}
    done = nettrace("run", "onecopy", before=["bash", "-c", 'ulimit -u 1; exec "$@"', "bash"], env=environment)

    assert done.returncode == 4
    assert_error_of_three_lines(done.stderr, "its threads", "RLIMIT_NPROC is 1 ", "ulimit -u unlimited")


def test_a_port_that_is_taken_is_quoted() -> None:
    """Which port, and how to see who has it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = nettrace("run", "onecopy", "--port", port)

    assert done.returncode == 2
    assert_error_of_three_lines(done.stderr, f"port {port} on 127.0.0.1 is taken", f"sport = :{port}")


def test_a_namespace_that_is_taken_is_named() -> None:
    """The name that a run would give its namespace exists already: said, and left alone."""
    program = (
        "import sys; sys.argv = ['nettrace', 'run', 'onecopy', '--link', 'veth']\n"
        "from tracer.machine.leftovers import owned_name\n"
        "from tracer.machine.namespaces import create_netns\n"
        "create_netns(owned_name('rx'))\n"
        "from tracer.cli import main; main()\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        _, errors = process.communicate(timeout=240)

    assert process.returncode == 4
    assert_error_of_three_lines(errors, "exists already", "doctor --clean")
    assert [name[-3:] for name in remains_of(process.pid) if "cgroup" not in name] == ["-rx"]
    assert nettrace("doctor", "--clean").returncode == 0
    assert remains_of(process.pid) == []


def test_another_run_s_namespaces_are_no_obstacle() -> None:
    """Two nettraces on veth do not meet: names carry the process."""
    mine = owned_name("tx")
    create_netns(mine)
    try:
        done = nettrace("run", "onecopy", "--link", "veth", "--messages", 23)
    finally:
        remove_netns(mine)

    assert done.returncode == 0


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 KiB with nothing left in it."""
    directory = tmp_path / "full"
    directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "none", directory], check=True)
    try:
        (directory / "filling").write_bytes(bytes(12 << 10))
        yield directory
    finally:
        subprocess.run(["umount", directory], check=True)


def test_a_full_disk_costs_the_file_but_not_the_report(full_disk: Path) -> None:
    """The result is printed, the failure is said, no half file stays."""
    done = nettrace("run", "onecopy", "--messages", 23, "--save", full_disk / "run.json")

    assert done.returncode == 4
    assert "copied once into the kernel" in done.stdout
    assert_error_of_three_lines(done.stderr, "cannot write", "No space left on device")
    assert [path.name for path in full_disk.iterdir()] == ["filling"]


def test_a_missing_directory_is_said_before_the_run(tmp_path: Path) -> None:
    """Nobody waits for a result that cannot be saved."""
    done = nettrace("run", "onecopy", "--save", tmp_path / "nowhere" / "run.json")

    assert done.returncode == 4
    assert "compiling" not in done.stderr
    assert_error_of_three_lines(done.stderr, "there is no directory", "mkdir -p")


def test_output_that_cannot_be_written_is_an_error() -> None:
    """The report goes to a full disk."""
    with Path("/dev/full").open("w") as full:
        done = nettrace("run", "onecopy", "--messages", 23, capture_output=False, stdout=full, stderr=subprocess.PIPE)

    assert done.returncode == 4
    assert_error_of_three_lines(done.stderr, "cannot write the output", "No space left on device", "send it elsewhere")


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_closed_pipe_ends_quietly(form: list[str]) -> None:
    """`nettrace run | head -1`: one line, and not a word of complaint."""
    command = " ".join([*NETTRACE, "run", "zerocopy", "--messages", "23", *form])
    done = subprocess.run(
        ["bash", "-c", f"{command} | head -1; exit ${{PIPESTATUS[0]}}"],
        capture_output=True, text=True, cwd=ROOT, timeout=240, check=False,
    )  # fmt: skip

    assert len(done.stdout.splitlines()) == 1
    assert [line for line in done.stderr.splitlines() if not line.startswith("nettrace: ")] == []
    assert done.returncode == 0


def test_the_wrong_bcc_is_recognised(tmp_path: Path) -> None:
    """PyPI has another "bcc", about lattices; it is never imported."""
    (tmp_path / "bcc").mkdir()
    (tmp_path / "bcc" / "__init__.py").write_text('"""Body-centred cubic lattices."""\nraise SystemExit("imported")\n')
    done = nettrace("run", "onecopy", env={**os.environ, "PYTHONPATH": str(tmp_path)})

    assert done.returncode == 4
    assert_error_of_three_lines(done.stderr, "bcc is the wrong one", "uninstall bcc")


def test_no_bcc_is_said_with_the_package_to_install() -> None:
    """A Python that does not see Debian's modules."""
    program = (
        "import sys; sys.path = [place for place in sys.path if 'dist-packages' not in place]\n"
        "sys.argv = ['nettrace', 'run', 'onecopy']\n"
        "from tracer.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, timeout=240, check=False
    )

    assert done.returncode == 4
    assert_error_of_three_lines(done.stderr, "BCC")
