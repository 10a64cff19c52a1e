// SPDX-License-Identifier: GPL-2.0
/*
 * A TCP socket has one connection after the other where connect(AF_UNSPEC) is called, or connect() is refused;
 * tcp_disconnect(), which a close() with SO_LINGER of 0 calls too, clears TCP's books and moves write_seq. Before that it
 * tells that the state is CLOSE: there the books are read, and kept.
 */

static __always_inline u32 distance(void *later, void *earlier)
{
	u32 a = 0, b = 0;

	READ(a, later);
	READ(b, earlier);
	return a - b;
}

/*
 * What a queue of this machine refuses at once has left IP, and is unsent to TCP; what is stopped before has not, and may
 * be sent to TCP. Where nothing has left, nothing is acknowledged.
 */
static __always_inline u32 never_sent(struct row *row, struct k_tcp *tcp)
{
	u32 written = 0, sent = 0;

	READ(written, &tcp->write_seq);
	READ(sent, &tcp->snd_nxt);
	if (row->has_left && (row->stopped || (s32)(row->left_end - sent) > 0))
		sent = row->left_end;
	else if (row->stopped)
		READ(sent, &tcp->snd_una);
	return written - sent;
}

/* What TCP itself says: the second witness. Of this connection, and of those before it. */
static __always_inline void ask_connection(struct row *row, struct k_tcp *tcp)
{
	READ(row->counters[TCP_SENT], &tcp->bytes_sent);
	READ(row->counters[TCP_RETRANSMITTED], &tcp->bytes_retrans);
	READ(row->counters[TCP_ACKED], &tcp->bytes_acked);
	READ(row->counters[TCP_RECEIVED], &tcp->bytes_received);
	row->counters[TCP_SENT] -= row->sent_before;
	row->counters[TCP_RETRANSMITTED] -= row->retransmitted_before;
	row->counters[TCP_ACKED] -= row->acked_before;
	row->counters[TCP_RECEIVED] -= row->received_before;
	row->counters[TCP_UNREAD] = row->unread_earlier + distance(&tcp->rcv_nxt, &tcp->copied_seq);
	row->counters[TCP_UNACKED] = row->unacked_earlier + distance(&tcp->write_seq, &tcp->snd_una);
	row->counters[TCP_UNSENT] = row->unsent_earlier + never_sent(row, tcp);
}

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
