// SPDX-License-Identifier: GPL-2.0
/*
 * What passes the link of a workload of ours: of what packets are made at each place. Bytes of its sockets are in their
 * rows; here are how many packets held them, their pages, and what the driver was given, which may have lost its socket.
 *
 * NT_POINTS comes from tracer/books/tracepoint_rows.py.
 */
enum point { NT_POINTS, POINTS };

BPF_PERCPU_ARRAY(tallies, struct tally, POINTS * STATES);

#define MAX_FRAGS (sizeof(((struct skb_shared_info *)0)->frags) / sizeof(struct skb_frag))

/* Fragments that are looked at in one go: not all would fit on the stack, beside an skb. */
#define CHUNK 8

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
	u32 at = point * STATES + state;
	struct tally *tally = tallies.lookup(&at);

	if (tally) {
		/* A softirq can interrupt the same program in process context. */
		lock_xadd(&tally->events, 1);
		lock_xadd(&tally->bytes, bytes);
		if (pages)
			lock_xadd(&tally->pages, pages);
	}
}

/* again: Of its payload, what had left before. Of a part of the fragments it is not known which pages these are. */
static __always_inline void tally_packet(enum point point, struct payload *payload, struct fragments *seen, u32 again)
{
	enum skb_state state = state_of(seen->flags);
	u32 in_fragments = payload->in_fragments, bytes = payload->bytes, pages = 0;

	if (in_fragments) {
		if (point == EGRESS && (state == ZEROCOPY || state == MIXED))
			pages = count_pages(payload->shinfo, seen->number);
		add(point, state, in_fragments, pages);
	}
	if (bytes > in_fragments)
		add(point, LINEAR, bytes - in_fragments, 0);
	if (again)
		add(again == bytes ? AGAIN : PARTLY_AGAIN, in_fragments ? state : LINEAR, again, pages);
}

static __always_inline u8 flags_of(void *shinfo)
{
	u8 flags = 0;

	READ(flags, shinfo + __builtin_offsetof(struct k_shinfo, flags));
	return flags;
}

/* skb: A tracepoint's own argument, whose members are loaded: a tenth of a call. */
static __always_inline void tally_copy_out(struct k_skb *skb, u32 bytes)
{
	add(COPY_OUT, state_of(flags_of(skb->head + skb->end)), bytes, 0);
}

/*
 * What this CPU's driver is being given: looked at before, because the driver frees or changes it, and counted when it
 * has taken it. Bottom halves are disabled in between.
 */
struct in_progress {
	u64 skb;		/* 0 between two */
	enum point point;
	enum skb_state state;	/* of its fragments, */
	u32 fragments;		/* their bytes, */
	s32 linear;		/* and its payload in the linear part */
};
BPF_PERCPU_ARRAY(in_progress, struct in_progress, 1);

static __always_inline struct in_progress *on_this_cpu(void)
{
	u32 zero = 0;

	return in_progress.lookup(&zero);
}

/* Of the workload's two ends, the one that sends the payload is connected to the port, the other one bound to it. */
static __always_inline bool is_senders(struct row *row)
{
	return row && row->peer_port == the_flow().port;
}

static __always_inline bool is_receivers(struct row *row)
{
	return row && row->local_port == the_flow().port;
}

/* What look_at() reads, of a tracepoint's own argument. */
static __always_inline void load(struct packet *packet, struct sk_buff *skb)
{
	packet->head = skb->head;
	packet->data = skb->data;
	packet->len = skb->len;
	packet->data_len = skb->data_len;
	packet->end = skb->end;
	packet->network_header = skb->network_header;
	packet->transport_header = skb->transport_header;
}

/* include/trace/events/net.h: net_dev_start_xmit(skb, dev); just before the driver gets it. */
int on_net_dev_start_xmit(u64 *ctx)
{
	struct k_sock *sk = ((struct k_skb *)ctx[0])->sk;
	struct in_progress *now = on_this_cpu();
	struct packet packet = {};
	struct row *row = NULL;
	enum whose whose;
	struct ip ip = {};

	if (!now || is_above_another((void *)ctx[1]))
		return 0;
	if (sk)
		row = known_row(sk);
	load(&packet, (void *)ctx[0]);
	read_ip(&ip, &packet);
	whose = whose_packet(!!sk, is_senders(row), (void *)ctx[1], &packet, &ip);
	if (whose == FOREIGN)
		return 0;
	now->skb = ctx[0];
	now->point = whose == OWNED ? XMIT : XMIT_UNOWNED;
	now->state = state_of(flags_of(packet.head + packet.end));
	now->fragments = packet.data_len;
	now->linear = (s32)(packet.len - packet.data_len) - header_bytes(&packet, &ip);
	return 0;
}

/* The same: net_dev_xmit(skb, rc, dev, len); skb may be gone. */
int on_net_dev_xmit(u64 *ctx)
{
	struct in_progress *now = on_this_cpu();

	if (!now || now->skb != ctx[0])
		return 0;
	now->skb = 0;
	if ((int)ctx[1] == NETDEV_TX_BUSY)
		return 0;
	if (now->fragments)
		add(now->point, now->state, now->fragments, 0);
	if (now->linear > 0)
		add(now->point, LINEAR, now->linear, 0);
	return 0;
}

int on_drop(u64 *ctx)
{
	struct k_sock *sk = ((struct k_skb *)ctx[0])->sk;
	struct ends ends = {};
	struct row *row = NULL;
	u32 payload;

	if (sk) {
		row = known_row(sk);
		ends.is_senders = is_senders(row);
		ends.is_receivers = is_receivers(row);
	}
#if PARAMETERS_kfree_skb > 3
	if (!row && ctx[3]) {
		row = known_row((void *)ctx[3]);
		ends.was_for_receiver = is_receivers(row);
	}
#endif
	payload = count_drop((void *)ctx[0], ctx[2], &ends);
	if (row && payload)
		ADD(row, ends.is_senders ? DROPPED_OUT : DROPPED_IN, payload);
	return 0;
}
