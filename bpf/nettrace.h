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
 * What an skb's payload is made of. A MIXED skb holds zero-copy and copied payload: the kernel marks an skb "pure" only
 * if it holds no copied fragment (SKBFL_PURE_ZEROCOPY), and nothing in the skb tells how much is which. LINEAR payload
 * is behind the headers, not in fragments.
 */
enum skb_state { COPIED, ZEROCOPY, MIXED, LINEAR, SKB_STATES };

/*
 * By its number (linux/bpf.h): BCC looks the helper's name up in /proc/kallsyms, and where that is hidden
 * (kernel.kptr_restrict, no CAP_SYSLOG) takes bpf_probe_read() instead, which cgroup programs may not call.
 */
static long (*read_kernel)(void *to, u32 size, const void *from) = (void *)113;
#define READ(variable, pointer) read_kernel(&(variable), sizeof(variable), (pointer))

/* The helper's own name means that one too, whatever BCC defines it to. */
#undef bpf_probe_read_kernel
#define bpf_probe_read_kernel read_kernel

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
