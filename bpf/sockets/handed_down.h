// SPDX-License-Identifier: GPL-2.0
/*
 * Payload that comes with the packet that makes a connection (TCP Fast Open, TCP_DEFER_ACCEPT, a sender that is quicker than
 * its handshake): IP hands it to the listener, which hands it down to the socket that it makes. The row of that one is made
 * afterwards, and takes it over.
 */
#ifndef OF_A_LINK
/* An address's last four bytes: an IPv6 listener is asked by IPv4, too. */
struct asker { u32 netns, address; u16 local_port, peer_port; };
struct handed { u32 bytes, in_fragments, first; struct fragments seen; u16 urgent; };
BPF_TABLE("lru_hash", struct asker, struct handed, handed_down, 4096);

static __always_inline void hand_down(struct __sk_buff *context, struct payload *payload)
{
	void *data = (void *)(long)context->data, *end = (void *)(long)context->data_end;
	struct handed handed = {payload->bytes, payload->in_fragments, payload->first};
	struct asker asker = {};
	struct k_sock *sk = NULL;
	struct k_net *net = NULL;

	if (data + 24 > end)
		return;
	asker.address = *(u8 *)data >> 4 == 4 ? *(u32 *)(data + 12) : *(u32 *)(data + 20);
	asker.peer_port = payload->peer_port;
	READ(sk, &((struct k_skb *)context)->sk);
	READ(asker.local_port, &sk->num);
	READ(net, &sk->net);
	READ(asker.netns, &net->inum);
	if (payload->in_fragments)
		look_at_fragments(&handed.seen, payload->shinfo);
	handed.urgent = payload->is_urgent;
	handed_down.update(&asker, &handed);
}

/* Where its payload begins. TCP Fast Open counts a FIN in the one figure alone. */
static __always_inline bool begins_with(struct k_tcp *tcp, u32 first)
{
	u64 received = 0;
	u32 next = 0;

	READ(next, &tcp->rcv_nxt);
	READ(received, &tcp->bytes_received);
	return next - (u32)received - first <= 1;
}

static __always_inline bool take_over(struct row *row, struct k_tcp *tcp)
{
	struct asker asker = {row->netns, 0, row->local_port, row->peer_port};
	struct handed *handed;

	__builtin_memcpy(&asker.address, row->peer_address + (row->family == AF_INET6 ? 12 : 0), 4);
	handed = handed_down.lookup(&asker);
	if (!handed)
		return false;
	if (!begins_with(tcp, handed->first)) {
		/* That one was answered by a reset: its listener had made no socket of it. */
		handed_down.delete(&asker);
		return false;
	}
	ADD(row, CAME_PACKETS, 1);
	ADD(row, CAME_LINEAR, handed->bytes - handed->in_fragments);
	count_came_fragments(row, handed->in_fragments, &handed->seen);
	row->urgent += handed->urgent;
	row->copied_seq = handed->first;
	row->came_end = handed->first + handed->bytes;
	row->has_copied_seq = row->has_came = 1;
	handed_down.delete(&asker);
	return true;
}
#else
static __always_inline bool take_over(struct row *row, struct k_tcp *tcp)
{
	return false;
}
#endif
