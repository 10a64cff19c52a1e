"""The standard streams, made fit for whatever this process was started with: closed ones, and any encoding."""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import sys
from collections.abc import Iterator

# For terminals that cannot show these; each other character becomes a question mark.
_STAND_INS = {
    "µ": "u", "×": "x", "…": "~", "–": "-", "—": "-", "→": "->", "≥": ">=", "≤": "<=", "≈": "~", "±": "+-",
    "│": "|", "─": "-", "├": "|", "└": "`", "┌": ",", "┐": ".", "┘": "'", "┤": "|", "┼": "+", "━": "-",
    "“": '"', "”": '"', "‘": "'", "’": "'", "\N{NO-BREAK SPACE}": " ",
}  # fmt: skip
_HANDLER, _ASCII = "nettrace-stand-ins", "nettrace-ascii"


def make_fit() -> None:
    """Open what is closed, and never fail for a character; to be called once, before anything is opened or printed."""
    register()
    _open_closed()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # click takes a stream that calls itself ASCII for a misconfigured one, and writes UTF-8 to it.
            is_ascii = codecs.lookup(stream.encoding).name == "ascii"
            stream.reconfigure(encoding=_ASCII if is_ascii else None, errors=_HANDLER)


def register() -> None:
    """Make the stand-ins known to Python's codecs, by these two names."""
    codecs.register_error(_HANDLER, stand_in)
    codecs.register(_find_ascii)


def _open_closed() -> None:
    """A file that is opened later must not get the number that others print to. A child finds them closed again."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free, which is this one
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115


@contextlib.contextmanager
def may_be_lost(number: int) -> Iterator[None]:
    """What is told there must not change how this process ends, where nobody can be told any more."""
    try:
        yield
        (sys.stdout if number == 1 else sys.stderr).flush()
    except (OSError, SystemExit):  # rich makes sys.exit(1) of EPIPE
        discard(number)


def discard(descriptor: int) -> None:
    """What is still to be written to it; Python's own flush at exit would complain, and change the exit code."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)


def stand_in(error: UnicodeError) -> tuple[str, int]:
    r"""What is printed in the place of characters that an encoding lacks; bytes of file names as "\xff"."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_in_its_place, error.object[error.start : error.end])), error.end


def _in_its_place(char: str) -> str:
    if "\udc80" <= char <= "\udcff":  # os.fsdecode: a byte that is no UTF-8
        return f"\\x{ord(char) - 0xDC00:02x}"
    return _STAND_INS.get(char, "?")


def _find_ascii(name: str) -> codecs.CodecInfo | None:
    """ASCII under another name."""
    if name.replace("_", "-") != _ASCII:
        return None
    ascii_codec = codecs.lookup("ascii")
    return codecs.CodecInfo(
        ascii_codec.encode, ascii_codec.decode, ascii_codec.streamreader, ascii_codec.streamwriter,
        ascii_codec.incrementalencoder, ascii_codec.incrementaldecoder, _ASCII,
    )  # fmt: skip
