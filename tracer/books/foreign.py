"""What a file that is no recording seems to be, by its first bytes. Pure."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from tracer.texts import printable

# Magic numbers, as file(1) knows them.
_BEGINNINGS = (
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"%PDF", "a PDF document"),
    (b"\xd4\xc3\xb2\xa1", "a pcap capture of packets (tcpdump)"),
    (b"\xa1\xb2\xc3\xd4", "a pcap capture of packets (tcpdump)"),
    (b"\x4d\x3c\xb2\xa1", "a pcap capture of packets (tcpdump)"),
    (b"\x0a\x0d\x0d\x0a", "a pcapng capture of packets (Wireshark)"),
    (b"PERFILE2", "a recording of perf's"),
    (b"PAR1", "a Parquet table"),
    (b"\x7fELF", "a program"),
    (b"\x1f\x8b", "a gzip archive: unpack it first"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive: unpack it first"),
    (b"\xfd7zXZ", "an xz archive: unpack it first"),
    (b"PK\x03\x04", "a zip archive"),
    (b"#!", "a script"),
)
_MOST_NAMES = 4


def seems_to_be(data: bytes) -> str:
    """Of a file that holds no JSON object: "it seems to be a PNG image"."""
    if not data.strip():
        return "it is empty"
    for beginning, kind in _BEGINNINGS:
        if data.startswith(beginning):
            return f"it seems to be {kind}"
    if data.lstrip().startswith(b"["):
        return _of_list(data)
    return f"it seems to be {_of_text(data)}, and holds no JSON document"


def _of_list(data: bytes) -> str:
    """A whole one, or the beginning of one."""
    try:
        msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return f"it begins like a list in JSON, and is no JSON document: {error}"
    return "it is a list in JSON, and a recording is an object: {...}"


def _of_text(data: bytes) -> str:
    start = data[:1024]
    if b"\0" in start:
        return "a binary file"
    return "XML, HTML or SVG" if start.lstrip().startswith(b"<") else "text"


def of_another_program(members: Collection[object]) -> str:
    """Of a JSON object without a schema, by its members."""
    if not members:
        return "it has no schema: it is an empty JSON document"
    names = ", ".join(printable(str(name)[:40]) for name in list(members)[:_MOST_NAMES])
    more = ", ..." if len(members) > _MOST_NAMES else ""
    return f"it has no schema: it seems to be another program's JSON document, of {names}{more}"
