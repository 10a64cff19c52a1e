// SPDX-License-Identifier: GPL-2.0
/* Payload at the boundary between IP and a socket. */

enum { LEAVES, ARRIVES };
enum { OWNS, PEERS };

#ifdef OF_A_LINK
static __always_inline struct row *row_of_packet(struct __sk_buff *context, struct bpf_sock *owner, u64 whose)
{
	u64 cookie = bpf_get_socket_cookie(context);
	struct row *row = row_by_cookie(cookie);
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
	struct row *row = stored_row(owner, context);
	struct k_sock *sk = NULL;
	u64 *mark, cookie;
	bool is_new;

	if (row && whose == row->is_peer)
		return row;
	mark = marks.sk_storage_get(owner, 0, 0);
	if (whose == PEERS && (!mark || !is_peers(*mark)))
		return NULL;
	if (!mark && owner->type == SOCK_RAW) /* the kernel's own, in a network namespace that the subject has made */
		return NULL;
	cookie = bpf_get_socket_cookie(context);
	row = new_row(owner, cookie, &is_new);
	if (!row || !is_new)
		return row;
	READ(sk, &((struct k_skb *)context)->sk);
	begin_row(row, sk, cookie, mark ? *mark : 0);
	return row;
}
#endif

/*
 * Where a packet's parts are: members of its skb that lie side by side, at one go, because a call costs more than what it
 * copies. The rest is told by the context, by loads.
 */
#define FIRST_OF_PARTS (__builtin_offsetof(struct k_skb, transport_header) & ~7)
#define PART(parts, type, member) (*(type *)((parts).of + __builtin_offsetof(struct k_skb, member) - FIRST_OF_PARTS))
struct parts {
	u8 of[__builtin_offsetof(struct k_skb, data) + 8 - FIRST_OF_PARTS];
} __attribute__((aligned(8)));

/* An IPv6 header with many options; the verifier wants a bound. */
#define MOST_OF_IP 1024
enum { URG = 0x20 };

/* False where there is none. A SYN has a sequence number of its own, before its payload (TCP Fast Open). */
static __always_inline bool find_payload(struct payload *payload, struct __sk_buff *context, bool is_tcp)
{
	void *data = (void *)(long)context->data, *end = (void *)(long)context->data_end, *head;
	u32 headers, linear = context->data_end - context->data;
	struct { u16 ports[2]; u32 seq, ack; u8 offset, flags; } *tcp;
	struct parts parts;

	READ(parts, (void *)context + FIRST_OF_PARTS);
	head = PART(parts, void *, head);
	payload->shinfo = head + PART(parts, u32, end);
	headers = head + PART(parts, u16, transport_header) - PART(parts, void *, data);
	if (is_tcp) {
		if (headers > MOST_OF_IP)
			return false;
		tcp = data + headers;
		if ((void *)(tcp + 1) > end)
			return false;
		payload->first = __builtin_bswap32(tcp->seq) + (tcp->flags >> 1 & 1);
		payload->peer_port = __builtin_bswap16(tcp->ports[0]);
		payload->is_urgent = tcp->flags & URG;
		headers += (tcp->offset >> 4) * 4;
	} else
		headers += 8;
	payload->bytes = context->len - headers;
	payload->in_fragments = context->len - linear;
	return payload->bytes && payload->bytes <= context->len;
}

/* Bytes below the end of what passed before were sent, or have arrived, again. */
static __always_inline u32 count_again(struct payload *payload, u32 *end, u8 *has)
{
	u32 first = payload->first, bytes = payload->bytes, last = first + bytes, before = *end;

	if (*has && (s32)(last - before) <= 0)
		return bytes;
	*end = last;
	if (*has && (s32)(first - before) < 0)
		return before - first;
	*has = 1;
	return 0;
}

