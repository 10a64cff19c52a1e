"""From what two workers report to a Workload or an error: pure."""

from __future__ import annotations

import errno
from typing import Any

import msgspec
import pytest
from workloads.engine._engine import lib

from tracer.books import results
from tracer.errors import MachineError, PrivilegeError, WorkloadError
from tracer.model import CpuTime, Experiment
from workloads.child.receiver import RECEIVER_COUNTS
from workloads.child.sender import SENDER_COUNTS

EXPERIMENT = Experiment(mode="zerocopy", size=1000, threads=2, messages=7, verify=True)
SPAN = {"result": 0, "start_ns": 10, "end_ns": 90, "cpu_ns": 3, "user_ns": 0, "system_ns": 0}


def sender(*threads: dict[str, int], memlock: int | None = None, optmem_max: int = 131072) -> dict[str, Any]:
    filled = [{**dict.fromkeys(SENDER_COUNTS, 0), **SPAN, **thread} for thread in threads]
    limits = {"memlock": memlock, "optmem_max": optmem_max}
    tcp = {"bytes_sent": 13500, "bytes_retrans": 500, "bytes_acked": 13000, "acks": 9}
    return {"threads": filled, "latency_ns": None, "closed_ns": 95, "limits": limits, **tcp}


def receiver(*threads: dict[str, int]) -> dict[str, Any]:
    filled = [{**dict.fromkeys(RECEIVER_COUNTS, 0), **SPAN, **thread} for thread in threads]
    return {"threads": filled, "bytes_received": 13000}


def test_the_error_numbers_are_the_engine_s() -> None:
    """The names on both sides of cffi mean the same."""
    assert (results.TRUNCATED, results.FOREIGN, results.DUPLICATE, results.UNKNOWN_ID) == (
        lib.ENGINE_TRUNCATED, lib.ENGINE_FOREIGN, lib.ENGINE_DUPLICATE, lib.ENGINE_UNKNOWN_ID,
    )  # fmt: skip
    assert (results.LIMIT, results.PATTERN) == (lib.ENGINE_LIMIT, lib.ENGINE_PATTERN)


def test_a_workload_sums_the_threads_and_spans_their_times() -> None:
    """From the earliest start to the last byte that a receiver read."""
    sent = sender(
        {"start_ns": 20, "bytes": 7000, "messages": 7, "sends": 8, "short_sends": 1},
        {"start_ns": 10, "bytes": 6000, "messages": 6, "sends": 6, "completions": 6, "copied": 4, "ranges": 2},
    )
    came = receiver({"bytes": 7000, "last_byte_ns": 70}, {"bytes": 6000, "last_byte_ns": 60})

    workload = results.workload_of(EXPERIMENT, asks_zerocopy=True, sender=sent, receiver=came)

    assert (workload.payload_bytes, workload.received_bytes, workload.messages) == (13000, 13000, 13)
    assert (workload.sends, workload.short_sends) == (14, 1)
    assert workload.elapsed_s == 60e-9
    assert workload.completions is not None
    assert (workload.completions.total, workload.completions.copied, workload.completions.zerocopy) == (6, 4, 2)
    assert (workload.bytes_sent, workload.retransmitted_bytes) == (13500, 500)
    assert (workload.bytes_acked, workload.bytes_received, workload.acks) == (13000, 13000, 9)
    assert workload.enobufs_limit is None


def test_cpu_time_is_told_apart_by_mode_where_all_threads_ran_for_enough_ticks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """20 ticks each: the ticks' proportion of the exact total."""
    monkeypatch.setattr(results, "TICK_NS", 4_000_000)
    twice = {"cpu_ns": 80_000_001, "user_ns": 20_000_000, "system_ns": 60_000_000}

    cpu = results.cpu_of(sender(twice, twice))

    assert (cpu.total, cpu.user, cpu.system) == (160_000_002, 40_000_000, 120_000_002)


