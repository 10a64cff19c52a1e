// SPDX-License-Identifier: GPL-2.0
/* UDP's bytes that wait for more of their datagram (MSG_MORE, UDP_CORK); close(), or a send that fails, throws them away. */
enum { UDP = 17, UDPLITE = 136, DATAGRAM_HEADER = 8 };

static __always_inline void look_at_cork(struct row *row, struct k_sock *sk)
{
	u16 waiting = 0;

	if (row->protocol == UDP || row->protocol == UDPLITE)
		READ(waiting, &((struct k_udp *)sk)->len);
	row->corked = waiting ? waiting - DATAGRAM_HEADER : 0;
}

/* A send has returned. */
static __always_inline void note_cork(struct row *row, struct k_sock *sk, int returned)
{
	u32 before = row->corked;

	if (row->protocol == TCP)
		return;
	look_at_cork(row, sk);
	if (returned < 0)
		row->unsent_earlier += before - row->corked;
}
