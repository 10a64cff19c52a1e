// SPDX-License-Identifier: GPL-2.0
/* Sockets that lived before they were watched: what TCP's books said then, and what of a call was done by then. */

enum { FIRST_RETURNED = 1, WAS_IN_PROGRESS = 2 };

/*
 * Of what a call returned, the bytes that it moved since the row was made: TCP's position, less what calls have
 * returned, is all that it can have moved. What it did before (it was waiting, in the middle) is left out.
 *
 * Where calls are seen at a function's return, one that was inside when that was probed returns unseen: then TCP has
 * moved more than the first one that is seen.
 */
static __always_inline int since_beginning(struct row *row, u32 now, u32 *position, int returned, u8 *calls)
{
	u32 moved;

	if (row->connected_again || row->protocol != TCP || row->has_protocol_above || returned <= 0)
		return returned;
	moved = now - *position;
	if (moved < (u32)returned) {
		*calls |= WAS_IN_PROGRESS;
		returned = moved;
	} else if (moved > (u32)returned && !(*calls & FIRST_RETURNED))
		*calls |= WAS_IN_PROGRESS;
	*calls |= FIRST_RETURNED;
	*position += returned;
	return returned;
}

static __always_inline int sent_since(struct row *row, struct k_sock *sk, int returned)
{
	u32 written = 0;

	if (!row->before)
		return returned;
	READ(written, &((struct k_tcp *)sk)->write_seq);
	return since_beginning(row, written, &row->write_position, returned, &row->was_sending);
}

/* The peer's FIN: it has a sequence number and is no byte. */
static __always_inline bool fin_has_come(struct k_sock *sk)
{
	u64 bits = 0;

	READ(bits, &sk->flags);
	return bits >> SOCK_DONE & 1;
}

static __always_inline bool has_read_fin(struct k_sock *sk)
{
	struct k_tcp *tcp = (void *)sk;
	u32 read = 0, next = 0;

	READ(read, &tcp->copied_seq);
	READ(next, &tcp->rcv_nxt);
	return read == next && fin_has_come(sk);
}

/* Neither a peek nor out-of-band data moves the position. */
static __always_inline int read_since(struct row *row, struct k_sock *sk, u32 flags, int returned)
{
	u32 read = 0;

	if (!row->before || flags & (MSG_OOB | MSG_PEEK))
		return returned;
	READ(read, &((struct k_tcp *)sk)->copied_seq);
	return since_beginning(row, read - has_read_fin(sk), &row->read_position, returned, &row->was_reading);
}

/* Payload between the first byte that TCP lacked and the first that was seen: it had passed IP, and waited. */
static __always_inline void note_missed(struct row *row, u32 first)
{
	s32 missed = first - row->came_end;

	if (!row->before || row->connected_again || row->has_came)
		return;
	if (missed > 0)
		row->came_missed = missed;
	else
		row->has_came = 1;
}
