"""The ways to read in the receiver's process: whenever it ends, it has taken what was sent, and nothing stays."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from tests.workloads.passes import NOBODY, needs_root, run_pass, wait_until_sending
from tracer.books.receiving import RECEIVE_NAMES, receive
from tracer.books.results import refusal
from tracer.errors import MachineError
from tracer.machine.processes import Workers
from tracer.model import Experiment

pytestmark = pytest.mark.system


@pytest.fixture(params=RECEIVE_NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def workers_of(name: str, sent: str = "zerocopy", threads: int = 3, **other: int | None) -> Workers:
    job = Experiment(mode=sent, size=10007, threads=threads, verify=receive(name).is_seen, receive=name)
    return Workers(job, address="127.0.0.1", **other)  # type: ignore[arg-type]


def kept_by(pid: int) -> tuple[int, list[str]]:
    """How many descriptors a process has, and what of a socket or of io_uring it has mapped."""
    maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return len(list(Path(f"/proc/{pid}/fd").iterdir())), [one for one in maps if "socket:" in one or "io_uring" in one]


@pytest.mark.parametrize("sent", ["onecopy", "zerocopy", "sendfile"])
def test_every_byte_is_taken(name: str, sent: str) -> None:
    """By the way that was asked for, and as it was sent where that can be seen."""
    with workers_of(name, sent) as workers:
        result = run_pass(workers, 97)

    taken = dict(result.taken or {})
    assert result.received_bytes == result.payload_bytes == 3 * 97 * 10007
    assert taken.pop("peek", 0) == (result.received_bytes if name == "peek" else 0)
    assert sum(taken.values()) == result.received_bytes
    assert receive(name).takes in (result.taken or {})


def test_stop_returns_what_was_taken_until_then(name: str) -> None:
    """An endless pass, stopped: both sides agree to the byte."""
    with workers_of(name) as workers:
        workers.prepare(None, 600.0)
        workers.release()
        wait_until_sending(workers.port)
        result = workers.stop()

    assert result is not None
    assert result.received_bytes == result.payload_bytes > 0


def test_a_pass_leaves_nothing_behind_in_the_receiver(name: str) -> None:
    """No pipe, ring, or mapping of a socket."""
    with workers_of(name) as workers:
        run_pass(workers, 23)
        after_one = kept_by(workers.receiver_pid or 0)
        for _ in range(3):
            run_pass(workers, 23)

        assert kept_by(workers.receiver_pid or 0) == after_one
        assert after_one[1] == []


@needs_root
def test_an_ordinary_user_can_read_in_each_way(name: str) -> None:
    """None of them takes a privilege."""
    with workers_of(name, uid=NOBODY, gid=NOBODY) as workers:
        assert run_pass(workers, 23).received_bytes == 3 * 23 * 10007


@pytest.mark.parametrize(
    ("step", "code", "what", "fix"),
    [
        ("ring", -errno.EPERM, "the receiver cannot have io_uring", "--receive recv"),
        ("ring", -errno.ENOMEM, "the receiver cannot have io_uring", "ulimit -l"),
        ("provide", -errno.EINVAL, "the receiver cannot have buffers for io_uring's RECV", "--receive recv"),
        ("window", -errno.ENODEV, "the receiver cannot have a window for mapped pages", "--receive recv"),
        ("pipe", -errno.EMFILE, "the receiver cannot have a pipe", "fewer --threads"),
    ],
)
def test_what_the_kernel_refuses_is_one_clear_error(step: str, code: int, what: str, fix: str) -> None:
    """What cannot be had, and what would help."""
    error = refusal("receiver", {"during": step, "code": code, "detail": ""}, "127.0.0.1", 7)

    assert isinstance(error, MachineError)
    assert error.what == what
    assert fix in error.fix
