// SPDX-License-Identifier: GPL-2.0
/* How far reading has come. */

#ifdef READS_BY_REGISTERS
/* A worker of io_uring is in no system call: it splices what it has not copied. */
static __always_inline bool is_spliced(long number, bool is_copied)
{
	return number == NR_SPLICE || number == NR_SENDFILE || (number < 0 && !is_copied);
}
#endif

/* (sk): at the end of every way to read from TCP, when copied_seq has moved */
int on_tcp_rcv_space_adjust(u64 *ctx)
{
	struct k_sock *sk = (void *)ctx[0];
	struct row *row = row_of(sk);
	struct k_tcp *tcp;
	u32 now, moved;

	if (!row)
		return 0;
	ONCE(ctx, sk);
	tcp = tcp_sock_of(sk);
	if (!tcp)
		return 0;
	now = tcp->copied_seq;
	moved = row->has_copied_seq ? now - row->copied_seq : 0;
	row->has_copied_seq = 1;
	row->copied_seq = now;
	if (!moved)
		return 0;
	row->counters[CONSUMED] += moved; /* under the socket's lock */
	if (row->closed)
		row->counters[TCP_UNREAD] -= moved;
#ifdef READS_BY_REGISTERS
	struct k_regs *regs = syscall_registers();
	long number = syscall_number(regs);
	bool is_copied = row->last_copy == moved;

	row->last_copy = 0;
	if (!is_spliced(number, is_copied) && number != NR_GETSOCKOPT)
		return 0;
	own(row);
	moved -= has_read_fin(sk);
	if (!moved)
		return 0;
	row->read_position += moved;
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
	row = row_of_receiver(sk);
	if (!row)
		return 0;
	ONCE(ctx, sk);
	if (row->protocol == TCP) { /* under the socket's lock */
		row->counters[COPIED_OUT] += (u32)ctx[1];
		row->last_copy = ctx[1];
	} else
		ADD(row, COPIED_OUT, (u32)ctx[1]);
#ifdef OF_A_LINK
	tally_copy_out((void *)ctx[0], ctx[1]);
#endif
	return 0;
}
