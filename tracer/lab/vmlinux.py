"""The ELF kernel inside a bzImage.

QEMU starts an ELF kernel with a PVH note directly (CONFIG_PVH, in Debian's kernels), which saves the
guest from decompressing itself on an emulated processor: 2 of some 10 seconds.
"""

from __future__ import annotations

import lzma
import shutil
import struct
import subprocess

# Offsets of the setup header, Documentation/arch/x86/boot.rst, protocol 2.08 and later.
SETUP_SECTORS = 0x1F1
PAYLOAD = struct.Struct("<II")
PAYLOAD_AT = 0x248
ELF = b"\x7fELF"
XZ = b"\xfd7zXZ"
ZSTD = b"\x28\xb5\x2f\xfd"


def extract(bzimage: bytes) -> bytes | None:
    """The ELF file; None where the image's compression cannot be undone on this machine."""
    offset, length = PAYLOAD.unpack_from(bzimage, PAYLOAD_AT)
    start = (bzimage[SETUP_SECTORS] + 1) * 512 + offset
    payload = bzimage[start : start + length - 4]  # the last four bytes are the size of the ELF
    if payload.startswith(XZ):
        # Anything after the stream's own end is padding, which LZMAFile would refuse.
        elf = lzma.LZMADecompressor().decompress(payload)
    elif payload.startswith(ZSTD) and shutil.which("zstd"):
        # Python has zstd only from 3.14 on.
        command = ["zstd", "--decompress", "--stdout", "--quiet"]
        elf = subprocess.run(command, input=payload, capture_output=True, check=False).stdout
    else:
        return None
    return elf if elf.startswith(ELF) else None
