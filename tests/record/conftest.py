"""A file to serve, and no server that outlives its test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.record.servers import FILE_BYTES, started


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("www") / "big"
    path.write_bytes(os.urandom(FILE_BYTES))
    path.parent.chmod(0o755)
    path.parent.parent.chmod(0o755)
    return path


@pytest.fixture(autouse=True)
def no_server_goes_on() -> Iterator[None]:
    """A test that fails before it stops its server leaves none behind: nettrace hands SIGTERM on."""
    yield
    while started:
        process = started.pop().process
        if process.poll() is None:
            process.terminate()
            process.communicate(timeout=240)
