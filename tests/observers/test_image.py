"""Compiled programs as data, and their cache: a file that is wrong costs time and nothing else."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from tracer.errors import MachineError
from tracer.observers import image_cache
from tracer.observers.image import Image, _map_numbers
from tracer.observers.image_cache import MOST_FILES, cached_image

TEXT = "BPF_HASH(seen, u64, u64, 7); int f(u64 *ctx) { u64 key = 1; return seen.lookup(&key) != 0; }"
# r1 = map 1; r0 = 0; exit
CODE = struct.pack("<BBhiQ", 0x18, 0x11, 0, 1, 0) + struct.pack("<QQ", 0xB7, 0x95)


def test_a_map_is_named_by_its_place_until_it_has_a_descriptor() -> None:
    """Code that is kept holds no descriptor of the process that compiled it."""
    code = Image([], {"f": CODE}).code("f", [11, 12])

    assert code == CODE.replace(b"\x01\0\0\0", b"\x0c\0\0\0", 1)


def test_code_that_refers_to_what_only_its_process_has_is_refused() -> None:
    """A value of a map (BPF_PSEUDO_MAP_VALUE), a descriptor of types: not to be kept."""
    with pytest.raises(MachineError):
        _map_numbers(bytearray(struct.pack("<BBhiQ", 0x18, 0x21, 0, 1, 0)))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(image_cache, "directory", lambda: tmp_path / "programs")
    monkeypatch.setattr(image_cache, "compile_image", counted := Counted())
    yield tmp_path / "programs"
    assert counted.calls


class Counted:
    """BCC itself, and how often it was asked."""

    def __init__(self) -> None:
        self.calls, self._compile = 0, image_cache.compile_image

    def __call__(self, text: str, flags: tuple[str, ...], name: str) -> Image:
        self.calls += 1
        return self._compile(text, flags, name)


def compiled() -> int:
    counter = image_cache.compile_image
    assert isinstance(counter, Counted)
    return counter.calls


@pytest.mark.live
def test_a_program_is_compiled_once(cache: Path) -> None:
    """The second time it comes from the file, and is the same; another flag is another program."""
    first, second = cached_image(TEXT, (), "a test"), cached_image(TEXT, (), "a test")

    assert (first, compiled()) == (second, 1)
    assert [(one.name, one.key_bytes, one.value_bytes, one.entries) for one in first.maps] == [("seen", 8, 8, 7)]
    cached_image(TEXT, ("-DX",), "a test")
    assert (compiled(), len(list(cache.iterdir()))) == (2, 2)


@pytest.mark.live
@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "not ours", "a directory"])
def test_a_file_that_is_wrong_is_compiled_anew(cache: Path, damage: str) -> None:
    """Cut off, changed, empty, writable for others, no file at all: the program is the right one."""
    good = cached_image(TEXT, (), "a test")
    (file,) = cache.iterdir()
    data = file.read_bytes()
    if damage == "not ours":
        file.chmod(0o666)
    elif damage == "a directory":
        file.unlink()
        file.mkdir()
    else:
        file.write_bytes({"cut": data[:-9], "changed": data[:40] + b"?" + data[41:], "empty": b""}[damage])

    assert (cached_image(TEXT, (), "a test"), compiled()) == (good, 2)
    if damage != "a directory":
        assert file.read_bytes() == data


@pytest.mark.live
def test_a_cache_that_cannot_be_written_is_done_without(cache: Path) -> None:
    """A file stands where its directory should be."""
    cache.write_text("in the way")

    assert cached_image(TEXT, (), "a test").functions
    assert (compiled(), cache.read_text()) == (1, "in the way")


@pytest.mark.live
def test_the_cache_is_bounded(cache: Path) -> None:
    """The oldest files go, half-written ones of killed runs too."""
    cache.mkdir()
    for number in range(MOST_FILES + 7):
        (cache / f".making-{number}").write_text("half")
    cached_image(TEXT, (), "a test")

    assert len(list(cache.iterdir())) == MOST_FILES
    cached_image(TEXT, (), "a test")
    assert compiled() == 1
