"""The main job on this machine's own kernel: prime counts of odd sizes, and every byte located."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.command import IN_THE_CLEAR, measured, nettrace, stage_bytes
from tests.samples import recording, workload
from tracer.books import modes
from tracer.books.analysis import document_of
from tracer.books.modes import predicted
from tracer.machine.cgroups import open_cgroup
from tracer.machine.namespaces import netns_inode
from tracer.model import Link, Observation, Stage
from tracer.observers.flow import Flow
from tracer.observers.tracepoints import TracepointObserver

pytestmark = pytest.mark.live

# Size, messages of each connection, connections.
WORK = [(10007, 23, 1), (1, 101, 1), (7, 97, 1), (8, 89, 3), (65536, 31, 4)]


def assert_every_byte_is_located(found: dict[str, Any], mode: str, payload: int) -> None:
    """Copied or pinned exactly once on the way in, and out again; the laws hold and nothing was lost."""
    ledger = found["ledger"]
    stages = stage_bytes(found)
    copies = predicted(modes.mode(mode), Link(found["experiment"]["link"]), size=found["experiment"]["size"])
    # Where a byte is copied after the send call, it is each time that it is sent.
    again = {"deferred_copy": ledger["retransmitted_bytes"]}
    seen = ("copy_in", "pin", "linearize", "deferred_copy", "copy_out", *(["splice"] if copies[Stage.SPLICE] else []))
    expected = {stage: round(copies[Stage(stage)] * (payload + again.get(stage, 0))) for stage in seen}

    if modes.mode(mode).header:  # one that left alone, in a packet without a pinned page, is not copied again
        assert expected["pin"] <= (stages["deferred_copy"] or 0) <= expected.pop("deferred_copy")
    assert {stage: stages[stage] for stage in expected} == expected
    assert stages.get("pack", 0) == round(copies[Stage.PACK] * payload)
    assert {law["id"]: law["state"] for law in ledger["laws"] if law["state"] != "holds"} == {}
    assert ledger["trustworthy"] is True
    assert [observation["lost"] for observation in found["observations"]] == [0]
    assert found["observed"]["payload_bytes"] == found["observed"]["received_bytes"] == payload
    assert found["verdict"]["code"] == verdict_of(copies, modes.mode(mode))


def verdict_of(copies: Mapping[Stage, float], mode: modes.Mode) -> str:
    """Over lo and veth."""
    if mode.asks_zerocopy and copies[Stage.COPY_IN] == 1:
        return "copied-at-once"
    return "spliced" if copies[Stage.SPLICE] else "copied-by-loopback" if copies[Stage.PIN] else "copied"


@pytest.mark.parametrize(("size", "messages", "threads"), WORK)
@pytest.mark.parametrize("link", ["lo", "veth"])
@pytest.mark.parametrize("mode", IN_THE_CLEAR)
def test_every_byte_is_located(mode: str, link: str, size: int, messages: int, threads: int) -> None:
    """Bytes by stage are exact to the byte, for every mode, on both links."""
    if modes.mode(mode).is_datagrams:
        size = min(size, 32749)  # 8 fields of it may still be pinned as one
    arguments = ["--size", size, "--messages", messages, "--threads", threads, "--link", link]
    found = measured(mode, *arguments, "--observer", "tracepoints")

    assert_every_byte_is_located(found, mode, size * messages * threads)
    if modes.mode(mode).asks_zerocopy:
        completions = found["observed"]["completions"]
        assert completions["total"] == completions["copied"] == found["observed"]["asked_sends"]


@pytest.mark.parametrize("mode", IN_THE_CLEAR)
def test_many_threads_are_all_counted(mode: str) -> None:
    """16 connections at once: none is missed, none is counted twice."""
    found = measured(mode, "--size", 1021, "--messages", 53, "--threads", 16, "--observer", "tracepoints")

    assert_every_byte_is_located(found, mode, 16 * 53 * 1021)


@pytest.mark.parametrize("mode", IN_THE_CLEAR)
def test_verify_checks_every_byte_and_changes_none(mode: str) -> None:
    """--verify finds the sender's pattern at the receiver, whatever the way."""
    found = measured(mode, "--size", 10007, "--messages", 23, "--verify", "--observer", "tracepoints")

    assert_every_byte_is_located(found, mode, 23 * 10007)
    assert found["workload"]["verified"] is found["observed"]["verified"] is True


