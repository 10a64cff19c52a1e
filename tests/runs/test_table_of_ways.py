"""The table of ways, to the byte, on the kernels that people run: what CI does of `make lab-matrix`."""

from __future__ import annotations

import pytest

from bench.lab_matrix import run

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]


@pytest.mark.parametrize(
    ("kernel", "mode", "link"),
    [
        ("6.1", "zerocopy", "lo"),
        ("6.1", "zerocopy", "nic"),
        ("6.1", "zerocopy", "nic --no-sg"),
        ("6.12", "onecopy", "nic --no-sg"),
        ("6.12", "zerocopy", "nic --no-sg"),
        ("6.12", "zerocopy", "nic"),
        ("6.12", "twocopy", "veth"),
        ("6.12", "zerocopy", "veth"),
        ("6.12", "zerocopy", "nic tx-off"),
        ("6.12", "zerocopy", "lo netem-loss"),
        ("6.12", "onecopy", "lo netem-duplicate"),
        ("6.12", "zerocopy", "lo full-qdisc"),
        ("6.1", "sendfile", "lo"),
        ("6.1", "uring-zerocopy", "lo"),
        ("6.12", "sendfile", "nic"),
        ("6.12", "vmsplice", "nic --no-sg"),
        ("6.12", "zerocopy-more", "veth"),
        ("6.12", "uring-zerocopy-fixed", "nic"),
        ("6.1", "ktls", "lo"),
        ("6.1", "ktls-sendfile", "veth"),
        ("6.12", "ktls", "nic --no-sg"),
        ("6.12", "ktls-sendfile", "nic tx-off"),
        ("7.2", "ktls", "lo"),
        ("7.2", "ktls-sendfile", "lo"),
        ("6.1", "onecopy", "lo splice"),
        ("6.1", "zerocopy", "lo map"),
        ("6.12", "sendfile", "lo peek"),
        ("6.12", "onecopy", "lo discard"),
        ("6.12", "zerocopy", "lo uring"),
        ("6.12", "udp-zerocopy", "nic"),
        ("6.12", "uring-zerocopy-fixed", "lo --ipv6"),
        ("6.12", "zerocopy", "veth tapped"),
        ("6.12", "zerocopy", "nic forwarded"),
        ("7.2", "zerocopy", "nic forwarded"),
    ],
)
def test_every_byte_is_where_the_table_says(kernel: str, mode: str, link: str) -> None:
    """Both observers agree, all laws hold, each stage is exact, nothing was lost."""
    cell = run(kernel, mode, link)

    assert cell.problems == []
    assert cell.document.ledger.trustworthy
    assert [observation.lost for observation in cell.document.observations] == [0, 0]
    assert (cell.document.host.where, cell.document.experiment.lab) == ("lab", kernel)
