"""What the tests of the workers share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.workloads.passes import network_namespace
from tracer.books import modes


@pytest.fixture(params=[mode.name for mode in modes.MODES if not mode.is_datagrams])
def mode(request: pytest.FixtureRequest) -> str:
    """Those over TCP; for the others see test_datagrams.py."""
    return str(request.param)


@pytest.fixture
def own_namespace() -> Iterator[str]:
    with network_namespace() as name:
        yield name