@pytest.mark.parametrize("link", ["lo", "veth"])
@pytest.mark.parametrize("mode", [*modes.STUDIED, "sendfile", "zerocopy-more", "uring-zerocopy"])
def test_every_byte_is_located_over_ipv6(mode: str, link: str) -> None:
    """And whatever else is set: it is in the recording."""
    given = {"ipv6": True, "nodelay": True, "congestion": "reno", "sndbuf": 65536, "rcvbuf": 65536, "fields": 8}
    options = ["--ipv6", "--nodelay", "--congestion", "reno", "--sndbuf", "64K", "--rcvbuf", "64K"]
    arguments = ["--size", 10007, "--messages", 97, "--link", link, *options]
    found = measured(mode, *arguments, "--observer", "tracepoints")

    assert_every_byte_is_located(found, mode, 97 * 10007)
    assert {name: found["experiment"][name] for name in given} == given


@pytest.mark.parametrize("link", ["lo", "veth"])
@pytest.mark.parametrize("mode", [mode.name for mode in modes.MODES if mode.is_datagrams])
def test_every_datagram_is_located_over_ipv6(mode: str, link: str) -> None:
    """Whose fragments have a header of their own."""
    arguments = ["--size", 10007, "--messages", 97, "--link", link, "--ipv6", "--sndbuf", "64K", "--rcvbuf", "64K"]
    found = measured(mode, *arguments, "--observer", "tracepoints")

    assert_every_byte_is_located(found, mode, 97 * 10007)


def test_a_header_in_a_packet_of_its_own_is_no_part_of_what_completions_say() -> None:
    """Of one message alone, over veth: the kernel does not wait for the pages that follow it."""
    found = measured("zerocopy-more", "--messages", 1, "--link", "veth", "--observer", "tracepoints")
    law = next(law for law in found["ledger"]["laws"] if law["id"] == "T.L8")

    assert_every_byte_is_located(found, "zerocopy-more", 16384)
    assert law["right"] == found["observed"]["asked_bytes"] == 16384 - 2048


def test_datagrams_that_the_receiver_s_buffer_refuses_are_neither_read_nor_missed_by_a_law() -> None:
    """It has room for the first of the three that the kernel cuts a message into, and maybe for more."""
    found = measured("udp-gso", "--size", 4095, "--messages", 3, "--rcvbuf", 2304, "--observer", "tracepoints")
    states = {law["id"]: law["state"] for law in found["ledger"]["laws"]}

    assert "broken" not in states.values()
    assert (states["T.L3"], states["T.L6"]) == ("holds", "holds")
    assert stage_bytes(found)["copy_out"] == found["observed"]["received_bytes"]
    assert (stage_bytes(found).get("dropped") or 0) == 3 * 4095 - found["observed"]["received_bytes"]


def test_a_duration_is_turned_into_the_same_work_for_both_passes() -> None:
    """The bare pass sends for that time; the observed pass repeats its number of messages."""
    found = measured("onecopy", "--size", 10007, "--duration", 0.2, "--observer", "tracepoints")

    assert found["workload"]["elapsed_s"] >= 0.15
    assert found["observed"]["messages"] == found["workload"]["messages"]
    assert_every_byte_is_located(found, "onecopy", found["observed"]["messages"] * 10007)


