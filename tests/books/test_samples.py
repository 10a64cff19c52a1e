"""Sampled stacks: whose they are, and which of them are equal."""

from __future__ import annotations

from tracer.books.samples import Sample, fold, without_tracers


def test_another_process_counts_only_in_tcps_softirq() -> None:
    """What a stranger sends over lo itself is his; TCP's receive side after an interrupt may be ours."""
    receive = ["tcp_v4_rcv", "ip_local_deliver_finish", "net_rx_action", "handle_softirqs", "__irq_exit_rcu"]
    looped = [*receive[:-1], "do_softirq.part.0", "__local_bh_enable_ip", "__dev_queue_xmit", "tcp_sendmsg_locked"]
    interrupted = ["handle_softirqs", "__irq_exit_rcu", "sysvec_apic_timer_interrupt", "tcp_sendmsg_locked"]
    samples = [
        Sample(2, False, receive, 3),
        Sample(2, False, looped, 13),
        Sample(2, False, interrupted, 17),
        Sample(2, False, ["tcp_sendmsg", "__sys_sendto"], 5),
        Sample(2, False, ["virtnet_poll", "net_rx_action", "handle_softirqs"], 7),
        Sample(2, False, ["pv_native_safe_halt", "do_idle"], 11),
    ]

    assert fold(samples) == {"softirq;kernel;" + ";".join(receive[::-1]): 3}


def test_stacks_that_differ_by_a_suffix_are_one() -> None:
    """The compiler's suffixes say nothing to a reader."""
    samples = [
        Sample(0, False, ["do_softirq.part.0"], 2),
        Sample(0, False, ["do_softirq"], 1),
        Sample(0, True, ["memcpy", "pool_pack"], 4),
    ]

    assert fold(samples) == {"sender;user;pool_pack;memcpy": 4, "sender;kernel;do_softirq": 3}


def test_programs_that_look_are_no_part_of_a_stack() -> None:
    """Their names hold addresses: two stacks that differ in these alone are one."""
    samples = [
        Sample(0, False, ["bpf_prog_1f_on_egress", "tcp_write_xmit", "tcp_sendmsg_locked"], 3),
        Sample(0, False, ["bpf_prog_2e_on_egress", "bpf_trampoline_64", "tcp_write_xmit", "tcp_sendmsg_locked"], 5),
    ]

    assert fold(samples) == {"sender;kernel;tcp_sendmsg_locked;tcp_write_xmit": 8}


def test_what_returns_through_a_trampoline_is_one_frame() -> None:
    """It stands on both sides; a function that calls itself stays twice."""
    through = ["bpf_prog_7", "bpf_trampoline_1", "skb_copy_ubufs", "bpf_trampoline_1", "skb_copy_ubufs", "skb_orphan"]

    assert without_tracers(through) == ["skb_copy_ubufs", "skb_orphan"]
    assert without_tracers(["walk", "walk", "enter"]) == ["walk", "walk", "enter"]
