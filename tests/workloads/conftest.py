"""What the tests of the workers share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.workloads.passes import STREAMS, network_namespace


@pytest.fixture(params=STREAMS)
def mode(request: pytest.FixtureRequest) -> str:
    """Those over TCP; for the others see test_datagrams.py."""
    return str(request.param)


@pytest.fixture
def own_namespace() -> Iterator[str]:
    with network_namespace() as name:
        yield name
