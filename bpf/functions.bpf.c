// SPDX-License-Identifier: GPL-2.0
/*
 * Sees each copying function of the TCP send and receive path run, and counts the payload bytes it moves.
 *
 * A handler holds the logic of one probe point. The observer generates one line for each point it can attach: a shell
 * that hands arguments over, from fentry's array or from the registers of a kprobe (tracer/observers/functions.py).
 *
 * Whose bytes: in process context, of the thread that is inside tcp_sendmsg_locked() or tcp_recvmsg_locked() on a socket
 * of the workload. In softirq the current task means nothing: there an skb belongs to the workload by its ubuf_info
 * (recorded when the send call filled the skb), by skb->sk, or by being the one the driver is handling on this CPU.
 */

#include "nettrace.h"

/* The rows are made from the table of tracer/books/function_rows.py. */
enum row { NT_ROWS, LOST, ROWS };

BPF_PERCPU_ARRAY(tallies, struct tally, ROWS);

/* Threads inside the send or the receive call of one of the workload's sockets. */
BPF_HASH(sending, u32, u8, 1024);
BPF_HASH(receiving, u32, u8, 1024);

/* ubuf_info of the workload's zero-copy sends that are not completed yet. */
BPF_HASH(ubufs, u64, u8, 65536);

/* The skb that one CPU's driver is handling, all of whose work runs with bottom halves disabled. */
struct handover {
	u64 skb;		/* 0 between two */
	u64 device, bus;	/* that may map it: the network device's parent, and whose child that is */
	s32 headers;		/* bytes of its link, IP and TCP headers */
	u32 wire;		/* its length */
	s32 linear;		/* payload behind the headers */
	u32 zerocopy;		/* payload in fragments, with the zero-copy flag */
	u32 mappings;		/* DMA mappings made for it, and their bytes */
	u32 mapped;
	u32 bounced;		/* bytes of these that swiotlb copied */
	s32 bounced_headers;
};
BPF_PERCPU_ARRAY(handovers, struct handover, 1);

/* What copies one CPU is in the middle of, bottom halves disabled as well. */
struct copying {
	u64 caller;		/* of the running skb_copy_ubufs() */
	u32 deferred;		/* bytes that it will have copied */
	s32 stack;
	u32 segmenting;		/* inside skb_segment() for the workload */
	u32 checksumming;	/* inside skb_checksum_help() for the workload */
	u64 pulling;		/* skb of the __pskb_pull_tail() that has not copied yet */
};
BPF_PERCPU_ARRAY(copyings, struct copying, 1);

/* Deferred copies by the address of who asked for them; what that means is told where functions have names. */
BPF_HASH(callers, u64, struct tally, 64);

#ifdef NT_STACKS
struct stack_key {
	u32 row;
	s32 stack;
};
BPF_STACK_TRACE(stacks, 4096);
BPF_HASH(stack_tallies, struct stack_key, struct tally, 4096);
#endif

static __always_inline void add(u32 row, u64 bytes, u64 pages)
{
	struct tally *tally = tallies.lookup(&row);

	if (tally) {
		/* A softirq can come between: two programs may count in one row. */
		lock_xadd(&tally->events, 1);
		lock_xadd(&tally->bytes, bytes);
		lock_xadd(&tally->pages, pages);
	}
}

static __always_inline s32 take_stack(void *ctx)
{
#ifdef NT_STACKS
	return stacks.get_stackid(ctx, 0);
#else
	return 0;
#endif
}

static __always_inline void add_stack(u32 row, s32 stack, u64 bytes)
{
#ifdef NT_STACKS
	struct stack_key key = { .row = row, .stack = stack };
	struct tally zero = {}, *tally = stack_tallies.lookup_or_try_init(&key, &zero);

	if (tally && stack >= 0) {
		lock_xadd(&tally->events, 1);
		lock_xadd(&tally->bytes, bytes);
	} else {
		add(LOST, 0, 0);
	}
#endif
}

/* A copy location: its bytes, and the stack that led there. */
static __always_inline void add_here(void *ctx, u32 row, u64 bytes)
{
	add(row, bytes, 0);
	add_stack(row, take_stack(ctx), bytes);
}

static __always_inline struct handover *handed_over(void)
{
	u32 zero = 0;

	return handovers.lookup(&zero);
}

static __always_inline struct copying *copied_now(void)
{
	u32 zero = 0;

	return copyings.lookup(&zero);
}

