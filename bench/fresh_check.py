"""The README's two commands on fresh Debian systems, built with debootstrap in a directory: `make fresh-check`.

Each system has nothing but what debootstrap gives, git, make and sudo. In it, `make demo` and `make test` run once as
root in a home of mode 0700, and `make demo` once more as an ordinary user with sudo. The systems share this machine's
kernel, network and name servers; their mounts are in a mount namespace of their own and vanish with it.

It exits with 0 if all went well, 1 if a command failed, and 4 if this machine cannot build or enter such a system.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

HOME = Path(__file__).resolve().parent.parent
SUITES = ("bookworm", "trixie")
# What the README asks of a newcomer's machine; certificates, because debootstrap's smallest system has none.
PACKAGES = ("git", "make", "sudo", "ca-certificates")
USER = "student"
# The bundle that this machine trusts: behind a company's proxy a fresh one would trust nothing that pip reaches.
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")

ENTER = """
set -eu
mount --bind "$1" "$1"  # a root that is a mount, as on any machine: unshare --mount-proc changes how it propagates
mount --rbind /sys "$1/sys"
mount --rbind /dev "$1/dev"
mount -t proc proc "$1/proc"
mount -t tmpfs tmpfs "$1/run"
exec chroot "$1" su - "$2" -c "$3"
"""


class Step(NamedTuple):
    """One command of the README, as one user of one system."""

    suite: str
    user: str
    command: str


def why_not() -> str | None:
    """None if this machine can do it; else what is missing, with the command that helps."""
    if os.geteuid() != 0:
        return "it mounts and changes roots: run it as root"
    missing = [name for name in ("debootstrap", "unshare", "chroot") if shutil.which(name) is None]
    return f"missing: {', '.join(missing)}; apt-get install debootstrap util-linux" if missing else None


def mirror() -> str:
    """The mirror that this machine's own packages come from; debootstrap's default where apt does not say."""
    asked = ["apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages"]
    sites = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.split()
    return next((site for site in sites if "security" not in site), "")


def takes_expired() -> bool:
    """Whether this machine's apt is told to take a mirror that stands still; then that of the systems must be, too."""
    said = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=False).stdout
    return 'Acquire::Check-Valid-Until "false";' in said


def build(suite: str, root: Path) -> None:
    """A fresh system with two copies of this repository: root's, and an ordinary user's who may use sudo."""
    options = ["--variant=minbase", f"--include={','.join(PACKAGES)}"]
    built = ["debootstrap", *options, suite, str(root), *filter(None, [mirror()])]
    subprocess.run(built, check=True, stdout=subprocess.DEVNULL)
    for file in (Path("/etc/resolv.conf"), CERTIFICATES):
        shutil.copy(file.resolve(), root / file.relative_to("/"))
    # As Debian's installer writes it; without it servers and sudo ask the name servers who this machine is.
    names = ("127.0.0.1 localhost", f"127.0.1.1 {platform.node()}", "::1 localhost ip6-localhost ip6-loopback")
    (root / "etc/hosts").write_text("\n".join(names) + "\n")
    if takes_expired():
        (root / "etc/apt/apt.conf.d/99mirror").write_text('Acquire::Check-Valid-Until "false";\n')
    in_root = ["chroot", str(root)]
    subprocess.run([*in_root, "useradd", "--create-home", "--shell", "/bin/bash", USER], check=True)
    (root / f"etc/sudoers.d/{USER}").write_text(f"{USER} ALL=(ALL) NOPASSWD: ALL\n")
    (root / "root").chmod(0o700)
    for home in ("root", f"home/{USER}"):
        subprocess.run(["git", "clone", "-q", "--no-hardlinks", str(HOME), str(root / home / "nettrace")], check=True)
    subprocess.run([*in_root, "chown", "-R", f"{USER}:{USER}", f"/home/{USER}"], check=True)


def run(step: Step, root: Path) -> bool:
    """Whether the command succeeded; its output goes where this program's goes."""
    command = f"export PIP_CERT={CERTIFICATES}; cd nettrace && {step.command}"
    entered = ["unshare", "--mount", "sh", "-c", ENTER, "sh", str(root), step.user, command]
    started = time.monotonic()
    code = subprocess.run(entered, check=False, stdin=subprocess.DEVNULL).returncode
    print(
        f"## {step.suite}: {step.user}: {step.command}: exit code {code}, {time.monotonic() - started:.0f} s",
        flush=True,
    )
    return code == 0


def steps(suites: list[str]) -> Iterator[Step]:
    """All that is tried, in order."""
    for suite in suites:
        yield Step(suite, "root", "make demo")
        yield Step(suite, "root", "make test")
        yield Step(suite, USER, "make demo")


def check(suites: list[str], directory: Path, only: str) -> list[Step]:
    """The steps that failed."""
    failed = []
    for step in steps(suites):
        root = directory / step.suite
        if not root.exists():
            build(step.suite, root)
        if only in step.command and not run(step, root):
            failed.append(step)
    return failed


def main() -> int:
    """0 if all is green."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--suites", default=",".join(SUITES))
    parser.add_argument("--only", default="", help="steps whose command holds this text, for example 'demo'")
    given = parser.parse_args()
    if reason := why_not():
        print(f"skipped: {reason}", file=sys.stderr)
        return 4
    with tempfile.TemporaryDirectory(prefix="nettrace-fresh-", dir="/var/tmp") as directory:
        failed = check(given.suites.split(","), Path(directory), given.only)
    print("\n".join(f"failed: {step.suite}: {step.user}: {step.command}" for step in failed) or "all is green")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
