"""Programs that are compiled for another kernel: this machine stands for the lab's guest as well as for its host."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tracer.machine.kernel.btf import Btf
from tracer.observers import for_guests, image_cache
from tracer.observers.for_guests import Asked
from tracer.observers.image import Image, compile_image
from tracer.observers.socket_hooks import OF_A_PROGRAM
from tracer.observers.socket_programs import PROGRAM, standing, text_of

pytestmark = pytest.mark.live

KCONFIG = "include/linux/kconfig.h"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(image_cache, "directory", lambda **_: tmp_path / "programs")
    return tmp_path / "programs"


def test_what_comes_back_is_what_the_guest_would_have_compiled(cache: Path) -> None:
    """To the bit, and under the name by which it looks: from then on it compiles nothing."""
    files = for_guests.taken(for_guests.compiled(for_guests.asked()))
    text, flags = text_of(standing(OF_A_PROGRAM), Btf.of_running_kernel(), True)

    assert files[image_cache.key(text, flags)] == image_cache.file_of(compile_image(text, flags, PROGRAM))
    assert {path.read_bytes() for path in cache.iterdir()} == set(files.values())


def test_the_headers_are_those_of_who_asks(cache: Path) -> None:
    """The same text with another kernel's headers is another program, and is kept as one."""
    asked = msgspec.msgpack.decode(for_guests.asked(), type=Asked)
    text = "int f(u64 *ctx) { return KIND_OF_GUEST; }"
    programs = []
    for kind in (7, 8):
        kconfig = f"{asked.tree[KCONFIG]}\n#define KIND_OF_GUEST {kind}\n"
        one = Asked(f"guest-{kind}", {**asked.tree, KCONFIG: kconfig}, [for_guests.Text("a test", text, (), "its key")])
        (file,) = for_guests.taken(for_guests.compiled(msgspec.msgpack.encode(one))).values()
        programs.append(msgspec.msgpack.decode(file[32:], type=Image).functions["f"])

    assert [code[4] for code in programs] == [7, 8]
    assert len(list(cache.iterdir())) == 2


def test_what_cannot_be_compiled_is_left_to_the_guest(cache: Path) -> None:
    """Which says why, where it is wanted."""
    asked = msgspec.msgpack.decode(for_guests.asked(), type=Asked)
    one = msgspec.structs.replace(asked, texts=[for_guests.Text("a test", "no C", (), "its key")])

    assert for_guests.taken(for_guests.compiled(msgspec.msgpack.encode(one))) == {}
    assert not cache.exists()


def test_who_may_not_make_maps_compiles_nothing(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """BCC would complain on standard error instead."""
    asked = for_guests.asked()
    monkeypatch.setattr("tracer.observers.for_guests.os.geteuid", lambda: 65534)

    assert for_guests.taken(for_guests.compiled(asked)) == {}
    assert not cache.exists()
