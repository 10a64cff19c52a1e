"""BCC's compiler, without its habits."""

from __future__ import annotations

import contextlib
import locale
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tracer.errors import MachineError
from tracer.machine.kernel.installation import require_bcc
from tracer.observers.headers import header_tree


def compile_text(text: str, flags: tuple[str, ...] = (), name: str = "a program", tree: Path | None = None) -> Any:
    """BCC's object: the maps are there, nothing is loaded or attached.

    Args:
        name: What an error calls it.
        tree: Another kernel's headers; None for those of the running one.

    Raises:
        MachineError: BCC is missing, or cannot compile it.
    """
    require_bcc()
    import bcc

    class Quiet(bcc.BPF):  # type: ignore[misc]
        """Attaches nothing by its name as soon as it is compiled: the bare pass comes between, and is not watched."""

        def _trace_autoload(self) -> None:
            pass

    os.environ["BCC_KERNEL_SOURCE"] = str(tree or header_tree())  # read by BCC when it compiles
    try:
        with _ctype_c():
            return Quiet(text=text, cflags=["-w", *flags])
    except Exception as error:
        raise MachineError(f"BCC cannot compile {name} for this kernel", str(error), "see: nettrace doctor") from error


@contextlib.contextmanager
def _ctype_c() -> Iterator[None]:
    """LLVM takes the case of a letter from the locale: in a Turkish one it does not know its own options any more."""
    before = locale.setlocale(locale.LC_CTYPE)
    locale.setlocale(locale.LC_CTYPE, "C")
    try:
        yield
    finally:
        locale.setlocale(locale.LC_CTYPE, before)
