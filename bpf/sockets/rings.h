// SPDX-License-Identifier: GPL-2.0
/*
 * Sends by io_uring, where functions cannot be probed. No system call says how one is meant, but its completion does,
 * which names the request: until then its bytes are in no way that is known. It is known by the cookie, since a request
 * leads to no socket that the verifier takes for one.
 */
struct by_ring { u64 is_peer, calls[WAYS], bytes[WAYS]; };
BPF_TABLE("hash", u64, struct by_ring, by_rings, 16384);

/* A send in no system call that sends: its completion may tell the way. */
static __always_inline void await_completion(struct row *row)
{
	struct by_ring none = {};
	u64 cookie = row->cookie;

	none.is_peer = row->is_peer;
	by_rings.lookup_or_try_init(&cookie, &none);
}

static __always_inline u64 at_most(u64 n, u64 most)
{
	return n < most ? n : most;
}

/* What completions have told since the last time; of a request that was half done when it was first seen, its other half. */
static __always_inline void count_completions(struct row *row)
{
	u64 calls, bytes, cookie = row->cookie;
	struct by_ring *told;

	if (!row->counters[SENT_UNKNOWN_CALLS])
		return;
	told = by_rings.lookup(&cookie);
	if (!told)
		return;
#pragma unroll
	for (int way = 0; way < WAYS; way++) {
		calls = told->calls[way];
		bytes = told->bytes[way];
		lock_xadd(&told->calls[way], -calls);
		lock_xadd(&told->bytes[way], -bytes);
		calls = at_most(calls, row->counters[SENT_UNKNOWN_CALLS]);
		bytes = at_most(bytes, row->counters[SENT_UNKNOWN_BYTES]);
		ADD(row, SENT_COPY_CALLS + 2 * way, calls);
		ADD(row, SENT_COPY_BYTES + 2 * way, bytes);
		ADD(row, SENT_UNKNOWN_BYTES, -bytes);
		ADD(row, SENT_UNKNOWN_CALLS, -calls);
	}
	/* A request may take TCP several calls. */
	if (!row->counters[SENT_UNKNOWN_BYTES])
		row->counters[SENT_UNKNOWN_CALLS] = 0;
}

#ifdef PARAMETERS_io_uring_complete
enum { OP_WRITEV = 2, OP_WRITE_FIXED = 5, OP_SENDMSG = 9, OP_WRITE = 23, OP_SEND = 26, OP_SPLICE = 30, OP_SEND_ZC = 47,
       OP_SENDMSG_ZC = 48, S_IFMT = 0170000, S_IFSOCK = 0140000 };

static __always_inline u32 way_of_request(struct k_request_of_ring *request, struct k_sock *sk)
{
	u32 flags = 0;
	u8 op = 0;

	READ(op, &request->opcode);
	if (op == OP_SEND_ZC || op == OP_SENDMSG_ZC)
		return way_of(sk, MSG_ZEROCOPY, request);
	if (op == OP_SPLICE)
		return way_of(sk, MSG_SPLICE_PAGES, NULL);
	if (op == OP_SEND || op == OP_SENDMSG) {
#ifdef HAVE_k_send_of_ring_msg_flags
		READ(flags, &((struct k_send_of_ring *)request)->msg_flags);
#endif
		return way_of(sk, flags & MSG_ZEROCOPY, NULL);
	}
	return op == OP_WRITE || op == OP_WRITEV || op == OP_WRITE_FIXED ? WAY_COPY : WAY_UNKNOWN;
}

static __always_inline struct k_sock *socket_of_file(struct k_file *file)
{
	void *inode = NULL, *socket = NULL;
	struct k_sock *sk = NULL;
	u16 mode = 0;

	READ(inode, &file->f_inode);
	READ(mode, &((struct k_inode *)inode)->i_mode);
	if ((mode & S_IFMT) != S_IFSOCK)
		return NULL;
	READ(socket, &file->private_data);
	READ(sk, &((struct k_socket *)socket)->sk);
	return sk;
}

static __always_inline void count_request(struct k_request_of_ring *request, s32 returned)
{
	struct by_ring *told;
	struct k_sock *sk;
	void *file = NULL;
	u64 cookie = 0;
	u32 way;

	if (returned < 0)
		return;
	READ(file, &request->file);
	sk = socket_of_file(file);
	READ(cookie, &sk->cookie);
	told = cookie ? by_rings.lookup(&cookie) : NULL;
	if (!told)
		return;
	way = way_of_request(request, sk);
	asm volatile("" : "+r"(way)); /* the verifier must see the comparison */
	if (way >= WAY_UNKNOWN)
		return;
	lock_xadd(&told->calls[way], 1);
	lock_xadd(&told->bytes[way], returned);
	if (!told->is_peer)
		count_size(way, returned);
}
#endif