static __always_inline bool is_inside(bool send)
{
	u32 tid = bpf_get_current_pid_tgid();

	return send ? !!sending.lookup(&tid) : !!receiving.lookup(&tid);
}

/* The send call. Its return value is what it accepted; errors are negative. */

static __always_inline int enter_sendmsg(void *ctx, u64 sk, u64 msg, u64 size, u64 a4, u64 a5)
{
	u32 tid = bpf_get_current_pid_tgid();
	u8 one = 1;

	if (is_sender((void *)sk) && sending.update(&tid, &one))
		add(LOST, 0, 0);
	return 0;
}

static __always_inline int leave_sendmsg(void *ctx, s64 result)
{
	u32 tid = bpf_get_current_pid_tgid();

	if (!sending.lookup(&tid))
		return 0;
	sending.delete(&tid);
	if ((s32)result > 0)
		add(SEND_RETURN, (s32)result, 0);
	return 0;
}

/*
 * mm/usercopy.c: hardened usercopy checks each copy from or to user space before it runs; _copy_from_iter() itself is
 * notrace. The length is what is asked for: a copy that faults half-way would be over-counted, and the laws would tell.
 */
static __always_inline int enter_check_object(void *ctx, u64 object, u64 length, u64 to_user, u64 a4, u64 a5)
{
	/* Whoever copies: that it fires at all tells a count of 0 from a check that is switched off. */
	add(CHECK_ANY, 0, 0);
	if (!(to_user & 1)) {
		if (is_inside(true))
			add_here(ctx, CHECK_SEND, length);
	} else if (is_inside(false)) {
		add_here(ctx, CHECK_RECEIVE, length);
	}
	return 0;
}

static __always_inline int enter_zerocopy_stream(void *ctx, u64 sk, u64 skb, u64 msg, u64 length, u64 ubuf)
{
	u8 one = 1;

	if (is_sender((void *)sk) && ubufs.update(&ubuf, &one))
		add(LOST, 0, 0);
	return 0;
}

static __always_inline int leave_zerocopy_stream(void *ctx, s64 result)
{
	if ((s32)result > 0 && is_inside(true))
		add_here(ctx, ZEROCOPY_STREAM, (s32)result);
	return 0;
}

static __always_inline int leave_splice_from_iter(void *ctx, s64 result)
{
	if (result > 0 && is_inside(true))
		add_here(ctx, SPLICE_FROM_ITER, result);
	return 0;
}

/* Before 6.5 spliced pages came this way, past tcp_sendmsg_locked(); the thread is remembered as for sendmsg. */
static __always_inline int enter_sendpages(void *ctx, u64 sk, u64 page, u64 offset, u64 size, u64 a5)
{
	return enter_sendmsg(ctx, sk, page, size, 0, 0);
}

static __always_inline int leave_sendpages(void *ctx, s64 result)
{
	u32 tid = bpf_get_current_pid_tgid();

	if (!sending.lookup(&tid))
		return 0;
	sending.delete(&tid);
	if (result > 0)
		add_here(ctx, SENDPAGES, result);
	return 0;
}

/* References really taken on user pages; what the kernel accounts is size / PAGE_SIZE + 2, a worst case. */
static __always_inline int leave_get_user_pages(void *ctx, s64 result)
{
	if ((s32)result > 0 && is_inside(true))
		add(USER_PAGES, 0, (s32)result);
	return 0;
}

static __always_inline int enter_account_pages(void *ctx, u64 pinned, u64 size, u64 a3, u64 a4, u64 a5)
{
	if (is_inside(true))
		add(ACCOUNTED, size, (size >> 12) + 2);
	return 0;
}

/* TCP's output; the skb has no headers yet, so its length is payload, and 0 for a pure ACK. */

static __always_inline int enter_transmit(void *ctx, u64 sk, u64 skb, u64 clone, u64 gfp, u64 a5)
{
	u32 len = 0;

	if (!is_sender((void *)sk))
		return 0;
	READ(len, &((struct sk_buff *)skb)->len);
	if (len)
		add(TRANSMIT, len, 0);
	return 0;
}

int on_retransmit(struct bpf_raw_tracepoint_args *ctx)
{
	u32 len = 0;

#if NT_PARAMETERS_tcp_retransmit_skb > 2
	/* Later kernels tell failed attempts too, with the error as third argument. */
	if ((int)ctx->args[2])
		return 0;
#endif
	READ(len, &((struct sk_buff *)ctx->args[1])->len);
	if (is_sender((void *)ctx->args[0]))
		add(RETRANSMIT, len, 0);
	return 0;
}

