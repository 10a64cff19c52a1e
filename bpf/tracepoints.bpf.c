// SPDX-License-Identifier: GPL-2.0
/*
 * Counts the workload's payload by the state of the skb that carries it, at places that need no function probe.
 *
 * Nothing here sees a copy run; it sees what the skb is made of before and after. TCP's sendmsg puts payload into page
 * fragments and only headers into the linear part, so payload in the linear part was copied there on the way.
 *
 * Packets are counted by cgroup_skb programs: they run in the socket's own path for the sockets of one cgroup, the
 * workload's. Raw tracepoints would see the same skbs, but softirq work runs in whatever task it interrupts, and there
 * are kernels (seen: a 6.18 built for microVMs) that run no tracing program while that task is PID 1, and do not count
 * what they skip. Tracepoints serve where the current task is the workload's own, or no cgroup program can look.
 */
#include "nettrace.h"

/*
 * What an skb's payload is made of. A MIXED skb holds zero-copy and copied payload: the kernel marks an skb "pure" only
 * if it holds no copied fragment (SKBFL_PURE_ZEROCOPY), and nothing in the skb tells how much is which. LINEAR payload
 * is behind the headers, not in fragments.
 *
 * Both enums are made from the tables of tracer/books/tracepoint_points.py.
 */
enum skb_state { NT_STATES, SKB_STATES };
enum point { NT_POINTS, POINTS };

/* One row for each point and state. */
BPF_PERCPU_ARRAY(tallies, struct tally, POINTS * SKB_STATES);

#define MAX_FRAGS (sizeof(((struct skb_shared_info *)0)->frags) / sizeof(struct skb_frag))

/* CONFIG_MAX_SKB_FRAGS may be 45, which is 720 bytes: too many for the stack. */
struct fragments {
	struct skb_frag at[MAX_FRAGS];
};
BPF_PERCPU_ARRAY(fragments, struct fragments, 1);

/*
 * Pages that the fragments refer to; a fragment can span several pages of one compound page. They are read in one go,
 * and the sum has no branch: the verifier of 6.1 follows each way through a loop and gives up (E2BIG).
 */
static __always_inline u32 count_pages(struct skb_shared_info *shinfo)
{
	struct fragments *frags;
	u32 zero = 0, pages = 0;
	u8 nr_frags = 0;

	READ(nr_frags, &shinfo->nr_frags);
	frags = fragments.lookup(&zero);
	if (!frags || nr_frags > MAX_FRAGS)
		return 0;
	bpf_probe_read_kernel(frags->at, sizeof(frags->at), shinfo->frags);
#pragma unroll
	for (u32 i = 0; i < MAX_FRAGS; i++)
		pages += (i < nr_frags) * (((frags->at[i].offset & 4095) + frags->at[i].len + 4095) >> 12);
	return pages;
}

static __always_inline void add(enum point point, enum skb_state state, u32 bytes, u32 pages)
{
	u32 row = point * SKB_STATES + state;
	struct tally *tally = tallies.lookup(&row);

	if (tally) {
		/* A softirq can interrupt the same program in process context. */
		lock_xadd(&tally->events, 1);
		lock_xadd(&tally->bytes, bytes);
		lock_xadd(&tally->pages, pages);
	}
}

static __always_inline void count_fragments(enum point point, struct packet *packet, u32 bytes)
{
	struct skb_shared_info *shinfo = packet->head + packet->end;
	enum skb_state state = COPIED;
	u32 pages = 0;
	u8 flags = 0;

	READ(flags, &shinfo->flags);
	if (flags & SKBFL_ZEROCOPY_ENABLE) {
		state = flags & SKBFL_PURE_ZEROCOPY ? ZEROCOPY : MIXED;
		if (point == EGRESS || point == RETRANSMIT)
			pages = count_pages(shinfo);
	}
	add(point, state, bytes, pages);
}

static __always_inline void count_packet(enum point point, struct sk_buff *skb)
{
	struct packet packet = {};
	s32 linear;

	look_at(&packet, skb);
	if (packet.data_len)
		count_fragments(point, &packet, packet.data_len);
	linear = (s32)(packet.len - packet.data_len) - header_bytes(&packet);
	if (linear > 0)
		add(point, LINEAR, linear, 0);
}

/*
 * The context of a cgroup_skb program is the kernel's own sk_buff, though the verifier lets it be used only through the
 * view of struct __sk_buff: read as kernel memory, it shows all. They return 1: let it pass.
 */

/* net/ipv4/ip_output.c, ip_finish_output(): every packet on its way to a device, before segmentation. */
int on_egress(struct __sk_buff *context)
{
	count_packet(EGRESS, (void *)context);
	return 1;
}

/* net/ipv4/tcp_ipv4.c, tcp_filter(): every packet that found its socket. */
int on_ingress(struct __sk_buff *context)
{
	count_packet(INGRESS, (void *)context);
	return 1;
}

/* include/trace/events/net.h: net_dev_start_xmit(skb, dev); just before the driver gets it. */
int on_xmit(struct bpf_raw_tracepoint_args *ctx)
{
	struct sk_buff *skb = (void *)ctx->args[0];

	if (is_senders_packet(skb))
		count_packet(XMIT, skb);
	return 0;
}

/* include/trace/events/skb.h: skb_copy_datagram_iovec(skb, len); the reader takes len bytes, in its own context. */
int on_copy_out(struct bpf_raw_tracepoint_args *ctx)
{
	struct sk_buff *skb = (void *)ctx->args[0];
	struct packet packet = {};
	struct sock *sk = NULL;

	READ(sk, &skb->sk);
	if (!is_receiver(sk))
		return 0;
	look_at(&packet, skb);
	count_fragments(COPY_OUT, &packet, ctx->args[1]);
	return 0;
}

/* include/trace/events/tcp.h: tcp_retransmit_skb(sk, skb); skb has no headers yet: len is payload. */
int on_retransmit(struct bpf_raw_tracepoint_args *ctx)
{
	struct packet packet = {};

#if NT_PARAMETERS_tcp_retransmit_skb > 2
	/* Later kernels tell failed attempts too, with the error as third argument. */
	if ((int)ctx->args[2])
		return 0;
#endif
	if (!is_sender((void *)ctx->args[0]))
		return 0;
	look_at(&packet, (void *)ctx->args[1]);
	count_fragments(RETRANSMIT, &packet, packet.len);
	return 0;
}
