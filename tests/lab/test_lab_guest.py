"""A real guest: answers, is stopped, dies. The one that stays, for the whole file."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tracer.errors import LabError
from tracer.lab import kept, kernels, opening
from tracer.lab.guest import Guest
from tracer.runs import warming

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def guest() -> Guest:
    """The default kernel's guest, which stays from one test to the next unless a test ended it."""
    staying = kept.guest()
    if staying is None:
        staying = opening.keep(warming.wanted(kernels.default(), least=warming.EXEC), print)
    return staying


@pytest.fixture(scope="module", autouse=True)
def nothing_stays() -> Iterator[None]:
    """The user's guest is not what is tested here, and none is left behind."""
    kept.stop()
    yield
    kept.stop()


def output_of(guest: Guest, *argv: str, cwd: str | Path = "/", stdin: bytes = b"") -> tuple[int, bytes, bytes]:
    stdout, stderr = bytearray(), bytearray()
    code = guest.run(argv, cwd, stdin=stdin, stdout=stdout.extend, stderr=stderr.extend, timeout=240)
    return code, bytes(stdout), bytes(stderr)


def test_the_guest_runs_the_kernel_that_was_asked_for(guest: Guest) -> None:
    """The uname is the release of the package that was fetched."""
    assert output_of(guest, "uname", "-r") == (0, f"{guest.hardware.kernel.release}\n".encode(), b"")


def test_output_and_errors_stay_apart_and_the_exit_code_is_the_command_s(guest: Guest) -> None:
    """Two streams, one code, no byte changed."""
    script = "printf 'out\\377'; printf err >&2; exit 23"

    assert output_of(guest, "sh", "-c", script) == (23, b"out\xff", b"err")


def test_a_large_output_arrives_whole(guest: Guest) -> None:
    """More than any buffer on the way holds."""
    code, stdout, _ = output_of(guest, "head", "-c", "10007000", "/dev/zero")

    assert (code, len(stdout)) == (0, 10007000)


def test_standard_input_reaches_the_command(guest: Guest) -> None:
    """What the caller gives is what the command reads, then end of file."""
    assert output_of(guest, "cat", stdin=b"\0payload\xff") == (0, b"\0payload\xff", b"")


def test_a_command_that_is_not_there_is_127(guest: Guest) -> None:
    """As in a shell: not found is 127, a signal is 128 and its number."""
    assert output_of(guest, "nettrace-no-such-command")[0] == 127
    assert output_of(guest, "sh", "-c", "kill -9 $$")[0] == 137


def test_the_guest_cannot_write_the_host_s_files(guest: Guest, tmp_path: Path) -> None:
    """A write in the guest stays in the guest, where read_file finds it."""
    (tmp_path / "file").write_text("host")

    code, _, _ = output_of(guest, "sh", "-c", "echo guest > file; echo more > new", cwd=tmp_path)

    assert code == 0
    assert (tmp_path / "file").read_text() == "host"
    assert not (tmp_path / "new").exists()
    assert guest.read_file(tmp_path / "file") == b"guest\n"


def test_reading_a_file_that_is_not_there_is_a_lab_error(guest: Guest) -> None:
    """The guest's own words say why."""
    with pytest.raises(LabError) as caught:
        guest.read_file("/no/such/file")

    assert "No such file" in caught.value.why


def test_an_edited_file_is_seen_by_the_warm_guest(guest: Guest, tmp_path: Path) -> None:
    """Rewritten, replaced, deleted: the guest's caches never show the old file."""
    script = tmp_path / "script"
    seen = []

    for text in ("first", "second and longer", "3rd"):
        script.write_text(text)
        seen.append(output_of(guest, "cat", str(script)))
    (tmp_path / "other").write_text("replaced")
    (tmp_path / "other").rename(script)
    seen.append(output_of(guest, "cat", str(script)))
    script.unlink()

    assert [out for _, out, _ in seen] == [b"first", b"second and longer", b"3rd", b"replaced"]
    assert output_of(guest, "cat", str(script))[0] == 1