def test_a_saved_recording_reports_what_the_run_reported(tmp_path: Any) -> None:
    """`nettrace report FILE` prints the very screen of the run, and its --json the very document."""
    path = tmp_path / "run.json"
    ran = nettrace("run", "zerocopy", "--messages", 23, "--save", path)

    assert ran.returncode == 0
    assert nettrace("report", path).stdout == ran.stdout
    assert nettrace("report", path, "--json").stdout == path.read_text()


def test_an_expectation_that_fails_is_exit_code_1() -> None:
    """Zero-copy is not real over loopback, and a script can ask."""
    done = nettrace("run", "zerocopy", "--messages", 23, "--expect-zerocopy")

    assert done.returncode == 1
    assert "every byte was copied after all" in " ".join(done.stdout.split())


@contextlib.contextmanager
def unrelated_traffic() -> Iterator[list[int]]:
    """Bytes pumped over loopback, by one connection on a port of its own, all the time; the count so far."""
    count, stopped = [0], threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sender = socket.create_connection(listener.getsockname())
        receiver, _ = listener.accept()

    def pump() -> None:
        while not stopped.is_set():
            sender.sendall(bytes(60_000))
            left = 60_000
            while left:
                left -= len(receiver.recv(left))
            count[0] += 60_000

    pumping = threading.Thread(target=pump)
    pumping.start()
    try:
        yield count
    finally:
        stopped.set()
        pumping.join()
        sender.close()
        receiver.close()


@pytest.mark.parametrize("mode", IN_THE_CLEAR)
def test_the_rest_of_the_machine_is_not_counted(mode: str) -> None:
    """Other connections on the same device at the same time change no count."""
    with unrelated_traffic() as pumped:
        before = pumped[0]
        found = measured(mode, "--size", 10007, "--messages", 499, "--observer", "tracepoints")

        assert pumped[0] > before
    assert_every_byte_is_located(found, mode, 499 * 10007)


@contextlib.contextmanager
def joined(cgroup: Path) -> Iterator[None]:
    """This process is in a cgroup for the time of the block, and so are the sockets that it makes there, for ever."""
    path = Path("/proc/self/cgroup").read_text().rpartition("0::/")[2].strip()
    (cgroup / "cgroup.procs").write_text("0")
    try:
        yield
    finally:
        (cgroup.parent / path / "cgroup.procs").write_text("0")


def observe_mixed_traffic(rounds: int, size: int) -> tuple[Observation, int]:
    """One connection that alternates an ordinary and a zero-copy send; what was seen, and the payload."""
    own = netns_inode(None)
    with contextlib.ExitStack() as stack:
        cgroup = stack.enter_context(open_cgroup())
        with joined(cgroup):
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            sender = stack.enter_context(socket.create_connection(listener.getsockname()))
            receiver = stack.enter_context(listener.accept()[0])
        observer = TracepointObserver(Flow(listener.getsockname()[1], own, own, cgroup))
        stack.callback(observer.close)
        sender.setsockopt(socket.SOL_SOCKET, 60, 1)  # SO_ZEROCOPY
        observer.attach()
        for _ in range(rounds):
            sender.sendall(bytes(size), socket.MSG_MORE)
            assert sender.send(bytes(size), 0x4000000) == size  # MSG_ZEROCOPY
            assert len(receiver.recv(2 * size, socket.MSG_WAITALL)) == 2 * size
        return observer.detach(), 2 * size * rounds


def test_mixed_traffic_is_recognised_and_not_guessed_apart() -> None:
    """Copied and pinned payload in one skb: the bytes are called mixed, and the verdict says so."""
    observation, payload = observe_mixed_traffic(rounds=23, size=4099)
    observed = workload(payload_bytes=payload, received_bytes=payload, bytes_sent=payload, sends=46, completions=None)
    found = document_of(recording(observation, "zerocopy", Link.LO, observed=observed))

    assert found.ledger.mixed_bytes
    assert found.verdict.code == "mixed"
    assert [law.id for law in found.ledger.laws if law.state != "holds"] == []
