"""`record` is a transparent wrapper: the command cannot tell, and neither can who calls nettrace."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import NETTRACE, ROOT, needs, nettrace
from tests.record.test_ways import record
from tracer.machine.leftovers import cgroup2_mount

pytestmark = pytest.mark.live


def wrapped(*command: str, options: tuple[str, ...] = (), **how: object) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*NETTRACE, "record", *options, "--", *command],
        capture_output=True, text=True, timeout=240, cwd=ROOT, check=False, **how,  # type: ignore[call-overload]
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return done  # type: ignore[no-any-return]


def our_cgroups() -> list[str]:
    mount = cgroup2_mount()
    assert mount is not None
    return [path.name for path in mount.glob("nettrace-*")]


def wait_until_ended(pid: int) -> None:
    """Until this process has; it is somebody else's child."""
    with contextlib.suppress(ProcessLookupError):
        process = os.pidfd_open(pid)
        select.select([process], [], [], 60)
        os.close(process)


@pytest.mark.parametrize("code", [0, 1, 7, 255])
def test_the_exit_code_is_the_commands(code: int) -> None:
    """Whatever the command exits with, nettrace exits with."""
    assert wrapped("sh", "-c", f"exit {code}").returncode == code


@pytest.mark.parametrize("nowhere", ["/dev/full", "pipe"])
def test_it_is_the_commands_too_where_nobody_can_be_told(nowhere: str) -> None:
    """A disk that is full, a pipe that nobody reads any more."""
    away = [os.open(nowhere, os.O_WRONLY)] if nowhere.startswith("/") else list(os.pipe())
    if len(away) == 2:
        os.close(away.pop(0))
    done = subprocess.run([*NETTRACE, "record", "--", "sh", "-c", "exit 7"], stderr=away[0], timeout=240, check=False)
    os.close(away[0])

    assert done.returncode == 7


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


@pytest.mark.parametrize("ignored", [(), (signal.SIGINT,), (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)])
def test_session_and_process_group_are_those_of_the_caller(ignored: tuple[signal.Signals, ...]) -> None:
    """The command is a child as any other: no session, no group of its own, signals as they were (nohup, or a &)."""
    program = (
        "import os, re; status = open('/proc/self/status').read(); "
        "print(os.getsid(0), os.getpgid(0), re.findall('Sig(?:Blk|Ign|Cgt):.*', status))"
    )

    def ignore() -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)

    command = [sys.executable, "-c", program]
    plain = subprocess.run(command, capture_output=True, text=True, check=True, preexec_fn=ignore)

    assert wrapped(*command, preexec_fn=ignore).stdout == plain.stdout


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
    _, report = process.communicate(timeout=240)

    assert process.returncode == 9
    assert "exit 9" in report


def test_a_terminal_that_goes_ends_the_command_and_us() -> None:
    """Its session's leader alone is told (ssh -t HOST nettrace record -- CMD); there is nowhere to report to."""
    pid, terminal = pty.fork()
    if pid == 0:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whoever runs the tests may ignore it (nohup)
        os.execv(NETTRACE[0], [*NETTRACE, "record", "--", "sh", "-c", "echo READY; exec sleep 600"])
    said = b""
    while b"READY" not in said:
        said += os.read(terminal, 1000)
    os.close(terminal)

    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGHUP


