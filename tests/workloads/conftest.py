"""What the tests of the workers share."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from tracer.books import modes


@pytest.fixture(params=modes.NAMES)
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def own_namespace() -> Iterator[str]:
    """A network namespace with its loopback up, in which sysctls can be changed without harm."""
    name = f"nettrace-test-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        yield name
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)
