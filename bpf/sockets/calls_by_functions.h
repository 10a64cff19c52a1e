// SPDX-License-Identifier: GPL-2.0
/* Calls, where functions can be probed: at their return, with the way in msg_flags as the protocol has left them. */

static __always_inline void remember_owner(struct row *row, void *notification)
{
	u64 key = (u64)notification;

	if (key)
		owners.update(&key, &row->cookie);
}

static __always_inline int send_returned(void *ctx, struct k_sock *sk, struct k_msghdr *msg, int returned)
{
	void *notification = NULL;
	struct row *row;
	u32 flags = 0;

	if (!sk)
		return 0;
	row = row_of(sk);
	if (!row)
		return 0;
	ONCE(ctx, sk);
	READ(flags, &msg->msg_flags);
	if (flags & MSG_ZEROCOPY)
		READ(notification, &msg->msg_ubuf);
	remember_owner(row, notification);
	count_send(row, way_of(sk, flags, notification), sent_since(row, sk, returned));
	note_cork(row, sk, returned);
	return 0;
}

/* The verifier takes a socket for one only if it is loaded from the program's own argument. */
#define SEND_RETURNS(function) \
int returned_from_##function(u64 *ctx) \
{ \
	return send_returned(ctx, ((struct k_socket *)ctx[0])->sk, (void *)ctx[1], ctx[PARAMETERS_##function]); \
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
	if (!row || row->protocol == 262)
		return 0;
	ONCE(ctx, sk);
	count_send(row, way_of(sk, MSG_SPLICE_PAGES, NULL), sent_since(row, sk, ctx[PARAMETERS_inet_sendpage]));
	note_cork(row, sk, ctx[PARAMETERS_inet_sendpage]);
	return 0;
}
#endif

/*
 * written: what put_cmsg() has moved msg_control by: 16 of header, 16 of error, 16 or 28 of address. An IPv6 socket may
 * speak IPv4.
 */
static __always_inline int receive_returned(void *ctx, struct k_sock *sk, struct k_msghdr *msg, u32 flags, int returned,
					    u32 written)
{
	void *control = NULL;
	struct row *row;

	if (!sk)
		return 0;
	row = row_of(sk);
	if (!row)
		return 0;
	ONCE(ctx, sk);
	if (!(flags & MSG_ERRQUEUE)) {
		count_read(row, flags, read_since(row, sk, flags, returned));
		return 0;
	}
	leave_out_copy(row, returned);
	READ(control, &msg->msg_control);
	if (returned >= 0 && !count_notification(row, control - written))
		count_notification(row, control - 48);
	return 0;
}

#define RECEIVE_RETURNS(function, written) \
int returned_from_##function(u64 *ctx) \
{ \
	return receive_returned(ctx, ((struct k_socket *)ctx[0])->sk, (void *)ctx[1], ctx[3], ctx[PARAMETERS_##function], written); \
}

#ifdef PARAMETERS_inet_recvmsg
RECEIVE_RETURNS(inet_recvmsg, 48)
#endif
#ifdef PARAMETERS_inet6_recvmsg
RECEIVE_RETURNS(inet6_recvmsg, 64)
#endif

#ifdef PARAMETERS_sock_splice_read
/* (file, ...): TCP's own, and that of a protocol above it. One that has none receives, which is counted there. */
int returned_from_sock_splice_read(u64 *ctx)
{
	struct k_socket *socket = (void *)bpf_sock_from_file((void *)ctx[0]);
	long returned = ctx[PARAMETERS_sock_splice_read];
	void *ops = NULL, *splice_read = NULL;
	struct k_sock *sk;
	struct row *row;

	if (!socket)
		return 0;
	sk = socket->sk;
	if (!sk)
		return 0;
	row = row_of(sk);
	if (!row)
		return 0;
	ONCE(ctx, sk);
	READ(ops, &socket->ops);
	READ(splice_read, &((struct k_socket_ops *)ops)->splice_read);
	if (!splice_read)
		return 0;
	own(row);
	returned = read_since(row, sk, 0, returned);
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
	ONCE(ctx, ctx[0]);
	own(row);
	READ(zc, (void *)ctx[1]);
	if (zc.length) {
		ADD(row, READ_MAPPED_CALLS, 1);
		ADD(row, READ_MAPPED_BYTES, zc.length);
	}
	row->read_position += zc.length;
	if (zc.copied > 0) {
		row->read_position += zc.copied;
		ADD(row, READ_COPYBUF, zc.copied);
	}
	return 0;
}
#endif
