// SPDX-License-Identifier: GPL-2.0
/* The beginning and the end of a socket, and those that live on. */

/* All that TCP itself says of it. */
static __always_inline void ask_tcp(struct row *row, struct k_sock *sk)
{
	struct k_tcp *tcp = (void *)sk;
	u32 number = 0;
	u64 bits = 0;

	READ(bits, &sk->flags);
	row->so_zerocopy = bits >> SOCK_ZEROCOPY & 1;
	READ(bits, &sk->route_caps);
	row->scatter_gather = bits & 1;
	if (!row->closed)
		ask_connection(row, tcp);
	READ(number, &sk->zerocopy_ids);
	row->counters[TCP_ZEROCOPY_IDS] = number - row->ids_before;
	READ(number, &sk->error_queue_length);
	row->counters[TCP_ERROR_QUEUE] = number;
	row->has_protocol_above = has_protocol_above(sk);
	ask_tls(row, sk);
#ifdef HAVE_k_tcp_is_mptcp
	READ(row->is_mptcp, &tcp->is_mptcp);
#endif
}

/* A connection that is made now has nothing of the one that was closed before anybody watched. */
static __always_inline void forget_past(struct k_sock *sk)
{
#ifndef OF_A_LINK
	u64 address = (u64)sk;

	if (!held_row(sk))
		return;
	held.update(&address, &address);
	held_rows.delete(&address);
#endif
}

/* (sk, old, new), under the socket's lock */
int on_state(u64 *ctx)
{
	struct k_sock *sk = (void *)ctx[0];
	int state = (int)ctx[2];
	struct row *row;

	if (state == ESTABLISHED || state == LISTEN) {
		/* Its listener may hand it payload, which may be read before a packet of its own comes: its row needs this. */
		if (mark_of(sk))
			bpf_get_socket_cookie(sk);
		return 0;
	}
	if (state != CLOSED && state != SYN_SENT)
		return 0;
	row = known_row(sk);
	if (!row && state == SYN_SENT)
		forget_past(sk);
	if (!row || row->protocol != TCP)
		return 0;
	ONCE(ctx, state);
	if (state == CLOSED && !row->closed) {
		ask_connection(row, (void *)sk);
		row->closed = 1;
	} else if (state == SYN_SENT && row->closed)
		connect_again(row);
	return 0;
}

static __always_inline void end_row(struct row *row)
{
	u64 cookie = row->cookie;
	u32 zero = 0;
	struct totals *sum = totals.lookup(&zero);

	row->ended = 1;
	count_completions(row);
	by_rings.delete(&cookie);
	count_fate(ENDED);
	if (sum && !row->is_peer) {
#pragma unroll
		for (int i = 0; i < COUNTERS; i++)
			lock_xadd(&sum->counters[i], row->counters[i]);
	}
	if (ended_rows.ringbuf_output(row, sizeof(*row), 0))
		count_fate(NOT_SENT);
}

/* (sk): the whole life of a TCP socket is over */
int on_tcp_destroy_sock(u64 *ctx)
{
	struct k_sock *sk = (void *)ctx[0];
	struct row *row = known_row(sk);

	if (!row)
		return 0;
	ONCE(ctx, row->cookie);
	if (row->ended)
		return 0;
	ask_tcp(row, sk);
	end_row(row);
	return 0;
}

static __always_inline void mark_own(struct bpf_sock *sk)
{
	u64 own = (u64)sk;

	if (sk->type != SOCK_RAW)
		count_fate(CREATED);
	if (!marks.sk_storage_get(sk, &own, 1))
		count_fate(NOT_MADE);
	hold(sk, own);
}

/* cgroup/sock_create: every AF_INET and AF_INET6 socket() below the cgroup */
int on_sock_create(struct bpf_sock *sk)
{
	mark_own(sk);
	return 1;
}

static __always_inline void let_go(void *sk)
{
#ifndef OF_A_LINK
	u64 address = (u64)sk;

	if (!is_holding())
		return;
	held.delete(&address);
	held_rows.delete(&address);
#endif
}

/* cgroup/sock_release: close() of the last descriptor, the end of sockets that are not TCP's, and of TLS */
int on_sock_release(struct bpf_sock *sk)
{
	struct row *row = stored_row(sk, sk);

	let_go(sk);
	if (!row || row->ended)
		return 1;
	if (row->protocol == TCP) {
		ask_tls(row, (void *)sk);
		return 1;
	}
	look_at_cork(row, (void *)sk);
	end_row(row);
	return 1;
}

#ifdef OF_A_LINK
/* cgroup/sock_release: its row is in the map by cookie */
int on_release_of_ours(struct bpf_sock *sk)
{
	u64 cookie = bpf_get_socket_cookie(sk);
	struct row *row = row_by_cookie(cookie);

	if (row && !row->ended)
		ask_tls(row, (void *)sk);
	return 1;
}
#endif

/* What its socket says of itself while it lives. */
static __always_inline void ask_living(struct row *row, struct k_sock *sk)
{
	count_completions(row);
	if (row->protocol == TCP)
		ask_tcp(row, sk);
	else
		look_at_cork(row, sk);
}

#ifdef ROWS_APART
/* (cookie), run by whoever reads that row afterwards: what has not ended has not been freed. */
int on_asked(u64 *ctx)
{
	u64 cookie = ctx[0];
	struct kept *one = rows_apart.lookup(&cookie);

	if (one && !one->row.ended)
		ask_living(&one->row, (struct k_sock *)one->sk);
	return 0;
}
#else
/* iter/bpf_sk_storage_map: the rows of sockets that live on */
struct iteration { struct { void *seq; u64 session, number; } *meta; void *map; struct k_sock *sk; struct row *row; };

int on_living(struct iteration *ctx)
{
	struct row *row = ctx->row;
	struct k_sock *sk = ctx->sk;

	if (!row || !sk || row->ended)
		return 0;
	ask_living(row, sk);
	bpf_seq_write(ctx->meta->seq, row, sizeof(*row));
	return 0;
}
#endif
