"""Who asked: the user behind sudo, pkexec or doas, whom the workload runs as and whose the files are."""

from __future__ import annotations

import contextlib
import os
import pwd
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from tracer.errors import UsageError

# The kernel's ids are 32 bits wide, and the last one means "leave it".
_IDS = range((1 << 32) - 1)


class User(NamedTuple):
    """A user and the group to run as."""

    uid: int
    gid: int


def invoking_user(environment: Mapping[str, str] | None = None) -> User | None:
    """Who called sudo, pkexec or doas to become root; None where nobody did, or where we are not root.

    The group is sudo's SUDO_GID, else that of the account.

    Raises:
        UsageError: a variable names no user or no group; nothing runs as root instead.
    """
    if os.geteuid() != 0:
        return None
    environment = os.environ if environment is None else environment
    for name in ("SUDO_UID", "PKEXEC_UID"):
        if value := environment.get(name):
            uid = _id(name, value)
            group = environment.get("SUDO_GID") if name == "SUDO_UID" else None
            return User(uid, _id("SUDO_GID", group) if group else _group_of(name, uid))
    if account := environment.get("DOAS_USER"):
        return _account(account)
    return None


def user_name(uid: int) -> str:
    """For people: "alice (uid 1000)", or "uid 1000" where it has no account."""
    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"uid {uid}"


def give_to_invoking_user(path: Path | int) -> None:
    """Make the user who called sudo the owner of a file or descriptor; nothing happens without one.

    A root that may not give files away (CAP_CHOWN) keeps them: better root's than none.
    """
    if user := invoking_user():
        with contextlib.suppress(PermissionError):
            os.chown(path, user.uid, user.gid)


def _id(name: str, value: str) -> int:
    if not (value.isascii() and value.isdigit() and int(value[:11]) in _IDS):
        raise _nobody(name, value, "it is no number of a user or group")
    return int(value)


def _group_of(name: str, uid: int) -> int:
    try:
        return pwd.getpwuid(uid).pw_gid
    except KeyError:
        raise _nobody(name, str(uid), "no account has this number, so its group is unknown") from None


def _account(name: str) -> User:
    try:
        account = pwd.getpwnam(name)
    except KeyError:
        raise _nobody("DOAS_USER", name, "there is no such account") from None
    return User(account.pw_uid, account.pw_gid)


def _nobody(name: str, value: str, why: str) -> UsageError:
    return UsageError(
        f"{name} is '{value}', which names nobody to run as",
        why,
        f"call nettrace by sudo, or unset {name} to stay root",
    )