def test_ctrl_c_ends_the_command_and_the_report_comes() -> None:
    """The terminal sends SIGINT to both: the command decides, and nettrace reports."""
    # Both get it of us, and nettrace hands its own on: bash must not die of the second one while it exits.
    script = "trap 'trap \"\" INT; exit 3' INT; echo ready; while :; do read -t 1 line; done"
    process = subprocess.Popen(
        [*NETTRACE, "record", "--", "bash", "-c", script],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, process_group=0,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"

    os.killpg(process.pid, signal.SIGINT)
    _, report = process.communicate(timeout=240)

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
    script = f"(read line; exec {sys.executable} {program} send recv 23 10007 >{tmp_path}/said) <$0 & echo $$"
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    process = subprocess.Popen(
        [*NETTRACE, "record", "--wait", "--", "sh", "-c", script, str(fifo)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    assert process.stdout is not None
    wait_until_ended(int(process.stdout.readline()))
    fifo.write_text("\n")
    _, report = process.communicate(timeout=240)

    assert process.returncode == 0
    assert "230,161 B" in report


def test_a_command_without_sockets_is_a_finding(tmp_path: Path) -> None:
    """Nothing seen is said, with the reason and the way out, and not reported as zero."""
    recording, _ = record(tmp_path, "true")

    assert [finding.code for finding in recording.findings] == ["no-socket"]


@needs("ip")
def test_the_kernels_own_sockets_are_none_of_the_commands(tmp_path: Path) -> None:
    """Those of a network namespace that the command makes speak for its links (MLD, neighbour discovery)."""
    script = """
        ip link add one type veth peer name other; ip link set one up; ip link set other up
        while grep -q 'Icmp6OutMsgs[[:space:]]*0$' /proc/net/snmp6; do :; done
    """
    recording, done = record(tmp_path, "unshare", "--net", "sh", "-c", script)

    assert (done.returncode, recording.sockets, recording.lost) == (0, [], 0)
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


IN_ITS_OWN = """
import os, socket, sys
own = sys.argv[1] + open('/proc/self/cgroup').read().split('0::')[1].split()[0] + '/one/two'
os.makedirs(own); open(own + '/cgroup.procs', 'w').write('0')
s = socket.create_server(('127.0.0.1', 0)); c = socket.create_connection(s.getsockname()); a, _ = s.accept()
c.sendall(bytes(10007)); c.close()
while a.recv(65536): pass
print(own)
"""


def test_a_command_that_makes_cgroups_of_its_own_is_followed_and_cleaned_up_after(tmp_path: Path) -> None:
    """Its sockets are counted and say where they were made; nothing of it stays."""
    mount = cgroup2_mount()
    recording, done = record(tmp_path, sys.executable, "-c", IN_ITS_OWN, mount)
    own = done.stdout.strip()

    assert {socket.cgroup for socket in recording.sockets} == {own.removeprefix(str(mount))}
    assert (recording.totals.sent["copy"].bytes, recording.lost) == (10007, 0)
    assert not Path(own).parent.exists()


CLOSES_ALL = """
import os, signal, socket
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.closerange(0, 256)
s = socket.create_server(('127.0.0.1', 0)); c = socket.create_connection(s.getsockname()); a, _ = s.accept()
c.sendall(bytes(10007)); c.close()
while a.recv(65536): pass
os.kill(os.getppid(), signal.SIGTERM)
"""


def test_a_command_that_closes_all_descriptors_and_ignores_sigterm_is_counted(tmp_path: Path) -> None:
    """It has none of ours that it could close; a signal to nettrace reaches it, and it decides."""
    recording, done = record(tmp_path, sys.executable, "-c", CLOSES_ALL)

    assert (done.returncode, recording.totals.sent["copy"].bytes, recording.lost) == (0, 10007, 0)


@pytest.mark.parametrize("seconds", ["nan", "inf", "1e300", "0"])
def test_a_time_that_is_none_is_refused_before_the_command_runs(seconds: str) -> None:
    """A usage error, and not an overflow in the middle."""
    done = wrapped("echo", "ran", options=("-d", seconds))

    assert (done.returncode, done.stdout) == (2, "")


def test_a_recording_that_cannot_be_written_is_told_before_the_command_runs(tmp_path: Path) -> None:
    """No directory, a socket, one file for two results."""
    both = str(tmp_path / "both")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        nowhere, no_file = (wrapped("echo", "ran", options=("-o", str(tmp_path / name))) for name in ("no/x", "socket"))
    twice = wrapped("echo", "ran", options=("-o", both, "--json", both))

    assert [(done.returncode, done.stdout) for done in (nowhere, no_file, twice)] == [(4, ""), (4, ""), (2, "")]


def test_a_full_disk_costs_the_file_and_not_the_report() -> None:
    """The report comes first; the error says what could not be written."""
    done = wrapped("true", options=("-o", "/dev/full"))

    assert done.returncode == 4
    assert "true used no TCP or UDP socket" in done.stderr
    assert "cannot write /dev/full" in done.stderr


NAMED = """
import os
r, w = os.pipe()
if os.fork() == 0:
    open('/proc/self/comm', 'wb', 0).write(b'caf\\xe9')
    os.write(w, b'!')
    os.read(0, 1)
    os._exit(0)
os.read(r, 1)
"""


def test_who_goes_on_is_named_whatever_it_calls_itself() -> None:
    """Names are any bytes, cut off after fifteen: the report is not lost over half a character."""
    process = subprocess.Popen(
        [*NETTRACE, "record", "--", sys.executable, "-c", NAMED],
        stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    code = process.wait(60)
    _, report = process.communicate("\n", timeout=240)

    assert (code, "caf\\xe9 (pid" in report) == (0, True)


# A child that keeps one connection and makes new ones all the time, until the file is gone.
BUSY = """
import os, socket, sys
null = os.open('/dev/null', os.O_RDWR)
os.dup2(null, 1), os.dup2(null, 2)
ready, tell = os.pipe()
if os.fork():
    os.read(ready, 1)
    {parent}
s = socket.create_server(('127.0.0.1', 0))
def pair():
    c = socket.create_connection(s.getsockname())
    return c, s.accept()[0]
kept = pair()
kept[0].sendall(bytes(7))
os.write(tell, b'.')
while os.path.exists(sys.argv[1]):
    c, a = pair()
    c.sendall(bytes(7)); a.recv(7)
    # By a reset: TIME_WAIT would use up all ports.
    a.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1, 0, 0, 0, 0, 0, 0, 0])); a.close(); c.close()
"""


@pytest.mark.parametrize(
    ("options", "parent"), [((), "sys.exit(0)"), (("-d", "0.5"), "os.wait()")], ids=["descendant", "duration"]
)
def test_who_goes_on_and_is_busy_is_not_waited_for(tmp_path: Path, options: tuple[str, ...], parent: str) -> None:
    """Sockets end all the time, new ones are there at once: they are no reason to watch on."""
    (tmp_path / "file").touch()
    try:
        done = nettrace("record", *options, "--", sys.executable, "-c", BUSY.format(parent=parent), tmp_path / "file")
    finally:
        (tmp_path / "file").unlink()

    assert done.returncode == 0, done.stderr
    assert "go on, unwatched" in done.stderr
