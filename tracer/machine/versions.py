"""What a bug report has to say of this installation and this system; quick, and without names of anybody."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import pwd
import shutil
import subprocess
from pathlib import Path

from tracer.machine.kernel.installation import find_bcc, version_of
from tracer.machine.users import invoking_user

_HOME = Path(__file__).parents[2]
_GIT_DEADLINE_S = 2
# Too short, or too common, to be looked for in a text.
_NO_SECRETS = frozenset({"root", "localhost", "/", "", "linux", "debian"})


def versions() -> list[str]:
    """nettrace, Python, BCC and kernel, a line each."""
    commit = git_commit()
    return [
        f"nettrace {importlib.metadata.version('nettrace-copies')}{f' (git {commit})' if commit else ''}",
        f"Python {platform.python_version()}, click {importlib.metadata.version('click')}",
        f"BCC {version_of(find_bcc())}",
        f"Linux {platform.release()} {platform.machine()}",
    ]


def git_commit() -> str | None:
    """The commit that is checked out here; None where this is no checkout, or git is not there.

    rev-parse runs nothing that the repository's configuration names; "changed or not" would, as root.
    """
    git = shutil.which("git")
    if git is None or not (_HOME / ".git").exists():
        return None
    words = [git, "-c", f"safe.directory={_HOME}", "-C", str(_HOME), "rev-parse", "--short", "HEAD"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=_GIT_DEADLINE_S)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def operating_system() -> list[str]:
    """The distribution, and the size of the machine."""
    try:
        name = platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        name = "unknown distribution"
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return [name, f"{os.cpu_count()} CPUs, {memory / 2**30:.1f} GiB of memory"]


def secrets() -> dict[str, str]:
    """What a report must not tell -> what stands for it: users, their homes, and this machine's name."""
    users = [pwd.getpwuid(os.getuid())] if _has_account(os.getuid()) else []
    invoking = invoking_user()
    if invoking is not None and _has_account(invoking.uid):
        users.append(pwd.getpwuid(invoking.uid))
    found = {user.pw_dir: "~" for user in users} | {user.pw_name: "USER" for user in users}
    found |= {os.environ.get("HOME", ""): "~", platform.node(): "HOST"}
    return {secret: word for secret, word in found.items() if secret.lower() not in _NO_SECRETS}


def _has_account(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True
