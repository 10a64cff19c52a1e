// SPDX-License-Identifier: GPL-2.0
/*
 * The sockets that processes have when they are attached to. They are found through descriptors and held (held.h), and of
 * each connection a row is made under its lock, where no call and no packet is in between; until then it has no mark and
 * nothing is counted. Nothing is duplicated, and nothing read.
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
struct found { u64 address, cookie; u32 tgid, fd; u16 family, protocol, local_port, peer_port; u32 netns, state; };

/* A socket of such a process; NULL of another file. Each is loaded once: the verifier has seen that load tested. */
static __always_inline struct k_sock *socket_of(struct file_iteration *ctx, struct found *found)
{
	void *task = ctx->task, *file = ctx->file;
	struct k_socket *socket;
	struct k_sock *sk = NULL;

	if (!task || !file)
		return NULL;
	found->tgid = tgid_of(task);
	found->fd = ctx->fd;
	if (!is_attached_to(found->tgid))
		return NULL;
	socket = (void *)bpf_sock_from_file(file);
	if (socket)
		READ(sk, &socket->sk);
	return sk;
}

/* Whether it is one of IP's. */
static __always_inline bool describe(struct found *found, struct k_sock *sk)
{
	struct k_net *net = NULL;
	u8 state = 0;

	found->address = (u64)sk;
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
	return found->family == AF_INET || found->family == AF_INET6;
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

/* One that both ends have closed: what it has received may be unread. Nothing but a read can move it any more. */
static __always_inline void hold_closed(u64 address, struct k_sock *sk, u64 mark)
{
	struct kept *one = blank.lookup(&(int){0});

	if (!one)
		return;
	held_rows.update(&address, one);
	one = held_rows.lookup(&address);
	if (!one) {
		count_fate(NOT_MADE);
		return;
	}
	describe_row(&one->row, sk, mark);
	remember_beginning(&one->row, sk);
}

static __always_inline void hold_found(u64 address, u64 mark)
{
	if (held.update(&address, &mark))
		count_fate(NOT_MADE);
}

static __always_inline void hold_connection(struct k_sock *sk, u8 state)
{
	u64 address = (u64)sk, mark = PENDING;

	if (state == LISTEN)
		mark = address | BEFORE;
	else if (state == CLOSED)
		mark = address;
	if (state == CLOSED && has_a_past(sk)) {
		mark |= BEFORE;
		hold_closed(address, sk, mark);
	}
	hold_found(address, mark);
}

int on_file(struct file_iteration *ctx)
{
	struct found found = {};
	struct k_sock *sk = socket_of(ctx, &found);

	if (!sk || !describe(&found, sk) || held.lookup(&found.address))
		return 0;
	if (found.protocol == TCP)
		hold_connection(sk, found.state);
	else
		hold_found(found.address, found.address | BEFORE);
	return 0;
}

int on_file_seen(struct file_iteration *ctx)
{
	struct found found = {};
	struct k_sock *sk = socket_of(ctx, &found);

	if (sk && describe(&found, sk))
		bpf_seq_write(ctx->meta->seq, &found, sizeof(found));
	return 0;
}

/* iter/tcp, which holds the socket's lock */
struct tcp_iteration { struct { void *seq; u64 session, number; } *meta; void *sk; u32 uid; };

static __always_inline void *connection_of(struct tcp_iteration *ctx)
{
	void *common = ctx->sk;

	return common ? (void *)bpf_skc_to_tcp_sock(common) : NULL;
}

int on_tcp_beginning(struct tcp_iteration *ctx)
{
	void *sk = connection_of(ctx);
	u64 address = 0, mark, *found;
	struct row *row;
	bool is_new;
	u8 state = 0;

	if (!sk || marks.sk_storage_get(sk, 0, 0))
		return 0;
	READ(address, (void *)ctx + 8);
	found = held.lookup(&address);
	if (!found && !awaited.lookup(&address))
		return 0;
	READ(state, &((struct k_sock *)sk)->state);
	mark = address | BEFORE;
	if (found && state == SYN_SENT) /* What it receives has no sequence number yet: its row is made at its first byte. */
		mark = address;
	else if (state != LISTEN) {
		u64 cookie = bpf_get_socket_cookie(sk);

		row = new_row(sk, cookie, &is_new);
		if (!row)
			return 0;
		begin_row(row, sk, cookie, mark);
		remember_beginning(row, sk);
	}
	/* From here on it is counted. */
	if (found)
		*found = mark;
	if (!marks.sk_storage_get(sk, &mark, 1))
		count_fate(NOT_MADE);
	/* The iterator shows listeners first. */
	if (state == LISTEN)
		await_accepted(sk);
	return 0;
}

/* The marked ones, by address. */
int on_tcp_seen(struct tcp_iteration *ctx)
{
	void *sk = connection_of(ctx);
	u64 address = 0;

	if (!sk || !marks.sk_storage_get(sk, 0, 0))
		return 0;
	READ(address, (void *)ctx + 8);
	bpf_seq_write(ctx->meta->seq, &address, sizeof(address));
	return 0;
}

/* iter/tcp: a row and TCP's books of one moment, between two calls or inside of one that waits. */
int on_tcp_end(struct tcp_iteration *ctx)
{
	void *sk = connection_of(ctx);
	struct row *row;

	if (!sk)
		return 0;
	row = known_row(sk);
	/* One that has not moved is the same at every moment: on_living() has it, when there is time. */
	if (!row || row->ended || row->is_peer || !(row->owned || row->counters[LEFT_PACKETS] || row->counters[CAME_PACKETS]))
		return 0;
	ask_tcp(row, sk);
	row->locked = 1;
	bpf_seq_write(ctx->meta->seq, row, sizeof(*row));
	return 0;
}
