// SPDX-License-Identifier: GPL-2.0
/* Whose a socket is: kprobes may not look into a socket's storage, so it is told by the port and the protocol. */

static __always_inline bool is_of_protocol(struct sock *sk)
{
	u16 protocol = 0;

	READ(protocol, &sk->protocol);
	return protocol == the_flow().protocol;
}

/* The socket of the workload that sends the payload: connected to the workload's port. */
static __always_inline bool is_sender(struct sock *sk)
{
	struct net *net = NULL;
	u16 dport = 0;

	if (!sk)
		return false;
	READ(dport, &sk->dport);
	if (dport != __builtin_bswap16(the_flow().port) || !is_of_protocol(sk))
		return false;
	READ(net, &sk->net);
	return in_netns(net, the_flow().sender_netns);
}

/* A socket of the workload that receives the payload: bound to the workload's port. */
static __always_inline bool is_receiver(struct sock *sk)
{
	struct net *net = NULL;
	u16 num = 0;

	if (!sk)
		return false;
	READ(num, &sk->num);
	if (num != the_flow().port || !is_of_protocol(sk))
		return false;
	READ(net, &sk->net);
	return in_netns(net, the_flow().receiver_netns);
}

static __always_inline enum whose whose_of_socket(struct sk_buff *skb, struct net_device *device, struct packet *packet,
						   struct ip *ip)
{
	struct sock *sk = NULL;

	READ(sk, &skb->sk);
	return whose_packet(!!sk, is_sender(sk), device, packet, ip);
}

int on_drop(struct bpf_raw_tracepoint_args *ctx)
{
	struct sk_buff *skb = (void *)ctx->args[0];
	struct ends ends = {};
	struct sock *sk = NULL;

	if (!the_flow().port)
		return 0;
	READ(sk, &skb->sk);
	ends.is_senders = is_sender(sk);
	ends.is_receivers = is_receiver(sk);
#if NT_PARAMETERS_kfree_skb > 3
	ends.was_for_receiver = is_receiver((void *)ctx->args[3]);
#endif
	count_drop(skb, ctx->args[2], &ends);
	return 0;
}
