"""Why this process may not: it is no root, a capability was dropped, or it is root of a user namespace only."""

from __future__ import annotations

from tracer.errors import PrivilegeError
from tracer.machine.kernel.capabilities import as_root, held_capabilities, in_user_namespace

# What each of these is a part of: whoever holds the whole, holds the part (kernel/bpf/, kernel/events/core.c).
_OF_SYS_ADMIN = frozenset({"CAP_BPF", "CAP_PERFMON"})


def refusal(what: str, reason: str, *needed: str) -> PrivilegeError:
    """The error for something that the kernel has refused to this process.

    Args:
        reason: The kernel's words; empty where it was not asked.
        needed: Capabilities that it takes.
    """
    lacking = lacking_of(needed, held_capabilities())
    if in_user_namespace():
        why = "this is a user namespace (unshare -U, a rootless container), whose root the kernel takes for a user"
    elif lacking:
        why = f"it takes root, or {' and '.join(needed)}; this process lacks {', '.join(lacking)}"
    else:
        why = f"this process has {' and '.join(needed)}: a container, seccomp or a security module forbids it"
        return PrivilegeError(what, f"{reason}; {why}", "run it outside of the container; or in the lab: --lab")
    return PrivilegeError(what, "; ".join(filter(None, (reason, why))), as_root("...", lacking))


def lacking_of(needed: tuple[str, ...], held: frozenset[str]) -> list[str]:
    """Those that are not held, nor contained in one that is."""
    implied = held | (_OF_SYS_ADMIN if "CAP_SYS_ADMIN" in held else frozenset())
    return [name for name in needed if name not in implied]


def require(what: str, *needed: str) -> None:
    """Ask before anything is done for what could only fail half-way.

    Raises:
        PrivilegeError: this process lacks one of these capabilities.
    """
    if lacking_of(needed, held_capabilities()):
        raise refusal(what, "", *needed)