/* The deferred copy. At exit: it can fail with -ENOMEM after entry, having copied nothing. */

/* A function enters its trampoline from its first instructions. */
#define ENTRY_BYTES 32

/* Who called skb_copy_ubufs(): below a trampoline's frames, or where the call has left its return address. */
static __always_inline u64 caller_of(void *ctx)
{
#ifdef NT_COPY_UBUFS_BY_KPROBE
	struct pt_regs *registers = ctx;
	u64 caller = 0;

	READ(caller, (void *)registers->sp);
	return caller;
#else
	/* This program, its trampoline, skb_copy_ubufs() unless that has jumped there and left no trace (7.2), its caller. */
	u64 frames[4] = {}, function = bpf_get_func_ip(ctx);

	bpf_get_stack(ctx, frames, sizeof(frames), 0);
	return frames[2] - function < ENTRY_BYTES ? frames[3] : frames[2];
#endif
}

static __always_inline void add_caller(u64 caller, u64 bytes)
{
	struct tally zero = {}, *tally = callers.lookup_or_try_init(&caller, &zero);

	if (tally) {
		lock_xadd(&tally->events, 1);
		lock_xadd(&tally->bytes, bytes);
	} else {
		add(LOST, 0, 0);
	}
}

static __always_inline int enter_copy_ubufs(void *ctx, u64 from, u64 gfp, u64 a3, u64 a4, u64 a5)
{
	struct copying *now = copied_now();
	struct sk_buff *skb = (void *)from;
	struct skb_shared_info *shinfo;
	void *head = NULL;
	u64 ubuf = 0;
	u32 end = 0;

	READ(head, &skb->head);
	READ(end, &skb->end);
	shinfo = head + end;
	READ(ubuf, &shinfo->destructor_arg);
	if (!now || !ubufs.lookup(&ubuf))
		return 0;
	READ(now->deferred, &skb->data_len);
	now->caller = caller_of(ctx);
	now->stack = take_stack(ctx);
	return 0;
}

static __always_inline int leave_copy_ubufs(void *ctx, s64 result)
{
	struct copying *now = copied_now();

	if (!now || !now->deferred)
		return 0;
	if ((s32)result == 0) {
		add(COPY_UBUFS, now->deferred, 0);
		add_caller(now->caller, now->deferred);
		add_stack(COPY_UBUFS, now->stack, now->deferred);
	}
	now->deferred = 0;
	return 0;
}

/*
 * Linear packets: segmented by copying (GSO), or pulled whole into the head. Both copy with skb_copy_bits().
 *
 * A segment that is being made has no socket yet: all copies of skb_segment() are ours if the packet is that it cuts.
 */

static __always_inline int enter_segment(void *ctx, u64 skb, u64 features, u64 a3, u64 a4, u64 a5)
{
	struct copying *now = copied_now();

	if (now && is_senders_packet((void *)skb))
		now->segmenting = 1;
	return 0;
}

static __always_inline int leave_segment(void *ctx, s64 result)
{
	struct copying *now = copied_now();

	if (now)
		now->segmenting = 0;
	return 0;
}

/* net/core/dev.c: sums up where the device cannot; pages that their owner may change are copied first. */
static __always_inline int enter_checksum_help(void *ctx, u64 skb, u64 a2, u64 a3, u64 a4, u64 a5)
{
	struct copying *now = copied_now();

	if (now && is_senders_packet((void *)skb))
		now->checksumming = 1;
	return 0;
}

static __always_inline int leave_checksum_help(void *ctx, s64 result)
{
	struct copying *now = copied_now();

	if (now)
		now->checksumming = 0;
	return 0;
}

/*
 * All of data_len: linearized. Less: a few bytes that a driver wants in the head (e1000e pulls 4), or that skb_condense()
 * moves there. Without scatter-gather skb_segment() copies, and never pulls: it pulls to sum up what is shared.
 */
static __always_inline int enter_pull_tail(void *ctx, u64 from, u64 delta, u64 a3, u64 a4, u64 a5)
{
	struct copying *now = copied_now();
	struct sk_buff *skb = (void *)from;
	u32 data_len = 0;

	if (!now || !(now->segmenting || is_senders_packet(skb)))
		return 0;
	now->pulling = from;
	READ(data_len, &skb->data_len);
	if ((u32)delta != data_len)
		add(PULL, (u32)delta, 0);
	else if (now->segmenting || now->checksumming)
		add_here(ctx, LINEARIZE_CHECKSUM, (u32)delta);
	else
		add_here(ctx, LINEARIZE, (u32)delta);
	return 0;
}

