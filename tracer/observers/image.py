"""A compiled program as data: what BCC makes of a text, free of this process, so that it can be kept.

BCC loads what it compiles into objects that only its own process has: descriptors of maps stand in the code. An image
holds the number of the map in their place. libbpf's own objects (ELF files) would be the other way to keep it; they
need a clang of their own beside the one that is inside of BCC.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from tracer.errors import MachineError
from tracer.observers.compiling import compile_text

# linux/bpf.h: BPF_LD | BPF_IMM | BPF_DW, whose source register says what the number in it is.
_LOAD_64, _NUMBER, _MAP_DESCRIPTOR = 0x18, 0, 1
_INSTRUCTION = 8


class MapDefinition(msgspec.Struct, frozen=True):
    """What bpf_map_create() is told.

    Args:
        kind: enum bpf_map_type of linux/bpf.h.
    """

    name: str
    kind: int
    key_bytes: int
    value_bytes: int
    entries: int
    flags: int


class Image(msgspec.Struct, frozen=True):
    """Maps, and functions whose code names a map by its place in that list."""

    maps: list[MapDefinition]
    functions: dict[str, bytes]

    def code(self, function: str, descriptors: Sequence[int]) -> bytes:
        """A function's instructions for maps with these descriptors."""
        code = bytearray(self.functions[function])
        for at in _map_numbers(code):
            code[at : at + 4] = descriptors[int.from_bytes(code[at : at + 4], "little")].to_bytes(4, "little")
        return bytes(code)


def compile_image(text: str, flags: tuple[str, ...], name: str, tree: Path | None = None) -> Image:
    """Have BCC compile a text; its own maps go with its object.

    Args:
        tree: Another kernel's headers; None for those of the running one.

    Raises:
        MachineError: BCC is missing, or cannot compile it.
    """
    bpf = compile_text(text, flags, name, tree)
    try:
        return _taken_from(bpf)
    finally:
        bpf.cleanup()


def _taken_from(bpf: Any) -> Image:
    asked, module = _questions(), bpf.module
    numbers = range(asked["bpf_num_tables"](module))
    maps = [
        MapDefinition(
            name=asked["bpf_table_name"](module, number).decode(),
            kind=asked["bpf_table_type_id"](module, number),
            key_bytes=asked["bpf_table_key_size_id"](module, number),
            value_bytes=asked["bpf_table_leaf_size_id"](module, number),
            entries=asked["bpf_table_max_entries_id"](module, number),
            flags=asked["bpf_table_flags_id"](module, number),
        )
        for number in numbers
    ]
    place = {asked["bpf_table_fd_id"](module, number): number for number in numbers}
    names = [asked["bpf_function_name"](module, number) for number in range(asked["bpf_num_functions"](module))]
    return Image(maps, {name.decode(): _without_descriptors(bpf.dump_func(name), place) for name in names})


def _questions() -> dict[str, Any]:
    """What BCC's library tells of a module (bcc/bcc_common.h); its Python half declares only some of these."""
    from bcc.libbcc import lib

    names, numbers = ("bpf_table_name", "bpf_function_name"), ("bpf_num_tables", "bpf_num_functions")
    figures = ("type", "key_size", "leaf_size", "max_entries", "flags", "fd")
    asked = {name: getattr(lib, name) for name in (*names, *numbers, *(f"bpf_table_{one}_id" for one in figures))}
    for name, function in asked.items():
        function.argtypes = [ctypes.c_void_p, *([] if name in numbers else [ctypes.c_size_t])]
        function.restype = ctypes.c_char_p if name in names else ctypes.c_size_t if name in numbers else ctypes.c_int
    return asked


def _without_descriptors(code: bytes, place: dict[int, int]) -> bytes:
    image = bytearray(code)
    for at in _map_numbers(image):
        image[at : at + 4] = place[int.from_bytes(image[at : at + 4], "little")].to_bytes(4, "little")
    return bytes(image)


def _map_numbers(code: bytearray) -> list[int]:
    """Where in the code a map's number stands.

    Raises:
        MachineError: the code refers to something else that only its process has.
    """
    found, at = [], 0
    while at < len(code):
        if code[at] != _LOAD_64:
            at += _INSTRUCTION
            continue
        source = code[at + 1] >> 4
        if source == _MAP_DESCRIPTOR:
            found.append(at + 4)
        elif source != _NUMBER:
            raise MachineError(
                "BCC has compiled a program that cannot be kept",
                f"it refers to something of kind {source} (linux/bpf.h: BPF_PSEUDO_*)",
                "this is a bug in nettrace",
            )
        at += 2 * _INSTRUCTION
    return found
