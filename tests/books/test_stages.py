"""Which stage a stack belongs to."""

from __future__ import annotations

import pytest

from tracer.books.stage_table import TABLE, Work
from tracer.books.stages import UNMAPPED, cost_of_folded, cost_of_kernel_stack, plain_name, stage_costs, unmapped_share

_SEND = ["tcp_sendmsg_locked", "tcp_sendmsg", "__sys_sendto", "__x64_sys_sendto", "do_syscall_64",
         "entry_SYSCALL_64_after_hwframe"]  # fmt: skip
_READ = ["tcp_recvmsg_locked", "tcp_recvmsg", "sock_recvmsg", "__sys_recvfrom", "__x64_sys_recvfrom", "do_syscall_64"]
_LOOPED = ["ip_local_deliver_finish", "__netif_receive_skb_one_core", "process_backlog", "__napi_poll", "net_rx_action",
           "handle_softirqs", "do_softirq.part.0", "__local_bh_enable_ip", "__dev_queue_xmit", "ip_finish_output2",
           "tcp_write_xmit"]  # fmt: skip


@pytest.mark.parametrize(
    ("frames", "work"),
    [
        (["_copy_from_iter", *_SEND], Work.COPY_IN),
        (["filemap_get_entry", "shmem_file_splice_read", "splice_direct_to_actor", "do_sendfile"], Work.SPLICE),
        (["gup_fast_fallback", "__iov_iter_get_pages_alloc", "__do_sys_vmsplice"], Work.SPLICE),
        (["gup_fast_fallback", *_SEND, "io_send_zc", "io_submit_sqes"], Work.PIN),
        (["io_cqring_wait", "__do_sys_io_uring_enter"], Work.SYSTEM_CALL),
        (["io_notif_tw_complete", "io_run_task_work", "__do_sys_io_uring_enter"], Work.COMPLETION),
        (["rep_movs_alternative", "_copy_from_iter", *_SEND], Work.COPY_IN),
        (["__virt_addr_valid", "__check_object_size", *_SEND], Work.COPY_IN),
        (["__check_object_size", "simple_copy_to_iter", "__skb_datagram_iter", *_READ], Work.COPY_OUT),
        (["_copy_to_iter", "__skb_datagram_iter", "skb_copy_datagram_iter", *_READ], Work.COPY_OUT),
        (["memcpy", "skb_copy_ubufs", *_LOOPED, *_SEND], Work.DEFERRED_COPY),
        (["memcpy", "skb_copy_bits", "skb_segment", "tcp_gso_segment", *_SEND], Work.LINEARIZE),
        (["memcpy", "swiotlb_bounce", "swiotlb_map", "dma_map_page_attrs", "start_xmit", *_SEND], Work.BOUNCE),
        (["get_page_from_freelist", "alloc_pages_noprof", "skb_copy_ubufs", *_LOOPED], Work.MEMORY),
        (["gup_fast_fallback", "__iov_iter_get_pages_alloc", "zerocopy_fill_skb_from_iter", *_SEND], Work.PIN),
        (["__pv_queued_spin_lock_slowpath", "_raw_spin_lock", "tcp_v4_rcv", *_LOOPED], Work.LOCKS),
        (["msg_zerocopy_put_abort", *_SEND], Work.COMPLETION),
        (["skb_set_owner_r", "sock_queue_err_skb", "__msg_zerocopy_callback", *_LOOPED], Work.COMPLETION),
        (["skb_set_owner_r", "tcp_data_queue", *_LOOPED], Work.MEMORY),
        (["finish_task_switch.isra.0", "__schedule", "schedule", "schedule_timeout", *_READ], Work.SCHEDULING),
        (["do_syscall_64", "entry_SYSCALL_64_after_hwframe"], Work.SYSTEM_CALL),
    ],
)
def test_the_innermost_frame_with_a_stage_decides(frames: list[str], work: Work) -> None:
    """A helper is charged to the stage of its caller: memcpy() below skb_copy_ubufs() is the deferred copy."""
    assert cost_of_kernel_stack(frames).work == work


def test_the_deciding_function_is_named() -> None:
    """So that bytes and cost can stand in one row."""
    assert cost_of_kernel_stack(["memcpy", "skb_copy_ubufs", *_LOOPED]).function == "skb_copy_ubufs"