/* Of what skb_copy_bits() copies, from an offset behind data that may be negative: the part behind the headers. */
static __always_inline s32 payload_of_copy(struct sk_buff *skb, s32 offset, s32 length)
{
	struct packet packet = {};
	s32 headers;

	look_at(&packet, skb);
	headers = header_bytes(&packet);
	return offset < headers ? offset + length - headers : length;
}

/* Any other copy is of a packet whole: a qdisc that will change it, or IP that cuts it into fragments. */
static __always_inline int enter_copy_bits(void *ctx, u64 skb, u64 offset, u64 to, u64 length, u64 a5)
{
	struct copying *now = copied_now();
	s32 payload;

	if (!now || !(now->segmenting || is_senders_packet((void *)skb)))
		return 0;
	payload = now->segmenting ? (s32)length : payload_of_copy((void *)skb, (s32)offset, (s32)length);
	if (payload <= 0)
		return 0;
	add(COPY_BITS, payload, 0);
	if (now->pulling == skb)
		now->pulling = 0;
	else if (now->segmenting)
		add_here(ctx, SEGMENT_COPY, payload);
	else
		add_here(ctx, COPY_WHOLE, payload);
	return 0;
}

/* The driver. Between the two tracepoints every mapping of its device on this CPU is for that skb. */

static __always_inline void remember_device(struct handover *now, struct sk_buff *skb)
{
	struct net_device *device = NULL;

	now->device = now->bus = 0;
	READ(device, &skb->dev);
	READ(now->device, &device->parent);
	/* A virtio device maps by the bus that it is on. */
	if (now->device)
		READ(now->bus, &((struct device *)now->device)->parent);
}

int on_xmit(struct bpf_raw_tracepoint_args *ctx)
{
	struct sk_buff *skb = (void *)ctx->args[0];
	struct handover *now = handed_over();
	struct skb_shared_info *shinfo;
	struct packet packet = {};
	struct ip ip = {};
	u8 flags = 0;

	if (!now || !is_senders_packet(skb))
		return 0;
	look_at(&packet, skb);
	read_ip(&ip, skb, packet.head);
	shinfo = packet.head + packet.end;
	READ(flags, &shinfo->flags);
	now->skb = (u64)skb;
	now->headers = (s32)packet.len - payload_bytes(&packet, &ip);
	now->wire = packet.len;
	now->linear = (s32)(packet.len - packet.data_len) - now->headers;
	now->zerocopy = flags & SKBFL_ZEROCOPY_ENABLE ? packet.data_len : 0;
	now->mappings = now->mapped = now->bounced = now->bounced_headers = 0;
	remember_device(now, skb);
	return 0;
}

static __always_inline void count_packet(struct handover *now)
{
	add(XMIT_WIRE, now->wire, 0);
	if ((s32)now->wire > now->headers)
		add(XMIT_PAYLOAD, now->wire - now->headers, 0);
	if (now->linear > 0)
		add(XMIT_LINEAR, now->linear, 0);
	if (now->zerocopy)
		add(XMIT_ZEROCOPY, now->zerocopy, 0);
}

/*
 * What was handed over; in place, as far as it did not bounce. A driver that passes headers on by a way of its own maps
 * less than the packet's length, and nothing here says which part: such a sum is no count.
 */
static __always_inline void count_mappings(struct handover *now)
{
	s32 bounced = (s32)now->bounced - now->bounced_headers;
	s32 in_place = (s32)now->mapped - now->headers - bounced;

	if (bounced < 0 || (now->mapped && in_place < 0)) {
		add(LOST, 0, 0);
		return;
	}
	if (now->bounced) {
		add(BOUNCE_WIRE, now->bounced, 0);
		add(BOUNCE, bounced, 0);
	}
	if (now->mapped) {
		add(DMA_WIRE, now->mapped, 0);
		add(DMA, in_place, 0);
	}
}

/* include/trace/events/net.h: net_dev_xmit(skb, rc, dev, skb_len). A refused skb comes again, and counts then. */
int on_xmit_done(struct bpf_raw_tracepoint_args *ctx)
{
	struct handover *now = handed_over();

	if (!now || now->skb != ctx->args[0])
		return 0;
	now->skb = 0;
	if ((s32)ctx->args[1] != NETDEV_TX_BUSY) {
		count_packet(now);
		count_mappings(now);
	}
	return 0;
}

