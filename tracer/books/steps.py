"""The way of a payload byte through TCP, step by step, and every word that is said about a step. Data only.

What a reader is told about the kernel names the place that shows it: a file and function of the kernel, a page of its
documentation, a manual page. Why a later copy is made stands in causes.py; how calls hand bytes over, in way_table.py.
"""

from __future__ import annotations

from typing import NamedTuple

from tracer.model import Cause, Stage


class Said(NamedTuple):
    """A statement, with the place that shows it."""

    text: str
    source: str


class Step(NamedTuple):
    """One step of the way, in the order in which a byte meets it.

    Args:
        word: Its name, in the glossary.
        what: What is done to the byte, in a few words.
        stage: Stage of the ledger that counts it; None where the ledger has none.
        place: Where it leads; empty for a branch that leads aside, and for a step that leads nowhere else.
        causes: Causes of a later copy that are meant; None among them is a copy that has none.
        function: Function of the kernel.
        file: Where that is.
        is_copy: Whether the CPU copies the byte.
        told: What happens, for somebody who knows send().
        changes: What would make it happen, or spare it.
        flag: What the completion of a zero-copy send says of it.
    """

    word: str
    what: str
    stage: Stage | None
    function: str
    file: str
    is_copy: bool
    told: tuple[Said, ...]
    place: str = ""
    causes: tuple[Cause | None, ...] = (None, *Cause)
    changes: tuple[Said, ...] = ()
    flag: Said | None = None


DOCUMENTED = "Documentation/networking/msg_zerocopy.rst"

_TAP = (Cause.PACKET_TAP,)
_ON_THE_WAY = tuple(cause for cause in (None, *Cause) if cause not in _TAP)

