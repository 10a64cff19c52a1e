// SPDX-License-Identifier: GPL-2.0
/* Payload that this machine dropped. */

static __always_inline s32 payload_of_dropped(struct k_skb *skb, u16 protocol)
{
	void *head = NULL, *data = NULL;
	u32 len = 0, header = 8;
	u16 transport = 0;
	u8 offset = 0;

	READ(len, &skb->len);
	READ(head, &skb->head);
	READ(data, &skb->data);
	READ(transport, &skb->transport_header);
	if (protocol == TCP) {
		READ(offset, head + transport + 12);
		header = (offset >> 4) * 4;
	}
	return len - (s32)(head + transport - data) - header;
}

/*
 * TCP counts it as sent. What has passed the hook of IP's end, or whose bytes have before, has left; but what has no header
 * of IP has found no route, and netfilter's rules stand before the hook.
 */
static __always_inline bool never_left(struct row *row, struct k_skb *skb, u32 reason)
{
	void *head = NULL, *data = NULL;
	u16 transport = 0;
	u32 first = 0;

	READ(head, &skb->head);
	READ(data, &skb->data);
	READ(transport, &skb->transport_header);
	READ(first, head + transport + 4);
	if (!row->has_left || (s32)(__builtin_bswap32(first) - row->left_end) >= 0)
		return true;
#ifdef SKB_DROP_REASON_NETFILTER_DROP
	if (reason == SKB_DROP_REASON_NETFILTER_DROP || reason == SKB_DROP_REASON_IP_OUTNOROUTES)
		return true;
#endif
	return head + transport == data;
}

/* (skb, location, reason, receiving socket since 6.11) */
int on_kfree_skb(u64 *ctx)
{
	struct k_skb *skb = (void *)ctx[0];
	struct k_sock *sk = skb->sk;
	struct row *row = NULL;
	void *device = NULL;
	s32 payload, arrived_by = 0;
	bool arrived = false;
	u32 reason = 0;

#if PARAMETERS_kfree_skb > 2
	reason = ctx[2];
#endif
	if (sk)
		row = known_row(sk);
#if PARAMETERS_kfree_skb > 3
	if (!row && ctx[3]) {
		row = known_row((void *)ctx[3]);
		arrived = true;
	}
#endif
	if (!row)
		return 0;
	ONCE(ctx, skb);
	/* A packet that has arrived may have its receiver's socket before any filter has seen it (early demux). */
	READ(arrived_by, &skb->skb_iif);
	arrived |= arrived_by != 0;
	/* A datagram that has no device yet has not left: the call that sends it fails, or close() throws it away. */
	READ(device, &skb->dev);
	if (row->protocol != TCP && !arrived && !device)
		return 0;
	/* What had come and was not read when the program disconnects. */
	if (arrived && row->closed)
		return 0;
	if (IS_NO_LOSS(reason))
		return 0;
	payload = payload_of_dropped(skb, row->protocol);
	if (payload <= 0)
		return 0;
	if (row->protocol == TCP && !arrived && never_left(row, skb, reason))
		row->stopped += payload; /* under the socket's lock */
	else
		ADD(row, arrived ? DROPPED_IN : DROPPED_OUT, payload);
	return 0;
}
