"""`record` is a transparent wrapper: the command cannot tell, and neither can who calls nettrace."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import NETTRACE, ROOT
from tests.record.test_ways import record
from tracer.machine.leftovers import cgroup2_mount

pytestmark = pytest.mark.live


def wrapped(*command: str, options: tuple[str, ...] = (), **how: object) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*NETTRACE, "record", *options, "--", *command],
        capture_output=True, text=True, timeout=60, cwd=ROOT, check=False, **how,  # type: ignore[call-overload]
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return done  # type: ignore[no-any-return]


def our_cgroups() -> list[str]:
    mount = cgroup2_mount()
    assert mount is not None
    return [path.name for path in mount.glob("nettrace-*")]


@pytest.mark.parametrize("code", [0, 1, 7, 255])
def test_the_exit_code_is_the_commands(code: int) -> None:
    """Whatever the command exits with, nettrace exits with."""
    assert wrapped("sh", "-c", f"exit {code}").returncode == code


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV])
def test_it_dies_of_the_commands_signal(number: signal.Signals) -> None:
    """Who waits for nettrace sees the signal that ended the command."""
    assert wrapped("sh", "-c", f"kill -{int(number)} $$").returncode == -number


def test_what_is_not_there_is_127_and_what_cannot_run_is_126(tmp_path: Path) -> None:
    """As the shell says it, in three lines, and nothing of the command has run."""
    plain = tmp_path / "plain"
    plain.write_text("no program")
    missing, directory, refused = wrapped("/no/such"), wrapped(str(tmp_path)), wrapped(str(plain))

    assert (missing.returncode, directory.returncode, refused.returncode) == (127, 126, 126)
    assert all("error: cannot start" in done.stderr and "fix:" in done.stderr for done in (missing, directory, refused))


def test_output_and_input_are_the_commands_own() -> None:
    """What it reads and writes passes by nettrace; the report is on stderr alone."""
    done = wrapped("cat", input="a line\n")

    assert done.stdout == "a line\n"
    assert "cat used no TCP or UDP socket" in done.stderr


def test_session_and_process_group_are_those_of_the_caller() -> None:
    """The command is a child as any other: no session, no group of its own, signals as they were."""
    program = (
        "import os, re; status = open('/proc/self/status').read(); "
        "print(os.getsid(0), os.getpgid(0), re.findall('Sig(?:Blk|Ign|Cgt):.*', status))"
    )
    plain = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert wrapped(sys.executable, "-c", program).stdout == plain.stdout


def test_descriptors_are_the_callers_and_none_of_ours() -> None:
    """Not one descriptor of nettrace's, of a program or of the gate, reaches the command."""
    program = "import os; print(sorted(os.listdir('/proc/self/fd')))"
    plain = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert wrapped(sys.executable, "-c", program, input="").stdout == plain.stdout


def test_a_signal_to_nettrace_reaches_the_command() -> None:
    """SIGTERM ends the command; its own answer to it is the exit code."""
    script = "trap 'exit 9' TERM; echo ready; while :; do read -t 1 line; done"
    process = subprocess.Popen(
        [*NETTRACE, "record", "--", "bash", "-c", script],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"

    process.terminate()
    _, report = process.communicate(timeout=60)

    assert process.returncode == 9
    assert "exit 9" in report


def test_ctrl_c_ends_the_command_and_the_report_comes() -> None:
    """The terminal sends SIGINT to both: the command decides, and nettrace reports."""
    script = "trap 'exit 3' INT; echo ready; while :; do read -t 1 line; done"
    process = subprocess.Popen(
        [*NETTRACE, "record", "--", "bash", "-c", script],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, process_group=0,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"

    os.killpg(process.pid, signal.SIGINT)
    _, report = process.communicate(timeout=60)

    assert process.returncode == 3
    assert "exit 3" in report


def test_nettrace_killed_leaves_the_command_going_and_doctor_finds_the_cgroup() -> None:
    """kill -9: the command goes on unwatched; its cgroup is all that is left, and goes with doctor --clean."""
    process = subprocess.Popen(
        [*NETTRACE, "record", "--", "sh", "-c", "echo $$; read line; echo on"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    command = os.pidfd_open(int(process.stdout.readline()))
    process.kill()
    process.wait()

    assert any(name.startswith(f"nettrace-{process.pid}-") for name in our_cgroups())

    process.stdin.write("\n")
    process.stdin.flush()

    assert process.stdout.readline() == "on\n"
    select.select([command], [], [], 10)
    os.close(command)
    subprocess.run([*NETTRACE, "doctor", "--clean"], capture_output=True, cwd=ROOT, check=False)
    assert not any(name.startswith(f"nettrace-{process.pid}-") for name in our_cgroups())


def test_duration_ends_the_watching_and_not_the_command(tmp_path: Path) -> None:
    """-d: the report comes, the command goes on, named, and out of our cgroup."""
    said, report = tmp_path / "said", tmp_path / "report"
    with said.open("w") as stdout, report.open("w") as stderr:
        process = subprocess.Popen(
            [*NETTRACE, "record", "-d", "0.2", "--", "sh", "-c", "echo $$; exec sleep 60"],
            stdout=stdout, stderr=stderr, stdin=subprocess.DEVNULL, cwd=ROOT,
        )  # fmt: skip
        assert process.wait(60) == 0
    pid = int(said.read_text())

    try:
        assert f"sleep (pid {pid})" in report.read_text()
        assert "nettrace-" not in Path(f"/proc/{pid}/cgroup").read_text()
    finally:
        os.kill(pid, signal.SIGKILL)


def test_wait_waits_for_descendants(tmp_path: Path) -> None:
    """--wait: a grandchild that outlives the command is watched to its end."""
    program = Path(__file__).parent.parent / "programs/ways.py"
    script = f"(read line; exec {sys.executable} {program} send recv 23 10007 >{tmp_path}/said) <$0 & :"
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    starter = subprocess.Popen(["sh", "-c", f"exec 3>{fifo}; sleep 1; echo >&3"])
    file = tmp_path / "recording.json"
    done = wrapped("sh", "-c", script, str(fifo), options=("--wait", "-o", str(file)), stdin=subprocess.DEVNULL)
    starter.wait()

    assert done.returncode == 0
    assert b'"sent_' not in file.read_bytes()
    assert "230,161 B" in done.stderr


def test_a_command_without_sockets_is_a_finding(tmp_path: Path) -> None:
    """Nothing seen is said, with the reason and the way out, and not reported as zero."""
    recording, _ = record(tmp_path, "true")

    assert [finding.code for finding in recording.findings] == ["no-socket"]


def test_the_user_of_sudo_runs_the_command() -> None:
    """Under sudo the command runs as who called it: user, group and groups."""
    environment = {**os.environ, "SUDO_UID": "65534", "SUDO_GID": "65534", "SUDO_USER": "nobody"}
    done = wrapped("sh", "-c", "id -u; id -g; id -G", env=environment)

    assert done.stdout.split() == ["65534", "65534", "65534"]


def test_another_user_can_be_named() -> None:
    """--user: by name; one that is not there is a usage error."""
    assert wrapped("id", "-un", options=("--user", "nobody")).stdout == "nobody\n"
    assert wrapped("id", options=("--user", "nosuchuser")).returncode == 2


def test_nothing_is_left_behind() -> None:
    """No cgroup of an ended run stays."""
    process = subprocess.Popen([*NETTRACE, "record", "--", "true"], cwd=ROOT, stderr=subprocess.DEVNULL)
    process.wait(60)

    assert not any(f"nettrace-{process.pid}-" in name for name in our_cgroups())