@pytest.mark.parametrize("short", [79_999_999, 1_250_000, 0])
def test_cpu_time_over_few_ticks_is_a_total_alone(short: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread that ran for fewer than 20 ticks: n/a is not 0 % in the kernel."""
    monkeypatch.setattr(results, "TICK_NS", 4_000_000)
    ran = {"cpu_ns": 900_000_000, "user_ns": 300_000_000, "system_ns": 600_000_000}

    cpu = results.cpu_of(sender(ran, {"cpu_ns": short, "user_ns": short}))

    assert (cpu.total, cpu.user, cpu.system) == (900_000_000 + short, None, None)


def test_cpu_time_of_an_older_file_is_the_sum_of_its_parts() -> None:
    """Before the exact clock was read a file held two parts; with neither it is unknown."""
    assert CpuTime(user=3, system=4).spent == 7
    assert CpuTime(total=9, user=3, system=4).spent == 9
    assert (CpuTime().spent, CpuTime(user=3).spent) == (None, None)


def test_without_a_receiver_of_ours_its_side_is_unknown() -> None:
    """Not 0, and nothing is verified; the time ends when the peer has closed."""
    workload = results.workload_of(EXPERIMENT, asks_zerocopy=False, sender=sender({"bytes": 7000}), receiver=None)

    assert (workload.received_bytes, workload.receiver_cpu_ns, workload.verified) == (None, None, None)
    assert workload.completions is None
    assert workload.elapsed_s == 85e-9


def test_the_limit_is_optmem_where_the_socket_was_charged_to_it() -> None:
    """An ordinary user, 64 KiB of pages allowed, the socket's option memory full: it is not memlock."""
    refused = {"enobufs": 3, "refused_optmem_bytes": 130900}

    assert results.limit_of(sender(refused, memlock=65536)) == "optmem"


def test_the_limit_is_memlock_where_option_memory_was_left() -> None:
    """An ordinary user whose socket had nearly nothing charged: only the pages can be it."""
    refused = {"enobufs": 3, "refused_optmem_bytes": 1152}

    assert results.limit_of(sender(refused, memlock=65536)) == "memlock"


def test_memlock_binds_nobody_who_may_lock_memory() -> None:
    """With CAP_IPC_LOCK (memlock None) the limit is optmem, whatever was charged."""
    assert results.limit_of(sender({"enobufs": 1, "refused_optmem_bytes": 0})) == "optmem"


def test_a_wrong_byte_is_told_before_the_reset_that_it_caused() -> None:
    """Both sides failed; the receiver knows why."""
    came = receiver({"result": lib.ENGINE_PATTERN, "wrong_offset": 3004, "wrong_byte": 7, "expected_byte": 9})

    failure = results.failure_in(EXPERIMENT, sender({"result": -errno.ECONNRESET}), came)

    assert isinstance(failure, WorkloadError)
    assert "byte 3004" in failure.what
    assert "byte 4 of message 3: 0x09 sent, 0x07 came" in failure.why


def test_a_limit_is_told_before_the_wrong_bytes_that_it_caused() -> None:
    """The sender gave up, and freed what the receiver had not read yet."""
    came = receiver({"result": lib.ENGINE_PATTERN, "wrong_offset": 3004, "wrong_byte": 7, "expected_byte": 9})
    refused = {"result": lib.ENGINE_LIMIT, "enobufs": 2000, "refused_optmem_bytes": 0}

    failure = results.failure_in(EXPERIMENT, sender({}, refused, memlock=65536), came)

    assert isinstance(failure, WorkloadError)
    assert "RLIMIT_MEMLOCK is 65536 bytes" in failure.why


@pytest.mark.parametrize(("code", "words"), [(errno.EIO, "checksum offload"), (errno.EINVAL, "MTU of 1500")])
def test_a_device_that_segments_cannot_be_cut_for_is_named(code: int, words: str) -> None:
    """What helps stands beside it; of any other mode the kernel's word is all there is."""
    cut = msgspec.structs.replace(EXPERIMENT, mode="udp-gso")
    failures = [results.failure_in(asked, sender({"result": -code}), None) for asked in (cut, EXPERIMENT)]

    assert isinstance(failures[0], MachineError)
    assert words in failures[0].fix
    assert isinstance(failures[1], WorkloadError)


def test_a_send_buffer_that_holds_no_datagram_is_named() -> None:
    """The kernel has one word for it, ENOBUFS, whatever was set."""
    small, usual = (msgspec.structs.replace(EXPERIMENT, mode="udp", size=65507, sndbuf=one) for one in (2304, None))
    failures = [results.failure_in(asked, sender({"result": -errno.ENOBUFS}), None) for asked in (small, usual)]

    assert isinstance(failures[0], MachineError)
    assert "a send buffer of 2304 bytes" in failures[0].what
    assert "ENOBUFS" in failures[0].why
    assert "--sndbuf" in failures[0].fix
    assert isinstance(failures[1], WorkloadError)


def test_no_failure_where_every_thread_ended_well() -> None:
    """Nothing is raised."""
    assert results.failure_in(EXPERIMENT, sender({}, {}), receiver({}, {})) is None


def test_refusals_have_the_exit_code_of_their_kind() -> None:
    """Privileges 3, the machine 4."""
    netns = {"during": "netns", "code": errno.EPERM, "detail": "/run/netns/x"}
    memory = {"during": "messages", "code": -errno.ENOMEM, "detail": ""}

    assert isinstance(results.refusal("sender", netns, "127.0.0.1", 1), PrivilegeError)
    assert isinstance(results.refusal("sender", memory, "127.0.0.1", 1), MachineError)


@pytest.mark.parametrize(
    ("step", "code", "what", "fix"),
    [
        ("ring", -errno.EPERM, "cannot have io_uring", "kernel.io_uring_disabled=0"),
        ("ring", -errno.ENOMEM, "cannot have io_uring", "ulimit -l"),
        ("register", -errno.ENOMEM, "cannot have registered buffers", "ulimit -l"),
        ("huge", -errno.ENOMEM, "cannot have huge pages", "transparent huge pages"),
        ("tls", errno.ENOENT, "cannot have kernel TLS", "modprobe tls"),
        ("cipher", errno.ENOENT, "cannot have the cipher of kernel TLS", "modprobe gcm"),
        ("pipe", -errno.EMFILE, "cannot have a pipe", "fewer --threads"),
        ("file", -errno.ENOSPC, "cannot have a file in memory", "free memory"),
    ],
)
def test_what_a_mode_needs_and_does_not_get_is_named(step: str, code: int, what: str, fix: str) -> None:
    """What it is, the kernel's own word for why not, and what would help."""
    refused = results.refusal("sender", {"during": step, "code": code, "detail": ""}, "127.0.0.1", 1)

    assert isinstance(refused, MachineError)
    assert what in refused.what
    assert errno.errorcode[abs(code)] in refused.why
    assert fix in refused.fix
