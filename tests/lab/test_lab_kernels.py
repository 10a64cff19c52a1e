"""Choosing, fetching and pruning the lab's kernels: names, package lists, modules."""

from __future__ import annotations

from pathlib import Path

import pytest

from tracer.errors import LabError, UsageError
from tracer.lab import apt, kernels, modules, vmlinux

BOOKWORM = [
    "linux-image-6.1.0-9-amd64",
    "linux-image-6.1.0-50-amd64",
    "linux-image-6.1.0-47-amd64",
    "linux-image-6.1.0-51-cloud-amd64",
    "linux-image-6.1.0-51-rt-amd64",
    "linux-image-6.1.0-51-amd64-dbg",
    "linux-image-6.1.0-51-amd64-unsigned",
    "linux-image-amd64",
    "linux-image-6.12.94+deb13-amd64",
]

SID_STANZA = """Package: linux-image-7.2.13+deb14-amd64
Version: 7.2.13-1
Depends: dracut | linux-initramfs-tool, linux-base-7.2.13+deb14-amd64 (= 7.2.13-1), \
linux-binary-7.2.13+deb14-amd64 (= 7.2.13-1), linux-modules-7.2.13+deb14-amd64 (= 7.2.13-1)
"""

MODULES_DEP = """kernel/fs/netfs/netfs.ko.xz:
kernel/net/9p/9pnet.ko.xz:
kernel/net/9p/9pnet_virtio.ko.xz: kernel/net/9p/9pnet.ko.xz
kernel/fs/9p/9p.ko.xz: kernel/net/9p/9pnet.ko.xz kernel/fs/netfs/netfs.ko.xz
"""


def quiet(_line: str) -> None:
    """Progress that no test reads."""


def test_a_series_is_matched_exactly() -> None:
    """6.1 is not 6.12: a name is taken as it is."""
    assert [kernels.match(name) for name in ("6.1", "6.12", "7.2")] == ["6.1", "6.12", "7.2"]


def test_an_unknown_series_names_those_that_are_known() -> None:
    """A kernel that the lab does not know is a usage error; the nearest number is not what was meant."""
    with pytest.raises(UsageError) as caught:
        kernels.match("v6.12")

    assert "'v6.12'" in caught.value.what
    assert "6.12" in caught.value.why


def test_the_newest_build_is_the_greatest_number() -> None:
    """6.1.0-50 is newer than 6.1.0-9; flavours, debug builds and other series are not it."""
    assert kernels.newest_image(BOOKWORM, "6.1") == "linux-image-6.1.0-50-amd64"
    assert kernels.newest_image(BOOKWORM, "6.12") == "linux-image-6.12.94+deb13-amd64"


def test_a_series_that_left_its_suite_is_none() -> None:
    """A suite that has moved on carries no such kernel."""
    assert kernels.newest_image(BOOKWORM, "7.2") is None


def test_a_split_kernel_needs_all_its_parts() -> None:
    """In sid the image package is empty; what belongs to the same release holds the files."""
    assert kernels.needed_packages("linux-image-7.2.13+deb14-amd64", SID_STANZA) == [
        "linux-image-7.2.13+deb14-amd64",
        "linux-base-7.2.13+deb14-amd64",
        "linux-binary-7.2.13+deb14-amd64",
        "linux-modules-7.2.13+deb14-amd64",
    ]


def test_a_whole_kernel_needs_itself_alone() -> None:
    """Tools that the image package depends on are not part of the kernel."""
    stanza = "Depends: kmod, linux-base (>= 4.3~), initramfs-tools (>= 0.120+deb8u2)\n"

    assert kernels.needed_packages("linux-image-6.1.0-50-amd64", stanza) == ["linux-image-6.1.0-50-amd64"]


def test_the_mirror_is_the_machine_s_own_debian_archive() -> None:
    """Security and foreign archives are passed over."""
    listing = (
        "http://mirror.test/security/ Debian Debian-Security\n"
        "http://other.test/ Other Other\n"
        "http://mirror.test/x/ Debian Debian\n"
    )

    assert apt.choose_mirror(listing) == "http://mirror.test/x/"


def test_without_lists_the_path_of_the_mirror_decides() -> None:
    """The tool apt knows no origin where its lists were deleted."""
    listing = "http://mirror.test/security/ $(ORIGIN) $(LABEL)\nhttp://mirror.test/debian/ $(ORIGIN) $(LABEL)\n"

    assert apt.choose_mirror(listing) == "http://mirror.test/debian/"


