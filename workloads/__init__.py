"""The registry of modes. Light to import: every worker process does."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from workloads.modes import Mode

# One module each, in the order in which help texts and comparisons list them.
NAMES = ("twocopy", "onecopy", "zerocopy")


def mode(name: str) -> Mode:
    """The mode of that name.

    Raises:
        UsageError: if there is none; suggests the nearest one.
    """
    if name not in NAMES:
        raise _unknown(name)
    return cast("Mode", importlib.import_module(f"workloads.{name}").MODE)


def _unknown(name: str) -> Exception:
    from tracer.errors import UsageError
    from tracer.texts import did_you_mean

    fix = did_you_mean(name, NAMES) or f"for example {NAMES[-1]}"
    return UsageError(f"unknown mode '{name}'", f"the modes are {', '.join(NAMES)}", fix)