@pytest.mark.parametrize(
    ("frames", "work"),
    [
        (["_raw_spin_unlock_irqrestore", "enqueue_to_backlog", "netif_rx_internal", *_LOOPED], Work.DEVICE),
        (["_raw_spin_unlock_irqrestore", "skb_release_data", *_READ], Work.MEMORY),
        (["handle_softirqs", "do_softirq.part.0", "__local_bh_enable_ip", "__dev_queue_xmit"], Work.DEVICE),
        (["_raw_spin_unlock_irqrestore", "tcp_write_xmit", *_SEND], Work.TIMERS),
        (["_raw_spin_unlock_irqrestore", "handle_softirqs", "do_softirq.part.0", *_SEND], Work.TIMERS),
        (["_raw_spin_unlock_irqrestore", "sock_def_readable", "tcp_data_queue", *_LOOPED], Work.SCHEDULING),
    ],
)
def test_skid_is_folded_into_the_caller(frames: list[str], work: Work) -> None:
    """The clock's interrupt waits until interrupts are enabled again: what it hits is not what took the time."""
    assert cost_of_kernel_stack(frames).work == work


@pytest.mark.parametrize(
    ("symbol", "name"),
    [
        ("finish_task_switch.isra.0", "finish_task_switch"),
        ("do_softirq.part.0", "do_softirq"),
        ("__netif_receive_skb_core.constprop.0.isra.1", "__netif_receive_skb_core"),
        ("tcp_v4_rcv.cold", "tcp_v4_rcv"),
        (".slowpath", ".slowpath"),
    ],
)
def test_the_compilers_suffixes_are_dropped(symbol: str, name: str) -> None:
    """Another build of the same kernel has others."""
    assert plain_name(symbol) == name


def test_another_tracers_work_is_part_of_what_it_traces() -> None:
    """Whoever has a program on a tracepoint slows the call down; that makes nothing of it unknown."""
    tracing = ["bpf_trace_run3", "__traceiter_sock_send_length", "call_trace_sock_send_length"]

    assert cost_of_kernel_stack([*tracing, "__sys_sendto", "do_syscall_64"]).work == Work.SYSTEM_CALL


@pytest.mark.parametrize(
    "frames",
    [
        ["a_new_function"],
        ["a_new_function", "do_syscall_64", "entry_SYSCALL_64_after_hwframe"],
        ["memcpy"],
        [],
    ],
)
def test_strangers_are_unmapped(frames: list[str]) -> None:
    """The system call's entry does not vouch for whatever runs below it."""
    assert cost_of_kernel_stack(frames).work == UNMAPPED


@pytest.mark.parametrize(
    ("stack", "work"),
    [
        ("sender;user;pool_pack;__memcpy_avx_unaligned_erms", Work.USER_PACK),
        ("sender;user;pool_pack", Work.USER_PACK),
        ("sender;user;engine_send", Work.OTHER_USER),
        ("sender;user;memcpy", Work.OTHER_USER),
        ("softirq;kernel;net_rx_action;tcp_v4_rcv", Work.TCP_IP),
    ],
)
def test_the_packing_is_told_from_the_rest_of_user_mode(stack: str, work: Work) -> None:
    """memcpy() is the packing only where the engine's packing loop called it."""
    assert cost_of_folded(stack).work == work


_POLL = "do_syscall_64;__x64_sys_poll;do_sys_poll"
_UDP_SEND = "do_syscall_64;__sys_sendto;sock_sendmsg;udp_sendmsg;ip_make_skb;__ip_append_data;ip_generic_getfrag"
_UDP_READ = (
    "do_syscall_64;__sys_recvfrom;sock_recvmsg;inet_recvmsg;udp_recvmsg;skb_copy_datagram_iter;__skb_datagram_iter"
)
_UNIX_READ = (
    "do_syscall_64;__sys_recvfrom;sock_recvmsg;unix_stream_recvmsg;unix_stream_read_generic;unix_stream_read_actor"
)


