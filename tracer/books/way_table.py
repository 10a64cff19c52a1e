"""The ways in which calls hand bytes to a socket and take them from it, and what is said of each. Data only."""

from __future__ import annotations

from typing import NamedTuple

from tracer.books.steps import DOCUMENTED, Said


class Way(NamedTuple):
    """One way.

    Args:
        name: As in a recording.
        spoken: What becomes of the bytes, in the answer's sentence; empty where that does not speak of it.
        calls: What a program does to use it.
        step: The step that it leads to, by its word.
        word: Its name in the glossary; empty where the step says it all.
        told: What is special about it.
    """

    name: str
    spoken: str
    calls: str
    step: str
    word: str = ""
    told: tuple[Said, ...] = ()


SENT: tuple[Way, ...] = (
    Way("copy", "copied by send", "send(), write(), sendmsg(), io_uring SEND", "copy-in"),
    Way(
        "zerocopy", "pinned for zero-copy", "send(MSG_ZEROCOPY) on a socket with SO_ZEROCOPY", "pin",
        "msg-zerocopy",
        (
            Said(
                "The program asks the kernel to use its pages instead of copying them: SO_ZEROCOPY once on the socket, "
                "MSG_ZEROCOPY on each send.",
                DOCUMENTED,
            ),
            Said("It is a wish: the kernel may copy later, and promises only to tell when it is done.", DOCUMENTED),
        ),
    ),
    Way(
        "zerocopy_ignored", "copied in spite of MSG_ZEROCOPY", "send(MSG_ZEROCOPY) without SO_ZEROCOPY", "copy-in",
        "zerocopy-ignored",
        (
            Said(
                "MSG_ZEROCOPY on a socket that has no SO_ZEROCOPY is ignored: TCP copies, and no completion comes.",
                "net/ipv4/tcp.c: tcp_sendmsg_locked()",
            ),
        ),
    ),
    Way(
        "uring_zerocopy", "pinned for zero-copy by io_uring", "io_uring SEND_ZC, SENDMSG_ZC", "pin", "send-zc",
        (
            Said(
                "io_uring pins pages as MSG_ZEROCOPY does, and tells their end in a second completion entry instead "
                "of the error queue.",
                "io_uring/net.c: io_send_zc(); io_uring/notif.c: io_tx_ubuf_complete()",
            ),
            Said(
                "Whether it copied is told only if the program set IORING_SEND_ZC_REPORT_USAGE.",
                "io_uring/notif.c: io_notif_tw_complete()",
            ),
        ),
    ),
    Way("splice", "spliced (not copied)", "sendfile(), splice(), vmsplice()", "splice-in"),
    Way("unknown", "handed over in a way that could not be told", "a call whose flags could not be seen", "send"),
)  # fmt: skip

READ: tuple[Way, ...] = (
    Way("copy", "copied to it", "recv(), read(), recvmsg(), io_uring RECV", "copy-out"),
    Way(
        "peek", "", "recv(MSG_PEEK)", "copy-out", "peek",
        (
            Said(
                "MSG_PEEK copies bytes to the reader and leaves them in the queue: who reads them then has them copied "
                "once more.",
                "net/ipv4/tcp.c: tcp_recvmsg_locked(); man 2 recv",
            ),
        ),
    ),
    Way(
        "discard", "thrown away (MSG_TRUNC, not copied)", "recv(MSG_TRUNC)", "queue", "discard",
        (
            Said(
                "On a TCP socket MSG_TRUNC takes bytes from the queue without copying them to anybody.",
                "net/ipv4/tcp.c: tcp_recvmsg_locked(); man 7 tcp",
            ),
        ),
    ),
    Way("splice", "spliced on (not copied)", "splice() from the socket", "splice-out"),
    Way("mapped", "mapped (not copied)", "getsockopt(TCP_ZEROCOPY_RECEIVE)", "map-out"),
)  # fmt: skip


def spoken(ways: tuple[Way, ...]) -> dict[str, str]:
    """Name of a way to what the answer says of it, in the order of the table."""
    return {way.name: way.spoken for way in ways if way.spoken}


def calls_of(step: str) -> list[str]:
    """What a program does to come to a step: the ways that lead there."""
    return [way.calls for way in (*SENT, *READ) if way.step == step and way.name != "unknown"]
