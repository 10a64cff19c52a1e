// SPDX-License-Identifier: GPL-2.0
/* By which way a call moved its bytes, and how many. */

/*
 * How a send that was given these flags hands its bytes over. MSG_ZEROCOPY without SO_ZEROCOPY copies and says nothing
 * (tcp_sendmsg_locked, __ip_append_data); TCP pins and splices only where the route scatters and gathers (NETIF_F_SG,
 * bit 0 of sk_route_caps), which UDP asks the device itself about.
 */
static __always_inline u32 way_of(struct k_sock *sk, u32 flags, void *notification)
{
	u64 caps = 0, sk_flags = 0;
	u16 protocol = 0;

	if (!(flags & (MSG_ZEROCOPY | MSG_SPLICE_PAGES)))
		return WAY_COPY;
	READ(caps, &sk->route_caps);
	READ(sk_flags, &sk->flags);
	READ(protocol, &sk->protocol);
	if (protocol == TCP && !(caps & 1))
		return flags & MSG_ZEROCOPY ? WAY_ZEROCOPY_IGNORED : WAY_COPY;
	if (!(flags & MSG_ZEROCOPY))
		return WAY_SPLICE;
	if (notification)
		return WAY_URING_ZEROCOPY;
	return sk_flags >> SOCK_ZEROCOPY & 1 ? WAY_ZEROCOPY : WAY_ZEROCOPY_IGNORED;
}

static __always_inline u32 log2_of(u32 n)
{
	u32 bits = 0;

	if (n >> 16) { n >>= 16; bits += 16; }
	if (n >> 8) { n >>= 8; bits += 8; }
	if (n >> 4) { n >>= 4; bits += 4; }
	if (n >> 2) { n >>= 2; bits += 2; }
	return bits + (n >> 1);
}

static __always_inline void count_size(u32 way, u32 bytes)
{
	u32 at = way * BUCKETS + log2_of(bytes);
	u64 *n = sizes.lookup(&at);

	if (n)
		lock_xadd(n, 1);
}

/* A send call has returned: bytes that the socket took, or an error. */
static __always_inline void count_send(struct row *row, u32 way, int returned)
{
	u64 outstanding;

	own(row);
	if (returned < 0) {
		if (returned == -ENOBUFS && !row->counters[REFUSED_ENOBUFS])
			row->enobufs_after = row->counters[SENT_ZEROCOPY_CALLS];
		ADD(row, returned == -EAGAIN ? REFUSED_EAGAIN : returned == -ENOBUFS ? REFUSED_ENOBUFS : REFUSED_OTHER, 1);
		return;
	}
	if (!returned && way == WAY_ZEROCOPY) /* nothing is pinned, and no notification will come */
		way = WAY_COPY;
	ADD_AT(row, SENT_COPY_CALLS, way * 2, 15, 1);
	ADD_AT(row, SENT_COPY_BYTES, way * 2, 15, returned);
	if (!row->is_peer && way != WAY_UNKNOWN)
		count_size(way, returned);
	if (way == WAY_ZEROCOPY) {
		outstanding = row->counters[SENT_ZEROCOPY_CALLS] - row->counters[POSTED];
		if ((s64)outstanding > (s64)row->counters[MOST_OUTSTANDING])
			row->counters[MOST_OUTSTANDING] = outstanding;
	}
}

/* A read of the error queue, which may give back a packet that was sent (SO_TIMESTAMPING), is no read of the socket's. */
static __always_inline void leave_out_copy(struct row *row, int returned)
{
	if (returned > 0)
		ADD(row, COPIED_OUT, -returned);
}

/* TCP's, asked both to leave the bytes there and not to copy them, tells a number and moves nothing. */
enum { NEITHER = MSG_PEEK | MSG_TRUNC };

static __always_inline void count_read(struct row *row, u32 flags, int returned)
{
	u32 way = flags & MSG_PEEK ? READ_PEEK : flags & MSG_TRUNC ? READ_DISCARD : READ_COPY;

	own(row);
	if (returned == -EFAULT)
		row->faulted = 1;
	if (returned <= 0 || (row->protocol == TCP && (flags & NEITHER) == NEITHER))
		return;
	/* MSG_TRUNC discards on TCP alone; elsewhere it asks for the datagram's whole length. */
	if (way == READ_DISCARD && row->protocol != TCP)
		way = READ_COPY;
	ADD_AT(row, READ_COPY_CALLS, way * 2, 7, 1);
	ADD_AT(row, READ_COPY_BYTES, way * 2, 7, returned);
}
