"""Programs that the lab runs on, asked for all at once, before anything is fetched or made."""

from __future__ import annotations

import shutil

from tracer.errors import MachineError

PACKAGES = {
    "qemu-system-x86_64": "qemu-system-x86",
    "busybox": "busybox-static",
    "apt-get": "apt",
    "dpkg-deb": "dpkg",
    "setpriv": "util-linux",
    "sqfstar": "squashfs-tools",
}
"""Program and Debian's package of it."""

# Without these the lab works, only slower.
_WANTED = ("sqfstar",)


def require_programs() -> None:
    """Raise MachineError naming everything that is missing, and the one command that installs it."""
    missing = [program for program in PACKAGES if shutil.which(program) is None]
    if set(missing) - set(_WANTED):
        raise MachineError(
            "the lab cannot run on this machine yet",
            f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not on it",
            f"apt-get install {' '.join(PACKAGES[program] for program in missing)}",
        )


def path_of(program: str) -> str:
    """Where a program is; MachineError as above where it is not."""
    found = shutil.which(program)
    if found is None:
        require_programs()
    return found or program
