// SPDX-License-Identifier: GPL-2.0
/* Calls, where functions cannot be probed. */

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
	return number == NR_WRITE || number == NR_WRITEV || number == NR_PWRITEV2 || number == NR_IO_SUBMIT ? WAY_COPY
													    : WAY_UNKNOWN;
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
	way = way_by_registers(sk);
	if (way == WAY_UNKNOWN)
		await_completion(row);
	count_send(row, way, sent_since(row, sk, ctx[1]));
	note_cork(row, sk, ctx[1]);
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
	if (flags & (MSG_PEEK | MSG_ERRQUEUE)) /* these move no position */
		row->last_copy = 0;
	if (!(flags & MSG_ERRQUEUE))
		count_read(row, flags, read_since(row, (void *)ctx[0], flags, ctx[1]));
	else if ((int)ctx[1] >= 0) {
		leave_out_copy(row, ctx[1]);
		find_notification(row);
	}
	return 0;
}
