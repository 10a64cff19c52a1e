"""What bpf/sockets.bpf.c must know about this kernel: members of its structs by BTF, and which functions it has."""

from __future__ import annotations

import functools

from tracer.books.drops import NO_LOSS
from tracer.machine.kernel.btf import Btf
from tracer.observers.headers import Wanted, declare_struct

_COMMON = "__sk_common."
_TCP = (
    "copied_seq rcv_nxt write_seq snd_nxt snd_una bytes_sent bytes_retrans bytes_acked bytes_received urg_data is_mptcp"
)


def _struct(name: str, kernel_name: str, plain: str = "", **paths: str) -> Wanted:
    return Wanted(name, (kernel_name,), {member: (member,) for member in plain.split()} | _paths(paths))


def _paths(paths: dict[str, str]) -> dict[str, tuple[str, ...]]:
    return {member: tuple(path.split("|")) for member, path in paths.items()}


_WANTED = (
    _struct(
        "k_sock",
        "sock",
        family=_COMMON + "skc_family",
        state=_COMMON + "skc_state",
        cookie=_COMMON + "skc_cookie.counter",
        dport=_COMMON + "skc_dport",
        num=_COMMON + "skc_num",
        peer=_COMMON + "skc_daddr",
        local=_COMMON + "skc_rcv_saddr",
        peer6=_COMMON + "skc_v6_daddr",
        local6=_COMMON + "skc_v6_rcv_saddr",
        net=_COMMON + "skc_net.net",
        cgroup="sk_cgrp_data.cgroup",
        flags=_COMMON + "skc_flags",
        protocol="sk_protocol",
        type="sk_type",
        storage="sk_bpf_storage",
        shutdown="sk_shutdown",
        route_caps="sk_route_caps",
        zerocopy_ids="sk_zckey",
        error_queue_tail="sk_error_queue.prev",
        error_queue_length="sk_error_queue.qlen",
    ),
    _struct("k_tcp", "tcp_sock", _TCP),
    _struct("k_udp", "udp_sock", "len"),
    _struct("k_inet", "inet_sock", sport="inet_sport"),
    _struct(
        "k_connection",
        "inet_connection_sock",
        ulp="icsk_ulp_ops",
        ulp_context="icsk_ulp_data",
        accept_queue="icsk_accept_queue.rskq_accept_head",
    ),
    _struct("k_ulp", "tcp_ulp_ops", "name"),
    _struct(
        "k_tls",
        "tls_context",
        version="prot_info.version",
        cipher="prot_info.cipher_type",
        adds="prot_info.overhead_size",
        sent="tx.rec_seq",
        came="rx.rec_seq",
        keys_out="crypto_send",
        keys_in="crypto_recv",
    ),
    _struct("k_request", "request_sock", "sk", next="dl_next"),
    _struct("k_net", "net", inum="ns.inum"),
    _struct("k_cgroup", "cgroup", "kn"),
    _struct("k_node", "kernfs_node", "id"),
    _struct("k_skb", "sk_buff", "sk dev len data_len transport_header end head data cb skb_iif"),
    _struct("k_shinfo", "skb_shared_info", "flags nr_frags destructor_arg"),
    _struct("k_socket", "socket", "sk ops"),
    _struct("k_socket_ops", "proto_ops", "splice_read"),
    # A union in iov.. kernels name the user's pointer in an anonymous union.
    _struct("k_msghdr", "msghdr", "msg_flags msg_ubuf", msg_control="msg_control|msg_control_user"),
    _struct("k_task", "task_struct", "group_leader comm tgid signal"),
    _struct("k_signal", "signal_struct", "pids", live="live.counter"),
    _struct("k_pid", "pid", "level numbers"),
    _struct("k_upid", "upid", "nr ns"),
    _struct("k_pid_namespace", "pid_namespace", inum="ns.inum"),
    _struct("k_regs", "pt_regs", "di si dx r10 ax orig_ax cs"),
    _struct("k_cqe", "io_uring_cqe", "res flags"),
    _struct("k_request_of_ring", "io_kiocb", "file opcode"),
    _struct("k_send_of_ring", "io_sr_msg", "msg_flags"),
    _struct("k_file", "file", "f_inode private_data"),
    _struct("k_inode", "inode", "i_mode"),
)

_ASKED_ENUMERATORS = (
    *("SOCK_ZEROCOPY", "SOCK_DONE", "SKBFL_ZEROCOPY_ENABLE", "SKBFL_PURE_ZEROCOPY"),
    *("SKB_DROP_REASON_NETFILTER_DROP", "SKB_DROP_REASON_IP_OUTNOROUTES"),
)


@functools.cache  # asked for by each run of a guest's resident, which has asked already: 1 s on an emulated CPU
def declarations(btf: Btf, functions: tuple[str, ...], tracepoints: tuple[str, ...]) -> str:
    """C text: the structs, and PARAMETERS_name of each function and tracepoint that this kernel has.

    An fexit program finds the returned value behind the parameters.
    """
    structs = "".join(declare_struct(btf, wanted) for wanted in _WANTED)
    parameters = [(name, btf.function_parameters(name)) for name in functions]
    parameters += [(name, btf.tracepoint_parameters(name)) for name in tracepoints]
    counts = "".join(f"#define PARAMETERS_{name} {len(names)}\n" for name, names in parameters if names is not None)
    constants = "#define PAGE_SIZE 4096\n"
    return structs + counts + _enumerators(btf) + _offsets(btf) + constants + _reasons(btf)


def _enumerators(btf: Btf) -> str:
    values = ((name, btf.enumerator(name)) for name in _ASKED_ENUMERATORS)
    return "".join(f"#undef {name}\n#define {name} {value}\n" for name, value in values if value is not None)


def _reasons(btf: Btf) -> str:
    """Which reasons of a drop mean that nothing is missing."""
    named = btf.enumerators("skb_drop_reason").items()
    values = [value for value, name in named if name.removeprefix("SKB_DROP_REASON_") in NO_LOSS]
    return f"#define IS_NO_LOSS(reason) ({' || '.join(f'(reason) == {value}' for value in values) or '0'})\n"


def _offsets(btf: Btf) -> str:
    """Where a queued error lies in sk_buff.cb, a notification in a request of io_uring, and numbers of TLS records."""
    error = btf.member("sock_exterr_skb", "ee")
    command, notification = btf.member("io_kiocb", "cmd"), btf.member("io_notif_data", "uarg")
    text = f"#define ERROR_IN_CB {error.offset}\n" if error else ""
    if command and notification:
        text += f"#define NOTIFICATION_IN_REQUEST {command.offset + notification.offset}\n"
    number = btf.member("tls_context", "tx.rec_seq")
    if number and number.pointer:
        text += "#define TLS_NUMBERS_APART 1\n"
    return text
