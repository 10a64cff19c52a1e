// SPDX-License-Identifier: GPL-2.0
/*
 * The other ends, on this machine, of the subject's TCP connections: marked when they become established, before their
 * first byte. On one machine the active end is established first: it learns of the SYN-ACK, before its ACK makes the
 * passive end.
 */

static __always_inline u64 ports_of(struct k_sock *sk, bool mirrored)
{
	struct k_net *net = NULL;
	u16 num = 0, port = 0;
	u32 inum = 0;

	READ(net, &sk->net);
	READ(inum, &net->inum);
	READ(num, &sk->num);
	READ(port, &sk->dport);
	port = __builtin_bswap16(port);
	return (u64)inum << 32 | (mirrored ? (u32)port << 16 | num : (u32)num << 16 | port);
}

/* Whether it speaks with this machine: from an address to the same one, or from 127/8 to 127/8. */
static __always_inline bool is_within(struct k_sock *sk)
{
	u64 here[2] = {}, there[2] = {};
	u32 local = 0, peer = 0;
	u16 family = 0;

	READ(family, &sk->family);
	if (family == AF_INET6) {
		read_kernel(here, sizeof(here), &sk->local6);
		read_kernel(there, sizeof(there), &sk->peer6);
		return here[0] == there[0] && here[1] == there[1];
	}
	read_kernel(&local, sizeof(local), &sk->local);
	read_kernel(&peer, sizeof(peer), &sk->peer);
	return local == peer || ((local & 0xff) == 127 && (peer & 0xff) == 127);
}

/* Its mark as a peer; 0 if it is none. */
static __always_inline u64 expected(struct k_sock *sk)
{
	u64 pair = ports_of(sk, true), port = pair & ~0xffffULL;

	if (connecting.lookup(&pair))
		return PEER_SERVES;
	/* Mirrored, the peer's port stands above its own: alone it is a listener's. */
	return listening.lookup(&port) ? PEER_ASKS : 0;
}

/* (sk, old, new) */
int on_inet_sock_set_state(u64 *ctx)
{
	struct k_sock *sk = (void *)ctx[0];
	int state = (int)ctx[2];
	u64 *mark, key, peer;
	u8 one = 1;

	if (state != ESTABLISHED && state != LISTEN)
		return 0;
	ONCE(ctx, state);
	mark = marks.sk_storage_get(sk, 0, 0);
	if (mark && *mark >= OWN) {
		key = ports_of(sk, false);
		if (state == LISTEN)
			listening.update(&key, &one);
		else
			connecting.update(&key, &one);
		return 0;
	}
	/* One of the cgroup without a mark the kernel has made for the subject (a subflow of MPTCP that connects). */
	if (mark || state != ESTABLISHED || !is_within(sk) || is_in_cgroup(sk))
		return 0;
	peer = expected(sk);
	if (peer && !marks.sk_storage_get(sk, &peer, 1))
		count_fate(NOT_MADE);
	return 0;
}

int on_peer_egress(struct __sk_buff *context)
{
	count_packet(context, LEAVES, PEERS);
	return 1;
}

int on_peer_ingress(struct __sk_buff *context)
{
	count_packet(context, ARRIVES, PEERS);
	return 1;
}