static __always_inline void count_fragments(struct row *row, struct payload *payload, u32 way, struct fragments *seen)
{
	u32 bytes = payload->in_fragments;

	if (way == LEAVES) {
		ADD(row, LEFT_FRAGMENTS, seen->number);
		ADD_AT(row, LEFT_COPIED, state_of(seen->flags), 3, bytes);
	} else
		count_came_fragments(row, bytes, seen);
#ifndef OF_A_LINK /* who is meant by a notification, or by a copy that finds no socket */
	if (way == LEAVES && seen->flags & SKBFL_ZEROCOPY_ENABLE) {
		u64 uarg = 0;

		READ(uarg, payload->shinfo + __builtin_offsetof(struct k_shinfo, destructor_arg));
		owners.update(&uarg, &row->cookie);
	}
#endif
}

/*
 * A datagram that IP has cut already is a chain of packets, in which its bytes lie behind the headers. One that a single
 * call made is pinned whole or copied whole, which the kernel marks of TCP's packets alone.
 */
static __always_inline void look_at_datagram(struct row *row, struct payload *payload, struct fragments *seen)
{
	if (!seen->number)
		payload->in_fragments = 0;
	if (seen->flags & SKBFL_ZEROCOPY_ENABLE && !row->corked)
		seen->flags |= SKBFL_PURE_ZEROCOPY;
}

static __always_inline void count_packet(struct __sk_buff *context, u32 way, u64 whose)
{
	struct bpf_sock *owner = context->sk;
	struct payload payload = {};
	struct fragments seen = {};
	struct k_sock *sk = NULL;
	struct row *row;
	u8 protocol;
	u32 again;

	if (!owner)
		return;
	owner = bpf_sk_fullsock(owner);
	if (!owner)
		return;
	protocol = owner->protocol;
	if (!find_payload(&payload, context, protocol == TCP)) {
		/* A SYN-ACK of TCP Fast Open: its payload has come, and may be read before the connection is established. */
		if (protocol == TCP && owner->state == SYN_RECV)
			bpf_get_socket_cookie(context);
		return;
	}
#ifndef OF_A_LINK
	if (way == ARRIVES && owner->state == LISTEN) {
		hand_down(context, &payload);
		return;
	}
#endif
	row = row_of_packet(context, owner, whose);
	if (!row)
		return;
	if (row->device != context->ifindex) /* most often it is, and a store would take the line from another CPU */
		row->device = context->ifindex;
	ADD(row, way == LEAVES ? LEFT_PACKETS : CAME_PACKETS, 1);
	if (payload.in_fragments)
		look_at_fragments(&seen, payload.shinfo);
	if (protocol != TCP)
		look_at_datagram(row, &payload, &seen);
	if (payload.bytes > payload.in_fragments)
		ADD(row, way == LEAVES ? LEFT_LINEAR : CAME_LINEAR, payload.bytes - payload.in_fragments);
	if (payload.in_fragments)
		count_fragments(row, &payload, way, &seen);
	if (protocol != TCP) {
		if (way == LEAVES && row->corked) /* all of it has left */
			row->corked = 0;
#ifdef OF_A_LINK
		tally_packet(way == LEAVES ? EGRESS : INGRESS, &payload, &seen, 0);
#endif
		return;
	}
	if (way == LEAVES) {
		again = count_again(&payload, &row->left_end, &row->has_left);
		if (again)
			ADD(row, LEFT_AGAIN, again);
#ifdef OF_A_LINK
		tally_packet(EGRESS, &payload, &seen, again);
#endif
		return;
	}
#ifdef OF_A_LINK
	tally_packet(INGRESS, &payload, &seen, 0);
#endif
	if (payload.is_urgent)
		row->urgent++;
	note_missed(row, payload.first);
	again = count_again(&payload, &row->came_end, &row->has_came);
	if (again)
		ADD(row, CAME_AGAIN, again);
	if (!row->has_copied_seq) {
		/* The first payload of a connection, before anybody can have read it. */
		READ(sk, &((struct k_skb *)context)->sk);
		READ(row->copied_seq, &((struct k_tcp *)sk)->copied_seq);
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
