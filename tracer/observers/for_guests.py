"""Programs that the lab's guest has its host compile, whose processor is ten times faster: texts there, images back.

The texts hold the guest's own offsets and come with its headers; what compiles them need not run the same kernel.
"""

from __future__ import annotations

import contextlib
import os
import platform
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from tracer.errors import MachineError
from tracer.machine.kernel.btf import Btf
from tracer.observers import functions, headers, program, socket_programs, tracepoints
from tracer.observers.image_cache import file_of, image_for_a_guest, keep_for_guests, key
from tracer.observers.socket_hooks import OF_A_PROGRAM


class Text(msgspec.Struct, frozen=True):
    """A program that is to be compiled.

    Args:
        key: Of its file in the cache of whoever asks, to whom the compiler's own files may look different.
    """

    name: str
    text: str
    flags: tuple[str, ...]
    key: str


class Asked(msgspec.Struct, frozen=True):
    """All programs of a guest.

    Args:
        tree: Its header tree: path -> text.
    """

    tree_name: str
    tree: dict[str, str]
    texts: list[Text]


def asked() -> bytes:
    """What this kernel's runs and recordings need compiled."""
    btf = Btf.of_running_kernel()
    texts = [Text(name, *text, key(*text)) for name, text in _texts(btf)]
    return msgspec.msgpack.encode(Asked(headers.tree_name(), headers.tree(btf, platform.release()), texts))


def _texts(btf: Btf) -> Iterator[tuple[str, tuple[str, tuple[str, ...]]]]:
    attachments = functions.planned()
    for stacks in (False, True) if functions.why_no_send_path(attachments) is None else ():
        source = functions.source(attachments, stacks=stacks)
        yield source.file_name, program.text_of(source)
    of_a_run = tracepoints.plan_of(leaves_machine=False)
    for plan, by_functions in ((of_a_run, False), (socket_programs.standing(OF_A_PROGRAM), True)):
        yield socket_programs.PROGRAM, socket_programs.text_of(plan, btf, by_functions)


def compiled(asked: bytes, most: int | None = None) -> bytes:
    """The files of what could be compiled here, by the names that the asker knows; for keep().

    Args:
        most: So many of the programs, the first ones; None for all.
    """
    wanted = msgspec.msgpack.decode(asked, type=Asked)
    files = {}
    with tempfile.TemporaryDirectory() as work:
        tree = Path(work, wanted.tree_name)
        headers.write_tree(tree, wanted.tree)
        for one in wanted.texts[:most] if os.geteuid() == 0 else ():  # BCC makes the maps of what it compiles
            with contextlib.suppress(MachineError):
                files[one.key] = file_of(image_for_a_guest(one.text, one.flags, one.name, tree))
    return msgspec.msgpack.encode(files)


def taken(files: bytes) -> dict[str, bytes]:
    """What compiled() gave."""
    return msgspec.msgpack.decode(files, type=dict[str, bytes])


def keep(files: bytes) -> None:
    """In the guest: where programs are looked for, before they are compiled."""
    keep_for_guests(taken(files))