def test_no_debian_mirror_is_a_lab_error() -> None:
    """A machine without Debian sources is told so."""
    with pytest.raises(LabError):
        apt.choose_mirror("")


# As apt-file puts it into /etc/apt/apt.conf.d: every suite's lists of files are wanted, too.
APT_FILE = """Acquire::IndexTargets::deb::Contents-deb {
  MetaKey "$(COMPONENT)/Contents-$(ARCHITECTURE)"; ShortDescription "Contents-$(ARCHITECTURE)";
  Description "$(RELEASE)/$(COMPONENT) $(ARCHITECTURE) Contents (deb)"; flatMetaKey "Contents-$(ARCHITECTURE)";
  DefaultEnabled "true";
};
"""


def test_the_lab_s_apt_wants_the_list_of_packages_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whatever else the machine's own apt is told to fetch of each suite; a suite may lack it, and fail for it."""
    (tmp_path / "apt.conf").write_text(APT_FILE)
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    monkeypatch.setattr(apt, "mirror", lambda: "http://mirror.example/debian")
    repository = apt.Repository(tmp_path / "lab", "sid")

    wanted = repository._apt(
        "apt-get", "indextargets", "--no-release-info", "--format", "$(SITE) $(CREATED_BY)"
    ).splitlines()

    assert set(wanted) == {"http://mirror.example/debian Packages"}


def test_a_failed_fetch_leaves_nothing_half_done(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An unreachable mirror is a LabError, and the cache holds no kernel and no leftovers."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(apt, "mirror", lambda: f"file://{tmp_path}/nothing/")

    with pytest.raises(LabError) as caught:
        kernels.fetch("6.12", quiet)

    assert caught.value.why
    assert [path.name for path in kernels.cache().iterdir()] == [".lock"]


def test_leftovers_of_a_killed_fetch_are_cleared(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A fetch that was killed leaves a directory that the next one removes."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(apt, "mirror", lambda: f"file://{tmp_path}/nothing/")
    (kernels.cache() / "6.12abc.part/root").mkdir(parents=True)

    with pytest.raises(LabError):
        kernels.fetch("6.12", quiet)

    assert [path.name for path in kernels.cache().iterdir()] == [".lock"]


def test_modules_load_after_what_they_need() -> None:
    """Every module comes after all of its dependencies, once."""
    order = modules.load_order(("9p", "9pnet_virtio", "absent"), modules.parse_dependencies(MODULES_DEP))

    assert [modules.name_of(path) for path in order] == ["netfs", "9pnet", "9p", "9pnet_virtio"]


def test_needs_are_read_from_the_module() -> None:
    """The kernel's modpost writes a module's needs into the module itself; names may have either dash."""
    assert modules.needs(b"\x7fELF..\0license=GPL\0depends=crc-itu-t,9pnet\0name=x\0") == ["crc_itu_t", "9pnet"]
    assert modules.needs(b"\0license=GPL\0depends=\0name=x\0") == []


def test_a_missing_boot_module_is_a_lab_error(tmp_path: Path) -> None:
    """A kernel that can't reach its root file system is refused before it boots."""
    (tmp_path / "modules.dep").write_text(MODULES_DEP)
    (tmp_path / "modules.builtin").write_text("kernel/drivers/virtio/virtio_pci.ko\n")

    with pytest.raises(LabError) as caught:
        modules.boot_files(tmp_path)

    assert "e1000e, overlay, squashfs, veth, virtio_blk, virtio_console" in caught.value.what


def test_an_unknown_compression_keeps_the_bzimage() -> None:
    """What cannot be unpacked here is left to the guest to unpack."""
    bzimage = bytearray(4096)
    bzimage[0x1F1] = 1

    assert vmlinux.extract(bytes(bzimage)) is None


def test_a_failing_tool_tells_its_last_words(tmp_path: Path) -> None:
    """A command that fails tells its own last words."""
    with pytest.raises(LabError) as caught:
        apt.run(["sh", "-c", "echo no such suite >&2; exit 100"], tmp_path)

    assert caught.value.why == "no such suite"


def test_a_missing_tool_is_named() -> None:
    """A machine without apt is told what to install."""
    with pytest.raises(LabError) as caught:
        apt.run(["nettrace-no-such-tool"])

    assert "nettrace-no-such-tool" in caught.value.what
