"""Numbers with their units: read from the command line, printed for people. Pure."""

from __future__ import annotations

import re

from tracer.errors import UsageError

_FACTORS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def parse_size(text: str) -> int:
    """Bytes of "16384", "16K", "16KB", "64KiB" or "1M"; K is 1024 in each of them.

    Raises:
        UsageError: no number, or an unknown unit.
    """
    match = re.fullmatch(r"\s*([+-]?\d{1,18})\s*([a-z]*)\s*", text.lower())
    if not match:
        raise UsageError(f"'{text}' is not a size", "a size is a whole number with an optional unit", _EXAMPLES)
    number, unit = match.groups()
    factor = _FACTORS.get(re.sub(r"i?b$", "", unit))
    if factor is None:
        raise UsageError(f"'{text}' has an unknown unit '{unit}'", "units are B, K, M (KiB, MiB)", _EXAMPLES)
    return int(number) * factor


_EXAMPLES = "for example --size 16384, --size 16K or --size 64KiB"


def format_size(size: int) -> str:
    """A message size as people say it: "16 KiB", "10007 B"."""
    for factor, unit in ((1 << 20, "MiB"), (1 << 10, "KiB")):
        if size >= factor and size % factor == 0:
            return f"{size // factor} {unit}"
    return f"{size} B"


def format_count(count: int | None) -> str:
    """An exact count, or n/a for what nobody observed."""
    return "n/a" if count is None else f"{count:,}"


def format_ratio(ratio: float | None) -> str:
    """A multiple of the payload with three decimals that never rounds an inexact one to "1x"."""
    if ratio is None:
        return "n/a"
    text = f"{ratio:.3f}"
    if float(text) != ratio:
        return text
    return f"{ratio:g}"


def format_rate(bytes_per_s: float) -> str:
    """Throughput in bits a second, as network people say it."""
    return f"{bytes_per_s * 8 / 1e9:.2f} Gb/s"


def format_ns(nanoseconds: float | None) -> str:
    """A duration with three digits or so: "850 ns", "12.3 µs", "4.56 ms", "1.20 s"."""
    if nanoseconds is None:
        return "n/a"
    for factor, unit in ((1e9, "s"), (1e6, "ms"), (1e3, "µs")):
        if nanoseconds >= factor:
            return f"{nanoseconds / factor:.3g} {unit}"
    return f"{nanoseconds:.0f} ns"


def percent(part: float, whole: float) -> str:
    """Share in percent; "n/a" of nothing."""
    return f"{100 * part / whole:.1f} %" if whole else "n/a"
