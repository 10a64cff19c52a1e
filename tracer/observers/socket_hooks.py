"""Where the programs of bpf/sockets.bpf.c are attached, which question each answers, and what a subject asks."""

from __future__ import annotations

from typing import NamedTuple

from tracer.observers.loading import Kind


class Hook(NamedTuple):
    """A probe point, the program that is attached to it, and the question that it answers.

    Args:
        programs: How many of it stand there. The kernel does not run one that it has interrupted on the same CPU
            (prog->active, kernel/trace/bpf_trace.c): of two, which find what the other has counted, one runs.
    """

    kind: Kind
    target: str
    program: str
    question: str
    programs: int = 1


def _returns(question: str, *functions: str) -> tuple[Hook, ...]:
    return tuple(Hook(Kind.FEXIT, name, f"returned_from_{name}", question) for name in functions)


def _tracepoints(question: str, *names: str) -> tuple[Hook, ...]:
    return tuple(Hook(Kind.TP_BTF, name, f"on_{name}", question) for name in names)


# Without these there is nothing to tell.
NEEDED = (
    Hook(Kind.SOCK_CREATE, "", "on_sock_create", "which sockets"),
    Hook(Kind.SOCK_RELEASE, "", "on_sock_release", "the end of UDP sockets"),
    Hook(Kind.CGROUP_EGRESS, "", "on_egress", "packets that leave"),
    Hook(Kind.CGROUP_INGRESS, "", "on_ingress", "packets that arrive"),
    # A packet that ends a socket may interrupt a close() that ends another one.
    Hook(Kind.TP_BTF, "tcp_destroy_sock", "on_tcp_destroy_sock", "the end of TCP sockets", programs=2),
)
# Calls by functions: one hook tells call, way and result of TCP, UDP and io_uring alike.
SEND_FUNCTIONS = _returns("calls that send, by way", "inet_sendmsg", "inet6_sendmsg", "inet_sendpage")
READ_FUNCTIONS = _returns(
    "calls that read, by way", "inet_recvmsg", "inet6_recvmsg", "sock_splice_read", "tcp_zerocopy_receive"
)
UNIX_FUNCTIONS = _returns(
    "calls on Unix sockets",
    *("unix_stream_sendmsg", "unix_dgram_sendmsg", "unix_stream_sendpage"),
    *("unix_stream_recvmsg", "unix_dgram_recvmsg", "unix_stream_splice_read"),
)
CALL_TRACEPOINTS = (
    *_tracepoints("calls that send, by way", "sock_send_length"),
    *_tracepoints("calls that read", "sock_recv_length"),
)
WISHED = (
    Hook(Kind.TP_BTF, "inet_sock_set_state", "on_state", "TCP's counters, before a disconnect clears them"),
    *_tracepoints("how far reading has come", "tcp_rcv_space_adjust"),
    *_tracepoints("bytes copied to the reader", "skb_copy_datagram_iovec"),
    *_tracepoints("zero-copy notifications", "inet_sk_error_report"),
    *_tracepoints("zero-copy notifications, and calls of io_uring that send", "io_uring_complete"),
    *_tracepoints("bytes dropped on this machine", "kfree_skb"),
    Hook(Kind.FENTRY, "skb_copy_ubufs", "entered_skb_copy_ubufs", "pinned pages that are copied later"),
)

# The other ends too: their connections, and their packets, in whatever cgroup they are.
PEERS_FOUND = _tracepoints("who connects", "inet_sock_set_state")
PEERS_PACKETS = (
    Hook(Kind.CGROUP_EGRESS, "", "on_peer_egress", "packets that leave the other ends"),
    Hook(Kind.CGROUP_INGRESS, "", "on_peer_ingress", "packets that arrive at the other ends"),
)


class Plan(NamedTuple):
    """What is asked of a subject's sockets.

    Args:
        needed: Without these there is nothing to tell.
        wished: What one of them would tell is unknown where this kernel has none.
        by_functions: What tells calls and their ways, where functions can be probed; empty where nobody asks for them.
        by_tracepoints: The same, where they cannot.
        flags: What the program is compiled with.
        in_sockets: Rows live in the sockets' storage, where the kernel lets a program go through that; and those of
            sockets that live on are read.
        ring_pages: Of the buffer for rows that have ended; a power of two.
    """

    needed: tuple[Hook, ...]
    wished: tuple[Hook, ...]
    by_functions: tuple[Hook, ...]
    by_tracepoints: tuple[Hook, ...]
    flags: tuple[str, ...] = ()
    in_sockets: bool = True
    ring_pages: int = 4096


_OF_A_LINK = (
    *(hook for hook in NEEDED if hook.kind in (Kind.CGROUP_EGRESS, Kind.CGROUP_INGRESS)),
    *_tracepoints("bytes copied to the reader", "skb_copy_datagram_iovec"),
    *_tracepoints("packets that the driver is given", "net_dev_start_xmit", "net_dev_xmit"),
    Hook(Kind.TP_BTF, "kfree_skb", "on_drop", "packets dropped on this machine"),
)
# With calls: how far reading has come, and notifications. In any case what TCP says of each socket in the end.
_BESIDE_CALLS = tuple(
    hook for hook in WISHED if hook.target in ("tcp_rcv_space_adjust", "inet_sk_error_report", "io_uring_complete")
)
_IN_THE_END = tuple(hook._replace(programs=1) for hook in NEEDED if hook.target == "tcp_destroy_sock")


# What kernel TLS says of its records, before close() frees it.
_OF_RECORDS = Hook(Kind.SOCK_RELEASE, "", "on_release_of_ours", "what records of kernel TLS add")


def of_a_workload(flags: tuple[str, ...], *, leaves_machine: bool, calls: bool, records: bool = False) -> Plan:
    """A workload of ours, whose engine tells the ways: its packets by place, and what is copied out.

    Args:
        flags: What the tables of bpf/sockets/passing.h are made of.
        leaves_machine: Where the driver is the last that sees a packet, else the receiver's TCP; what the driver sees
            tells there which packets a qdisc has doubled.
        calls: These too, for the engine to agree with.
        records: The payload is in records of kernel TLS.
    """
    arrival = frozenset({"on_ingress", "on_skb_copy_datagram_iovec"} if leaves_machine else ())
    link = tuple(hook for hook in _OF_A_LINK if hook.program not in arrival)
    return Plan(
        needed=(*link, *_IN_THE_END, *((_OF_RECORDS,) if records else ())),
        wished=_BESIDE_CALLS if calls else (),
        by_functions=(*SEND_FUNCTIONS, *READ_FUNCTIONS) if calls else (),
        by_tracepoints=CALL_TRACEPOINTS if calls else (),
        flags=("-DOF_A_LINK=1", *flags),
        in_sockets=False,
        ring_pages=1,
    )


# 16 MiB: what 20,000 sockets leave while this process is not running.
OF_A_PROGRAM = Plan(NEEDED, WISHED, (*SEND_FUNCTIONS, *READ_FUNCTIONS, *UNIX_FUNCTIONS), CALL_TRACEPOINTS)

PROBED_FUNCTIONS = tuple(
    hook.target
    for hook in (*SEND_FUNCTIONS, *READ_FUNCTIONS, *UNIX_FUNCTIONS, *WISHED)
    if hook.kind in (Kind.FEXIT, Kind.FENTRY)
)
ASKED_TRACEPOINTS = ("kfree_skb", "io_uring_complete")
