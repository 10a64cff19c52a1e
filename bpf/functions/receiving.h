// SPDX-License-Identifier: GPL-2.0
/* The receive call. */

static __always_inline int enter_recvmsg(void *ctx, u64 sk, u64 a2, u64 a3, u64 a4, u64 a5)
{
	u32 tid = bpf_get_current_pid_tgid();
	u8 one = 1;

	if (is_receiver((void *)sk) && receiving.update(&tid, &one))
		add(LOST, 0, 0);
	return 0;
}

static __always_inline int leave_recvmsg(void *ctx, s64 result)
{
	u32 tid = bpf_get_current_pid_tgid();

	if (!receiving.lookup(&tid))
		return 0;
	receiving.delete(&tid);
	/* What tcp_zerocopy_receive() has copied by it is told there. */
	if ((s32)result > 0 && !mapping.lookup(&tid))
		add(RECEIVE_RETURN, (s32)result, 0);
	return 0;
}

static __always_inline int leave_datagram_recvmsg(void *ctx, s64 result)
{
	u32 tid = bpf_get_current_pid_tgid();

	if (!receiving.lookup(&tid))
		return 0;
	receiving.delete(&tid);
	if ((s32)result > 0)
		add(DATAGRAM_READ, (s32)result, 0);
	return 0;
}

static __always_inline int enter_copy_to_iter(void *ctx, u64 address, u64 length, u64 a3, u64 a4, u64 a5)
{
	if (is_inside(false))
		add(COPY_TO_ITER, length, 0);
	return 0;
}

static __always_inline int enter_splice_bits(void *ctx, u64 skb, u64 sk, u64 offset, u64 pipe, u64 length)
{
	if (is_receiver((void *)sk))
		add(SPLICE_BITS, (u32)length, 0);
	return 0;
}

static __always_inline int enter_splice_read(void *ctx, u64 socket, u64 a2, u64 a3, u64 a4, u64 a5)
{
	struct sock *sk = NULL;

	READ(sk, &((struct socket *)socket)->sk);
	return enter_recvmsg(ctx, (u64)sk, 0, 0, 0, 0);
}

static __always_inline int leave_splice_read(void *ctx, s64 result)
{
	u32 tid = bpf_get_current_pid_tgid();

	if (!receiving.lookup(&tid))
		return 0;
	receiving.delete(&tid);
	if (result > 0)
		add(SPLICE_READ, result, 0);
	return 0;
}

/* linux/tcp.h, struct tcp_zerocopy_receive: what it tells, as the kernel has it on its stack. */
struct told_by_zerocopy_receive {
	u64 address;
	u32 length, recv_skip_hint, inq;
	s32 error;
	u64 copybuf_address;
	s32 copybuf_len;
};

static __always_inline int enter_zerocopy_receive(void *ctx, u64 sk, u64 told, u64 a3, u64 a4, u64 a5)
{
	u32 tid = bpf_get_current_pid_tgid();

	if (is_receiver((void *)sk) && mapping.update(&tid, &told))
		add(LOST, 0, 0);
	return enter_recvmsg(ctx, sk, 0, 0, 0, 0);
}

static __always_inline int leave_zerocopy_receive(void *ctx, s64 result)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct told_by_zerocopy_receive told = {};
	u64 *where = mapping.lookup(&tid);

	if (!where)
		return 0;
	READ(told, (const void *)*where);
	mapping.delete(&tid);
	receiving.delete(&tid);
	if ((s32)result)
		return 0;
	add(ZEROCOPY_RECEIVE_MAPPED, told.length, 0);
	if (told.copybuf_len > 0)
		add(ZEROCOPY_RECEIVE_COPIED, told.copybuf_len, 0);
	return 0;
}
