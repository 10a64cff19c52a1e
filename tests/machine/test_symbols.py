"""Whether kernel functions have names here, and why not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tracer.machine.kernel import capabilities, symbols
from tracer.machine.kernel.symbols import address_of


@pytest.mark.parametrize(
    ("restriction", "fix"), [("2", "sysctl"), ("1", "CAP_SYSLOG"), ("0", "CAP_SYSLOG"), (None, "CAP_SYSLOG")]
)
def test_what_shows_why_no_names_depends_on_the_sysctl(
    restriction: str | None, fix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """2 hides them from root too: no capability helps there."""
    monkeypatch.setattr(capabilities, "held_capabilities", frozenset)
    assert f"kernel.kptr_restrict = {restriction or 'unknown'}" in capabilities.hidden_by(restriction)
    assert fix in capabilities.shown_by(restriction)


def test_an_address_of_zero_is_a_hidden_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So the kernel writes it; a name's own letters must fit to the end."""
    table = tmp_path / "kallsyms"
    table.write_text("ffffffff81000010 T shown\n0000000000000000 T hidden\nffffffff81000020 T other_than_shown\n")
    monkeypatch.setattr(symbols, "_SYMBOLS", table)

    assert address_of(b"shown") == 0xFFFFFFFF81000010
    assert (address_of(b"hidden"), address_of(b"absent")) == (0, 0)


def test_data_at_address_zero_hides_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data of each CPU has addresses from 0 on, and comes first on x86 before 6.15."""
    table = tmp_path / "kallsyms"
    table.write_text("0000000000000000 A fixed_percpu_data\nffffffff81000000 T _stext\n")
    monkeypatch.setattr(symbols, "_SYMBOLS", table)

    assert symbols.why_no_names.__wrapped__() is None


def test_functions_at_address_zero_are_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them are, then."""
    table = tmp_path / "kallsyms"
    table.write_text("0000000000000000 A fixed_percpu_data\n0000000000000000 T _stext\n")
    monkeypatch.setattr(symbols, "_SYMBOLS", table)

    assert symbols.why_no_names.__wrapped__() is not None