# A tap sees the packet as the driver is about to get it.
STEPS: tuple[Step, ...] = (
    Step(
        "pack", "copied in user space, to pack the fields", Stage.PACK, "memcpy()", "the program itself", True,
        place="one buffer",
        told=(
            Said(
                "The program copies the pieces of a message into one buffer, before the kernel sees any of it.",
                "workloads/engine/pool.c: pool_pack()",
            ),
        ),
        changes=(Said("sendmsg() takes an array of pieces, so that none need be packed.", "man 2 sendmsg"),),
        flag=Said("Nothing: a completion speaks of pages that the kernel was given.", DOCUMENTED),
    ),
    Step(
        "send", "handed to the kernel", None, "tcp_sendmsg()", "net/ipv4/tcp.c", False,
        told=(
            Said(
                "A system call brings the bytes to their socket, which is locked while TCP takes them.",
                "net/ipv4/tcp.c: tcp_sendmsg()",
            ),
            Said(
                "TCP keeps them in socket buffers (skbs): an skb has a small linear head, for headers, and a list of "
                "fragments, which are pieces of pages, for payload.",
                "include/linux/skbuff.h: struct sk_buff, struct skb_shared_info",
            ),
        ),
    ),
    Step(
        "copy-in", "copied into the kernel", Stage.COPY_IN, "_copy_from_iter()", "lib/iov_iter.c", True,
        place="socket buffer (skb)",
        told=(
            Said(
                "The CPU copies the bytes from the program's memory into pages of the kernel's own.",
                "net/ipv4/tcp.c: tcp_sendmsg_locked(); lib/iov_iter.c: _copy_from_iter()",
            ),
            Said("So the program may overwrite its buffer as soon as send() returns.", DOCUMENTED),
        ),
        changes=(
            Said("No device spares it: it is made before one is asked.", "net/ipv4/tcp.c: tcp_sendmsg_locked()"),
            Said("MSG_ZEROCOPY, on a socket with SO_ZEROCOPY, pins the program's pages instead.", DOCUMENTED),
            Said(
                "sendfile() refers to the pages in which the file lies already.",
                "net/core/skbuff.c: skb_splice_from_iter()",
            ),
        ),
        flag=Said(
            "Nothing: this send gets no completion, not even one that asked for zero-copy on a socket without "
            "SO_ZEROCOPY, which is copied silently.",
            "net/ipv4/tcp.c: tcp_sendmsg_locked()",
        ),
    ),
    Step(
        "pin", "not copied: the sender's pages are pinned", Stage.PIN, "skb_zerocopy_iter_stream()",
        "net/core/skbuff.c", False,
        place="socket buffer (skb)",
        told=(
            Said(
                "No byte moves: the kernel takes a reference to each page of the program's buffer, so that the page "
                "stays (it is pinned), and hangs the page itself into the packet's socket buffer (skb).",
                "net/core/skbuff.c: skb_zerocopy_iter_stream(); net/core/datagram.c: __zerocopy_sg_from_iter()",
            ),
            Said(
                "Until a completion says that the kernel has let go of them, the program must not change these bytes: "
                "they are what is being sent.",
                DOCUMENTED,
            ),
        ),
        changes=(
            Said("Below 10 KB or so, pinning and completions cost more than the copy that they spare.", DOCUMENTED),
        ),
        flag=Said(
            "A completion is owed from here on. It begins as 'not copied'; a later copy that owns up makes it "
            "'copied'.",
            "net/core/skbuff.c: msg_zerocopy_realloc(), __msg_zerocopy_callback()",
        ),
    ),
    Step(
        "splice-in", "not copied: the pages are referenced", Stage.SPLICE, "skb_splice_from_iter()",
        "net/core/skbuff.c", False,
        place="socket buffer (skb)",
        told=(
            Said(
                "No byte moves: the skb refers to pages of the page cache, where the kernel keeps files, or of a pipe.",
                "net/core/skbuff.c: skb_splice_from_iter()",
            ),
            Said(
                "vmsplice() puts pages of a program into a pipe; no completion ever tells when they may be changed.",
                "man 2 vmsplice",
            ),
            Said("sendfile() is a splice from a file; since 6.5 it arrives as a send with MSG_SPLICE_PAGES.",
                 "fs/splice.c: splice_to_socket()"),
        ),
        changes=(
            Said("Whoever writes to the file before the bytes are read changes what is sent.", "man 2 sendfile"),
        ),
        flag=Said(
            "Nothing: there is no completion, since no page of the program's is held.",
            "net/ipv4/tcp.c: tcp_sendmsg_locked()",
        ),
    ),
    Step(
        "encrypt", "encrypted: the cipher reads each byte, and writes it anew", Stage.ENCRYPT, "crypto_aead_encrypt()",
        "crypto/aead.c", False,
        place="TLS records, in an skb",
        told=(
            Said(
                "Kernel TLS cuts the payload into records of at most 16 KiB. The cipher reads a record's payload where "
                "it lies, and writes it, with a header before it and a tag behind, into pages of the kernel's own, "
                "which TCP is given.",
                "net/tls/tls_sw.c: tls_push_record(), tls_do_encryption(), tls_tx_records()",
            ),
            Said(
                "The program's own pages are read in place by default; they are copied first where a record waits for "
                "more (MSG_MORE), where they are too many, or where the cipher works asynchronously.",
                "net/tls/tls_sw.c: tls_sw_sendmsg_locked(); net/core/skmsg.c: sk_msg_zerocopy_from_iter(), "
                "sk_msg_memcopy_from_iter()",
            ),
            Said(
                "So it takes the place of the copy into the kernel. It is no copy: what is written is something else.",
                "net/tls/tls_sw.c: tls_do_encryption()",
            ),
        ),
        changes=(
            Said(
                "A device that encrypts by itself is given the payload as it is.",
                "Documentation/networking/tls-offload.rst",
            ),
        ),
        flag=Said(
            "Nothing: kernel TLS refuses MSG_ZEROCOPY (EOPNOTSUPP).", "net/tls/tls_sw.c: tls_sw_sendmsg()",
        ),
    ),
    Step(
        "transmit", "given headers and passed down", None, "__tcp_transmit_skb()", "net/ipv4/tcp_output.c", False,
        told=(
            Said(
                "TCP decides how much may leave now, and passes a clone of the skb, with headers, down to IP; the "
                "original waits until the peer has acknowledged it.",
                "net/ipv4/tcp_output.c: tcp_write_xmit(), __tcp_transmit_skb()",
            ),
            Said("A clone shares the payload with its original: nothing is copied.", "net/core/skbuff.c: skb_clone()"),
        ),
        changes=(
            Said(
                "What is lost is sent again from the same skb: copies further down are made again, those of the send "
                "call are not.",
                "net/ipv4/tcp_output.c: __tcp_retransmit_skb()",
            ),
        ),
    ),
    Step(
        "dropped", "dropped", Stage.DROPPED, "kfree_skb_reason()", "net/core/skbuff.c", False,
        told=(
            Said(
                "A full queue, a filter or a test device gives the packet up, and the kernel notes why; TCP sends its "
                "bytes again.",
                "net/core/skbuff.c: sk_skb_reason_drop(), before 6.11 kfree_skb_reason(); "
                "include/net/dropreason-core.h",
            ),
        ),
    ),
    Step(
        "linearize", "copied into linear packets", Stage.LINEARIZE, "skb_segment(), __pskb_pull_tail()",
        "net/core/skbuff.c", True,
        place="linear packet",
        told=(
            Said(
                "The CPU copies the payload out of its pages, behind the headers, so that each packet lies in one "
                "piece of memory.",
                "net/core/dev.c: validate_xmit_skb(); net/core/skbuff.c: skb_segment()",
            ),
        ),
        changes=(
            Said("Scatter-gather on the NIC removes this copy.", DOCUMENTED),
        ),
        flag=Said(
            "Often 'not copied', which is wrong: skb_segment() copies without a word, and only a packet that "
            "__pskb_pull_tail() empties of its pages owns up.",
            "net/core/skbuff.c: skb_segment(), __pskb_pull_tail()",
        ),
    ),
    Step(
        "tap", "copied aside", Stage.DEFERRED_COPY, "skb_copy_ubufs()", "net/core/skbuff.c", True,
        causes=_TAP,
        told=(
            Said(
                "Each packet socket (tcpdump, lldpd, a DHCP client) gets a clone of the packet, and pinned pages are "
                "copied for it first; pages of the kernel's own are shared with it.",
                "net/core/dev.c: dev_queue_xmit_nit(); include/linux/skbuff.h: skb_orphan_frags_rx()",
            ),
        ),
        changes=(
            Said("A packet tap on the device adds this copy; ending it (ss -0lp lists taps) removes it.", DOCUMENTED),
        ),
        flag=Said(
            "'copied', though the device may still send from the pinned pages.",
            "net/core/skbuff.c: skb_copy_ubufs(), skb_zcopy_clear()",
        ),
    ),
    Step(
        "bounce", "copied into the bounce buffer", Stage.BOUNCE, "swiotlb_map()", "kernel/dma/swiotlb.c", True,
        place="bounce buffer",
        told=(
            Said(
                "Where the device's DMA may not reach a page, the CPU copies the packet into a buffer that it may.",
                "kernel/dma/swiotlb.c: swiotlb_map(); Documentation/core-api/swiotlb.rst",
            ),
        ),
        changes=(
            Said(
                "swiotlb=force at boot, or a confidential virtual machine, adds this copy.",
                "Documentation/admin-guide/kernel-parameters.txt; Documentation/core-api/swiotlb.rst",
            ),
        ),
        flag=Said(
            "'not copied', which is wrong: this happens below the socket layer, which does not hear of it.",
            "kernel/dma/swiotlb.c: swiotlb_map()",
        ),
    ),
    Step(
        "dma", "not copied: the device reads the pages by DMA", Stage.DMA, "dma_map_page_attrs()",
        "kernel/dma/mapping.c", False,
        place="device",
        told=(
            Said(
                "The driver tells the device where the pages lie, and the device fetches the bytes by itself.",
                "kernel/dma/mapping.c: dma_map_page_attrs(); Documentation/core-api/dma-api.rst",
            ),
        ),
        flag=Said(
            "'not copied', which is true if the pages that the device reads are still the sender's.",
            "net/core/skbuff.c: skb_release_data()",
        ),
    ),
    Step(
        "loop", "handed back to this machine", None, "loopback_xmit(), veth_xmit()",
        "drivers/net/loopback.c, drivers/net/veth.c", False,
        told=(
            Said(
                "Loopback and veth are devices without hardware: they give the very same socket buffer (skb), pages "
                "and all, to the receiving side.",
                "drivers/net/loopback.c: loopback_xmit(); drivers/net/veth.c: veth_xmit()",
            ),
        ),
        changes=(
            Said("Over a NIC the device reads the pages instead (dma).", "kernel/dma/mapping.c: dma_map_page_attrs()"),
        ),
    ),
    Step(
        "deferred-copy", "copied after all: the deferred copy", Stage.DEFERRED_COPY, "skb_copy_ubufs()",
        "net/core/skbuff.c", True,
        place="copied packet",
        causes=_ON_THE_WAY,
        told=(
            Said(
                "The copy that MSG_ZEROCOPY put off in the send call is made here after all, hence deferred: the "
                "kernel copies the pinned pages into pages of its own, and lets the sender's go.",
                "net/core/skbuff.c: skb_copy_ubufs()",
            ),
        ),
        changes=(
            Said(
                "Over a NIC with scatter-gather it is not made: the packet leaves the machine.", DOCUMENTED,
            ),
            Said(
                "sendfile() is spared it over loopback too: only pinned pages of a program are copied here.",
                "include/linux/skbuff.h: skb_orphan_frags_rx()",
            ),
            Said(
                "Linux 6.17 moved it from __netif_receive_skb_core() to ip_local_deliver_finish(): since then a packet "
                "that is only forwarded keeps the sender's pages.",
                "net/core/dev.c: __netif_receive_skb_core(); net/ipv4/ip_input.c: ip_local_deliver_finish()",
            ),
        ),
        flag=Said("'copied', and that is true.", "net/core/skbuff.c: skb_copy_ubufs(), skb_zcopy_clear()"),
    ),
    Step(
        "queue", "queued for the reader", None, "tcp_rcv_established()", "net/ipv4/tcp_input.c", False,
        told=(
            Said(
                "TCP takes the headers off and puts the skb, or its pages, into the receiving socket's queue.",
                "net/ipv4/tcp_input.c: tcp_rcv_established(), tcp_queue_rcv()",
            ),
        ),
    ),
    Step(
        "decrypt", "decrypted", Stage.DECRYPT, "crypto_aead_decrypt()", "crypto/aead.c", False,
        place="payload, decrypted",
        told=(
            Said(
                "recv() waits for a whole record. If what it asks for holds all of it, the cipher writes the payload "
                "into the reader's own buffer, and nothing is copied; else into pages of the kernel's, from which it "
                "is copied to the reader.",
                "net/tls/tls_sw.c: tls_sw_recvmsg(), tls_decrypt_sg(), tls_setup_from_iter()",
            ),
        ),
        changes=(
            Said(
                "Reads that begin where records begin, and hold whole ones (16 KiB), spare the copy.",
                "net/tls/tls_sw.c: tls_sw_recvmsg()",
            ),
        ),
        flag=Said("Nothing: a completion speaks of the sender's side alone.", DOCUMENTED),
    ),
    Step(
        "copy-out", "copied to the reader", Stage.COPY_OUT, "_copy_to_iter()", "lib/iov_iter.c", True,
        place="reader's buffer",
        told=(
            Said(
                "recv() copies the bytes out of the skb's pages into the reader's buffer, and frees the skb.",
                "net/ipv4/tcp.c: tcp_recvmsg_locked(); net/core/datagram.c: skb_copy_datagram_iter()",
            ),
        ),
        changes=(
            Said(
                "TCP_ZEROCOPY_RECEIVE maps whole pages to the reader instead; splice() hands them on to a pipe.",
                "net/ipv4/tcp.c: tcp_zerocopy_receive(), tcp_splice_read()",
            ),
            Said(
                "No device spares it by itself: for io_uring's zero-copy receive, one that splits headers off writes "
                "the payload into the reader's own memory.",
                "Documentation/networking/iou-zcrx.rst",
            ),
        ),
        flag=Said("Nothing: a completion speaks of the sender's side alone.", DOCUMENTED),
    ),
    Step(
        "splice-out", "not copied: handed on to a pipe", Stage.SPLICE_OUT, "tcp_splice_read()", "net/ipv4/tcp.c", False,
        place="reader's pipe",
        told=(
            Said(
                "splice() from a socket lets a pipe refer to the skb's pages: a proxy can send them on unread.",
                "net/ipv4/tcp.c: tcp_splice_read(); net/core/skbuff.c: skb_splice_bits()",
            ),
        ),
    ),
    Step(
        "map-out", "not copied: pages are mapped to the reader", Stage.MAP_OUT, "tcp_zerocopy_receive()",
        "net/ipv4/tcp.c", False,
        place="reader's buffer",
        told=(
            Said(
                "getsockopt(TCP_ZEROCOPY_RECEIVE) maps pages of the skb into the reader's memory; only whole pages "
                "can be, what is less is copied.",
                "net/ipv4/tcp.c: tcp_zerocopy_receive(), can_map_frag()",
            ),
        ),
    ),
    Step(
        "completion", "the sender is told that its pages are free", None, "__msg_zerocopy_callback()",
        "net/core/skbuff.c", False,
        told=(
            Said(
                "When the last skb that refers to the pages is gone, a notification is put into the socket's error "
                "queue, where recvmsg(MSG_ERRQUEUE) finds it: these sends are done with.",
                "net/core/skbuff.c: __msg_zerocopy_callback()",
            ),
            Said(
                "It speaks of send calls, never of bytes, and one packet that was copied marks all the sends that are "
                "told together.",
                "net/core/skbuff.c: msg_zerocopy_realloc(), __msg_zerocopy_callback()",
            ),
            Said(
                "io_uring notifies each request in its own queue. Asked to (REPORT_USAGE), it tells 'copied' from not, "
                "but since 6.10 it says 'copied' too of a request that was added to an earlier one's packet: of these "
                "the first alone learns what became of it.",
                "io_uring/notif.c: io_link_skb(), io_tx_ubuf_complete(), io_notif_tw_complete()",
            ),
        ),
        flag=Said(
            "SO_EE_CODE_ZEROCOPY_COPIED means 'copied'; without it the kernel says that it did not copy, which can be "
            "wrong (explain linearize, explain bounce).",
            DOCUMENTED,
        ),
    ),
)  # fmt: skip


def step_of(word: str) -> Step:
    """The step of that name; there is one."""
    return next(step for step in STEPS if step.word == word)
