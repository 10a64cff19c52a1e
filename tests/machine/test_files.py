"""Files that the user named: written whole or not at all, and nothing of the user's replaced."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command import ROOT
from tests.samples import looped
from tracer.books.analysis import document_of
from tracer.errors import MachineError, RecordingError
from tracer.machine import files
from tracer.machine.files import descriptor_in, require_writable, write_file
from tracer.machine.recordings import load, save

NOBODY = 65534


def test_a_saved_recording_is_read_again_unchanged(tmp_path):
    """Save and load are inverse."""
    save(document_of(looped()), tmp_path / "run.json")

    assert load(tmp_path / "run.json") == looped()


def test_a_missing_file_is_a_clear_error(tmp_path):
    """No traceback for a wrong path or a directory."""
    with pytest.raises(RecordingError, match="cannot read"):
        load(tmp_path / "nowhere.json")
    with pytest.raises(RecordingError, match="cannot read"):
        load(tmp_path)


def test_a_device_is_written_into_and_stays_one(tmp_path):
    """A character device of ours with /dev/null's numbers: --save /dev/null must not replace it."""
    device = Path("/dev/null")
    if os.geteuid() == 0:
        device = tmp_path / "null"
        os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    before = device.stat()

    write_file(device, b"new")

    assert stat.S_ISCHR(device.lstat().st_mode)
    assert (device.stat().st_ino, device.stat().st_mode) == (before.st_ino, before.st_mode)


def test_a_full_device_is_an_error():
    """What a device refuses is said."""
    with pytest.raises(MachineError, match="cannot write /dev/full") as caught:
        write_file(Path("/dev/full"), b"new")

    assert caught.value.why == "No space left on device"


def test_a_fifo_gets_the_bytes_and_stays_one(tmp_path):
    """`--save >(gzip > run.gz)`, and mkfifo."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    heard = []
    reader = threading.Thread(target=lambda: heard.append(fifo.read_bytes()))
    reader.start()

    write_file(fifo, b"new" * 100_000)
    reader.join()

    assert heard == [b"new" * 100_000]
    assert stat.S_ISFIFO(fifo.lstat().st_mode)


def test_a_socket_is_refused_and_stays(tmp_path):
    """Nobody can open one: said before the run, and after it."""
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        with pytest.raises(MachineError, match="cannot write") as caught:
            require_writable(path)
        with pytest.raises(MachineError, match="cannot write"):
            write_file(path, b"new")

    assert caught.value.why == "it is a socket"
    assert stat.S_ISSOCK(path.lstat().st_mode)


def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path):
    """Relative, through another link, into another directory."""
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").write_text("old")
    (tmp_path / "middle").symlink_to("there/file")
    (tmp_path / "link").symlink_to(tmp_path / "middle")

    write_file(tmp_path / "link", b"new")

    assert (tmp_path / "link").readlink() == tmp_path / "middle"
    assert (tmp_path / "middle").readlink() == Path("there/file")
    assert (tmp_path / "there" / "file").read_bytes() == b"new"


def test_a_link_to_nothing_makes_what_it_leads_to(tmp_path):
    """As the shell's > does."""
    (tmp_path / "link").symlink_to("new")

    write_file(tmp_path / "link", b"new")

    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "new").read_bytes() == b"new"


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o755])
def test_a_replaced_file_keeps_its_mode(tmp_path, mode):
    """A private file stays private."""
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(mode)

    write_file(path, b"new")

    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == mode


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_replaced_file_keeps_its_owner_and_a_new_one_is_the_caller_s(tmp_path, monkeypatch):
    """Root writes; the old file was somebody's, the new one belongs to whoever called sudo."""
    monkeypatch.setenv("SUDO_UID", "1234")
    monkeypatch.setenv("SUDO_GID", "1235")
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text("old")
    os.chown(old, NOBODY, NOBODY)

    write_file(old, b"new")
    write_file(new, b"new")

    assert (old.stat().st_uid, old.stat().st_gid) == (NOBODY, NOBODY)
    assert (new.stat().st_uid, new.stat().st_gid) == (1234, 1235)


def test_a_new_file_respects_the_umask(tmp_path):
    """Who wants privacy has it."""
    before = os.umask(0o077)
    try:
        write_file(tmp_path / "new", b"new")
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o600


