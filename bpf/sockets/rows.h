// SPDX-License-Identifier: GPL-2.0
/* The row of a socket: made, named, found. */

static __always_inline void count_fate(u32 fate)
{
	u64 *n = fates.lookup(&fate);

	if (n)
		lock_xadd(n, 1);
}

static __always_inline void read_addresses(struct row *row, struct k_sock *sk)
{
	if (row->family == AF_INET) {
		read_kernel(row->local_address, 4, &sk->local);
		read_kernel(row->peer_address, 4, &sk->peer);
		return;
	}
	read_kernel(row->local_address, 16, &sk->local6);
	read_kernel(row->peer_address, 16, &sk->peer6);
}

/* A socket's names at its first byte; a UDP socket that is connected afterwards keeps these. */
static __always_inline void name_row(struct row *row, struct k_sock *sk)
{
	struct k_net *net = NULL;
	u16 port = 0, type = 0;

	READ(row->family, &sk->family);
	READ(row->protocol, &sk->protocol);
	READ(type, &sk->type);
	if (type == SOCK_RAW) /* of whatever protocol its packets are */
		row->protocol = RAW;
	READ(row->local_port, &sk->num);
	READ(port, &((struct k_inet *)sk)->sport);
	if (!row->local_port) /* a connection that has been reset has given it back */
		row->local_port = __builtin_bswap16(port);
	READ(port, &sk->dport);
	row->peer_port = __builtin_bswap16(port);
	read_addresses(row, sk);
	READ(net, &sk->net);
	READ(row->netns, &net->inum);
}

static __always_inline bool is_peers(u64 mark)
{
	return mark == PEER_ASKS || mark == PEER_SERVES;
}

static __always_inline bool has_protocol_above(struct k_sock *sk)
{
	void *ulp = NULL;

	READ(ulp, &((struct k_connection *)sk)->ulp);
	return ulp;
}

/* Cookies of rows that have been begun lately: of two that come to a new row at one moment the first one begins it. */
BPF_TABLE("lru_hash", u64, u8, begun, 4096);
enum { EEXIST = 17 };

/*
 * mark: 0 where there is none (a socket that the kernel made). Whoever made a row may have been interrupted before this by
 * a packet, or by another task, that has begun it; or another CPU begins it now.
 */
static __always_inline void begin_row(struct row *row, struct k_sock *sk, u64 cookie, u64 mark)
{
	struct k_cgroup *cgroup = NULL;
	struct k_node *node = NULL;
	u8 state = 0, one = 1;

	if (row->cookie || begun.insert(&cookie, &one) == -EEXIST)
		return;
	row->cookie = cookie;
	READ(cgroup, &sk->cgroup);
	READ(node, &cgroup->kn);
	READ(row->cgroup, &node->id);
	row->is_peer = is_peers(mark);
	/* The mark names the socket that was made by socket(): another one has inherited it, from its listener. */
	row->accepted = mark == PEER_SERVES || (mark >= OWN && (mark & ~(u64)BEFORE) != (u64)sk);
	row->before = mark > PENDING && mark & BEFORE && !row->accepted;
	row->first_ns = bpf_ktime_get_ns();
	row->first_tick = row->last_tick = jiffies64();
	name_row(row, sk);
	READ(state, &sk->state);
	row->closed = row->protocol == TCP && state == CLOSED && !row->before;
	/* Else it has had no payload until now: TCP's books are empty, or those of a connection that was refused. */
	if (row->accepted && take_over(row, (void *)sk))
		ask_connection(row, (void *)sk);
	count_fate(MADE);
}

/* Of the process: a thread may have a name of its own. */
static __always_inline void read_comm(char *comm)
{
	struct k_task *task = (void *)bpf_get_current_task(), *leader = NULL;

	READ(leader, &task->group_leader);
	read_kernel(comm, 16, &leader->comm);
}

/* Rows of accepted sockets are made in softirq, in any task's context; the first caller is the owner. */
static __always_inline void own(struct row *row)
{
	row->last_tick = jiffies64();
	if (row->owned)
		return;
	row->owned = 1;
	row->tgid = current_tgid();
	read_comm(row->comm);
}

