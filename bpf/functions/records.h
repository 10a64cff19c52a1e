// SPDX-License-Identifier: GPL-2.0
/*
 * Kernel TLS. Its send call takes the payload, and inside of it TCP's takes records; so the socket's own call is the one
 * that marks the thread, and TCP's is not watched.
 */
#define MSG_SPLICE_PAGES 0x8000000

/* What a thread is giving to sk_msg_zerocopy_from_iter(); those whose cipher runs, which may call another one's. */
BPF_HASH(giving, u32, u32, 1024);
BPF_HASH(ciphering, u32, u8, 1024);

enum { SPLICES = 2 };	/* a value in `sending` */

static __always_inline int enter_socket_sendmsg(void *ctx, u64 socket, u64 message, u64 size, u64 a4, u64 a5)
{
	u32 tid = bpf_get_current_pid_tgid(), flags = 0;
	struct sock *sk = NULL;
	u8 how;

	READ(sk, &((struct socket *)socket)->sk);
	READ(flags, &((struct msghdr *)message)->msg_flags);
	how = flags & MSG_SPLICE_PAGES ? SPLICES : 1;
	if (is_sender(sk) && sending.update(&tid, &how))
		add(LOST, 0, 0);
	return 0;
}

static __always_inline int leave_socket_sendmsg(void *ctx, s64 result)
{
	u32 tid = bpf_get_current_pid_tgid();
	u8 *found = sending.lookup(&tid), how;

	if (!found)
		return 0;
	how = *found;
	sending.delete(&tid);
	if ((s32)result <= 0)
		return 0;
	add(SOCKET_SENT, (s32)result, 0);
	if (how == SPLICES)
		add_here(ctx, SOCKET_SPLICED, (s32)result);
	return 0;
}

/* Before 6.5 each spliced page came this way. */
static __always_inline int enter_socket_sendpage(void *ctx, u64 socket, u64 page, u64 offset, u64 size, u64 flags)
{
	struct sock *sk = NULL;

	READ(sk, &((struct socket *)socket)->sk);
	return enter_sendmsg(ctx, (u64)sk, 0, 0, 0, 0);
}

static __always_inline int leave_socket_sendpage(void *ctx, s64 result)
{
	u32 tid = bpf_get_current_pid_tgid();

	if (!sending.lookup(&tid))
		return 0;
	sending.delete(&tid);
	if (result > 0)
		add_here(ctx, SOCKET_SENDPAGE, result);
	return 0;
}

static __always_inline int enter_give_pages(void *ctx, u64 sk, u64 from, u64 message, u64 bytes, u64 a5)
{
	u32 tid = bpf_get_current_pid_tgid(), size = bytes;

	if (is_inside(true) && giving.update(&tid, &size))
		add(LOST, 0, 0);
	return 0;
}

/* All or nothing: where they lie in too many pages, it takes none, and they are copied. */
static __always_inline int leave_give_pages(void *ctx, s64 result)
{
	u32 tid = bpf_get_current_pid_tgid(), *size = giving.lookup(&tid);

	if (!size)
		return 0;
	if (!(s32)result)
		add_here(ctx, GIVEN_IN_PLACE, *size);
	giving.delete(&tid);
	return 0;
}

/* Bytes that a cipher is given; 0 where it is none of ours, or another one of ours calls it. */
static __always_inline u32 given_to_cipher(u64 request, bool send)
{
	u32 tid = bpf_get_current_pid_tgid(), length = 0;
	u8 one = 1;

	if (!is_inside(send) || ciphering.lookup(&tid))
		return 0;
	if (ciphering.update(&tid, &one))
		add(LOST, 0, 0);
	READ(length, &((struct aead_request *)request)->cryptlen);
	return length;
}

static __always_inline int enter_encrypt(void *ctx, u64 request, u64 a2, u64 a3, u64 a4, u64 a5)
{
	u32 length = given_to_cipher(request, true);

	if (length)
		add_here(ctx, ENCRYPTED, length);
	return 0;
}

static __always_inline int enter_decrypt(void *ctx, u64 request, u64 a2, u64 a3, u64 a4, u64 a5)
{
	u32 length = given_to_cipher(request, false);

	if (length)
		add_here(ctx, DECRYPTED, length);
	return 0;
}

static __always_inline int leave_cipher(void *ctx, s64 result)
{
	u32 tid = bpf_get_current_pid_tgid();

	ciphering.delete(&tid);
	return 0;
}

static __always_inline int enter_socket_recvmsg(void *ctx, u64 socket, u64 a2, u64 a3, u64 a4, u64 a5)
{
	return enter_splice_read(ctx, socket, 0, 0, 0, 0);
}

static __always_inline int leave_socket_recvmsg(void *ctx, s64 result)
{
	u32 tid = bpf_get_current_pid_tgid();

	if (!receiving.lookup(&tid))
		return 0;
	receiving.delete(&tid);
	if ((s32)result > 0)
		add(SOCKET_READ, (s32)result, 0);
	return 0;
}
