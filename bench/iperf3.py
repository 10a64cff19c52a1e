"""iperf3 between two processes over loopback."""

from __future__ import annotations

import json
import socket
import subprocess
from typing import Any

from turns import Sample


def iperf3_run(size: int, messages: int, *options: str) -> Sample:
    """What its receiver saw, and the CPU time of both processes by their own account (getrusage(), while it ran)."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = str(probe.getsockname()[1])
    server = ["iperf3", "-s", "-1", "-p", port, "-B", "127.0.0.1", "--forceflush"]
    with subprocess.Popen(
        server, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    ) as listening:
        assert listening.stdout is not None
        while "listening" not in listening.stdout.readline():
            pass
        amount = ["-l", str(size), "-n", str(size * messages)]
        client = ["iperf3", "-c", "127.0.0.1", "-p", port, *amount, "-J", *options]
        done = subprocess.run(client, check=True, capture_output=True, text=True, start_new_session=True)
        listening.communicate()
    return _sample_of(json.loads(done.stdout)["end"])


def _sample_of(end: dict[str, Any]) -> Sample:
    share = (end["cpu_utilization_percent"]["host_total"] + end["cpu_utilization_percent"]["remote_total"]) / 100
    cpu_s = share * end["sum_sent"]["seconds"]
    return Sample(cpu_s * 1e9 / end["sum_sent"]["bytes"], end["sum_received"]["bits_per_second"] / 1e9)