def test_all_names_of_a_file_stay_names_of_one_file(tmp_path):
    """A hard link is no copy."""
    (tmp_path / "one").write_text("a longer old text")
    (tmp_path / "two").hardlink_to(tmp_path / "one")

    write_file(tmp_path / "one", b"new")

    assert (tmp_path / "two").read_bytes() == b"new"


AS_NOBODY = (
    "import os, sys; from pathlib import Path; from tracer.machine.files import require_writable, write_file\n"
    f"os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})\n"
    "path = Path(sys.argv[1])\n"
    "try: require_writable(path); write_file(path, b'new')\n"
    "except Exception as error: print(error)\n"
)


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """A directory that anyone can reach: pytest closes those above tmp_path again whenever another one starts."""
    with tempfile.TemporaryDirectory(prefix="nettrace-test-", dir="/tmp") as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


def write_as_nobody(path: Path) -> str:
    return subprocess.run(
        [sys.executable, "-c", AS_NOBODY, str(path)], capture_output=True, text=True, cwd=ROOT, check=True
    ).stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_writable_file_in_a_read_only_directory_is_written(open_to_all):
    """Nothing can be put in its place: the file itself is written."""
    path = open_to_all / "file"
    path.write_text("a longer old text")
    path.chmod(0o666)
    open_to_all.chmod(0o555)

    assert write_as_nobody(path) == ""
    assert path.read_bytes() == b"new"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize("there", [True, False])
def test_what_may_not_be_written_is_said_before_the_run(open_to_all, there):
    """A write-protected file in a directory of one's own is protected all the same."""
    path = open_to_all / "file"
    if there:
        path.write_text("old")
        path.chmod(0o444)
    open_to_all.chmod(0o777 if there else 0o555)

    assert "may not be written by this user" in write_as_nobody(path)
    assert not there or path.read_text() == "old"


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting takes root")
def test_a_file_that_is_a_mount_is_written(tmp_path):
    """A container's single mounted file cannot be renamed over (EBUSY)."""
    path, source = tmp_path / "file", tmp_path / "source"
    path.touch()
    source.write_text("a longer old text")
    program = (
        "import sys; from pathlib import Path; from tracer.machine.files import write_file; "
        "write_file(Path(sys.argv[1]), b'new')"
    )
    subprocess.run(
        ["unshare", "-m", "sh", "-c", 'mount --bind "$1" "$2" && exec "$3" -c "$4" "$2"', "sh", source, path,
         sys.executable, program],
        cwd=ROOT, check=True,
    )  # fmt: skip

    assert source.read_bytes() == b"new"
    assert path.read_bytes() == b""


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "/proc/thread-self/fd/1"])
def test_a_descriptor_is_written_behind_what_came_before(tmp_path, name):
    """`nettrace run --save /dev/stdout > file`: one file, nothing cut off or overwritten."""
    program = (
        "from pathlib import Path; from tracer.machine.files import write_file\n"
        f"print('before'); write_file(Path({name!r}), b'new\\n'); print('after')"
    )
    with (tmp_path / "out").open("w") as out:
        subprocess.run([sys.executable, "-c", program], stdout=out, cwd=ROOT, check=True)

    assert (tmp_path / "out").read_text() == "before\nnew\nafter\n"


def test_a_link_that_leads_to_a_descriptor_is_known(tmp_path):
    """Through as many links as it takes; a file below /dev is none."""
    (tmp_path / "link").symlink_to("/dev/stderr")

    assert descriptor_in(tmp_path / "link") == 2
    assert descriptor_in(Path("/dev/null")) is None
    assert descriptor_in(tmp_path / "file") is None


def test_links_in_a_circle_end(tmp_path):
    """A clear error, no endless loop."""
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")

    with pytest.raises(MachineError, match="cannot write"):
        write_file(tmp_path / "a", b"new")


def test_a_full_disk_leaves_nothing_behind(tmp_path, monkeypatch):
    """ENOSPC at write: an error that says so, the old file untouched, no temporary file left."""
    target = tmp_path / "run.json"
    target.write_text("old")
    monkeypatch.setattr(files, "_write_all", fail_for_lack_of_space)

    with pytest.raises(MachineError, match="cannot write"):
        save(document_of(looped()), target)

    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def fail_for_lack_of_space(_descriptor, data):
    with open("/dev/full", "wb", buffering=0) as full:  # noqa: PTH123
        full.write(data)
