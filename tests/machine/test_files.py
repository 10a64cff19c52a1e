"""Where a result is written: whole, and never in the place of something that is no result."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from tests.command import nettrace
from tracer.errors import MachineError
from tracer.machine.files import is_stream, require_writable, write_file


def test_a_new_file_is_written(tmp_path: Path) -> None:
    """And nothing beside it."""
    write_file(tmp_path / "run.json", b"whole")

    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"whole"]


def test_a_device_stays_a_device(tmp_path: Path) -> None:
    """--save /dev/null, as root: written into, not replaced."""
    null = tmp_path / "null"
    try:
        os.mknod(null, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    except PermissionError:
        null.symlink_to("/dev/null")
    write_file(null, b"whole")

    assert stat.S_ISCHR(null.stat().st_mode)


def test_a_pipe_is_written_into(tmp_path: Path) -> None:
    """--save FIFO, or a shell's >(...)."""
    pipe, came = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: came.append(pipe.read_bytes()))
    reader.start()
    write_file(pipe, b"whole")
    reader.join(20)

    assert came == [b"whole"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_links_target_is_what_is_replaced(tmp_path: Path) -> None:
    """The link stays a link, also a relative one, also one to nothing yet."""
    (tmp_path / "old.json").write_bytes(b"old")
    for link, target in (("link", "old.json"), ("dangling", "new.json")):
        (tmp_path / link).symlink_to(target)
        write_file(tmp_path / link, b"whole")

        assert (tmp_path / link).is_symlink()
        assert (tmp_path / target).read_bytes() == b"whole"


def test_an_open_descriptor_is_written_into(tmp_path: Path) -> None:
    """/dev/stdout, /proc/self/fd/N: what the user redirected to is not replaced behind his back."""
    with (tmp_path / "out").open("w+b") as out:
        before = os.fstat(out.fileno()).st_ino
        write_file(Path(f"/proc/self/fd/{out.fileno()}"), b"whole")

        assert (tmp_path / "out").stat().st_ino == before
        assert (tmp_path / "out").read_bytes() == b"whole"
    assert is_stream(Path("/dev/stdout"))


def test_a_file_that_is_replaced_keeps_its_mode_and_owner(tmp_path: Path) -> None:
    """A private recording does not become everybody's."""
    file = tmp_path / "run.json"
    file.write_bytes(b"old")
    file.chmod(0o600)
    if os.geteuid() == 0:
        os.chown(file, 65534, 65534)
    owner = file.stat().st_uid
    write_file(file, b"whole")

    assert (stat.S_IMODE(file.stat().st_mode), file.stat().st_uid) == (0o600, owner)


def test_a_full_device_is_an_error_and_what_was_there_stays() -> None:
    """/dev/full says ENOSPC."""
    with pytest.raises(MachineError) as refusal:
        write_file(Path("/dev/full"), b"whole")

    assert refusal.value.why == "No space left on device"


def test_a_directory_is_told_before_the_work(tmp_path: Path) -> None:
    """Not after it."""
    with pytest.raises(MachineError, match="cannot write"):
        require_writable(tmp_path)


@pytest.mark.live
def test_a_run_saved_to_dev_stdout_is_printed() -> None:
    """Every writer of the command goes this way."""
    done = nettrace("run", "onecopy", "--messages", 23, "--size", 10007, "--save", "/dev/stdout")

    assert '"schema": "nettrace.recording/1"' in done.stdout
    assert done.returncode == 0
