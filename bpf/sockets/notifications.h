// SPDX-License-Identifier: GPL-2.0
/* Notifications of zero-copy sends: taken by the program, posted by the kernel. */

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

/* Of struct msghdr in the caller's memory; three messages may stand before it: time stamps, packet information. */
static __always_inline void find_notification(struct row *row)
{
	struct k_regs *regs = syscall_registers();
	void *control = NULL;
	u64 length = 0;

	if (syscall_number(regs) != NR_RECVMSG)
		return;
	READ_USER(control, (void *)regs->si + 32);
#pragma unroll
	for (int i = 0; i < 3; i++) {
		if (count_notification(row, control) || READ_USER(length, control) || length < 16)
			return;
		control += (length + 7) & ~7ULL;
	}
}

/* (sk): also when a notification is queued, whoever takes it or not; may run in any task's context */
int on_inet_sk_error_report(u64 *ctx)
{
	struct { u32 error; u8 origin, type, code, pad; u32 info, data; } ee = {};
	struct row *row = known_row((void *)ctx[0]);
	struct k_sock *sk = (void *)ctx[0];
	struct k_skb *tail = NULL;
	u32 fresh, queued = 0;

	if (!row)
		return 0;
	ONCE(ctx, sk);
	READ(queued, &sk->error_queue_length);
	if (!queued)
		return 0;
	READ(tail, &sk->error_queue_tail);
	read_kernel(&ee, sizeof(ee), (void *)tail->cb + ERROR_IN_CB);
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
	if (!(flags & NOTIFICATION)) {
		count_request((void *)ctx[1], res);
		return 0;
	}
	ONCE(ctx, ctx[1]);
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
