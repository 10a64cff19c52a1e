"""The stock Debian kernels of the lab: fetched with apt, checked by apt, never installed.

One kernel is one directory of the user's cache, complete from the moment it exists::

    kernels/6.12/  kernel.json  vmlinuz  vmlinux  config  lib/modules/6.12.107+deb13-amd64/

Nothing compares versions of running kernels; a series is only the name of a thing to fetch.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tracer.errors import LabError, UsageError
from tracer.lab import apt, modules, needs, places, vmlinux

SUITES = {"6.1": "bookworm", "6.12": "trixie", "7.2": "sid"}
"""Kernel series that are known without asking, and the Debian suite that carried each when this was written.

sid moves on: what a suite carries is asked of it, and a fetched kernel remembers its suite.
"""

_ANOTHER = "nettrace lab kernels lists the others"

STABLE = "trixie"
"""The suite whose kernel is meant where none is named."""

Note = Callable[[str], None]
"""Receives one line of progress, for stderr."""


@dataclass(frozen=True)
class Kernel:
    """One unpacked kernel.

    Args:
        name: Series, as the user says it: "6.12".
        release: What `uname -r` prints under it.
        version: Debian's version of the package, "6.12.107-1".
    """

    name: str
    release: str
    version: str
    directory: Path
    suite: str = ""

    @property
    def bootable(self) -> Path:
        """The ELF kernel where its compression could be undone here, else Debian's bzImage."""
        elf = self.directory / "vmlinux"
        return elf if elf.exists() else self.directory / "vmlinuz"

    @property
    def modules(self) -> Path:
        """The tree that modprobe calls /lib/modules/RELEASE."""
        return self.directory / "lib/modules" / self.release

    def has_all_modules(self) -> bool:
        """Whether what this nettrace wants of it was kept when it was fetched."""
        try:
            facts = json.loads((self.directory / "kernel.json").read_bytes())
        except (OSError, ValueError):
            return False
        return bool(facts.get("kept") == list(modules.KEPT))

    def size(self) -> int:
        """Bytes on disk, images made from it included."""
        return sum(path.lstat().st_size for path in self.directory.rglob("*") if path.is_file())


def default() -> str:
    """The series that is meant where none is named: the stable suite's, the newest one that was fetched."""
    here = [name for name in names() if suite_of(name) == STABLE]
    fetched_here = [name for name in here if fetched(name) is not None]
    return max(fetched_here or here, key=_numbers)


def names() -> list[str]:
    """All series that the lab knows, oldest first: those known without asking, and what was fetched besides."""
    here = [path.parent.name for path in cache().glob("*/kernel.json")]
    return sorted({*SUITES, *here}, key=_numbers)


def suite_of(name: str) -> str | None:
    """The Debian suite that carries a series; None where nobody has asked yet."""
    kernel = fetched(name)
    return (kernel.suite if kernel is not None else "") or SUITES.get(name)


def _numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", text)]


