// SPDX-License-Identifier: GPL-2.0
/* Linear packets: segmented by copying (GSO), or pulled whole into the head. Both copy with skb_copy_bits(). */

static __always_inline int enter_segment(void *ctx, u64 skb, u64 features, u64 a3, u64 a4, u64 a5)
{
	struct in_progress *now = on_this_cpu();
	struct packet packet = {};

	/* Its data is behind all headers now. */
	look_at(&packet, (void *)skb);
	if (now && is_of_sender((void *)skb, &packet))
		now->segmented = skb;
	return 0;
}

static __always_inline int leave_segment(void *ctx, s64 result)
{
	struct in_progress *now = on_this_cpu();

	if (now)
		now->segmented = 0;
	return 0;
}

static __always_inline int enter_checksum_help(void *ctx, u64 skb, u64 a2, u64 a3, u64 a4, u64 a5)
{
	struct in_progress *now = on_this_cpu();

	if (now && is_senders_packet((void *)skb))
		now->checksumming = 1;
	return 0;
}

static __always_inline int leave_checksum_help(void *ctx, s64 result)
{
	struct in_progress *now = on_this_cpu();

	if (now)
		now->checksumming = 0;
	return 0;
}

/*
 * Segments get their socket only when all of them are cut; until then they are known by the packet that this CPU is
 * cutting.
 */
static __always_inline bool is_on_its_way(struct in_progress *now, struct sk_buff *skb)
{
	return now->segmented || is_senders_packet(skb);
}

/*
 * All of data_len: linearized; inside of skb_segment() or skb_checksum_help() because a checksum is computed over pages
 * that somebody may be writing to. Less: a few bytes that a driver wants in the head (e1000e pulls 4), or that
 * skb_condense() moves there.
 */
static __always_inline int enter_pull_tail(void *ctx, u64 from, u64 delta, u64 a3, u64 a4, u64 a5)
{
	struct in_progress *now = on_this_cpu();
	struct sk_buff *skb = (void *)from;
	u32 data_len = 0;

	if (!now || !is_on_its_way(now, skb))
		return 0;
	now->pulled = from;
	READ(data_len, &skb->data_len);
	if ((u32)delta != data_len)
		add(PULL, (u32)delta, 0);
	else if (now->segmented || now->checksumming)
		add_here(ctx, CHECKSUM_COPY, (u32)delta);
	else
		add_here(ctx, LINEARIZE, (u32)delta);
	return 0;
}

/* Of a copy of a whole packet, from an offset behind data that may be negative: what is behind the headers. */
static __always_inline s32 payload_of_copy(struct packet *packet, s32 offset, s32 length)
{
	struct ip ip = {};
	s32 headers;

	read_ip(&ip, packet);
	headers = header_bytes(packet, &ip);
	return offset < headers ? offset + length - headers : length;
}

/*
 * Neither a segment nor a pull: a packet is copied whole, by IP to cut it into fragments (its link header is not there
 * yet), or before something changes it (skb_copy(), for example of a qdisc that corrupts).
 */
static __always_inline void add_whole_copy(void *ctx, struct sk_buff *skb, s32 offset, s32 length)
{
	struct packet packet = {};
	s32 payload;

	look_at(&packet, skb);
	payload = payload_of_copy(&packet, offset, length);
	if (payload <= 0)
		return;
	add(COPY_BITS, payload, 0);
	if (!packet.data_len)
		add(COPY_AGAIN, payload, 0);
	if (is_before_device(&packet))
		add_here(ctx, WHOLE_COPY, payload);
	else
		add_here(ctx, FRAGMENT_COPY, payload);
}

static __always_inline int enter_copy_bits(void *ctx, u64 skb, u64 offset, u64 to, u64 length, u64 a5)
{
	struct in_progress *now = on_this_cpu();

	if (!now || !is_on_its_way(now, (void *)skb))
		return 0;
	if (now->pulled == skb) {
		now->pulled = 0;
		add(COPY_BITS, (u32)length, 0);
	} else if (now->segmented) {
		add(COPY_BITS, (u32)length, 0);
		add_here(ctx, SEGMENT_COPY, (u32)length);
	} else {
		add_whole_copy(ctx, (void *)skb, (s32)offset, (s32)length);
	}
	return 0;
}
