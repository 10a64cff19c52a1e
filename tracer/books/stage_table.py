"""The table of stages: kernel function -> what the CPU does there for the workload, with the reason. Data only.

A row whose function is PREFIX* fits all names that begin so; the longest fit wins, and a row with a condition wins over
one without. How a stack is read: tracer/books/stages.py.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Work(StrEnum):
    """What a CPU does for the workload; the value is the name in a recording.

    Where a stage of the ledger is meant, its name is the ledger's, so that bytes and cost can stand side by side.
    """

    USER_PACK = "user_pack"
    COPY_IN = "copy_in"
    PIN = "pin"
    SPLICE = "splice"
    ENCRYPT = "encrypt"
    DECRYPT = "decrypt"
    DEFERRED_COPY = "deferred_copy"
    LINEARIZE = "linearize"
    BOUNCE = "bounce"
    COPY_OUT = "copy_out"
    MEMORY = "skb_memory"
    TCP_IP = "tcp_ip"
    DEVICE = "device"
    LOCKS = "locks"
    SCHEDULING = "scheduling"
    TIMERS = "timers"
    COMPLETION = "completion"
    SYSTEM_CALL = "system_call"
    OTHER_USER = "other_user"


class Row(NamedTuple):
    """One line of the table.

    Args:
        functions: Names without suffixes of the compiler (".isra.0"), separated by spaces; PREFIX* fits many.
        work: None folds the frame into its caller.
        reason: Why.
        below: The row holds only if one of these functions is among the callers.
        caller: The row holds only if this function is the next frame.
        context: The row holds only of samples of this context, the first word of a folded stack.
    """

    functions: str
    work: Work | None
    reason: str
    below: str = ""
    caller: str = ""
    context: str = ""


# Programs copy for other ends too: only below these is a copy one of a payload, and a pinned page one that is sent.
_SEND = (
    "tcp_sendmsg_locked udp_sendmsg udpv6_sendmsg tls_sw_sendmsg tls_device_sendmsg mptcp_sendmsg "
    "unix_stream_sendmsg unix_dgram_sendmsg"
)
_RECEIVE = (
    "tcp_recvmsg_locked udp_recvmsg udpv6_recvmsg tls_sw_recvmsg mptcp_recvmsg "
    "unix_stream_read_generic unix_dgram_recvmsg __unix_dgram_recvmsg"
)
_POLL = (
    "do_sys_poll do_poll* poll_* __pollwait tcp_poll udp_poll datagram_poll unix_poll unix_dgram_poll sock_poll "
    "__x64_sys_poll __x64_sys_ppoll do_select core_sys_select kern_select __x64_sys_select __x64_sys_pselect6"
)
_CIPHER = (
    "tls_* crypto_* __crypto_* gcm_* ctr_* aes_* aesni_* __aes_* rijndael_* ghash_* gf128mul_* polyval_* chacha_* "
    "poly1305_* simd_* cryptd_* scatterwalk_* skcipher_* ahash_* shash_* sk_msg_* sg_* skb_to_sgvec* __skb_to_sgvec"
)
FOLDED = None

TABLE: tuple[Row, ...] = (
    # The copies.
    Row("pool_pack", Work.USER_PACK, "the engine's loop that packs a message's fields into one buffer"),
    Row(
        "_copy_from_iter* copy_from_iter* csum_and_copy_from_iter* skb_do_copy_data_nocache copyin "
        "skb_copy_datagram_from_iter* ip_generic_getfrag",
        Work.COPY_IN, "user memory into the skb's fragment", below=_SEND,
    ),
    Row(
        "__check_object_size check_heap_object* check_stack_object*",
        Work.COPY_IN, "hardened usercopy checks the target of each copy", below=_SEND,
    ),
    Row(
        "skb_zerocopy_iter_stream* __zerocopy_sg_from_iter zerocopy_fill_skb_from_iter iov_iter_get_pages* "
        "__iov_iter_get_pages_alloc iov_iter_extract_* iov_iter_revert get_user_pages_fast* "
        "internal_get_user_pages_fast gup_* try_grab_* mm_account_pinned_pages __get_user_pages* pin_user_pages* "
        "want_pages_array",
        Work.PIN, "finds the sender's pages, takes references, and hangs them into the skb", below=_SEND,
    ),
    Row(
        "do_sendfile __x64_sys_sendfile64 do_splice* __do_splice splice_* direct_splice_actor filemap_splice_read "
        "shmem_file_splice_read generic_file_splice_read page_cache_pipe_buf_* generic_pipe_buf_* pipe_to_sendpage "
        "generic_splice_sendpage sock_sendpage kernel_sendpage do_tcp_sendpages tcp_sendpage* skb_splice_from_iter "
        "__x64_sys_splice __do_sys_splice",
        Work.SPLICE, "hands references to a file's pages through a pipe to the skb",
    ),
    Row(
        "filemap_get_* filemap_read* shmem_get_folio* shmem_file_read_iter touch_atime atime_needs_update "
        "blk_start_plug blk_finish_plug",
        Work.SPLICE, "finds the file's pages for that", below="do_sendfile __do_splice",
    ),
    Row(
        "__x64_sys_vmsplice __do_sys_vmsplice vmsplice_* iter_to_pipe add_to_pipe user_page_pipe_buf_*",
        Work.SPLICE, "hands references to a program's pages to a pipe",
    ),
    Row(
        "iov_iter_get_pages* __iov_iter_get_pages_alloc get_user_pages_fast* internal_get_user_pages_fast gup_* "
        "try_grab_* want_pages_array",
        Work.SPLICE, "finds a program's pages for vmsplice()",
        below="__do_sys_vmsplice __x64_sys_vmsplice vmsplice_to_pipe",
    ),
    Row(
        "skb_copy_ubufs skb_orphan_frags*",
        Work.DEFERRED_COPY, "replaces pinned user pages by copies before a local socket or a tap sees them",
    ),
    Row(
        "__skb_linearize __pskb_pull_tail skb_copy_bits skb_copy_and_csum_*",
        Work.LINEARIZE, "fragments into one linear buffer, for a device without scatter-gather",
    ),
    Row("swiotlb_*", Work.BOUNCE, "copies through memory that the device can reach"),
    Row(
        "_copy_to_iter* copy_to_iter* simple_copy_to_iter __skb_datagram_iter skb_copy_datagram_* "
        "csum_and_copy_to_iter* skb_copy_and_csum_datagram* copyout",
        Work.COPY_OUT, "the skb into the reader's buffer", below=_RECEIVE,
    ),
    Row(
        "__check_object_size check_heap_object* check_stack_object*",
        Work.COPY_OUT, "hardened usercopy checks the source of each copy", below=_RECEIVE,
    ),

    # Kernel TLS.
    Row(
        _CIPHER, Work.ENCRYPT, "cuts the payload into records and encrypts them",
        below="tls_sw_sendmsg tls_sw_sendpage",
    ),
    Row(
        _CIPHER, Work.DECRYPT, "decrypts records into the reader's buffer, or into pages of the kernel's",
        below="tls_sw_recvmsg tls_sw_splice_read",
    ),
    Row("tls_*", Work.DECRYPT, "finds the records in what has come"),

    # Zero-copy notifications.
    Row(
        "__msg_zerocopy_callback msg_zerocopy_* skb_zcopy_* net_zcopy_* sock_zerocopy_* skb_zerocopy_*",
        Work.COMPLETION, "the notification of a zero-copy send: made, merged, queued",
    ),
    Row(
        "sock_queue_err_skb inet_recv_error ip_recv_error ipv6_recv_error sock_dequeue_err_skb sock_omalloc "
        "sock_ofree",
        Work.COMPLETION, "the error queue that notifications wait in",
    ),
    Row(
        "io_alloc_notif io_notif_tw_complete io_tx_ubuf_complete io_link_skb",
        Work.COMPLETION, "io_uring's notification of a zero-copy request: made, linked, posted",
    ),
    Row("skb_set_owner_r", Work.COMPLETION, "charges a notification to the socket", below="sock_queue_err_skb"),
    Row(
        _POLL, Work.COMPLETION, "the engine's sender sleeps in poll() for notifications, and for nothing else",
        context="sender",
    ),

    # Memory.
    Row(
        "skb_* __skb_* ___pskb_trim pskb_* __alloc_skb __kfree_skb kfree_skb* __build_skb* build_skb* consume_skb "
        "__consume_stateless_skb napi_consume_skb napi_skb_* slab_build_skb __copy_skb_header __napi_kfree_skb "
        "tcp_stream_alloc_skb tcp_skb_entail sk_stream_alloc_skb sk_page_frag_refill page_frag_* __page_frag_* "
        "tcp_eat_recv_skb __finalize_skb_around",
        Work.MEMORY, "socket buffers: made, cloned, freed",
    ),
    Row(
        "kmem_cache_* kmalloc* __kmalloc* kfree* __kmem_cache_* __slab_* ___slab_* slab_* __slab* get_partial* "
        "memcg_* __memcg_* obj_cgroup_* mem_cgroup_* __mem_cgroup_* refill_* try_charge* consume_stock* ksize "
        "kmemdup* should_failslab setup_object* __refill_* mod_objcg_* __unfreeze* put_cpu_partial",
        Work.MEMORY, "the slab allocator and its accounting",
    ),
    Row(
        "alloc_pages* __alloc_pages* alloc_frozen_pages* __alloc_frozen_pages* get_page_from_freelist rmqueue* "
        "__rmqueue* free_unref_* __free_frozen_pages free_frozen_page* free_pcppages_* __free_pages* free_pages* "
        "__free_one_page free_pcp* free_one_page clear_page* clear_highpage* __folio_put* folio_* __put_page "
        "put_page* prep_new_page __mod_*state* mod_*page_state* mod_*_state policy_nodemask __count_numa_event* "
        "zone_* get_pfnblock_* set_pfnblock_* __isolate_* __get_pfnblock_* __set_pfnblock_* get_netmem "
        "nr_blockdev_pages page_counter_* expand* decay_pcp_high alloc_skb_with_frags bad_range* compaction_*",
        Work.MEMORY, "the page allocator",
    ),
    Row(
        "asm_exc_page_fault exc_page_fault do_user_addr_fault handle_mm_fault __handle_mm_fault do_anonymous_page "
        "lock_vma_under_rcu do_fault* wp_page_copy",
        Work.MEMORY, "page faults",
    ),
    Row(
        "__sk_mem_* sk_mem_* tcp_wmem_* tcp_rmem_* sk_forced_mem_schedule tcp_try_rmem_schedule sock_wfree "
        "__sock_wfree sock_rfree tcp_wfree sk_leave_memory_pressure tcp_enter_memory_pressure sk_wmem_* "
        "sock_kmalloc sock_wmalloc",
        Work.MEMORY, "a socket's memory account",
    ),

    # The stack.
    Row("udp_* __udp_* udp4_* udp6_* udpv6_* __udp4_* __udp6_*", Work.TCP_IP, "UDP"),
    Row("tcp_* __tcp_* tcp4_* bbr_* cubictcp_* bictcp_* minmax_* prr_* tcp_reno_* dctcp_*", Work.TCP_IP, "TCP"),
    Row(
        "ip_* __ip_* ip4_* ipv4_* inet_* __inet_* ip6_* fib_* dst_* rt_* neigh_* __neigh_* nf_* arp_* "
        "raw_local_deliver cap_* capable ns_capable* __xfrm_* xfrm* security_* selinux_* apparmor_* "
        "__cgroup_bpf_run_filter_* sk_filter* bpf_skops_* ipt_* icmp_* csum_partial* __siphash* siphash* ct_*",
        Work.TCP_IP, "IP, routes, filters, checksums",
    ),
    Row(
        "sk_* __sk_* sock_* __sock_* release_sock __release_sock lock_sock_nested lock_sock_fast sk_clone* "
        "tcp_release_cb",
        Work.TCP_IP, "the socket that TCP works on",
    ),

    # Devices.
    Row(
        "dev_* __dev_* netdev_* __netdev_* netif_* __netif_* net_rx_action net_tx_action process_backlog "
        "enqueue_to_backlog __napi_* napi_* loopback_* eth_* ether_* validate_xmit_* harmonize_features "
        "passthru_features* rps_* get_rps_* gro_* dev_gro_receive __skb_get_hash* skb_gro_* ____napi_schedule "
        "xmit_* trigger_rx_softirq is_skb_forwardable rx_* __skb_flow_dissect skb_network_protocol "
        "skb_warn_bad_offload skb_csum_hwoffload_help skb_clone_tx_timestamp __skb_tstamp_tx skb_tx_*",
        Work.DEVICE, "from the queue to the driver and back up",
    ),
    Row(
        "skb_segment* skb_mac_gso_segment __skb_gso_segment tcp_gso_segment tcp4_gso_segment inet_gso_segment "
        "skb_checksum_help skb_gso_*",
        Work.DEVICE, "segments and sums what the device would not; copies nothing itself",
    ),
    Row("veth_* ptr_ring_* xdp_* __xdp_*", Work.DEVICE, "the veth driver"),
    Row("sch_* __qdisc_* qdisc_* pfifo_* fq_* noop_* dql_* mq_*", Work.DEVICE, "queueing disciplines"),
    Row(
        "virtnet_* virtqueue_* vring_* virtio_* vp_* vm_notify start_xmit e1000* igb_* ixgbe_* i40e_* ice_* mlx5* "
        "ena_* bnxt_* gve_* dma_* iommu_* __iommu_*",
        Work.DEVICE, "a NIC's driver and its DMA mappings",
    ),

    # Waiting for each other.
    Row(
        "native_queued_spin_lock_slowpath __pv_queued_spin_* pv_* .slowpath __raw_callee_save___pv_* kvm_kick_cpu "
        "kvm_wait queued_spin_lock_* _raw_spin_lock* _raw_read_lock* _raw_write_lock* _raw_spin_trylock* mutex_* "
        "__mutex_* rwsem_* down_* up_read up_write osq_* rt_mutex_* futex_* __futex_* do_futex __x64_sys_futex",
        Work.LOCKS, "takes a lock, or spins for it",
    ),
    Row(
        "__x2apic_* x2apic_* native_write_msr native_x2apic_*",
        FOLDED, "interrupts another CPU, or sets the timer: for a wake-up, a lock, a timer",
    ),
    Row(
        "schedule* __schedule finish_task_switch __switch_to* prepare_task_switch pick_* __pick_* put_prev_* "
        "set_next_* enqueue_* dequeue_* __enqueue_* __dequeue_* update_curr* update_load_* __update_load_* "
        "update_rq_clock* place_entity reweight_* select_* available_idle_cpu try_to_wake_up ttwu_* wake_up_* "
        "__wake_up* default_wake_function woken_wake_function autoremove_wake_function wait_woken add_wait_queue "
        "remove_wait_queue prepare_to_wait* finish_wait sk_wait_data sk_stream_wait_memory ep_* sched_* __sched_* "
        "yield_* resched_* check_preempt_* wakeup_preempt* preempt_schedule* switch_mm_* switch_fpu_* dl_server_* "
        "psi_* vruntime_* avg_vruntime entity_* cpuacct_* __cgroup_account_cputime* raw_spin_rq_* "
        "exit_to_user_mode_loop propagate_* sugov_* newidle_balance sched_balance_* load_balance rcu_note_* "
        "rcu_qs* cpu_util* asm_sysvec_reschedule_ipi sysvec_reschedule_ipi asm_sysvec_call_function* "
        "sysvec_call_function* flush_smp_call_function_queue __flush_smp_call_function_queue llist_* "
        "native_smp_send_reschedule __rseq_* rseq_* nohz_* update_* __calc_* arch_scale_* wakeup_* migrate_* "
        "prev_* min_vruntime* requeue_* membarrier_* task_* kick_* send_call_function* generic_exec_single "
        "smp_call_function*",
        Work.SCHEDULING, "wakes, picks and switches threads",
    ),
    Row(_POLL, Work.SCHEDULING, "waits until a descriptor is ready, for whatever"),
    Row(
        "sock_def_readable sock_def_write_space* sk_stream_write_space tcp_data_ready sock_def_error_report "
        "sk_error_report sock_def_wakeup",
        Work.SCHEDULING, "wakes the thread that waits for this socket",
    ),
    Row(
        "hrtimer_* __hrtimer_* asm_sysvec_apic_timer_interrupt sysvec_apic_timer_interrupt "
        "__sysvec_apic_timer_interrupt local_apic_timer_* tick_* clockevents_* lapic_* run_timer_* __run_timer* "
        "call_timer_fn expire_timers timer_* __mod_timer mod_timer* lock_timer_base calc_* detach_* enqueue_timer "
        "del_timer* try_to_del_timer* enqueue_hrtimer __remove_hrtimer tmigr_* add_timer* get_nohz_* "
        "rcu_sched_clock_irq update_process_times rcu_core* run_rebalance_* update_wall_time timekeeping_* "
        "asm_sysvec_* sysvec_* asm_common_interrupt common_interrupt irq_* __irq_* handle_edge_irq handle_irq_* "
        "__handle_irq_* native_apic_* apic_* __common_interrupt get_next_timer_* __get_next_* next_expiry* "
        "forward_timer_* hrtimers_* account_* vtime_* cputime_* kvm_steal_* steal_account* raise_softirq* "
        "__raise_softirq*",
        Work.TIMERS, "timers (pacing and retransmission among them), the tick, device interrupts",
    ),
    Row(
        "_raw_spin_unlock_irqrestore",
        Work.TIMERS,
        "hrtimer_start_range_ns() has become a jump to the unlock: the pacing timer is set (tcp_pacing_check() is "
        "inlined)",
        caller="tcp_write_xmit",
    ),
    Row(
        "_raw_spin_unlock_irqrestore",
        Work.TIMERS,
        "hrtimer_run_softirq() has become a jump to the unlock: it runs TCP's pacing timers and programs the next "
        "one",
        caller="handle_softirqs",
    ),
    Row(
        "_raw_spin_unlock_irqrestore",
        Work.SCHEDULING, "try_to_wake_up() of the reader has become a jump to the unlock", caller="sock_def_readable",
    ),

    # The way into the kernel; decides only where nothing but folded frames lies further in.
    Row(
        "entry_SYSCALL_64* do_syscall_64 x64_sys_call __x64_sys_* syscall_* __sys_* ___sys_* ____sys_* "
        "sockfd_lookup* __fdget* fdget* fput* __fget* import_* __import_* iovec_from_user copy_iovec_from_user "
        "copy_msghdr_from_user sendmsg_copy_msghdr move_addr_to_kernel move_addr_to_user _copy_from_user "
        "_copy_to_user __get_user_* __put_user_* sock_sendmsg __sock_sendmsg sock_recvmsg inet_sendmsg "
        "inet_recvmsg rw_verify_area fget ksys_* vfs_* entry_SYSRETQ_* do_sock_* tcp_sock_* sock_from_file",
        Work.SYSTEM_CALL, "system call entry and exit, and the socket layer above TCP",
    ),
    Row(
        "__x64_sys_io_uring_enter __do_sys_io_uring_enter io_* __io_*",
        Work.SYSTEM_CALL, "io_uring takes a request, hands it to the socket, and tells what became of it",
    ),
    Row("unix_* __unix_*", Work.SYSTEM_CALL, "Unix sockets: nothing lies below the socket layer"),
    Row("tcp_sendmsg tcp_recvmsg", Work.TCP_IP, "TCP"),

    # Helpers and skid.
    Row(
        "memcpy* __memcpy* memset* __memset* memmove* __memmove* rep_movs_alternative rep_stos_alternative "
        "copy_user_* copy_page* copy_mc_* clear_user_* __rep_* memcmp* strlen* put_cmsg*",
        FOLDED, "moves bytes for whoever calls it: what bytes, only the caller knows",
    ),
    Row(
        "_raw_spin_unlock* _raw_read_unlock* _raw_write_unlock* __local_bh_enable_ip __local_bh_disable_ip "
        "local_bh_* do_softirq* __do_softirq handle_softirqs __softirqentry* __irq_exit_rcu irq_exit_rcu "
        "irqentry_* irq_enter_rcu asm_call_*",
        FOLDED, "enables interrupts or softirqs: the samples of the region before slide to here",
    ),
    Row(
        "ktime_* read_tsc __usecs_to_* __msecs_to_* nsecs_to_* kvm_clock_* pvclock_* native_sched_clock "
        "sched_clock* getboottime* jiffies_* __list_* list_* rb_* __rb_* rcu_* __rcu_* preempt_* srso_* "
        "retbleed_* __x86_* __fentry__ __virt_addr_valid __phys_addr* phys_addr_* _find_* find_* refcount_* "
        "__warn_* __put_* __init_* is_vmalloc_addr __radix_* xas_* xa_* __xa_* __bitmap_* bitmap_* hash_* crc32* "
        "cpumask_* rht_* this_cpu_* __this_cpu_* debug_* percpu_counter_* __percpu_counter_* iov_iter_* lru_* "
        "ref_tracker_* mm_*",
        FOLDED, "a clock, a list, a tree, a counter: work for whoever calls it",
    ),
    Row("bpf_* __bpf_* perf_* __perf_* trace_* call_trace_* __traceiter_* __trace_*", FOLDED, "the tracing itself"),
)  # fmt: skip
