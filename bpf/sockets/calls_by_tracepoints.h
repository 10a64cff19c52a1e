// SPDX-License-Identifier: GPL-2.0
/* Calls, where functions cannot be probed. */

/*
 * Which thread is in a call, without a call to ask: the place of its kernel stack, on which ctx lies. A pointer less
 * another one is a number to the verifier, and that other one, of an array, stays where it is. Stacks are 16 KiB and
 * more apart (THREAD_SIZE, and a page between them), two places of one call are not by half of that.
 */
enum { STACK = 16384 };

static __always_inline u64 place_on_stack(void *ctx)
{
	u32 zero = 0;
	void *anchor = subject.lookup(&zero);

	return anchor ? (u64)ctx - (u64)anchor : 0;
}

/* 0 is nobody. */
static __always_inline bool is_same_thread(u64 one, u64 other)
{
	return one && one - other + STACK / 2 < STACK;
}

/* include/trace/events/tcp.h (6.16): (sk, msg, skb, size_goal), once a turn of the loop, under the socket's lock */
int on_tcp_sendmsg_locked(u64 *ctx)
{
	struct k_sock *sk = (void *)ctx[0];
	struct k_msghdr *msg = (void *)ctx[1];
	struct row *row = row_of(sk);
	void *notification = NULL;
	u32 flags = 0;
	u64 thread;

	if (!row)
		return 0;
	thread = place_on_stack(ctx);
	if (is_same_thread(row->sending_thread, thread))
		return 0;
	flags = msg->msg_flags;
	/* Kernel TLS hands on pages of its own, however the call was meant: the registers tell that. */
	if (flags & MSG_SPLICE_PAGES && has_protocol_above(sk))
		return 0;
	if (flags & MSG_ZEROCOPY)
		READ(notification, &msg->msg_ubuf);
	row->sending_thread = thread;
	row->sending_way = way_of(sk, flags, notification);
	remember_owner(row, notification);
	return 0;
}

static __always_inline u32 way_by_registers(struct k_sock *sk)
{
	struct k_regs *regs = syscall_registers();
	long number = syscall_number(regs);

	if (number == NR_SENDTO || number == NR_SENDMMSG)
		return way_of(sk, regs->r10, NULL);
	if (number == NR_SENDMSG)
		return way_of(sk, regs->dx, NULL);
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

	if (!row) {
		if (is_unix(sk))
			count_unix(ctx, way_by_registers(sk), ctx[1]);
		return 0;
	}
	if (is_same_thread(row->sending_thread, place_on_stack(ctx))) {
		way = row->sending_way;
		row->sending_thread = 0;
	} else
		way = way_by_registers(sk);
	count_send(row, way & 7, sent_since(row, sk, ctx[1]));
	return 0;
}

/* (sk, returned, flags) */
int on_sock_recv_length(u64 *ctx)
{
	struct row *row = row_of((void *)ctx[0]);
	u32 flags = ctx[2];

	if (!row) {
		if (is_unix((void *)ctx[0]))
			count_unix(ctx, unix_read(flags), ctx[1]);
		return 0;
	}
	if (!(flags & MSG_ERRQUEUE))
		count_read(row, flags, read_since(row, (void *)ctx[0], flags, ctx[1]));
	else if ((int)ctx[1] >= 0)
		find_notification(row);
	return 0;
}
