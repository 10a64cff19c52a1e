// SPDX-License-Identifier: GPL-2.0
/*
 * Of what an skb's payload is made. A MIXED skb holds zero-copy and copied payload: the kernel marks an skb "pure" only if
 * it holds no copied fragment (SKBFL_PURE_ZEROCOPY), and nothing in the skb tells how much is which. LINEAR payload is
 * behind the headers, not in fragments.
 */

/* Where SKBFL_SHARED_FRAG stands alone the pages are somebody's (page cache, pipe): spliced, and not copied. */
static __always_inline enum skb_state state_of(u8 flags)
{
	if (flags & SKBFL_ZEROCOPY_ENABLE)
		return flags & SKBFL_PURE_ZEROCOPY ? ZEROCOPY : MIXED;
	return flags & SHARED_FRAG ? SHARED : COPIED;
}

/* What its struct skb_shared_info says. */
struct fragments {
	u8 flags, number;
};

#define BEGINNING (__builtin_offsetof(struct k_shinfo, nr_frags) + 1)

/* At one go: a call costs more than what it copies. */
static __always_inline void look_at_fragments(struct fragments *seen, void *shinfo)
{
	u8 beginning[BEGINNING];

	_Static_assert(BEGINNING > __builtin_offsetof(struct k_shinfo, flags), "flags stand before the number");
	READ(beginning, shinfo);
	seen->flags = beginning[__builtin_offsetof(struct k_shinfo, flags)];
	seen->number = beginning[__builtin_offsetof(struct k_shinfo, nr_frags)];
}

/* A packet's: what of it lies in fragments, the sequence number of its first byte, and its skb's shared part. */
struct payload {
	u32 bytes, in_fragments, first;
	u16 peer_port;
	bool is_urgent;
	void *shinfo;
};

static __always_inline void count_came_fragments(struct row *row, u32 bytes, struct fragments *seen)
{
	ADD(row, CAME_FRAGMENTS, seen->number);
	ADD_AT(row, CAME_COPIED, state_of(seen->flags), 3, bytes);
}
