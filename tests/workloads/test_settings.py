"""What is set of connections and processes: it is there before the first packet, or it is refused."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.workloads.passes import run_pass
from tracer.errors import MachineError
from tracer.machine.processes import Workers
from tracer.model import Experiment
from workloads.child.crew import Refused
from workloads.child.receiver import Receiver
from workloads.child.sender import connect

pytestmark = pytest.mark.system

UNSET: dict[str, Any] = {"sndbuf": None, "nodelay": False, "congestion": None}


@pytest.fixture(params=["127.0.0.1", "::1"])
def order(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """Where somebody listens."""
    family = socket.AF_INET6 if ":" in request.param else socket.AF_INET
    with socket.create_server((request.param, 0), family=family) as listener:
        yield {"host": request.param, "port": listener.getsockname()[1], **UNSET}


def tcp_option(connection: socket.socket, option: int) -> int:
    return connection.getsockopt(socket.IPPROTO_TCP, option)


def test_what_is_set_is_what_the_socket_has(order: dict[str, Any]) -> None:
    """Buffer, which the kernel doubles; Nagle's algorithm; congestion control."""
    with connect({**order, "sndbuf": 65536, "nodelay": True, "congestion": "reno"}) as connection:
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 131072
        assert tcp_option(connection, socket.TCP_NODELAY) == 1
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0") == b"reno"


def test_what_is_not_set_is_as_the_kernel_has_it(order: dict[str, Any]) -> None:
    """No option is touched: a buffer that is set is no longer tuned."""
    with connect(order) as connection, socket.socket(connection.family) as untouched:
        for option in (socket.TCP_NODELAY, socket.TCP_CONGESTION):
            assert tcp_option(connection, option) == tcp_option(untouched, option)


def test_a_receiver_s_buffer_is_its_connections_too() -> None:
    """It is the listener's, so that the window's scale fits it."""
    receiver = Receiver({"address": "127.0.0.1", "port": 0, "rcvbuf": 32768})
    with socket.create_connection(("127.0.0.1", receiver.hello()["port"])):
        receiver.prepare({"threads": 1, "verify": False, "size": 1, "receive": "recv", "protocol": "tcp"}).cut_off()

        assert receiver._connections[0].getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 65536


@pytest.mark.parametrize(
    ("asked", "step", "code"),
    [
        ({"congestion": "nosuch"}, "congestion", errno.ENOENT),
        ({"sndbuf": 1 << 30}, "sndbuf", errno.EINVAL),
        ({"sndbuf": 1 << 40}, "sndbuf", errno.EINVAL),
        ({"sndbuf": 1}, "sndbuf", errno.EINVAL),
    ],
)
def test_what_the_kernel_does_not_give_is_refused(
    order: dict[str, Any], asked: dict[str, Any], step: str, code: int
) -> None:
    """A buffer that is too large, which the kernel cuts without a word, too."""
    with pytest.raises(Refused) as caught:
        connect({**order, **asked})

    assert (caught.value.during, caught.value.code) == (step, code)


def test_each_process_is_bound_to_its_cpu() -> None:
    """The sender to the first, the receiver to the second; all threads of theirs."""
    first, *_, last = sorted(os.sched_getaffinity(0))
    with Workers(Experiment(mode="onecopy", size=10007, cpus=(last, first)), address="127.0.0.1") as workers:
        assert run_pass(workers, 23).received_bytes == 230161
        assert os.sched_getaffinity(workers.sender_pid) == {last}
        assert os.sched_getaffinity(workers.receiver_pid or 0) == {first}


def test_a_cpu_that_is_not_there_is_an_error() -> None:
    """It names the CPU and who was to have it."""
    with (
        Workers(Experiment(mode="onecopy", size=1, cpus=(1 << 20,)), address="127.0.0.1") as workers,
        pytest.raises(MachineError, match="the sender cannot be bound to CPU 1048576"),
    ):
        workers.prepare(1, None)


@pytest.mark.parametrize("fields", [1, 3, 17, 1024])
def test_a_message_has_as_many_fields_as_asked_for(mode: str, fields: int) -> None:
    """Every byte arrives as it was sent; of a message with fewer bytes, in one."""
    for size in (10007, 13):
        with Workers(Experiment(mode=mode, size=size, fields=fields, verify=True), address="::1") as workers:
            result = run_pass(workers, 23)

            assert result.payload_bytes == result.received_bytes == 23 * size
            assert result.verified is True
