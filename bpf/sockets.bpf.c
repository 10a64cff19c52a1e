// SPDX-License-Identifier: GPL-2.0
/*
 * One row of counters in each socket of a subject (BPF_MAP_TYPE_SK_STORAGE): no key, no size, no clean-up. Whose sockets
 * have one is told by the cgroup that the packet programs are on and by marks, never by this text.
 *
 * Before this file stand struct row and its enums (tracer/books/socket_rows.py), and the members of the kernel's structs
 * at this kernel's offsets (struct k_*, tracer/observers/socket_structs.py), which also defines PARAMETERS_function for
 * each function that this kernel has.
 */
#define READ(variable, pointer) bpf_probe_read_kernel(&(variable), sizeof(variable), (pointer))
#define READ_USER(variable, pointer) bpf_probe_read_user(&(variable), sizeof(variable), (pointer))
#define ADD(row, counter, n) lock_xadd(&(row)->counters[counter], (u64)(n))
/* A counter that is computed: the verifier must see the mask, which the compiler would otherwise drop. */
#define ADD_AT(row, first, index, mask, n) \
	do { u64 at_ = (index); asm volatile("%0 &= " #mask : "+r"(at_)); lock_xadd(&(row)->counters[(first) + at_], (u64)(n)); } while (0)

enum { TCP = 6, AF_INET = 2, AF_INET6 = 10, EAGAIN = 11, ENOBUFS = 105 };
enum { MSG_PEEK = 2, MSG_TRUNC = 0x20, MSG_ERRQUEUE = 0x2000, MSG_ZEROCOPY = 0x4000000, MSG_SPLICE_PAGES = 0x8000000 };
enum { SHARED_FRAG = 2, ORIGIN_ZEROCOPY = 5, CODE_COPIED = 1, NOTIFICATION = 8 };

BPF_F_TABLE("sk_storage", int, struct row, rows, 0, 1);   /* BPF_F_NO_PREALLOC */
BPF_F_TABLE("sk_storage", int, u64, marks, 0, 513);       /* and BPF_F_CLONE: an accepted socket has its listener's */
BPF_RINGBUF_OUTPUT(ended_rows, RING_PAGES);

/* Rows that have ended, summed: exact whatever the ring buffer loses. */
struct totals { u64 counters[COUNTERS]; };
BPF_PERCPU_ARRAY(totals, struct totals, 1);
enum fate { CREATED, MADE, ENDED, NOT_MADE, NOT_SENT, UNNAMED_COPIES, FATES };
BPF_PERCPU_ARRAY(fates, u64, FATES);
enum { BUCKETS = 32 };
BPF_PERCPU_ARRAY(sizes, u64, WAYS * BUCKETS);

/* struct ubuf_info of a zero-copy send -> cookie: who is meant where an skb has no socket any more. */
BPF_TABLE("lru_hash", u64, u64, owners, 16384);
struct notifications { u64 posted, copied; };
BPF_TABLE("lru_hash", u64, struct notifications, notified, 16384);
struct copy { u64 cookie, frames[2]; };
struct copied { u64 events, bytes; };
BPF_TABLE("hash", struct copy, struct copied, deferred, 16384);

static __always_inline void count_fate(u32 fate)
{
	u64 *n = fates.lookup(&fate);

	if (n)
		lock_xadd(n, 1);
}

static __always_inline void read_addresses(struct row *row, struct k_sock *sk)
{
	if (row->family == AF_INET) {
		bpf_probe_read_kernel(row->local_address, 4, &sk->local);
		bpf_probe_read_kernel(row->peer_address, 4, &sk->peer);
		return;
	}
	bpf_probe_read_kernel(row->local_address, 16, &sk->local6);
	bpf_probe_read_kernel(row->peer_address, 16, &sk->peer6);
}

/* A socket's names: again at its end, because a UDP socket may be bound or connected after its first call. */
static __always_inline void name_row(struct row *row, struct k_sock *sk)
{
	struct k_net *net = NULL;
	u16 port = 0;

	READ(row->family, &sk->family);
	READ(row->protocol, &sk->protocol);
	READ(port, &sk->num);
	if (port)
		row->local_port = port;
	READ(port, &sk->dport);
	if (port) {
		row->peer_port = __builtin_bswap16(port);
		read_addresses(row, sk);
	} else if (!row->peer_port)
		read_addresses(row, sk);
	READ(net, &sk->net);
	READ(row->netns, &net->inum);
}

static __always_inline void begin_row(struct row *row, struct k_sock *sk, u64 cookie)
{
	row->cookie = cookie;
	row->first_ns = bpf_ktime_get_ns();
	name_row(row, sk);
	count_fate(MADE);
}

/* Rows of accepted sockets are made in softirq, in any task's context; the first caller is the owner. */
static __always_inline void own(struct row *row)
{
	row->last_ns = bpf_ktime_get_ns();
	if (row->owned)
		return;
	row->owned = 1;
	row->tgid = bpf_get_current_pid_tgid() >> 32;
	bpf_get_current_comm(row->comm, sizeof(row->comm));
}

/*
 * The row of a socket of the subject, else NULL. It must say NULL fast: it is asked at each call of each program of the
 * machine.
 */
static __always_inline struct row *row_of(struct k_sock *sk)
{
	struct row *row = rows.sk_storage_get(sk, 0, 0);

	if (row || !marks.sk_storage_get(sk, 0, 0))
		return row;
	row = rows.sk_storage_get(sk, 0, 1);
	if (row)
		begin_row(row, sk, bpf_get_socket_cookie(sk));
	else
		count_fate(NOT_MADE);
	return row;
}

/* The registers of the system call that the current task is in: they lie at the top of its kernel stack. */
static __always_inline long syscall_registers(struct k_regs *regs)
{
	struct k_task *task = (void *)bpf_get_current_task();
	void *stack = NULL;

	READ(stack, &task->stack);
	bpf_probe_read_kernel(regs, sizeof(*regs), stack + STACK_BYTES - sizeof(*regs));
	if (regs->cs == 0x33)
		return regs->orig_ax;
	/* CONFIG_X86_FRED pads by 16, whether or not the processor has FRED. */
	bpf_probe_read_kernel(regs, sizeof(*regs), stack + STACK_BYTES - 16 - sizeof(*regs));
	return regs->cs == 0x33 ? (long)regs->orig_ax : -1;
}
enum { NR_WRITE = 1, NR_WRITEV = 20, NR_SENDFILE = 40, NR_SENDTO = 44, NR_SENDMSG = 46, NR_RECVMSG = 47, NR_GETSOCKOPT = 55,
       NR_SPLICE = 275, NR_SENDMMSG = 307 };

/*
 * How a send that was given these flags hands its bytes over. MSG_ZEROCOPY without SO_ZEROCOPY copies and says nothing
 * (tcp_sendmsg_locked, __ip_append_data); TCP pins and splices only where the route scatters and gathers (NETIF_F_SG,
 * bit 0 of sk_route_caps), which UDP asks the device itself about.
 */
static __always_inline u32 way_of(struct k_sock *sk, u32 flags, void *notification)
{
	u64 caps = 0, sk_flags = 0;
	u16 protocol = 0;

	if (!(flags & (MSG_ZEROCOPY | MSG_SPLICE_PAGES)))
		return WAY_COPY;
	READ(caps, &sk->route_caps);
	READ(sk_flags, &sk->flags);
	READ(protocol, &sk->protocol);
	if (protocol == TCP && !(caps & 1))
		return flags & MSG_ZEROCOPY ? WAY_ZEROCOPY_IGNORED : WAY_COPY;
	if (!(flags & MSG_ZEROCOPY))
		return WAY_SPLICE;
	if (notification)
		return WAY_URING_ZEROCOPY;
	return sk_flags >> SOCK_ZEROCOPY & 1 ? WAY_ZEROCOPY : WAY_ZEROCOPY_IGNORED;
}

static __always_inline u32 log2_of(u32 n)
{
	u32 bits = 0;

	if (n >> 16) { n >>= 16; bits += 16; }
	if (n >> 8) { n >>= 8; bits += 8; }
	if (n >> 4) { n >>= 4; bits += 4; }
	if (n >> 2) { n >>= 2; bits += 2; }
	return bits + (n >> 1);
}

static __always_inline void count_size(u32 way, u32 bytes)
{
	u32 at = way * BUCKETS + log2_of(bytes);
	u64 *n = sizes.lookup(&at);

	if (n)
		lock_xadd(n, 1);
}

/* A send call has returned: bytes that the socket took, or an error. */
static __always_inline void count_send(struct row *row, u32 way, int returned)
{
	u64 outstanding;

	own(row);
	if (returned < 0) {
		ADD(row, returned == -EAGAIN ? REFUSED_EAGAIN : returned == -ENOBUFS ? REFUSED_ENOBUFS : REFUSED_OTHER, 1);
		return;
	}
	ADD_AT(row, SENT_COPY_CALLS, way * 2, 15, 1);
	ADD_AT(row, SENT_COPY_BYTES, way * 2, 15, returned);
	count_size(way, returned);
	if (way == WAY_ZEROCOPY) {
		outstanding = row->counters[SENT_ZEROCOPY_CALLS] - row->counters[POSTED];
		if ((s64)outstanding > (s64)row->counters[MOST_OUTSTANDING])
			row->counters[MOST_OUTSTANDING] = outstanding;
	}
}

static __always_inline void count_read(struct row *row, u32 flags, int returned)
{
	u32 way = flags & MSG_PEEK ? READ_PEEK : flags & MSG_TRUNC ? READ_DISCARD : READ_COPY;

	own(row);
	if (returned <= 0)
		return;
	/* MSG_TRUNC discards on TCP alone; elsewhere it asks for the datagram's whole length. */
	if (way == READ_DISCARD && row->protocol != TCP)
		way = READ_COPY;
	ADD_AT(row, READ_COPY_CALLS, way * 2, 7, 1);
	ADD_AT(row, READ_COPY_BYTES, way * 2, 7, returned);
}

struct error_message { u64 len; u32 level, type; u32 error; u8 origin, kind, code, pad; u32 info, data; };

/* A notification that lies in the caller's control buffer: IP_RECVERR or IPV6_RECVERR of linux/errqueue.h. */
static __always_inline bool count_notification(struct row *row, void *control)
{
	struct error_message found = {};
	u32 sends;

	if (READ_USER(found, control) || found.origin != ORIGIN_ZEROCOPY)
		return false;
	if (!((found.level == 0 && found.type == 11) || (found.level == 41 && found.type == 25)))
		return false;
	sends = found.data - found.info + 1;
	ADD(row, RANGES, 1);
	ADD(row, REAPED, sends);
	if (found.code & CODE_COPIED)
		ADD(row, REAPED_COPIED, sends);
	return true;
}

/* ---- calls, where functions can be probed: at their return, with the way in msg_flags as the protocol has left them ---- */

static __always_inline void remember_owner(struct row *row, void *notification)
{
	u64 key = (u64)notification;

	if (key)
		owners.update(&key, &row->cookie);
}

static __always_inline int send_returned(struct k_sock *sk, struct k_msghdr *msg, int returned)
{
	void *notification = NULL;
	struct row *row;
	u32 flags = 0;

	if (!sk)
		return 0;
	row = row_of(sk);
	if (!row)
		return 0;
	READ(flags, &msg->msg_flags);
	if (flags & MSG_ZEROCOPY)
		READ(notification, &msg->msg_ubuf);
	remember_owner(row, notification);
	count_send(row, way_of(sk, flags, notification), returned);
	return 0;
}

/* The verifier takes a socket for one only if it is loaded from the program's own argument. */
#define SEND_RETURNS(function) \
int returned_from_##function(u64 *ctx) \
{ \
	return send_returned(((struct k_socket *)ctx[0])->sk, (void *)ctx[1], ctx[PARAMETERS_##function]); \
}

#ifdef PARAMETERS_inet_sendmsg
SEND_RETURNS(inet_sendmsg)
#endif
#ifdef PARAMETERS_inet6_sendmsg
SEND_RETURNS(inet6_sendmsg)
#endif

#ifdef PARAMETERS_inet_sendpage
/* Until 6.5: a page of sendfile() or splice(). MPTCP has no sendpage: it sends, which inet_sendmsg's return counts. */
int returned_from_inet_sendpage(u64 *ctx)
{
	struct k_sock *sk = ((struct k_socket *)ctx[0])->sk;
	struct row *row;

	if (!sk)
		return 0;
	row = row_of(sk);
	if (row && row->protocol != 262)
		count_send(row, way_of(sk, MSG_SPLICE_PAGES, NULL), ctx[PARAMETERS_inet_sendpage]);
	return 0;
}
#endif

/*
 * written: what put_cmsg() has moved msg_control by: 16 of header, 16 of error, 16 or 28 of address. An IPv6 socket may
 * speak IPv4.
 */
static __always_inline int receive_returned(struct k_sock *sk, struct k_msghdr *msg, u32 flags, int returned, u32 written)
{
	void *control = NULL;
	struct row *row;

	if (!sk)
		return 0;
	row = row_of(sk);
	if (!row)
		return 0;
	if (!(flags & MSG_ERRQUEUE)) {
		count_read(row, flags, returned);
		return 0;
	}
	READ(control, &msg->msg_control);
	if (returned >= 0 && !count_notification(row, control - written))
		count_notification(row, control - 48);
	return 0;
}

#define RECEIVE_RETURNS(function, written) \
int returned_from_##function(u64 *ctx) \
{ \
	return receive_returned(((struct k_socket *)ctx[0])->sk, (void *)ctx[1], ctx[3], ctx[PARAMETERS_##function], written); \
}

#ifdef PARAMETERS_inet_recvmsg
RECEIVE_RETURNS(inet_recvmsg, 48)
#endif
#ifdef PARAMETERS_inet6_recvmsg
RECEIVE_RETURNS(inet6_recvmsg, 64)
#endif

#ifdef PARAMETERS_tcp_splice_read
int returned_from_tcp_splice_read(u64 *ctx)
{
	struct k_sock *sk = ((struct k_socket *)ctx[0])->sk;
	long returned = ctx[PARAMETERS_tcp_splice_read];
	struct row *row;

	if (!sk)
		return 0;
	row = row_of(sk);
	if (!row)
		return 0;
	own(row);
	if (returned > 0) {
		ADD(row, READ_SPLICE_CALLS, 1);
		ADD(row, READ_SPLICE_BYTES, returned);
	}
	return 0;
}
#endif

#ifdef PARAMETERS_tcp_zerocopy_receive
int returned_from_tcp_zerocopy_receive(u64 *ctx)
{
	/* struct tcp_zerocopy_receive of linux/tcp.h */
	struct { u64 address; u32 length, hint, inq; s32 err; u64 buffer; s32 copied; } zc = {};
	struct row *row = row_of((void *)ctx[0]);

	if (!row)
		return 0;
	own(row);
	READ(zc, (void *)ctx[1]);
	if (zc.length) {
		ADD(row, READ_MAPPED_CALLS, 1);
		ADD(row, READ_MAPPED_BYTES, zc.length);
	}
	if (zc.copied > 0)
		ADD(row, READ_COPYBUF, zc.copied);
	return 0;
}
#endif

/* ---- calls, by tracepoints ---- */

/* include/trace/events/tcp.h (6.16): (sk, msg, skb, size_goal), once a turn of the loop, under the socket's lock */
int on_tcp_sendmsg_locked(u64 *ctx)
{
	struct k_sock *sk = (void *)ctx[0];
	struct k_msghdr *msg = (void *)ctx[1];
	u64 thread = bpf_get_current_pid_tgid();
	struct row *row = row_of(sk);
	void *notification = NULL;
	u32 flags = 0;

	if (!row || row->sending_thread == thread)
		return 0;
	READ(flags, &msg->msg_flags);
	if (flags & MSG_ZEROCOPY)
		READ(notification, &msg->msg_ubuf);
	row->sending_thread = thread;
	row->sending_way = way_of(sk, flags, notification);
	remember_owner(row, notification);
	return 0;
}

static __always_inline u32 way_by_registers(struct k_sock *sk)
{
	struct k_regs regs = {};
	long number = syscall_registers(&regs);

	if (number == NR_SENDTO || number == NR_SENDMMSG)
		return way_of(sk, regs.r10, NULL);
	if (number == NR_SENDMSG)
		return way_of(sk, regs.dx, NULL);
	if (number == NR_SENDFILE || number == NR_SPLICE)
		return way_of(sk, MSG_SPLICE_PAGES, NULL);
	return number == NR_WRITE || number == NR_WRITEV ? WAY_COPY : WAY_UNKNOWN;
}

/* include/trace/events/sock.h (6.3): (sk, returned, flags), whose flags are always 0 */
int on_sock_send_length(u64 *ctx)
{
	struct k_sock *sk = (void *)ctx[0];
	struct row *row = row_of(sk);
	u32 way;

	if (!row)
		return 0;
	if (row->sending_thread == bpf_get_current_pid_tgid()) {
		way = row->sending_way;
		row->sending_thread = 0;
	} else
		way = way_by_registers(sk);
	count_send(row, way & 7, ctx[1]);
	return 0;
}

/* Of struct msghdr in the caller's memory; three messages may stand before it: time stamps, packet information. */
static __always_inline void find_notification(struct row *row)
{
	struct k_regs regs = {};
	void *control = NULL;
	u64 length = 0;

	if (syscall_registers(&regs) != NR_RECVMSG)
		return;
	READ_USER(control, (void *)regs.si + 32);
#pragma unroll
	for (int i = 0; i < 3; i++) {
		if (count_notification(row, control) || READ_USER(length, control) || length < 16)
			return;
		control += (length + 7) & ~7ULL;
	}
}

/* (sk, returned, flags) */
int on_sock_recv_length(u64 *ctx)
{
	struct row *row = row_of((void *)ctx[0]);
	u32 flags = ctx[2];

	if (!row)
		return 0;
	if (!(flags & MSG_ERRQUEUE))
		count_read(row, flags, ctx[1]);
	else if ((int)ctx[1] >= 0)
		find_notification(row);
	return 0;
}

/* ---- TCP's own doings ---- */

/* (sk): at the end of every way to read from TCP, when copied_seq has moved */
int on_tcp_rcv_space_adjust(u64 *ctx)
{
	struct k_sock *sk = (void *)ctx[0];
	struct k_tcp *tcp = (void *)sk;
	struct row *row = row_of(sk);
	u32 now = 0, moved;

	if (!row)
		return 0;
	READ(now, &tcp->copied_seq);
	moved = row->has_copied_seq ? now - row->copied_seq : 0;
	row->has_copied_seq = 1;
	row->copied_seq = now;
	if (!moved)
		return 0;
	ADD(row, CONSUMED, moved);
#ifdef READS_BY_REGISTERS
	struct k_regs regs = {};
	u32 received = 0;
	u8 shutdown = 0;
	long number = syscall_registers(&regs);

	if (number != NR_SPLICE && number != NR_SENDFILE && number != NR_GETSOCKOPT)
		return 0;
	READ(received, &tcp->rcv_nxt);
	READ(shutdown, &sk->shutdown);
	/* The FIN has a sequence number and is no byte. */
	moved -= (shutdown & 1) && now == received;
	ADD(row, number == NR_GETSOCKOPT ? READ_MAPPED_CALLS : READ_SPLICE_CALLS, 1);
	ADD(row, number == NR_GETSOCKOPT ? READ_MAPPED_BYTES : READ_SPLICE_BYTES, moved);
#endif
	return 0;
}

/* (skb, len) */
int on_skb_copy_datagram_iovec(u64 *ctx)
{
	/* A direct load: the verifier then knows that it is a socket; good for its storage, not for its cookie. */
	struct k_sock *sk = ((struct k_skb *)ctx[0])->sk;
	struct row *row;

	if (!sk)
		return 0;
	row = rows.sk_storage_get(sk, 0, 0);
	if (row)
		ADD(row, COPIED_OUT, (u32)ctx[1]);
	return 0;
}

/* (sk): also when a notification is queued, whoever takes it or not; may run in any task's context */
int on_inet_sk_error_report(u64 *ctx)
{
	struct { u32 error; u8 origin, type, code, pad; u32 info, data; } ee = {};
	struct row *row = rows.sk_storage_get((void *)ctx[0], 0, 0);
	struct k_sock *sk = (void *)ctx[0];
	struct k_skb *tail = NULL;
	u32 fresh, queued = 0;

	if (!row)
		return 0;
	READ(queued, &sk->error_queue_length);
	if (!queued)
		return 0;
	READ(tail, &sk->error_queue_tail);
	bpf_probe_read_kernel(&ee, sizeof(ee), (void *)tail->cb + ERROR_IN_CB);
	if (ee.origin != ORIGIN_ZEROCOPY)
		return 0;
	/* The kernel joins ranges, so a range may hold what was counted already. */
	fresh = ee.data - (row->has_posted ? row->last_posted : (u32)-1);
	if ((s32)fresh <= 0)
		return 0;
	row->has_posted = 1;
	row->last_posted = ee.data;
	ADD(row, POSTED, fresh);
	if (ee.code & CODE_COPIED)
		ADD(row, POSTED_COPIED, fresh);
	return 0;
}

#ifdef PARAMETERS_io_uring_complete
/* (ctx, req, user_data, res, cflags, ..), since 6.14 (ctx, req, cqe) */
int on_io_uring_complete(u64 *ctx)
{
	struct notifications *row, none = {};
	u32 flags = 0, res = 0;
	u64 key, *cookie;

#if PARAMETERS_io_uring_complete == 3
	READ(flags, &((struct k_cqe *)ctx[2])->flags);
	READ(res, &((struct k_cqe *)ctx[2])->res);
#else
	res = ctx[3];
	flags = ctx[4];
#endif
	if (!(flags & NOTIFICATION))
		return 0;
	key = ctx[1] + NOTIFICATION_IN_REQUEST;
	cookie = owners.lookup(&key);
	if (!cookie)
		return 0;
	row = notified.lookup_or_try_init(cookie, &none);
	owners.delete(&key);
	if (!row)
		return 0;
	lock_xadd(&row->posted, 1);
	if (res >> 31)
		lock_xadd(&row->copied, 1);
	return 0;
}
#endif

/* ---- copies after the send call ---- */

#ifdef PARAMETERS_skb_copy_ubufs
/* At entry: at its end the skb no longer knows whose pages they were. */
int entered_skb_copy_ubufs(u64 *ctx)
{
	struct k_skb *skb = (void *)ctx[0];
	struct copied none = {}, *sum;
	/* Entries: this program, the trampoline, skb_copy_ubufs (not on 7.2), and who called it. */
	u64 stack[8] = {}, uarg = 0, *cookie;
	struct copy key = {};
	void *head = NULL;
	u32 end = 0, bytes = 0;

	READ(head, &skb->head);
	READ(end, &skb->end);
	READ(bytes, &skb->data_len);
	READ(uarg, head + end + __builtin_offsetof(struct k_shinfo, destructor_arg));
	cookie = owners.lookup(&uarg);
	if (!cookie)
		return 0;
	bpf_get_stack(ctx, stack, sizeof(stack), 0);
	key.cookie = *cookie;
	key.frames[0] = stack[2];
	key.frames[1] = stack[3];
	sum = deferred.lookup_or_try_init(&key, &none);
	if (!sum) {
		count_fate(UNNAMED_COPIES);
		return 0;
	}
	lock_xadd(&sum->events, 1);
	lock_xadd(&sum->bytes, bytes);
	return 0;
}
#endif

static __always_inline s32 payload_of(struct k_skb *skb, u16 protocol)
{
	void *head = NULL, *data = NULL;
	u32 len = 0, header = 8;
	u16 transport = 0;
	u8 offset = 0;

	READ(len, &skb->len);
	READ(head, &skb->head);
	READ(data, &skb->data);
	READ(transport, &skb->transport_header);
	if (protocol == TCP) {
		READ(offset, head + transport + 12);
		header = (offset >> 4) * 4;
	}
	return len - (s32)(head + transport - data) - header;
}

/* (skb, location, reason, receiving socket since 6.11) */
int on_kfree_skb(u64 *ctx)
{
	struct k_skb *skb = (void *)ctx[0];
	struct k_sock *sk = skb->sk;
	struct row *row = NULL;
	u32 counter = DROPPED_OUT;
	s32 payload;

	if (sk)
		row = rows.sk_storage_get(sk, 0, 0);
#if PARAMETERS_kfree_skb > 3
	if (!row && ctx[3]) {
		row = rows.sk_storage_get((void *)ctx[3], 0, 0);
		counter = DROPPED_IN;
	}
#endif
	if (!row)
		return 0;
	payload = payload_of(skb, row->protocol);
	if (payload > 0)
		ADD(row, counter == DROPPED_OUT ? DROPPED_OUT : DROPPED_IN, payload);
	return 0;
}

/* ---- the end of a socket ---- */

static __always_inline u32 distance(void *later, void *earlier)
{
	u32 a = 0, b = 0;

	READ(a, later);
	READ(b, earlier);
	return a - b;
}

/* What TCP itself says: the second witness. */
static __always_inline void ask_tcp(struct row *row, struct k_sock *sk)
{
	struct k_tcp *tcp = (void *)sk;
	void *above = NULL;
	u32 number = 0;

	READ(row->counters[TCP_SENT], &tcp->bytes_sent);
	READ(row->counters[TCP_RETRANSMITTED], &tcp->bytes_retrans);
	READ(row->counters[TCP_ACKED], &tcp->bytes_acked);
	READ(row->counters[TCP_RECEIVED], &tcp->bytes_received);
	row->counters[TCP_UNREAD] = distance(&tcp->rcv_nxt, &tcp->copied_seq);
	row->counters[TCP_UNACKED] = distance(&tcp->write_seq, &tcp->snd_una);
	row->counters[TCP_UNSENT] = distance(&tcp->write_seq, &tcp->snd_nxt);
	READ(number, &sk->zerocopy_ids);
	row->counters[TCP_ZEROCOPY_IDS] = number;
	READ(number, &sk->error_queue_length);
	row->counters[TCP_ERROR_QUEUE] = number;
	READ(above, &((struct k_connection *)sk)->ulp);
	row->has_protocol_above = above != NULL;
#ifdef HAVE_k_tcp_is_mptcp
	READ(row->is_mptcp, &tcp->is_mptcp);
#endif
}

static __always_inline void end_row(struct row *row)
{
	u32 zero = 0;
	struct totals *sum = totals.lookup(&zero);

	row->ended = 1;
	count_fate(ENDED);
	if (sum) {
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
	struct row *row = rows.sk_storage_get(sk, 0, 0);

	if (!row || row->ended)
		return 0;
	ask_tcp(row, sk);
	end_row(row);
	return 0;
}

/* cgroup/sock_create: every AF_INET and AF_INET6 socket() below the cgroup */
int on_sock_create(struct bpf_sock *sk)
{
	u64 one = 1;

	count_fate(CREATED);
	if (!marks.sk_storage_get(sk, &one, 1))
		count_fate(NOT_MADE);
	return 1;
}

/* cgroup/sock_release: close() of the last descriptor, the end of sockets that are not TCP's */
int on_sock_release(struct bpf_sock *sk)
{
	struct row *row = rows.sk_storage_get(sk, 0, 0);

	if (row && row->protocol != TCP && !row->ended)
		end_row(row);
	return 1;
}

/* iter/bpf_sk_storage_map: the rows of sockets that live on */
struct iteration { struct { void *seq; u64 session, number; } *meta; void *map; struct k_sock *sk; struct row *row; };

int on_living(struct iteration *ctx)
{
	struct row *row = ctx->row;
	struct k_sock *sk = ctx->sk;

	if (!row || !sk || row->ended)
		return 0;
	if (row->protocol == TCP)
		ask_tcp(row, sk);
	bpf_seq_write(ctx->meta->seq, row, sizeof(*row));
	return 0;
}

/* ---- packets ---- */

enum { LEAVES, ARRIVES };

static __always_inline struct row *row_of_packet(struct __sk_buff *context, struct bpf_sock *owner)
{
	struct row *row = rows.sk_storage_get(owner, 0, 0);
	struct k_sock *sk = NULL;

	if (row)
		return row;
	row = rows.sk_storage_get(owner, 0, 1);
	if (!row) {
		count_fate(NOT_MADE);
		return NULL;
	}
	READ(sk, &((struct k_skb *)context)->sk);
	begin_row(row, sk, bpf_get_socket_cookie(context));
	return row;
}

/* Bytes below the end of what passed before were sent, or have arrived, again. */
static __always_inline u32 count_again(u32 first, u32 bytes, u32 *end, u8 *has)
{
	u32 last = first + bytes, before = *end;

	if (*has && (s32)(last - before) <= 0)
		return bytes;
	*end = last;
	if (*has && (s32)(first - before) < 0)
		return before - first;
	*has = 1;
	return 0;
}

/* Where SKBFL_SHARED_FRAG stands alone the pages are somebody's (page cache, pipe): spliced, and not copied. */
static __always_inline u32 state_of(u8 flags)
{
	if (flags & SKBFL_ZEROCOPY_ENABLE)
		return flags & SKBFL_PURE_ZEROCOPY ? 1 : 2;
	return flags & SHARED_FRAG ? 3 : 0;
}

static __always_inline void count_fragments(struct row *row, void *shinfo, u32 bytes, u32 way)
{
	u64 uarg = 0;
	u8 flags = 0, fragments = 0;

	READ(flags, shinfo + __builtin_offsetof(struct k_shinfo, flags));
	READ(fragments, shinfo + __builtin_offsetof(struct k_shinfo, nr_frags));
	if (way == LEAVES) {
		ADD(row, LEFT_FRAGMENTS, fragments);
		ADD_AT(row, LEFT_COPIED, state_of(flags), 3, bytes);
	} else {
		ADD(row, CAME_FRAGMENTS, fragments);
		ADD_AT(row, CAME_COPIED, state_of(flags), 3, bytes);
	}
	if (way == LEAVES && flags & SKBFL_ZEROCOPY_ENABLE) {
		READ(uarg, shinfo + __builtin_offsetof(struct k_shinfo, destructor_arg));
		owners.update(&uarg, &row->cookie);
	}
}

static __always_inline void count_packet(struct __sk_buff *context, u32 way)
{
	struct { u32 seq, ack; u8 offset, flags; } tcp = {};
	struct k_skb *skb = (void *)context;
	struct bpf_sock *owner = context->sk;
	u32 len = 0, data_len = 0, end = 0, header = 8, bytes;
	void *head = NULL, *data = NULL;
	struct k_sock *sk = NULL;
	u16 transport = 0;
	struct row *row;
	u8 protocol;

	if (!owner)
		return;
	owner = bpf_sk_fullsock(owner);
	if (!owner)
		return;
	protocol = owner->protocol;
	READ(len, &skb->len);
	READ(data_len, &skb->data_len);
	READ(end, &skb->end);
	READ(head, &skb->head);
	READ(data, &skb->data);
	READ(transport, &skb->transport_header);
	if (protocol == TCP) {
		READ(tcp, head + transport + 4);
		header = (tcp.offset >> 4) * 4;
	}
	bytes = len - (u32)(head + transport - data) - header;
	if (!bytes || bytes > len)
		return;
	row = row_of_packet(context, owner);
	if (!row)
		return;
	row->device = context->ifindex;
	if (way == LEAVES) {
		ADD(row, LEFT_PACKETS, 1);
		ADD(row, LEFT_LINEAR, bytes - data_len);
	} else {
		ADD(row, CAME_PACKETS, 1);
		ADD(row, CAME_LINEAR, bytes - data_len);
	}
	if (data_len)
		count_fragments(row, head + end, data_len, way);
	if (protocol != TCP)
		return;
	/* A SYN has a sequence number of its own, before its payload (TCP Fast Open). */
	u32 first = __builtin_bswap32(tcp.seq) + (tcp.flags >> 1 & 1);
	if (way == LEAVES) {
		ADD(row, LEFT_AGAIN, count_again(first, bytes, &row->left_end, &row->has_left));
		return;
	}
	ADD(row, CAME_AGAIN, count_again(first, bytes, &row->came_end, &row->has_came));
	if (!row->has_copied_seq) {
		/* The first payload of a connection, before anybody can have read it. */
		READ(sk, &skb->sk);
		READ(row->copied_seq, &((struct k_tcp *)sk)->copied_seq);
		row->has_copied_seq = 1;
	}
}

int on_egress(struct __sk_buff *context)
{
	count_packet(context, LEAVES);
	return 1;
}

int on_ingress(struct __sk_buff *context)
{
	count_packet(context, ARRIVES);
	return 1;
}
