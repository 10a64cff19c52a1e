// SPDX-License-Identifier: GPL-2.0
/*
 * A TCP socket has one connection after the other where connect(AF_UNSPEC) is called, or connect() is refused;
 * tcp_disconnect(), which a close() with SO_LINGER of 0 calls too, clears TCP's books and moves write_seq. Before that it
 * tells that the state is CLOSE: there the books are read, and kept.
 */

/* Of the connection before, what stays of each figure is counted on. */
static __always_inline void connect_again(struct row *row)
{
	row->connected_again++;
	row->closed = 0;
	row->sent_before = -row->counters[TCP_SENT];
	row->retransmitted_before = -row->counters[TCP_RETRANSMITTED];
	row->acked_before = -row->counters[TCP_ACKED];
	row->received_before = -row->counters[TCP_RECEIVED];
	row->unsent_earlier = row->counters[TCP_UNSENT];
	row->unacked_earlier = row->counters[TCP_UNACKED];
	row->unread_earlier = row->counters[TCP_UNREAD];
	/* Its numbers begin anew. */
	row->has_left = row->has_came = row->has_copied_seq = 0;
}
