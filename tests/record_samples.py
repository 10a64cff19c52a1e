"""Recordings of kernel TLS made of literal numbers: 23 messages of 10007 bytes, a record each."""

from __future__ import annotations

from typing import Any

from tests.function_samples import Counted, functions
from tests.samples import MESSAGES, PAYLOAD, changed, recording, tracepoints, workload
from tracer.model import Link, Recording

# 29 B beside the payload of each; of these the cipher's tag, of 16 B, goes with what is decrypted.
RECORDS = PAYLOAD + 29 * MESSAGES
GIVEN_TO_DECRYPT = PAYLOAD + 16 * MESSAGES
COPIED_OUT = 5 * 10007
ENCRYPTED = {"encrypted": True, "bytes_sent": RECORDS}


def by_functions(mode: str = "ktls", *, in_place: int = PAYLOAD, link: Link = Link.LO, **counted: Any) -> Recording:
    """The rest of what is in place was copied first."""
    spliced = PAYLOAD if mode == "ktls-sendfile" else 0
    copied = 0 if spliced else PAYLOAD - in_place
    rows: Counted = {
        "inet_sendmsg:return": (23, PAYLOAD),
        "inet_sendmsg:spliced": (23, spliced),
        "sk_msg_zerocopy_from_iter:return": (23, 0 if spliced else in_place),
        "crypto_aead_encrypt:entry": (MESSAGES, PAYLOAD),
        "__tcp_transmit_skb:entry": (29, RECORDS),
        "net_dev_start_xmit:payload": (29, RECORDS),
        "__check_object_size:any": (100, 0),
        "__check_object_size:send": (23, copied),
        "_copy_from_iter:breakpoint": (23, copied),
        "inet_recvmsg:return": (29, PAYLOAD),
        "crypto_aead_decrypt:entry": (MESSAGES, GIVEN_TO_DECRYPT),
    }
    at_the_reader = ("simple_copy_to_iter:entry", "__check_object_size:receive", "_copy_to_iter:breakpoint")
    rows |= dict.fromkeys(at_the_reader, (5, COPIED_OUT))
    seen = functions(rows, missing=("inet_sendpage",), transport="tls")
    base = recording(seen, mode, link)
    return changed(base, observed=workload("onecopy", **{**ENCRYPTED, **counted}))


def by_tracepoints(mode: str = "ktls", **counted: Any) -> Recording:
    passed = {"cgroup_egress__shared": (9, RECORDS), "cgroup_ingress__shared": (9, RECORDS)}
    records = dict.fromkeys(("tls_context__records_out", "tls_context__records_in"), (MESSAGES, 29 * MESSAGES))
    base = recording(tracepoints(**passed, **records), mode)
    return changed(base, observed=workload("onecopy", **{**ENCRYPTED, **counted}))
