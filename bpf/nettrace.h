/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Shared by all programs of nettrace: what a probe point counts, and which packets are the workload's.
 *
 * The structs (sk_buff, sock, ...) and the SKBFL_ flags are declared from the running kernel's BTF: tracer/observers/headers.py.
 */
/*
 * Whose packets and sockets are the workload's: port in host order, inodes of network namespaces. A map and not -D flags,
 * so that one compiled program serves many runs.
 */
struct flow {
	u32 port;
	u32 sender_netns;
	u32 receiver_netns;
};
BPF_ARRAY(flows, struct flow, 1);

static __always_inline struct flow the_flow(void)
{
	struct flow none = {}, *found;
	u32 zero = 0;

	found = flows.lookup(&zero);
	return found ? *found : none;
}

struct tally {
	u64 events;
	u64 bytes;
	u64 pages;
};

/*
 * By its number (linux/bpf.h): BCC looks the helper's name up in /proc/kallsyms, and where that is hidden
 * (kernel.kptr_restrict, no CAP_SYSLOG) takes bpf_probe_read() instead, which cgroup programs may not call.
 */
static long (*read_kernel)(void *to, u32 size, const void *from) = (void *)113;
#define READ(variable, pointer) read_kernel(&(variable), sizeof(variable), (pointer))

static __always_inline bool in_netns(struct net *net, u32 inode)
{
	u32 inum = 0;

	READ(inum, &net->inum);
	return inum == inode;
}

/* The socket of the workload that sends the payload: connected to the workload's port. */
static __always_inline bool is_sender(struct sock *sk)
{
	struct net *net = NULL;
	u16 dport = 0;

	if (!sk)
		return false;
	READ(dport, &sk->dport);
	if (dport != __builtin_bswap16(the_flow().port))
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
	if (num != the_flow().port)
		return false;
	READ(net, &sk->net);
	return in_netns(net, the_flow().receiver_netns);
}

/* Bytes of TCP payload in a packet; its data is at the link's, the IP or the TCP header, or behind them all. */
static __always_inline u32 payload_of(struct sk_buff *skb)
{
	void *head = NULL, *data = NULL, *tcp;
	u16 transport_header = 0;
	s64 headers;
	u32 len = 0;
	u8 doff = 0;

	READ(head, &skb->head);
	READ(data, &skb->data);
	READ(len, &skb->len);
	READ(transport_header, &skb->transport_header);
	tcp = head + transport_header;
	READ(doff, tcp + 12);
	headers = tcp - data + (doff >> 4) * 4;
	return headers <= 0 ? len : headers < len ? len - headers : 0;
}

/*
 * Packets of the workload that this machine dropped, by the kernel's reason (enum skb_drop_reason) and by whose they
 * were: the sender's until they reach the other socket, the receiver's from there on.
 */
struct drop {
	u32 reason;
	u32 received;
};
BPF_HASH(drops, struct drop, struct tally, 1024);

/* Drops that could not be counted. */
BPF_ARRAY(drops_lost, u64, 1);

static __always_inline void add_drop(u32 reason, bool received, u32 bytes)
{
	struct drop key = { .reason = reason, .received = received };
	struct tally zero = {}, *tally = drops.lookup_or_try_init(&key, &zero);

	if (tally) {
		lock_xadd(&tally->events, 1);
		lock_xadd(&tally->bytes, bytes);
	} else {
		drops_lost.atomic_increment(0);
	}
}

/* include/trace/events/skb.h: kfree_skb(skb, location, reason[, rx_sk]); what was consumed does not come here. */
int on_drop(struct bpf_raw_tracepoint_args *ctx)
{
	struct sk_buff *skb = (void *)ctx->args[0];
	u32 payload = payload_of(skb), reason = ctx->args[2];
	struct sock *sk = NULL;

	if (!payload)
		return 0;
#if NT_PARAMETERS_kfree_skb > 3
	/* Since 6.11 the socket that was to get it. */
	if (is_receiver((void *)ctx->args[3])) {
		add_drop(reason, true, payload);
		return 0;
	}
#endif
	READ(sk, &skb->sk);
	if (is_sender(sk))
		add_drop(reason, false, payload);
	else if (is_receiver(sk))
		add_drop(reason, true, payload);
	return 0;
}
