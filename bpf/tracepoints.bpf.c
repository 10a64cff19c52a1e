// SPDX-License-Identifier: GPL-2.0
/*
 * Counts the workload's payload at four raw tracepoints, by the state of the skb that carries it.
 *
 * A tracepoint cannot see a copy run; it sees what the skb is made of before and after. TCP's sendmsg puts payload into
 * page fragments and only headers into the linear part, so payload in the linear part was copied there on the way.
 */
#include "nettrace.h"

enum point { XMIT, RECEIVE, COPY_OUT, RETRANSMIT, POINTS };

/* One row for each point and state, and one for the linear payload at XMIT. */
#define XMIT_LINEAR (POINTS * SKB_STATES)
BPF_PERCPU_ARRAY(tallies, struct tally, POINTS * SKB_STATES + 1);

#define MAX_FRAGS (sizeof(((struct skb_shared_info *)0)->frags) / sizeof(struct skb_frag))

/* Pages that the fragments refer to; a fragment can span several pages of one compound page. */
static __always_inline u32 count_pages(struct skb_shared_info *shinfo, u8 nr_frags)
{
	struct skb_frag *frags = (void *)shinfo->frags;
	struct skb_frag frag;
	u32 pages = 0;

#pragma clang loop unroll(disable)
	for (u32 i = 0; i < MAX_FRAGS; i++) {
		if (i >= nr_frags)
			break;
		READ(frag, &frags[i]);
		pages += ((frag.offset & 4095) + frag.len + 4095) >> 12;
	}
	return pages;
}

static __always_inline void add(u32 row, u32 bytes, u32 pages)
{
	struct tally *tally = tallies.lookup(&row);

	if (tally) {
		tally->events++;
		tally->bytes += bytes;
		tally->pages += pages;
	}
}

static __always_inline void count(enum point point, struct sk_buff *skb, u32 bytes)
{
	struct skb_shared_info *shinfo = skb->head + skb->end;
	struct { u8 flags, meta_len, nr_frags; } start = {};
	enum skb_state state = COPIED;
	u32 pages = 0;

	READ(start, shinfo);
	if (start.flags & SKBFL_ZEROCOPY_ENABLE) {
		state = start.flags & SKBFL_PURE_ZEROCOPY ? ZEROCOPY : MIXED;
		if (point == XMIT || point == RETRANSMIT)
			pages = count_pages(shinfo, start.nr_frags);
	}
	add(point * SKB_STATES + state, bytes, pages);
}

/* Bytes of the linear part behind the TCP header; skb->data is at the link header, doff in 13th byte of TCP's. */
static __always_inline u32 linear_payload(struct sk_buff *skb)
{
	void *tcp = skb->head + skb->transport_header;
	u8 doff = 0;

	READ(doff, tcp + 12);
	return skb->len - skb->data_len - (tcp - skb->data) - (doff >> 4) * 4;
}

/* include/trace/events/net.h: net_dev_start_xmit(skb, dev); every packet, just before the driver gets it. */
int on_xmit(struct bpf_raw_tracepoint_args *ctx)
{
	struct sk_buff *from = (void *)ctx->args[0];
	struct sock *sk = NULL;
	struct sk_buff skb;
	u32 linear;

	READ(sk, &from->sk);
	if (!is_sender(sk))
		return 0;
	READ(skb, from);
	if (skb.data_len)
		count(XMIT, &skb, skb.data_len);
	linear = linear_payload(&skb);
	if (linear)
		add(XMIT_LINEAR, linear, 0);
	return 0;
}

/*
 * include/trace/events/net.h: netif_receive_skb(skb); before any protocol looked at it, so the socket is unknown and the
 * port is read from the packet: skb->data is at the IP header.
 */
int on_receive(struct bpf_raw_tracepoint_args *ctx)
{
	struct sk_buff *from = (void *)ctx->args[0];
	struct net *net = NULL;
	u8 ip[12] = {}, *data = NULL;
	struct sk_buff skb;
	u16 ports[2] = {};

	READ(data, &from->data);
	READ(ip, data);
	if (ip[0] >> 4 != 4 || ip[9] != 6) /* IPv4, TCP */
		return 0;
	READ(ports, data + (ip[0] & 15) * 4);
	if (ports[1] != __builtin_bswap16(NT_PORT))
		return 0;
	READ(skb, from);
	if (!skb.data_len)
		return 0;
	READ(net, &((struct net_device *)skb.dev)->net);
	if (in_netns(net, NT_RECEIVER_NETNS))
		count(RECEIVE, &skb, skb.data_len);
	return 0;
}

/* include/trace/events/skb.h: skb_copy_datagram_iovec(skb, len); the reader takes len bytes. */
int on_copy_out(struct bpf_raw_tracepoint_args *ctx)
{
	struct sk_buff *from = (void *)ctx->args[0];
	struct sock *sk = NULL;
	struct sk_buff skb;

	READ(sk, &from->sk);
	if (!is_receiver(sk))
		return 0;
	READ(skb, from);
	count(COPY_OUT, &skb, ctx->args[1]);
	return 0;
}

/* include/trace/events/tcp.h: tcp_retransmit_skb(sk, skb); skb has no headers yet: len is payload. */
int on_retransmit(struct bpf_raw_tracepoint_args *ctx)
{
	struct sk_buff skb;

#if NT_PARAMETERS_tcp_retransmit_skb > 2
	/* Later kernels tell failed attempts too, with the error as third argument. */
	if ((int)ctx->args[2])
		return 0;
#endif
	if (!is_sender((void *)ctx->args[0]))
		return 0;
	READ(skb, (void *)ctx->args[1]);
	count(RETRANSMIT, &skb, skb.len);
	return 0;
}