@pytest.mark.parametrize(
    ("stack", "work"),
    [
        (f"sender;kernel;{_POLL}", Work.COMPLETION),
        (f"sender;kernel;{_POLL};sock_poll;tcp_poll", Work.COMPLETION),
        (f"command;kernel;{_POLL}", Work.SCHEDULING),
        (f"command;kernel;{_POLL};sock_poll;tcp_poll", Work.SCHEDULING),
        (f"command;kernel;{_POLL};schedule_hrtimeout_range;schedule;__schedule", Work.SCHEDULING),
        ("command;kernel;do_syscall_64;__x64_sys_epoll_wait;do_epoll_wait;ep_item_poll;tcp_poll", Work.SCHEDULING),
        ("command;kernel;do_syscall_64;__x64_sys_select;kern_select;core_sys_select;do_select", Work.SCHEDULING),
        (f"command;kernel;{_UDP_SEND};_copy_from_iter", Work.COPY_IN),
        (f"command;kernel;{_UDP_SEND}", Work.COPY_IN),
        (f"command;kernel;{_UDP_READ};_copy_to_iter", Work.COPY_OUT),
        (f"command;kernel;{_UDP_READ}", Work.COPY_OUT),
        ("command;kernel;do_syscall_64;__sys_recvmsg;udp_recvmsg;put_cmsg", Work.TCP_IP),
        ("command;kernel;sock_write_iter;tls_sw_sendmsg;sk_msg_memcopy_from_iter;_copy_from_iter", Work.COPY_IN),
        ("sender;kernel;inet_sendmsg;tls_sw_sendmsg;crypto_aead_encrypt;gcm_hash;ghash_update", Work.ENCRYPT),
        ("sender;kernel;inet_sendmsg;tls_sw_sendmsg;tls_push_sg;tcp_sendmsg_locked;tcp_push", Work.TCP_IP),
        ("sender;kernel;inet_sendmsg;tls_sw_sendmsg;sk_msg_zerocopy_from_iter;iov_iter_get_pages2", Work.PIN),
        ("receiver;kernel;inet_recvmsg;tls_sw_recvmsg;tls_decrypt_sg;crypto_aead_decrypt", Work.DECRYPT),
        ("receiver;softirq;tcp_rcv_established;tls_data_ready", Work.DECRYPT),
        ("command;kernel;__sys_recvfrom;mptcp_recvmsg;skb_copy_datagram_iter;_copy_to_iter", Work.COPY_OUT),
        (f"command;kernel;{_UNIX_READ};skb_copy_datagram_iter;__skb_datagram_iter;_copy_to_iter", Work.COPY_OUT),
        (f"command;kernel;{_UNIX_READ}", Work.SYSTEM_CALL),
        ("command;kernel;do_syscall_64;__x64_sys_futex;do_futex;futex_wait;get_futex_key;gup_fast", Work.LOCKS),
        ("command;kernel;do_syscall_64;ksys_read;vfs_read;filemap_read;copy_page_to_iter;_copy_to_iter", UNMAPPED),
        ("command;kernel;do_syscall_64;__sys_sendmsg;ip_recv_error;put_cmsg", Work.COMPLETION),
    ],
)
def test_another_programs_stacks_are_no_zero_copy_senders(stack: str, work: str) -> None:
    """It polls for whatever, copies for files too, and speaks UDP."""
    assert cost_of_folded(stack).work == work


def test_costs_add_up_to_all_samples() -> None:
    """Shares, ns a byte, and functions, most expensive first."""
    folded = {
        "sender;kernel;tcp_sendmsg_locked;_copy_from_iter": 60,
        "sender;kernel;tcp_sendmsg_locked;__check_object_size": 15,
        "receiver;kernel;tcp_recvmsg_locked": 20,
        "sender;kernel;a_new_function": 5,
    }

    costs = stage_costs(folded, period_ns=500_000, payload_bytes=1_000_000)

    assert [(cost.stage, cost.samples) for cost in costs] == [("copy_in", 75), ("tcp_ip", 20), ("unmapped", 5)]
    assert costs[0].functions == {"_copy_from_iter": 60, "__check_object_size": 15}
    assert costs[0].ns_per_byte == pytest.approx(37.5)
    assert unmapped_share(costs) == pytest.approx(0.05)


def test_no_payload_has_no_cost_per_byte() -> None:
    """A pass that sent nothing: None, not infinity; and no samples, no stages."""
    assert stage_costs({"sender;kernel;tcp_ack": 1}, 1, 0)[0].ns_per_byte is None
    assert stage_costs({}, 1, 1) == []


def test_every_row_has_a_reason() -> None:
    """A table whose rows nobody can judge is worth nothing."""
    assert all(row.functions and len(row.reason) > 2 for row in TABLE)
