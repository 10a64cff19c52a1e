"""Kernel TLS of a workload of ours, in the lab: all kernels there have it. Its row of the matrix: test_lab_run.py."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.command import LAB_DEADLINE_S, nettrace, stage_bytes

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1500)]

SIZE, MESSAGES = 10007, 97
MANY = ("--size", SIZE, "--messages", MESSAGES)


def document(mode: str, *options: object) -> dict[str, Any]:
    done = nettrace("run", mode, *options, "--json", "--lab", "6.12", timeout=LAB_DEADLINE_S)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("mode", ["ktls", "ktls-sendfile"])
def test_every_byte_of_several_connections_is_located_and_verified(mode: str) -> None:
    """Over IPv6, by both observers: no law is without its term for the records, and none is unknown."""
    found = document(mode, *MANY, "--threads", 3, "--verify", "--ipv6", "--link", "veth", "--observer", "all")
    stages, payload = stage_bytes(found), 3 * SIZE * MESSAGES

    assert {law["id"]: law["state"] for law in found["ledger"]["laws"] if law["state"] != "holds"} == {}
    assert (stages["encrypt"], stages["decrypt"], stages["copy_in"]) == (payload, payload, 0)
    assert stages["splice" if mode == "ktls-sendfile" else "pin"] == payload
    assert found["observed"]["verified"] is True
    assert found["verdict"]["code"] == "encrypted"
    told = [one["tls"] for one in found["sockets"]]
    records = {(one.get("records_sent", 0), one.get("records_read", 0)) for one in told}
    assert records == {(MESSAGES, 0), (0, MESSAGES)}


def test_what_lies_in_many_fields_is_copied_before_the_cipher_reads_it() -> None:
    """A record's payload may lie in 17 pieces."""
    found = document("ktls", *MANY, "--fields", 64, "--observer", "all")

    assert stage_bytes(found)["copy_in"] == stage_bytes(found)["encrypt"] == SIZE * MESSAGES
    assert found["ledger"]["trustworthy"] is True
    assert found["verdict"]["sentence"].startswith("Copied, and encrypted: every byte was copied into the kernel first")


def test_packets_alone_show_what_was_encrypted() -> None:
    """And not where the cipher read it, nor what was copied to the reader: absent is not zero."""
    found = document("ktls", *MANY, "--observer", "tracepoints")
    stages = stage_bytes(found)

    assert stages["encrypt"] == SIZE * MESSAGES
    assert (stages["copy_in"], stages["pin"], stages["copy_out"]) == (None, None, None)
    assert {law["state"] for law in found["ledger"]["laws"]} == {"holds"}


def test_a_kernel_that_has_no_module_is_an_error_before_anything_is_measured() -> None:
    """It says what is missing and what would help; nothing is on standard output."""
    off = ("--setup", "echo 1 > /proc/sys/kernel/modules_disabled")
    done = nettrace("run", "ktls", *MANY, *off, "--lab", "6.12", timeout=LAB_DEADLINE_S)

    assert (done.returncode, done.stdout) == (4, "")
    assert "cannot have kernel TLS" in done.stderr
    assert "modprobe tls" in done.stderr