static __always_inline bool maps_packet(struct handover *now, u64 device, u64 direction)
{
	if (!now || !now->skb || (u32)direction != DMA_TO_DEVICE)
		return false;
	return device == now->device || device == now->bus;
}

static __always_inline int enter_dma_map(void *ctx, u64 device, u64 page, u64 offset, u64 size, u64 direction)
{
	struct handover *now = handed_over();

	if (maps_packet(now, device, direction)) {
		now->mappings++;
		now->mapped += size;
	}
	return 0;
}

/* The driver maps the linear part, which holds the headers, first. */
static __always_inline int enter_swiotlb_map(void *ctx, u64 device, u64 address, u64 size, u64 direction, u64 a5)
{
	struct handover *now = handed_over();

	if (!maps_packet(now, device, direction))
		return 0;
	now->bounced += size;
	if (now->mappings <= 1)
		now->bounced_headers = now->headers;
	add_stack(BOUNCE, take_stack(ctx), size);
	return 0;
}

/* The last reference to a range of zero-copy sends is dropped: what the completion will say. */
static __always_inline int enter_completion(void *ctx, u64 ubuf, u64 a2, u64 a3, u64 a4, u64 a5)
{
	struct ubuf_info_msgzc *range = (void *)ubuf;
	u32 bytelen = 0;
	u8 flags = 0;

	if (!ubufs.lookup(&ubuf))
		return 0;
	ubufs.delete(&ubuf);
	READ(bytelen, &range->bytelen);
	/* u16 len, then the bit `zerocopy`: a bit-field has no address of its own. */
	READ(flags, (u8 *)range + NT_UBUF_ZEROCOPY_BYTE);
	add(flags & 1 ? COMPLETION_ZEROCOPY : COMPLETION_COPIED, bytelen, 0);
	return 0;
}

/* The receive call. */

static __always_inline int enter_recvmsg(void *ctx, u64 sk, u64 a2, u64 a3, u64 a4, u64 a5)
{
	u32 tid = bpf_get_current_pid_tgid();
	u8 one = 1;

	if (is_receiver((void *)sk) && receiving.update(&tid, &one))
		add(LOST, 0, 0);
	return 0;
}

static __always_inline int leave_recvmsg(void *ctx, s64 result)
{
	u32 tid = bpf_get_current_pid_tgid();

	if (!receiving.lookup(&tid))
		return 0;
	receiving.delete(&tid);
	if ((s32)result > 0)
		add(RECEIVE_RETURN, (s32)result, 0);
	return 0;
}

static __always_inline int enter_copy_to_iter(void *ctx, u64 address, u64 length, u64 a3, u64 a4, u64 a5)
{
	if (is_inside(false))
		add(COPY_TO_ITER, length, 0);
	return 0;
}

static __always_inline int enter_splice_bits(void *ctx, u64 skb, u64 sk, u64 offset, u64 pipe, u64 length)
{
	if (is_receiver((void *)sk))
		add(SPLICE_BITS, (u32)length, 0);
	return 0;
}

static __always_inline int enter_splice_read(void *ctx, u64 socket, u64 a2, u64 a3, u64 a4, u64 a5)
{
	struct sock *sk = NULL;

	READ(sk, &((struct socket *)socket)->sk);
	return enter_recvmsg(ctx, (u64)sk, 0, 0, 0, 0);
}

static __always_inline int leave_splice_read(void *ctx, s64 result)
{
	u32 tid = bpf_get_current_pid_tgid();

	if (!receiving.lookup(&tid))
		return 0;
	receiving.delete(&tid);
	if (result > 0)
		add(SPLICE_READ, result, 0);
	return 0;
}

/* Hardware breakpoints on the notrace functions of lib/iov_iter.c: (address, bytes, iterator). */

struct bpf_perf_event_data {
	struct pt_regs regs;
	u64 sample_period;
	u64 addr;
};

int break_copy_from_iter(struct bpf_perf_event_data *ctx)
{
	if (is_inside(true))
		add(BREAK_FROM_ITER, ctx->regs.si, 0);
	return 0;
}

int break_copy_to_iter(struct bpf_perf_event_data *ctx)
{
	if (is_inside(false))
		add(BREAK_TO_ITER, ctx->regs.si, 0);
	return 0;
}
