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
static __always_inline int since_beginning(struct row *row, void *place, u32 *position, int returned, u8 *calls)
{
	u32 now = 0, moved;

	if (!row->before || row->connected_again || row->protocol != TCP || row->has_protocol_above || returned <= 0)
		return returned;
	READ(now, place);
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
	return since_beginning(row, &((struct k_tcp *)sk)->write_seq, &row->write_position, returned, &row->was_sending);
}

/* Neither a peek nor out-of-band data moves the position. */
static __always_inline int read_since(struct row *row, struct k_sock *sk, u32 flags, int returned)
{
	if (flags & (MSG_OOB | MSG_PEEK))
		return returned;
	return since_beginning(row, &((struct k_tcp *)sk)->copied_seq, &row->read_position, returned, &row->was_reading);
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
