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

/* mark: 0 where there is none (a socket that the kernel made). */
static __always_inline void describe_row(struct row *row, struct k_sock *sk, u64 mark)
{
	struct k_cgroup *cgroup = NULL;
	struct k_node *node = NULL;
	u8 state = 0;

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
}

/*
 * Whoever made a row may have been interrupted before this by a packet, or by another task, that has begun it; or another
 * CPU begins it now.
 */
static __always_inline void begin_row(struct row *row, struct k_sock *sk, u64 cookie, u64 mark)
{
	u8 one = 1;

	if (row->cookie || begun.insert(&cookie, &one) == -EEXIST)
		return;
	row->cookie = cookie;
	describe_row(row, sk, mark);
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

	return mark ? mark : mark_of_held(sk);
}

/* More than a stack holds. sk: its address, for whoever asks TCP about it later. */
struct kept { struct row row; u64 sk; };
BPF_ARRAY(blank, struct kept, 1);

#ifdef ROWS_APART
/*
 * Rows by cookie: of a workload of ours, which sends with MSG_ZEROCOPY to the limit of its sockets' optmem, of which storage
 * would take a part, and whose sockets are few; and where the kernel iterates no storage. They stay when their sockets
 * have ended.
 */
#ifdef OF_A_LINK
BPF_TABLE("hash", u64, struct kept, rows_apart, 256);
#else
BPF_F_TABLE("hash", u64, struct kept, rows_apart, 262144, 1);	/* BPF_F_NO_PREALLOC */
#endif

static __always_inline struct row *row_by_cookie(u64 cookie)
{
	return (struct row *)rows_apart.lookup(&cookie);
}

static __always_inline struct row *known_row(struct k_sock *sk)
{
	u64 cookie = sk->cookie;

	return cookie ? row_by_cookie(cookie) : NULL;
}

/* asked: the socket, or a packet of its. */
static __always_inline struct row *stored_row(struct bpf_sock *sk, void *asked)
{
	return row_by_cookie(bpf_get_socket_cookie(asked));
}
#endif

#ifdef OF_A_LINK
static __always_inline struct row *make_row(struct k_sock *sk, u64 cookie)
{
	struct kept *one = blank.lookup(&(int){0});
	struct row *row;
	u16 protocol = 0;
	bool is_first;

	READ(protocol, &sk->protocol);
	if (protocol != the_flow().protocol)
		return NULL;
	is_first = one && !rows_apart.insert(&cookie, one);
	row = row_by_cookie(cookie);
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
static __always_inline bool are_all_made(void)
{
	u64 *is_ending = ending.lookup(&(int){0});

	return is_ending && *is_ending;
}

#ifdef ROWS_APART
/* Made by whoever comes first. */
static __always_inline struct row *new_row(void *sk, u64 cookie, bool *is_new)
{
	struct kept *one = blank.lookup(&(int){0});

	*is_new = false;
	if (!one || are_all_made())
		return NULL;
	*is_new = !rows_apart.insert(&cookie, one);
	one = rows_apart.lookup(&cookie);
	if (!one)
		count_fate(NOT_MADE);
	else if (*is_new)
		one->sk = (u64)sk;
	return (struct row *)one;
}
#else
BPF_F_TABLE("sk_storage", int, struct row, rows, 0, 1);   /* BPF_F_NO_PREALLOC */

/*
 * The row of a socket, where it has one. It must say NULL fast: it is asked at each call of each program of the machine,
 * and a load that rejects is cheaper than a look-up, which is a call.
 */
static __always_inline struct row *known_row(struct k_sock *sk)
{
	return sk->storage ? rows.sk_storage_get(sk, 0, 0) : NULL;
}

static __always_inline struct row *stored_row(struct bpf_sock *sk, void *asked)
{
	return rows.sk_storage_get(sk, 0, 0);
}

/* Made by whoever comes first. Where two come at one moment the kernel refuses the other one, for whom it is there. */
static __always_inline struct row *new_row(void *sk, u64 cookie, bool *is_new)
{
	struct row *row;

	*is_new = false;
	if (are_all_made())
		return NULL;
	row = rows.sk_storage_get(sk, 0, 1);
	*is_new = row;
	if (!row)
		row = rows.sk_storage_get(sk, 0, 0);
	if (!row)
		count_fate(NOT_MADE);
	return row;
}
#endif

/* Of connections that both ends had closed when their process was attached to: no table of the kernel's has these. */
BPF_F_TABLE("hash", u64, struct kept, held_rows, 4096, 1);	/* BPF_F_NO_PREALLOC */

static __always_inline struct row *held_row(struct k_sock *sk)
{
	u64 address = (u64)sk;

	return is_holding() == SOUGHT ? (struct row *)held_rows.lookup(&address) : NULL;
}

static __always_inline bool was_held(struct row *row, struct k_sock *sk, u64 cookie)
{
	struct row *then = held_row(sk);

	if (!then)
		return false;
	*row = *then;
	row->cookie = cookie;
	count_fate(MADE);
	return true;
}

/* cookie: of a socket that is marked and has no row. */
static __always_inline struct row *make_row(struct k_sock *sk, u64 cookie, u64 mark)
{
	bool is_new;
	struct row *row = new_row(sk, cookie, &is_new);

	if (row && is_new && !was_held(row, sk, cookie))
		begin_row(row, sk, cookie, mark);
	return row;
}

/* The row of a socket of the subject, else NULL: as fast as that. */
static __always_inline struct row *row_of(struct k_sock *sk)
{
	struct row *row = known_row(sk);
	u64 *mark;

	if (row)
		return row;
	mark = mark_of(sk);
	return mark ? make_row(sk, bpf_get_socket_cookie(sk), *mark) : NULL;
}

/* The same, where the verifier does not take the socket for one that has a cookie: its row is made if it has got that. */
static __always_inline struct row *row_of_receiver(struct k_sock *sk)
{
	struct row *row = known_row(sk);
	u64 *mark, cookie;

	if (row)
		return row;
	cookie = sk->cookie;
	mark = mark_of(sk);
	if (!cookie)
		return held_row(sk);
	return mark ? make_row(sk, cookie, *mark) : NULL;
}
#endif
