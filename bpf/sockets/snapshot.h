// SPDX-License-Identifier: GPL-2.0
/*
 * The sockets that processes have when they are attached to. They are marked through descriptors, and a row is made of
 * each under its lock, where no call and no packet is in between; until then its mark says PENDING and nothing is
 * counted. Nothing is duplicated, and nothing read.
 */

/* Connections that wait to be accepted have been made before their listener could hand them its mark. */
static __always_inline void await_accepted(struct k_sock *listener)
{
	void *request = NULL;
	u64 sk = 0;
	u8 one = 1;

	READ(request, &((struct k_connection *)listener)->accept_queue);
#pragma clang loop unroll(disable)
	for (int i = 0; i < 1024 && request; i++) {
		READ(sk, &((struct k_request *)request)->sk);
		awaited.update(&sk, &one);
		READ(request, &((struct k_request *)request)->next);
	}
}

/* iter/task_file */
struct file_iteration { struct { void *seq; u64 session, number; } *meta; void *task; u32 fd, unused; void *file; };
struct found { u64 mark, cookie; u32 tgid, fd; u16 family, protocol, local_port, peer_port; u32 netns, state; };

/* Each is loaded once: what the verifier has seen tested against NULL is that load. */
static __always_inline struct k_socket *socket_of(struct file_iteration *ctx, struct found *found)
{
	void *task = ctx->task, *file = ctx->file;

	if (!task || !file)
		return NULL;
	found->tgid = tgid_of(task);
	found->fd = ctx->fd;
	if (!is_attached_to(found->tgid))
		return NULL;
	return (void *)bpf_sock_from_file(file);
}

static __always_inline void describe(struct found *found, struct k_sock *sk)
{
	struct k_net *net = NULL;
	u8 state = 0;

	READ(found->cookie, &sk->cookie);
	READ(found->family, &sk->family);
	READ(found->protocol, &sk->protocol);
	READ(found->local_port, &sk->num);
	READ(found->peer_port, &sk->dport);
	found->peer_port = __builtin_bswap16(found->peer_port);
	READ(net, &sk->net);
	READ(found->netns, &net->inum);
	READ(state, &sk->state);
	found->state = state;
}

static __always_inline void remember_beginning(struct row *row, struct k_sock *sk)
{
	struct k_tcp *tcp = (void *)sk;
	u16 urgent = 0;

	ask_tcp(row, sk);
	row->sent_before = row->counters[TCP_SENT];
	row->retransmitted_before = row->counters[TCP_RETRANSMITTED];
	row->acked_before = row->counters[TCP_ACKED];
	row->received_before = row->counters[TCP_RECEIVED];
	row->ids_before = row->counters[TCP_ZEROCOPY_IDS];
	row->unread_before = row->counters[TCP_UNREAD];
	row->unacked_before = row->counters[TCP_UNACKED];
	row->unsent_before = row->counters[TCP_UNSENT];
	row->records_out_before = row->records_out;
	row->records_in_before = row->records_in;
	row->records_out = row->records_in = 0;
	/* A FIN is no byte, and an urgent one may wait beside the stream. */
	if (row->unread_before && fin_has_come(sk))
		row->unread_before--;
	READ(urgent, &tcp->urg_data);
	row->urgent = urgent != 0;
	READ(row->write_position, &tcp->write_seq);
	READ(row->read_position, &tcp->copied_seq);
	row->copied_seq = row->read_position;
	row->has_copied_seq = 1;
	READ(row->left_end, &tcp->snd_nxt);
	row->has_left = 1;
	READ(row->came_end, &tcp->rcv_nxt);
	/* Sends before have the numbers below: their notifications are of none that is counted. */
	row->last_posted = (u32)row->ids_before - 1;
	row->has_posted = 1;
}

/* One that has moved nothing, as before connect(): it is counted as one that is made from now on. */
static __always_inline bool has_a_past(struct k_sock *sk)
{
	u64 received = 0, sent = 0;

	READ(received, &((struct k_tcp *)sk)->bytes_received);
	READ(sent, &((struct k_tcp *)sk)->bytes_sent);
	return received || sent;
}

/*
 * One that both ends have closed is in no table that iter/tcp walks; what it has received may be unread. Nothing but a
 * read can move it any more.
 */
