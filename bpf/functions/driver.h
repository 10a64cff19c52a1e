// SPDX-License-Identifier: GPL-2.0
/* The driver. Between the two tracepoints every DMA mapping on this CPU is for that skb. */

static __always_inline u32 flagged_bytes(struct packet *packet)
{
	struct skb_shared_info *shinfo = packet->head + packet->end;
	u8 flags = 0;

	READ(flags, &shinfo->flags);
	return flags & SKBFL_ZEROCOPY_ENABLE ? packet->data_len : 0;
}

int on_xmit(struct bpf_raw_tracepoint_args *ctx)
{
	struct in_progress *now = on_this_cpu();
	struct packet packet = {};
	enum whose whose;
	struct ip ip = {};

	if (is_above_another((void *)ctx->args[1]))
		return 0;
	look_at(&packet, (void *)ctx->args[0]);
	read_ip(&ip, &packet);
	whose = whose_of_socket((void *)ctx->args[0], (void *)ctx->args[1], &packet, &ip);
	if (!now || whose == FOREIGN)
		return 0;
	now->xmit = ctx->args[0];
	now->orphaned = whose == ORPHANED;
	now->wire = packet.len;
	now->headers = packet.len - payload_of(&packet, &ip);
	now->linear = (s32)(packet.len - packet.data_len) - header_bytes(&packet, &ip);
	now->flagged = flagged_bytes(&packet);
	now->mappings = now->mapped = now->bounced = now->bounced_headers = 0;
	return 0;
}

/* A part of a packet without the headers in it; less than these is no whole packet, and not to be believed. */
static __always_inline u32 without_headers(u32 part, u32 headers)
{
	if (part >= headers)
		return part - headers;
	add(LOST, 0, 0);
	return 0;
}

static __always_inline void add_mappings(struct in_progress *now)
{
	u32 bounced = without_headers(now->bounced, now->bounced_headers);

	if (now->bounced) {
		add(BOUNCE_WIRE, now->bounced, 0);
		add(BOUNCE, bounced, 0);
	}
	if (now->mapped) {
		add(DMA_WIRE, now->mapped, 0);
		add(DMA, without_headers(without_headers(now->mapped, now->headers), bounced), 0);
	}
}

static __always_inline void add_packet(struct in_progress *now)
{
	u32 payload = now->wire - now->headers;

	add(XMIT_WIRE, now->wire, 0);
	if (payload && now->orphaned)
		add(XMIT_UNOWNED, payload, 0);
	else if (payload)
		add(XMIT_PAYLOAD, payload, 0);
	if (now->linear > 0)
		add(XMIT_LINEAR, now->linear, 0);
	if (now->flagged)
		add(XMIT_ZEROCOPY, now->flagged, 0);
}

int on_xmit_done(struct bpf_raw_tracepoint_args *ctx)
{
	struct in_progress *now = on_this_cpu();

	if (!now || now->xmit != ctx->args[0])
		return 0;
	now->xmit = 0;
	if ((int)ctx->args[1] == NETDEV_TX_BUSY)
		return 0;
	add_packet(now);
	add_mappings(now);
	return 0;
}

#define DMA_TO_DEVICE 1

static __always_inline int enter_dma_map(void *ctx, u64 device, u64 page, u64 offset, u64 size, u64 direction)
{
	struct in_progress *now = on_this_cpu();

	if (now && now->xmit && (u32)direction == DMA_TO_DEVICE) {
		now->mappings++;
		now->mapped += size;
	}
	return 0;
}

/* The driver maps the linear part, which holds the headers, first. */
static __always_inline int enter_swiotlb_map(void *ctx, u64 device, u64 address, u64 size, u64 direction, u64 a5)
{
	struct in_progress *now = on_this_cpu();

	if (!now || !now->xmit || (u32)direction != DMA_TO_DEVICE)
		return 0;
	now->bounced += size;
	if (now->mappings <= 1)
		now->bounced_headers = now->headers;
	add_stack(BOUNCE, take_stack(ctx), size);
	return 0;
}

/* The last reference to a range of zero-copy sends is dropped: what the completion will say. */
static __always_inline int enter_completion(void *ctx, u64 ubuf, u64 a2, u64 a3, u64 a4, u64 a5)
{
	struct ubuf_info_msgzc *range = (void *)ubuf;
	u32 bytelen = 0;
	u8 flags = 0;

	if (!ubufs.lookup(&ubuf))
		return 0;
	ubufs.delete(&ubuf);
	READ(bytelen, &range->bytelen);
	/* u16 len, then the bit `zerocopy`: a bit-field has no address of its own. */
	READ(flags, (u8 *)range + NT_UBUF_ZEROCOPY_BYTE);
	add(flags & 1 ? COMPLETION_ZEROCOPY : COMPLETION_COPIED, bytelen, 0);
	return 0;
}
