"""Kernel TLS: the kernel encrypts what is sent on a connection, and decrypts what comes, with keys that both ends know.

No handshake: what is measured is the kernel's work, so the keys are fixed, and secret from nobody.
"""

from __future__ import annotations

import errno
import socket
import struct

from workloads.child.crew import Refused

# linux/tcp.h, linux/socket.h and linux/tls.h
_TCP_ULP, _SOL_TLS = 31, 282
_DIRECTIONS = {"send": 1, "receive": 2}
_TLS_1_2, _AES_GCM_128 = 0x0303, 51
_KEY, _SALT, _FIRST = bytes(range(16)), b"salt", bytes(8)


def encrypt(connection: socket.socket, direction: str) -> None:
    """What it sends, or what it receives, is TLS 1.2 with AES-GCM-128 from now on.

    Raises:
        Refused: this kernel has no tls module, or lacks the cipher.
    """
    # struct tls12_crypto_info_aes_gcm_128: the first nonce, the key, its salt, the number of the first record.
    keys = struct.pack("<HH8s16s4s8s", _TLS_1_2, _AES_GCM_128, _FIRST, _KEY, _SALT, _FIRST)
    try:
        connection.setsockopt(socket.IPPROTO_TCP, _TCP_ULP, b"tls")
    except OSError as error:
        raise Refused("tls", error.errno or errno.ENOENT, str(error)) from error
    try:
        connection.setsockopt(_SOL_TLS, _DIRECTIONS[direction], keys)
    except OSError as error:
        raise Refused("cipher", error.errno or errno.ENOENT, str(error)) from error