def cache() -> Path:
    """The directory of all kernels, in the user's cache."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("nettrace")) / "kernels"


def match(name: str) -> str:
    """The series with exactly this name; the nearest number is not meant by another one, and not proposed."""
    known = names()
    if name in known:
        return name
    fix = "nettrace lab kernels --fetch NAME asks Debian for another one"
    raise UsageError(f"no lab kernel is called '{name}'", f"the lab knows {', '.join(known)}", fix)


def fetched(name: str) -> Kernel | None:
    """The kernel of this series in the cache; None where it has not been fetched."""
    directory = cache() / name
    try:
        facts = json.loads((directory / "kernel.json").read_bytes())
        return Kernel(name, facts["release"], facts["version"], directory, facts.get("suite", ""))
    except (OSError, ValueError, KeyError):
        return None


def available() -> dict[str, Kernel | None]:
    """Every series that the lab knows, with its kernel where it has been fetched."""
    return {name: fetched(name) for name in names()}


def get(name: str, note: Note) -> Kernel:
    """The kernel of this series, fetched now if it is not in the cache."""
    name = match(name)
    kernel = fetched(name)
    if kernel is not None and not kernel.has_all_modules():
        note(f"kernel {name} was fetched by an older nettrace, which kept fewer of its modules: fetching it again")
        kernel = None
    return kernel or fetch(name, note)


def fetch(name: str, note: Note) -> Kernel:
    """Fetch and unpack the newest kernel of the series, replacing an older one.

    Raises:
        LabError: apt, the network, the signature or the disk said no. The cache is as before.
    """
    if not re.fullmatch(r"\d+\.\d+", name):
        name = match(name)
    needs.require_programs()
    try:
        with _locked(cache(), note), tempfile.TemporaryDirectory(".part", name, cache()) as work:
            _unpack_newest(name, Path(work), note)
            _replace(Path(work) / "kernel", cache() / name)
    except OSError as error:
        raise LabError(
            f"cannot keep kernel {name} in {cache()}",
            str(error),
            "free some space (a kernel needs 700 MB while it is unpacked), then repeat the command",
        ) from error
    kernel = fetched(name)
    if kernel is None:
        raise LabError(f"kernel {name} vanished from {cache()} while it was fetched", "", "repeat the command")
    return kernel


def newest_series(names: Iterable[str]) -> str | None:
    """The newest series among the package names of a suite; None where it carries no kernel."""
    found = {match.group(1) for name in names if (match := re.match(r"linux-image-(\d+\.\d+)\.\d", name))}
    return max(found, key=_numbers, default=None)


def newest_image(names: Iterable[str], series: str) -> str | None:
    """The newest package of the series among package names; None where there is none.

    A suite may carry several builds of one series ("6.1.0-47", "6.1.0-50"). Flavours (cloud, rt)
    and the unsigned and debug builds of the same kernel have other names and are left out.
    """
    pattern = re.compile(rf"linux-image-{re.escape(series)}\.\d[\w.+]*(-\d+)?-amd64")
    images = [name for name in names if pattern.fullmatch(name)]
    numbers = [([int(n) for n in re.findall(r"\d+", name)], name) for name in images]
    return max(numbers)[1] if numbers else None


def needed_packages(image: str, stanza: str) -> list[str]:
    """The packages that hold the files of a kernel, from the stanza of its image package.

    Up to Debian 13 the image package holds all. In sid (7.2) it is empty and depends on
    linux-base-RELEASE, linux-binary-RELEASE and linux-modules-RELEASE: hence every dependency
    that carries the same release in its name.
    """
    release = image.removeprefix("linux-image-")
    depends = re.search(r"^Depends: (.*)$", stanza, re.MULTILINE)
    names = re.findall(r"[\w.+-]+", depends.group(1)) if depends else []
    return [image, *(name for name in dict.fromkeys(names) if name.endswith("-" + release))]


def _unpack_newest(name: str, work: Path, note: Note) -> None:
    """Make work/kernel, complete, from the newest packages of the series."""
    suite, repository, image = _find(name, work, note)
    stanza = repository.show(image)
    for package in repository.download(needed_packages(image, stanza)):
        apt.run(["dpkg-deb", "--extract", str(package), str(work / "root")])
        package.unlink()
    release = image.removeprefix("linux-image-")
    _keep_what_is_needed(work / "root", work / "kernel", release)
    version = re.search(r"^Version: (\S+)$", stanza, re.MULTILINE)
    facts = {
        "release": release,
        "version": version.group(1) if version else release,
        "suite": suite,
        "kept": modules.KEPT,
    }
    (work / "kernel/kernel.json").write_text(json.dumps(facts))


def _find(name: str, work: Path, note: Note) -> tuple[str, apt.Repository, str]:
    """The suite that carries the series, and the newest image package there."""
    known = suite_of(name)
    carried = {}
    for suite in [known] if known else dict.fromkeys(SUITES.values()):
        note(f"fetching kernel {name} from Debian {suite} (about 110 MB, once)")
        repository = apt.Repository(work / suite, suite)
        repository.update()
        packages = repository.package_names("linux-image-")
        if image := newest_image(packages, name):
            return suite, repository, image
        carried[suite] = newest_series(packages)
    newest = ", ".join(f"{suite} carries {series}" for suite, series in carried.items())
    named = carried[known] if known else None
    raise LabError(
        f"Debian {known or 'has no suite that'} {'no longer ' if known else ''}carries a kernel {name}",
        newest,
        f"nettrace lab kernels --fetch {named}" if named else _ANOTHER,
    )


def _keep_what_is_needed(root: Path, kernel: Path, release: str) -> None:
    """Move the kernel, its configuration and the lab's modules out of the unpacked packages."""
    tree = next((root / d for d in ("usr/lib/modules", "lib/modules") if (root / d).is_dir()), root)
    (kernel / "lib/modules").mkdir(parents=True)
    for file in ("vmlinuz", "config"):
        # /boot/vmlinuz-RELEASE up to Debian 13, /usr/lib/modules/RELEASE/vmlinuz in sid.
        found = [p for p in (root / f"boot/{file}-{release}", tree / release / file) if p.is_file()]
        if not found:
            why = "Debian has put it elsewhere since this was written"
            raise LabError(f"the packages of kernel {release} hold no {file}", why, _ANOTHER)
        shutil.move(found[0], kernel / file)
    shutil.move(tree / release, kernel / "lib/modules" / release)
    elf = vmlinux.extract((kernel / "vmlinuz").read_bytes())
    if elf is not None:
        (kernel / "vmlinux").write_bytes(elf)
    modules.prune(kernel, release)


def _replace(new: Path, directory: Path) -> None:
    """Put the finished directory in place of the old one; a reader sees one or the other."""
    old = new.with_name("old")
    if directory.exists():
        directory.rename(old)
    new.chmod(0o755)
    new.rename(directory)


@contextlib.contextmanager
def _locked(directory: Path, note: Note) -> Iterator[None]:
    """Hold the cache's lock, so that two commands do not fetch at once; clear dead leftovers."""
    directory.mkdir(parents=True, exist_ok=True)
    with places.locked(directory / ".lock", note, "is fetching a kernel"):
        for leftover in directory.glob("*.part"):
            shutil.rmtree(leftover)  # of a process that was killed: the lock is ours
        yield
