// SPDX-License-Identifier: GPL-2.0
/* Payload at the boundary between IP and a socket. */

enum { LEAVES, ARRIVES };
enum { OWNS, PEERS };

#ifdef OF_A_LINK
static __always_inline struct row *row_of_packet(struct __sk_buff *context, struct bpf_sock *owner, u64 whose)
{
	u64 cookie = bpf_get_socket_cookie(context);
	struct row *row = rows_apart.lookup(&cookie);
	struct k_sock *sk = NULL;

	if (row)
		return row;
	READ(sk, &((struct k_skb *)context)->sk);
	return make_row(sk, cookie);
}
#else
/* whose: of the subject are all whose packets come by its cgroup (made by the kernel for it, too), of peers the marked. */
static __always_inline struct row *row_of_packet(struct __sk_buff *context, struct bpf_sock *owner, u64 whose)
{
	struct row *row = rows.sk_storage_get(owner, 0, 0);
	struct k_sock *sk = NULL;
	u64 *mark;

	if (row && whose == row->is_peer)
		return row;
	mark = marks.sk_storage_get(owner, 0, 0);
	if (whose == PEERS && (!mark || !is_peers(*mark)))
		return NULL;
	row = rows.sk_storage_get(owner, 0, 1);
	if (!row) {
		count_fate(NOT_MADE);
		return NULL;
	}
	READ(sk, &((struct k_skb *)context)->sk);
	begin_row(row, sk, bpf_get_socket_cookie(context), mark ? *mark : 0);
	return row;
}
#endif

/* Bytes below the end of what passed before were sent, or have arrived, again. */
static __always_inline u32 count_again(u32 first, u32 bytes, u32 *end, u8 *has)
{
	u32 last = first + bytes, before = *end;

	if (*has && (s32)(last - before) <= 0)
		return bytes;
	*end = last;
	if (*has && (s32)(first - before) < 0)
		return before - first;
	*has = 1;
	return 0;
}

static __always_inline void count_fragments(struct row *row, void *shinfo, u32 bytes, u32 way, struct fragments *seen)
{
	look_at_fragments(seen, shinfo);
	if (way == LEAVES) {
		ADD(row, LEFT_FRAGMENTS, seen->number);
		ADD_AT(row, LEFT_COPIED, state_of(seen->flags), 3, bytes);
	} else {
		ADD(row, CAME_FRAGMENTS, seen->number);
		ADD_AT(row, CAME_COPIED, state_of(seen->flags), 3, bytes);
	}
#ifndef OF_A_LINK /* who is meant by a notification, or by a copy that finds no socket */
	if (way == LEAVES && seen->flags & SKBFL_ZEROCOPY_ENABLE) {
		u64 uarg = 0;

		READ(uarg, shinfo + __builtin_offsetof(struct k_shinfo, destructor_arg));
		owners.update(&uarg, &row->cookie);
	}
#endif
}

static __always_inline void count_packet(struct __sk_buff *context, u32 way, u64 whose)
{
	struct { u32 seq, ack; u8 offset, flags; } tcp = {};
	struct bpf_sock *owner = context->sk;
	u32 header = 8, bytes, again;
	struct fragments seen = {};
	struct row *row;
	struct k_skb skb;
	void *transport;
	u8 protocol;

	if (!owner)
		return;
	owner = bpf_sk_fullsock(owner);
	if (!owner)
		return;
	protocol = owner->protocol;
	/* At one go: a call costs more than what it copies. */
	READ(skb, context);
	transport = skb.head + skb.transport_header;
	if (protocol == TCP) {
		READ(tcp, transport + 4);
		header = (tcp.offset >> 4) * 4;
	}
	bytes = skb.len - (u32)(transport - skb.data) - header;
	if (!bytes || bytes > skb.len)
		return;
	row = row_of_packet(context, owner, whose);
	if (!row)
		return;
	row->device = context->ifindex;
	ADD(row, way == LEAVES ? LEFT_PACKETS : CAME_PACKETS, 1);
	if (bytes > skb.data_len)
		ADD(row, way == LEAVES ? LEFT_LINEAR : CAME_LINEAR, bytes - skb.data_len);
	if (skb.data_len)
		count_fragments(row, skb.head + skb.end, skb.data_len, way, &seen);
	if (protocol != TCP)
		return;
	/* A SYN has a sequence number of its own, before its payload (TCP Fast Open). */
	u32 first = __builtin_bswap32(tcp.seq) + (tcp.flags >> 1 & 1);
	if (way == LEAVES) {
		again = count_again(first, bytes, &row->left_end, &row->has_left);
		if (again)
			ADD(row, LEFT_AGAIN, again);
#ifdef OF_A_LINK
		tally_packet(EGRESS, &skb, &seen, bytes, again);
#endif
		return;
	}
#ifdef OF_A_LINK
	tally_packet(INGRESS, &skb, &seen, bytes, 0);
#endif
	note_missed(row, first);
	again = count_again(first, bytes, &row->came_end, &row->has_came);
	if (again)
		ADD(row, CAME_AGAIN, again);
	if (!row->has_copied_seq) {
		/* The first payload of a connection, before anybody can have read it. */
		READ(row->copied_seq, &((struct k_tcp *)skb.sk)->copied_seq);
		row->has_copied_seq = 1;
	}
}

int on_egress(struct __sk_buff *context)
{
	count_packet(context, LEAVES, OWNS);
	return 1;
}

int on_ingress(struct __sk_buff *context)
{
	count_packet(context, ARRIVES, OWNS);
	return 1;
}
