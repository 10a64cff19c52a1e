// SPDX-License-Identifier: GPL-2.0
/*
 * Sees each copying function of TCP's and UDP's send and receive path run, and counts the payload bytes it moves.
 *
 * A handler holds the logic of one probe point. The observer generates one line for each point it can attach: a shell
 * that hands arguments over, from fentry's array or from the registers of a kprobe (tracer/observers/functions.py).
 *
 * Whose bytes: in process context, of the thread that is inside the send or the receive call (tcp_sendmsg_locked(),
 * udp_recvmsg(), ...) on a socket of the workload. In softirq the current task means nothing: there an skb belongs to the workload by its ubuf_info
 * (recorded when the send call filled the skb), by skb->sk, or by being the one the driver is handling on this CPU.
 */

#include "kernel.h"
#include "link.h"
#include "functions/ends.h"

/* NT_ROWS comes from tracer/books/function_rows.py, so that names and numbers stand in one place. */
enum row { NT_ROWS, LOST, ROWS };

BPF_PERCPU_ARRAY(tallies, struct tally, ROWS);

/* Threads inside the send or the receive call of one of the workload's sockets. */
BPF_HASH(sending, u32, u8, 1024);
BPF_HASH(receiving, u32, u8, 1024);
/* Of those that receive by tcp_zerocopy_receive(): what it tells the caller. */
BPF_HASH(mapping, u32, u64, 1024);

/* ubuf_info of the workload's zero-copy sends that are not completed yet. */
BPF_HASH(ubufs, u64, u8, 65536);

/*
 * Who called skb_copy_ubufs(): two addresses of the stack, of which the first is inside of it where a trampoline leaves
 * it there (not on 7.2). Names tell which; they are looked up afterwards.
 */
struct caller {
	u64 frames[2];
};

/* What one CPU is in the middle of; all its users run with bottom halves disabled. */
struct in_progress {
	u64 xmit;		/* skb that the driver is handling, 0 between two */
	u32 orphaned;		/* it has no socket any more */
	u32 wire;		/* its bytes, */
	u32 headers;		/* of these its link, IP and TCP headers, */
	s32 linear;		/* its payload in the linear part, */
	u32 flagged;		/* and in fragments that have the zero-copy flag */
	u32 mappings;		/* DMA mappings made for it, and their bytes */
	u32 mapped;
	u32 bounced;		/* bytes of these that swiotlb copied */
	u32 bounced_headers;
	u32 deferred;		/* bytes that the running skb_copy_ubufs() will have copied */
	struct caller deferred_by;
	u64 segmented;		/* skb of the workload that skb_segment() is cutting, 0 between two */
	u32 checksumming;	/* inside skb_checksum_help() for the workload */
	u64 pulled;		/* skb of the __pskb_pull_tail() that has not copied yet */
	s32 stack;		/* of the deferred copy that is running */
};
BPF_PERCPU_ARRAY(in_progress, struct in_progress, 1);

/* Deferred copies by who called skb_copy_ubufs(). */
BPF_HASH(deferred_by, struct caller, struct tally, 64);

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

static __always_inline struct in_progress *on_this_cpu(void)
{
	u32 zero = 0;

	return in_progress.lookup(&zero);
}

static __always_inline bool is_inside(bool send)
{
	u32 tid = bpf_get_current_pid_tgid();

	return send ? !!sending.lookup(&tid) : !!receiving.lookup(&tid);
}

static __always_inline bool is_of_sender(struct sk_buff *skb, struct packet *packet)
{
	struct net_device *device = NULL;
	struct ip ip = {};

	read_ip(&ip, packet);
	READ(device, &skb->dev);
	return whose_of_socket(skb, device, packet, &ip) != FOREIGN;
}

/*
 * A packet of the workload on its way to the device; without a socket, one that has its link header already. An
 * acknowledgement that has come back has the sender's socket as well (early demux).
 */
static __always_inline bool is_senders_packet(struct sk_buff *skb)
{
	struct packet packet = {};
	struct sock *sk = NULL;

	READ(sk, &skb->sk);
	if (sk && !is_sender(sk))
		return false;
	look_at(&packet, skb);
	if (is_before_device(&packet))
		return sk || is_of_sender(skb, &packet);
	return sk && (packet.transport_header == NO_HEADER || to_our_port(&packet));
}

#include "functions/sending.h"
#include "functions/deferred.h"
#include "functions/linear.h"
#include "functions/driver.h"
#include "functions/receiving.h"
#include "functions/records.h"
#include "functions/breakpoints.h"