/* Made in the very cgroup that is watched. */
static __always_inline bool is_in_cgroup(struct k_sock *sk)
{
	struct k_cgroup *cgroup = NULL;
	struct k_node *node = NULL;
	struct subject *asked;
	u32 zero = 0;
	u64 id = 0;

	asked = subject.lookup(&zero);
	READ(cgroup, &sk->cgroup);
	READ(node, &cgroup->kn);
	READ(id, &node->id);
	return asked && asked->cgroup == id;
}

/* What marks a socket as the subject's; NULL of another one. */
static __always_inline u64 *mark_of(struct k_sock *sk)
{
	u64 *mark = sk->storage ? marks.sk_storage_get(sk, 0, 0) : NULL;

	return mark && *mark != PENDING ? mark : NULL;
}

#ifdef OF_A_LINK
/*
 * A workload of ours sends with MSG_ZEROCOPY to the limit of its sockets' optmem, of which storage would take a part: its
 * rows are in a map by cookie, where they stay when their sockets have ended. Its sockets are few.
 */
BPF_HASH(rows_apart, u64, struct row, 256);
BPF_ARRAY(blank, struct row, 1);	/* a row is more than a stack holds */

static __always_inline struct row *known_row(struct k_sock *sk)
{
	u64 cookie = sk->cookie;

	return cookie ? rows_apart.lookup(&cookie) : NULL;
}

static __always_inline struct row *make_row(struct k_sock *sk, u64 cookie)
{
	u32 zero = 0;
	struct row *row = blank.lookup(&zero);
	u16 protocol = 0;
	bool is_first;

	READ(protocol, &sk->protocol);
	if (protocol != the_flow().protocol)
		return NULL;
	is_first = row && !rows_apart.insert(&cookie, row);
	row = rows_apart.lookup(&cookie);
	if (!row)
		count_fate(NOT_MADE);
	else if (is_first)
		begin_row(row, sk, cookie, 0);
	return row;
}

static __always_inline struct row *row_of(struct k_sock *sk)
{
	struct row *row = known_row(sk);

	return row || !is_in_cgroup(sk) ? row : make_row(sk, bpf_get_socket_cookie(sk));
}

static __always_inline struct row *row_of_receiver(struct k_sock *sk)
{
	return known_row(sk);
}
#else
/*
 * The row of a socket, where it has one. It must say NULL fast: it is asked at each call of each program of the machine,
 * and a load that rejects is cheaper than a look-up, which is a call.
 */
static __always_inline struct row *known_row(struct k_sock *sk)
{
	return sk->storage ? rows.sk_storage_get(sk, 0, 0) : NULL;
}

/* Made by whoever comes first. Where two come at one moment the kernel refuses the other one, for whom it is there. */
static __always_inline struct row *row_in_storage(void *sk, bool *is_new)
{
	u64 *is_ending = ending.lookup(&(int){0});
	struct row *row;

	*is_new = false;
	if (is_ending && *is_ending)
		return NULL;
	row = rows.sk_storage_get(sk, 0, 1);
	*is_new = row;
	if (!row)
		row = rows.sk_storage_get(sk, 0, 0);
	if (!row)
		count_fate(NOT_MADE);
	return row;
}

/* The row of a socket of the subject, else NULL: as fast as that. */
static __always_inline struct row *row_of(struct k_sock *sk)
{
	struct row *row = known_row(sk);
	bool is_new;
	u64 *mark;

	if (row)
		return row;
	mark = mark_of(sk);
	if (!mark)
		return NULL;
	row = row_in_storage(sk, &is_new);
	if (row && is_new)
		begin_row(row, sk, bpf_get_socket_cookie(sk), *mark);
	return row;
}

/* The same, where the verifier does not take the socket for one that has a cookie: its row is made if it has got that. */
static __always_inline struct row *row_of_receiver(struct k_sock *sk)
{
	struct row *row = known_row(sk);
	u64 *mark, cookie;
	bool is_new;

	if (row)
		return row;
	cookie = sk->cookie;
	mark = mark_of(sk);
	if (!mark || !cookie)
		return NULL;
	row = row_in_storage(sk, &is_new);
	if (row && is_new)
		begin_row(row, sk, cookie, *mark);
	return row;
}
#endif
