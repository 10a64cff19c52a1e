// SPDX-License-Identifier: GPL-2.0
/* The send call. Its return value is what it accepted; errors are negative. */

static __always_inline int enter_sendmsg(void *ctx, u64 sk, u64 msg, u64 size, u64 a4, u64 a5)
{
	u32 tid = bpf_get_current_pid_tgid();
	u8 one = 1;

	if (is_sender((void *)sk) && sending.update(&tid, &one))
		add(LOST, 0, 0);
	return 0;
}

static __always_inline int leave_sendmsg(void *ctx, s64 result)
{
	u32 tid = bpf_get_current_pid_tgid();

	if (!sending.lookup(&tid))
		return 0;
	sending.delete(&tid);
	if ((s32)result > 0)
		add(SEND_RETURN, (s32)result, 0);
	return 0;
}

/*
 * mm/usercopy.c: hardened usercopy checks each copy from or to user space before it runs; _copy_from_iter() itself is
 * notrace. The length is what is asked for: a copy that faults half-way would be over-counted, and the laws would tell.
 */
static __always_inline int enter_check_object(void *ctx, u64 object, u64 length, u64 to_user, u64 a4, u64 a5)
{
	/* Whoever copies: that it fires at all tells a count of 0 from a check that is switched off. */
	add(CHECK_ANY, 0, 0);
	if (!(to_user & 1)) {
		if (is_inside(true))
			add_here(ctx, CHECK_SEND, length);
	} else if (is_inside(false)) {
		add_here(ctx, CHECK_RECEIVE, length);
	}
	return 0;
}

static __always_inline int enter_zerocopy_stream(void *ctx, u64 sk, u64 skb, u64 msg, u64 length, u64 ubuf)
{
	u8 one = 1;

	if (is_sender((void *)sk) && ubufs.update(&ubuf, &one))
		add(LOST, 0, 0);
	return 0;
}

static __always_inline int leave_zerocopy_stream(void *ctx, s64 result)
{
	if ((s32)result > 0 && is_inside(true))
		add_here(ctx, ZEROCOPY_STREAM, (s32)result);
	return 0;
}

static __always_inline int leave_splice_from_iter(void *ctx, s64 result)
{
	if (result > 0 && is_inside(true))
		add_here(ctx, SPLICE_FROM_ITER, result);
	return 0;
}

/* Before 6.5 spliced pages came this way, past tcp_sendmsg_locked(); the thread is remembered as for sendmsg. */
static __always_inline int enter_sendpages(void *ctx, u64 sk, u64 page, u64 offset, u64 size, u64 a5)
{
	return enter_sendmsg(ctx, sk, page, size, 0, 0);
}

static __always_inline int leave_sendpages(void *ctx, s64 result)
{
	u32 tid = bpf_get_current_pid_tgid();

	if (!sending.lookup(&tid))
		return 0;
	sending.delete(&tid);
	if (result > 0)
		add_here(ctx, SENDPAGES, result);
	return 0;
}

/* References really taken on user pages; what the kernel accounts is size / PAGE_SIZE + 2, a worst case. */
static __always_inline int leave_get_user_pages(void *ctx, s64 result)
{
	if ((s32)result > 0 && is_inside(true))
		add(USER_PAGES, 0, (s32)result);
	return 0;
}

static __always_inline int enter_account_pages(void *ctx, u64 pinned, u64 size, u64 a3, u64 a4, u64 a5)
{
	if (is_inside(true))
		add(ACCOUNTED, size, (size >> 12) + 2);
	return 0;
}

/* UDP's send call; what it pins is a datagram whole, and a send that it copies instead is completed all the same. */

static __always_inline int leave_datagram_sendmsg(void *ctx, s64 result)
{
	u32 tid = bpf_get_current_pid_tgid();

	if (!sending.lookup(&tid))
		return 0;
	sending.delete(&tid);
	if ((s32)result > 0)
		add(DATAGRAM_SENT, (s32)result, 0);
	return 0;
}

static __always_inline int leave_zerocopy_realloc(void *ctx, s64 result)
{
	u64 ubuf = result;
	u8 one = 1;

	if (ubuf && is_inside(true) && ubufs.update(&ubuf, &one))
		add(LOST, 0, 0);
	return 0;
}

static __always_inline int enter_datagram_pinned(void *ctx, u64 msg, u64 sk, u64 skb, u64 from, u64 length)
{
	if (is_inside(true))
		add_here(ctx, DATAGRAM_PINNED, length);
	return 0;
}

/* Its packet, or the first of a chain of IP's fragments, whose length is that of all. */
static __always_inline int add_datagram(struct sk_buff *skb)
{
	struct packet packet = {};
	struct sock *sk = NULL;
	struct ip ip = {};
	u32 payload;

	READ(sk, &skb->sk);
	if (!is_sender(sk))
		return 0;
	look_at(&packet, skb);
	read_ip(&ip, &packet);
	/* Of a chain, the first one's header says that more follow, and has UDP's. */
	payload = payload_of(&packet, &ip);
	if (payload)
		add(DATAGRAM_TRANSMIT, payload, 0);
	return 0;
}

static __always_inline int enter_ip_send(void *ctx, u64 net, u64 skb, u64 a3, u64 a4, u64 a5)
{
	return add_datagram((void *)skb);
}

static __always_inline int enter_ip6_send(void *ctx, u64 skb, u64 a2, u64 a3, u64 a4, u64 a5)
{
	return add_datagram((void *)skb);
}

/* TCP's output; the skb has no headers yet, so its length is payload, and 0 for a pure ACK. */

static __always_inline int enter_transmit(void *ctx, u64 sk, u64 skb, u64 clone, u64 gfp, u64 a5)
{
	u32 len = 0;

	if (!is_sender((void *)sk))
		return 0;
	READ(len, &((struct sk_buff *)skb)->len);
	if (len)
		add(TRANSMIT, len, 0);
	return 0;
}

int on_retransmit(struct bpf_raw_tracepoint_args *ctx)
{
	u32 len = 0;

#if NT_PARAMETERS_tcp_retransmit_skb > 2
	/* Later kernels tell failed attempts too, with the error as third argument. */
	if ((int)ctx->args[2])
		return 0;
#endif
	READ(len, &((struct sk_buff *)ctx->args[1])->len);
	if (is_sender((void *)ctx->args[0]))
		add(RETRANSMIT, len, 0);
	return 0;
}
