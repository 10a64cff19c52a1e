"""The programs of bench/ are run by hand, and seldom: what they import must still be there."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from tests.command import ROOT

PROGRAMS = sorted((ROOT / "bench").glob("*.py"))


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.stem)
def test_what_a_bench_imports_is_there(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Started as a file, its directory is the first that is searched."""
    monkeypatch.setattr(sys, "path", [str(program.parent), *sys.path])
    spec = importlib.util.spec_from_file_location(f"tried_{program.stem}", program)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)

    spec.loader.exec_module(module)

    assert module.__doc__