def test_the_guest_reaches_the_host_s_loopback_and_nothing_else(guest: Guest) -> None:
    """10.0.2.2 is the host's 127.0.0.1; there is no route to anywhere else."""
    listener = socket.create_server(("127.0.0.1", 0))
    accepted = threading.Thread(target=lambda: listener.accept()[0].sendall(b"host"), daemon=True)
    accepted.start()
    connect = "import socket,sys; s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 20); print(s.recv(9))"

    near = output_of(guest, "python3", "-c", connect, "10.0.2.2", str(listener.getsockname()[1]))
    far = output_of(guest, "python3", "-c", connect, "192.0.2.1", "80")

    assert near == (0, b"b'host'\n", b"")
    assert b"Network is unreachable" in far[2]


def test_the_nic_has_scatter_gather_that_can_be_switched_off(guest: Guest) -> None:
    """The two states of the NIC that the experiments need."""
    show = "ethtool -k eth0 | grep ^scatter-gather; "

    _, stdout, _ = output_of(guest, "sh", "-c", show + "ethtool -K eth0 sg off >&2;" + show + "ethtool -K eth0 sg on")

    assert stdout.splitlines()[:2] == [b"scatter-gather: on", b"scatter-gather: off"]


def test_an_interrupt_goes_to_the_command_in_the_guest(guest: Guest) -> None:
    """Ctrl-C reaches the command, which ends as it likes; the guest stays."""
    program = [sys.executable, "-m", "tracer", "lab", "exec", "--", "sh", "-c"]
    script = "trap 'echo caught; exit 5' INT; echo ready; while :; do sleep 0.05; done"
    with subprocess.Popen([*program, script], cwd=REPOSITORY, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGINT)

        assert process.stdout.read() == b"caught\n"
        assert process.wait(30) == 5
    assert guest.machine.is_alive()


def test_a_vanished_client_leaves_no_command_behind(guest: Guest) -> None:
    """A nettrace that was killed takes its command in the guest with it."""
    program = [sys.executable, "-m", "tracer", "lab", "exec", "--", "sh", "-c"]
    with subprocess.Popen([*program, "echo ready; exec sleep 1009"], cwd=REPOSITORY, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.kill()

    assert output_of(guest, "pgrep", "-f", "^sleep 1009$")[0] == 1


def test_a_client_that_is_replaced_while_the_guest_cannot_look_leaves_no_command_behind(guest: Guest) -> None:
    """Old connection closed and new one open before the guest runs again: the old command must end all the same."""
    program = [sys.executable, "-m", "tracer", "lab", "exec", "--", "sh", "-c"]
    with subprocess.Popen([*program, "echo ready; exec sleep 1013"], cwd=REPOSITORY, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        tell_qemu("stop")
        process.kill()
        process.wait()
        threading.Timer(1.5, tell_qemu, ["cont"]).start()

        assert output_of(guest, "pgrep", "-f", "^sleep 1013$")[0] == 1


def tell_qemu(command: str) -> None:
    """One command to QEMU's monitor (QMP)."""
    staying = kept.guest()
    assert staying is not None
    with staying.machine.monitor() as monitor:
        monitor.ask(command)


def test_a_killed_machine_is_a_lab_error_with_its_last_words(guest: Guest) -> None:
    """A kill -9 of QEMU in the middle of a command, which would never end, and for which there is no deadline."""
    with pytest.raises(LabError) as caught:
        guest.run(
            ["sh", "-c", "echo ready; exec sleep inf"], stdout=lambda _: os.kill(guest.machine.pid, signal.SIGKILL)
        )

    assert "died" in caught.value.what


def test_a_panic_is_a_lab_error_with_its_last_words(guest: Guest) -> None:
    """The kernel's own last lines say what happened."""
    with pytest.raises(LabError) as caught:
        guest.run(["sh", "-c", "echo c > /proc/sysrq-trigger"], timeout=240)

    assert "panic" in caught.value.why.lower()


def test_a_command_that_never_ends_is_given_up(guest: Guest) -> None:
    """After the deadline the guest is stopped, and the next command finds a new one."""
    with pytest.raises(LabError) as caught:
        guest.run(["sleep", "60"], timeout=1)

    assert "within 1 s" in caught.value.what
    assert kept.running() is None


def test_an_idle_guest_switches_itself_off(guest: Guest) -> None:
    """Nothing on the host need live for the guest to end."""
    guest.run(["true"], idle_s=1)

    assert guest.machine.wait_until_gone(20)


def test_down_twice_is_no_error(guest: Guest) -> None:
    """The second time there is nothing to stop."""
    assert guest.machine.is_alive()
    assert kept.stop() is True
    assert kept.stop() is False
