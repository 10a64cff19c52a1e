"""apt with its own sources, lists and cache: asks the machine's mirror, changes nothing on it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tracer.errors import LabError

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


def run(command: list[str], directory: Path | None = None) -> str:
    """Standard output of a command; LabError with its last words where it fails."""
    environment = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise LabError(
            f"cannot run {command[0]}",
            "it is not on this machine",
            "the lab's kernels are fetched with Debian's tools: apt-get install apt dpkg kmod",
        ) from error
    if done.returncode != 0:
        raise LabError(
            f"{Path(command[0]).name} could not get the kernel",
            " ".join(done.stderr.split("\n")[-6:]).strip() or f"exit code {done.returncode}",
            "check the network and the machine's apt sources, then repeat the command",
        )
    return done.stdout


def mirror() -> str:
    """URI of the Debian archive in the machine's own apt configuration.

    apt knows the origin only of archives whose lists it has fetched; where the lists were deleted
    (as container images do) the usual path of a mirror decides.
    """
    listing = run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(ORIGIN) $(LABEL)", "Created-By: Packages"])
    return choose_mirror(listing)


def choose_mirror(listing: str) -> str:
    """The archive among lines of "URI ORIGIN LABEL"; security and foreign archives are not it."""
    rows = [line.split() for line in listing.splitlines() if line.strip()]
    for uri, *labels in rows:
        if labels == ["Debian", "Debian"]:
            return uri
    for uri, *_ in rows:
        if uri.rstrip("/").endswith("/debian"):
            return uri
    raise LabError(
        "this machine's apt knows no Debian mirror",
        "the lab's kernels are Debian's, and nettrace takes the mirror from apt's own sources",
        "add a Debian source to /etc/apt/sources.list.d and run apt-get update",
    )


class Repository:
    """One Debian suite, seen through a private apt under `directory`."""

    def __init__(self, directory: Path, suite: str) -> None:
        if not KEYRING.is_file():
            raise LabError(
                "cannot check the signature of Debian's kernels",
                f"{KEYRING} is missing",
                "apt-get install debian-archive-keyring",
            )
        self.directory = directory
        for name in ("state/lists/partial", "cache/archives/partial", "packages"):
            (directory / name).mkdir(parents=True)
        (directory / "status").touch()
        # Packages alone: what else the machine's apt wants of a suite (apt-file's lists) is nothing to us.
        options = f"arch=amd64 target=Packages signed-by={KEYRING}"
        (directory / "sources.list").write_text(f"deb [{options}] {mirror()} {suite} main\n")

    def update(self) -> None:
        """Fetch the suite's list of packages; apt checks its signature."""
        # Without Error-Mode apt-get succeeds on a list that it could not fetch or verify.
        self._apt("apt-get", "-o", "APT::Update::Error-Mode=any", "update")

    def package_names(self, prefix: str) -> list[str]:
        """Names in the list that start with the prefix."""
        return self._apt("apt-cache", "pkgnames", prefix).split()

    def show(self, package: str) -> str:
        """The newest stanza of a package."""
        return self._apt("apt-cache", "show", "--no-all-versions", package)

    def download(self, packages: list[str]) -> list[Path]:
        """The packages as files; apt checks them against the signed list."""
        self._apt("apt-get", "download", *packages)
        return sorted((self.directory / "packages").glob("*.deb"))

    def _apt(self, program: str, *arguments: str) -> str:
        options = {
            "Dir::Etc::SourceList": self.directory / "sources.list",
            "Dir::Etc::SourceParts": "/dev/null",
            "Dir::Etc::Preferences": "/dev/null",
            "Dir::Etc::PreferencesParts": "/dev/null",
            "Dir::State": self.directory / "state",
            "Dir::State::status": self.directory / "status",
            "Dir::Cache": self.directory / "cache",
            "APT::Architecture": "amd64",
            "APT::Architectures": "amd64",
            "Acquire::Languages": "none",
            # Whatever the machine's own configuration allows, an unsigned kernel is never taken.
            "Acquire::AllowInsecureRepositories": "false",
            "APT::Get::AllowUnauthenticated": "false",
        }
        flags = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
        return run([program, *flags, *arguments], self.directory / "packages")
