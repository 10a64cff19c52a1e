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

/* NT_POINTS and NT_SKB_STATES come from tracer/books/tracepoint_rows.py. One row for each point and state. */
enum point { NT_POINTS, POINTS };
/*
 * What an skb's payload is made of. A MIXED skb holds zero-copy and copied payload: the kernel marks an skb "pure" only
 * if it holds no copied fragment (SKBFL_PURE_ZEROCOPY), and nothing in the skb tells how much is which. LINEAR payload
 * is behind the headers, not in fragments.
 */
enum skb_state { NT_SKB_STATES, SKB_STATES };

BPF_PERCPU_ARRAY(tallies, struct tally, POINTS * SKB_STATES);

#define MAX_FRAGS (sizeof(((struct skb_shared_info *)0)->frags) / sizeof(struct skb_frag))

/* What is needed of an sk_buff; the whole would leave too little of the 512 bytes of stack for its fragments. */
struct packet {
	void *head, *data;
	u32 len, data_len, end;
	u16 transport_header;
};

static __always_inline void look_at(struct packet *packet, struct sk_buff *skb)
{
	READ(packet->head, &skb->head);
	READ(packet->data, &skb->data);
	READ(packet->len, &skb->len);
	READ(packet->data_len, &skb->data_len);
	READ(packet->end, &skb->end);
	READ(packet->transport_header, &skb->transport_header);
}

/* Fragments that are looked at in one go: CONFIG_MAX_SKB_FRAGS=45 would not fit on the stack at once. */
#define CHUNK 16

/*
 * Pages that fragments refer to; a fragment can span several pages of one compound page. So many are read whether there
 * are as many or not, and the sum has no branch: the verifier of 6.1 follows each way through a loop and gives up, and
 * it does not follow the bounds of a size that is computed.
 */
static __always_inline u32 count_chunk(struct skb_frag *from, const u32 size, u32 number)
{
	struct skb_frag frags[CHUNK] = {};
	u32 pages = 0;

	read_kernel(frags, size * sizeof(frags[0]), from);
#pragma unroll
	for (u32 i = 0; i < CHUNK; i++) {
		u32 there = (s32)(i - number) >> 31; /* all ones for i < number, else 0 */

		pages += (((frags[i].offset & 4095) + frags[i].len + 4095) >> 12) & there;
	}
	return pages;
}

static __always_inline u32 count_pages(struct skb_shared_info *shinfo, u32 nr_frags)
{
	struct skb_frag *frags = (void *)shinfo->frags;
	u32 pages = 0;

#pragma unroll
	for (u32 first = 0; first < MAX_FRAGS; first += CHUNK)
		if (first < nr_frags)
			pages += count_chunk(frags + first, MAX_FRAGS - first < CHUNK ? MAX_FRAGS - first : CHUNK,
					     nr_frags - first);
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
	struct { u8 flags, meta_len, nr_frags; } start = {};
	enum skb_state state = COPIED;
	u32 pages = 0;

	READ(start, shinfo);
	if (start.flags & SKBFL_ZEROCOPY_ENABLE) {
		state = start.flags & SKBFL_PURE_ZEROCOPY ? ZEROCOPY : MIXED;
		if (point == EGRESS || point == RETRANSMIT)
			pages = count_pages(shinfo, start.nr_frags);
	}
	add(point, state, bytes, pages);
}

/* Bytes of the linear part behind the TCP header; data is at the link or the IP header, doff in TCP's 13th byte. */
static __always_inline u32 linear_payload(struct packet *packet)
{
	void *tcp = packet->head + packet->transport_header;
	u8 doff = 0;

	READ(doff, tcp + 12);
	return packet->len - packet->data_len - (tcp - packet->data) - (doff >> 4) * 4;
}

static __always_inline void count_packet(enum point point, struct sk_buff *skb)
{
	struct packet packet = {};
	u32 linear;

	look_at(&packet, skb);
	if (packet.data_len)
		count_fragments(point, &packet, packet.data_len);
	linear = linear_payload(&packet);
	if (linear)
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
	struct sock *sk = NULL;

	READ(sk, &skb->sk);
	if (is_sender(sk))
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