static __always_inline void begin_closed(struct k_sock *sk, u64 mark)
{
	struct row *row;

	row = rows.sk_storage_get(sk, 0, 1);
	if (!row) {
		count_fate(NOT_MADE);
		return;
	}
	begin_row(row, sk, bpf_get_socket_cookie(sk), mark);
	remember_beginning(row, sk);
}

int on_file(struct file_iteration *ctx)
{
	struct found found = {};
	struct k_socket *socket = socket_of(ctx, &found);
	struct k_sock *sk;
	bool has_past = true;
	u64 mark = 0;

	if (!socket)
		return 0;
	sk = socket->sk;
	if (!sk)
		return 0;
	describe(&found, sk);
	if ((found.family != AF_INET && found.family != AF_INET6) || marks.sk_storage_get(sk, 0, 0))
		return 0;
	if (found.protocol == TCP && found.state == CLOSED)
		has_past = has_a_past(sk);
	mark = PENDING;
	if (found.protocol != TCP || found.state == CLOSED || found.state == LISTEN) {
		READ(mark, &socket->sk);
		mark |= has_past ? BEFORE : 0;
	}
	if (!marks.sk_storage_get(sk, &mark, 1))
		count_fate(NOT_MADE);
	if (found.protocol != TCP)
		return 0;
	if (found.state == CLOSED && has_past)
		begin_closed(sk, mark);
	else if (found.state == LISTEN)
		await_accepted(sk);
	return 0;
}

/* Of all its sockets, marked or not: who has none is not seen. */
int on_file_seen(struct file_iteration *ctx)
{
	struct found found = {};
	struct k_socket *socket = socket_of(ctx, &found);
	struct k_sock *sk;
	u64 *mark;

	if (!socket)
		return 0;
	sk = socket->sk;
	if (!sk)
		return 0;
	describe(&found, sk);
	if (found.family != AF_INET && found.family != AF_INET6)
		return 0;
	mark = marks.sk_storage_get(sk, 0, 0);
	found.mark = mark ? *mark : 0;
	bpf_seq_write(ctx->meta->seq, &found, sizeof(found));
	return 0;
}

/* iter/tcp, which holds the socket's lock */
struct tcp_iteration { struct { void *seq; u64 session, number; } *meta; void *sk; u32 uid; };

int on_tcp_beginning(struct tcp_iteration *ctx)
{
	u64 address = 0, before, *mark;
	void *common = ctx->sk, *sk;
	struct row *row;
	u8 state = 0;

	if (!common)
		return 0;
	sk = (void *)bpf_skc_to_tcp_sock(common);
	if (!sk)
		return 0;
	mark = marks.sk_storage_get(sk, 0, 0);
	if (mark && *mark != PENDING)
		return 0;
	READ(address, (void *)ctx + 8);
	if (!mark && !awaited.lookup(&address))
		return 0;
	READ(state, &((struct k_sock *)sk)->state);
	if (mark && state == SYN_SENT) {
		/* What it receives has no sequence number yet: its row is made at its first byte. */
		*mark = address;
		return 0;
	}
	before = address | BEFORE;
	row = rows.sk_storage_get(sk, 0, 1);
	if (!row) {
		count_fate(NOT_MADE);
		return 0;
	}
	begin_row(row, sk, bpf_get_socket_cookie(sk), before);
	remember_beginning(row, sk);
	/* From here on it is counted. */
	if (mark)
		*mark = before;
	else
		marks.sk_storage_get(sk, &before, 1);
	return 0;
}

/* iter/tcp: a row and TCP's books of one moment, between two calls or inside of one that waits. */
int on_tcp_end(struct tcp_iteration *ctx)
{
	void *common = ctx->sk, *sk;
	struct row *row;

	if (!common)
		return 0;
	sk = (void *)bpf_skc_to_tcp_sock(common);
	if (!sk)
		return 0;
	row = rows.sk_storage_get(sk, 0, 0);
	/* One that has not moved is the same at every moment: on_living() has it, when there is time. */
	if (!row || row->ended || row->is_peer || !(row->owned || row->counters[LEFT_PACKETS] || row->counters[CAME_PACKETS]))
		return 0;
	ask_tcp(row, sk);
	row->locked = 1;
	bpf_seq_write(ctx->meta->seq, row, sizeof(*row));
	return 0;
}
