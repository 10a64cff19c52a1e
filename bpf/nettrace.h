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

#define READ(variable, pointer) bpf_probe_read_kernel(&(variable), sizeof(variable), (pointer))

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

/* A member of this kernel's, or 0 where it has none: SKBFL_PURE_ZEROCOPY came with 5.16. */
#ifndef SKBFL_PURE_ZEROCOPY
#define SKBFL_PURE_ZEROCOPY 0
#endif

/* What is needed of an sk_buff, member by member: the whole of it would fill half of the 512 bytes of stack. */
struct packet {
	void *head, *data;
	u32 len, data_len, end;
	u16 transport_header;
};

static __always_inline void look_at(struct packet *packet, struct sk_buff *skb)
{
	READ(packet->head, &skb->head);
	READ(packet->data, &skb->data);
	READ(packet->len, &skb->len);
	READ(packet->data_len, &skb->data_len);
	READ(packet->end, &skb->end);
	READ(packet->transport_header, &skb->transport_header);
}

/*
 * Bytes from data to the payload: data is at the link, the IP or the TCP header, or behind all of them; doff is in TCP's
 * 13th byte.
 */
static __always_inline s32 header_bytes(struct packet *packet)
{
	void *tcp = packet->head + packet->transport_header;
	u8 doff = 0;

	READ(doff, tcp + 12);
	return (s32)(tcp - packet->data) + (doff >> 4) * 4;
}

#define NO_HEADER 0xffff
#define TCP_PROTOCOL 6
#define MORE_FRAGMENTS_OR_OFFSET 0x3fff
#define OFFSET 0x1fff

/* What an IP header says: is it TCP, and a fragment of a packet? */
struct ip {
	void *header;
	u8 version, protocol;
	u16 fragment;
};

static __always_inline void read_ip(struct ip *ip, struct sk_buff *skb, void *head)
{
	u16 network_header = 0;
	void *at;

	READ(network_header, &skb->network_header);
	ip->header = at = head + network_header;
	READ(ip->version, at);
	ip->version >>= 4;
	if (ip->version == 6) {
		READ(ip->protocol, at + 6);
		return;
	}
	READ(ip->protocol, at + 9);
	READ(ip->fragment, at + 6);
	ip->fragment = __builtin_bswap16(ip->fragment);
}

/* Payload from data to the end; a fragment but the first has no TCP header. */
static __always_inline s32 payload_bytes(struct packet *packet, struct ip *ip)
{
	if (ip->fragment & OFFSET)
		return (s32)packet->len - (s32)(packet->head + packet->transport_header - packet->data);
	return (s32)packet->len - header_bytes(packet);
}

static __always_inline bool has_our_port(struct packet *packet)
{
	u16 dport = 0;

	READ(dport, packet->head + packet->transport_header + 2);
	return dport && dport == __builtin_bswap16(the_flow().port);
}

static __always_inline bool is_in_netns(struct sk_buff *skb, u32 inode)
{
	struct net_device *device = NULL;
	struct net *net = NULL;

	READ(device, &skb->dev);
	READ(net, &device->net);
	return device && in_netns(net, inode);
}

/*
 * A packet on its way from the sender's socket to a device. A qdisc that delays, clones or changes packets takes the
 * socket from them; their port and the device's namespace remain.
 */
static __always_inline bool is_senders_packet(struct sk_buff *skb)
{
	struct packet packet = {};
	struct sock *sk = NULL;
	struct ip ip = {};

	READ(sk, &skb->sk);
	if (is_sender(sk))
		return true;
	look_at(&packet, skb);
	if (packet.transport_header == NO_HEADER)
		return false;
	read_ip(&ip, skb, packet.head);
	if (ip.protocol != TCP_PROTOCOL || ip.fragment & OFFSET || !has_our_port(&packet))
		return false;
	return is_in_netns(skb, the_flow().sender_netns);
}

#ifdef NT_PLACES
/* Payload that this machine drops. */

enum place { NT_PLACES, PLACES, NOT_OURS };

struct drop {
	u32 place;
	u32 reason;
};
/* Preallocated, and larger than there are places and reasons: it cannot be full. */
BPF_HASH(drops, struct drop, struct tally, 1024);
#define MAX_REASON 255
/* A packet that has left its sender's socket, and that no other has taken yet: known by its port. */
static __always_inline enum place place_by_header(struct sk_buff *skb, struct packet *packet, struct ip *ip)
{
	/* Fragments but the first have no port: all in the receiver's namespace count. */
	if (ip->protocol != TCP_PROTOCOL || (!(ip->fragment & OFFSET) && !has_our_port(packet)))
		return NOT_OURS;
#if NT_PARAMETERS_kfree_skb < 4
	struct net_device *device = NULL;

	/* net/ipv4/tcp_ipv4.c, tcp_v4_rcv(): the device is forgotten when the socket has been found. */
	READ(device, &skb->dev);
	if (!device)
		return AT_RECEIVER;
#endif
	/* Until a device has it, data is at the link's header; receiving begins at IP's. */
	if (packet->data < ip->header)
		return is_in_netns(skb, the_flow().sender_netns) ? UNOWNED : NOT_OURS;
	if (!is_in_netns(skb, the_flow().receiver_netns))
		return NOT_OURS;
	return ip->fragment & MORE_FRAGMENTS_OR_OFFSET ? FRAGMENT : ON_THE_WAY;
}

static __always_inline enum place place_of(struct bpf_raw_tracepoint_args *ctx, struct packet *packet, struct ip *ip)
{
	struct sk_buff *skb = (void *)ctx->args[0];
	struct sock *sk = NULL;

	READ(sk, &skb->sk);
	if (is_sender(sk))
		return AT_SENDER;
	if (is_receiver(sk))
		return AT_RECEIVER;
#if NT_PARAMETERS_kfree_skb > 3
	if (is_receiver((void *)ctx->args[3]))
		return AT_RECEIVER;
#endif
	return place_by_header(skb, packet, ip);
}

/* include/trace/events/skb.h: kfree_skb(skb, location, reason since 5.17, rx_sk since 6.11). */
int on_drop(struct bpf_raw_tracepoint_args *ctx)
{
	struct sk_buff *skb = (void *)ctx->args[0];
	struct tally none = {}, *tally;
	struct packet packet = {};
	struct drop drop = {};
	struct ip ip = {};
	s32 payload;

	if (!the_flow().port)
		return 0;
	look_at(&packet, skb);
	if (packet.transport_header == NO_HEADER)
		return 0;
	read_ip(&ip, skb, packet.head);
	drop.place = place_of(ctx, &packet, &ip);
	payload = payload_bytes(&packet, &ip);
	if (drop.place == NOT_OURS || payload <= 0)
		return 0;
#if NT_PARAMETERS_kfree_skb > 2
	drop.reason = (u32)ctx->args[2] < MAX_REASON ? ctx->args[2] : MAX_REASON;
#endif
	tally = drops.lookup_or_try_init(&drop, &none);
	if (tally) {
		lock_xadd(&tally->events, 1);
		lock_xadd(&tally->bytes, payload);
	}
	return 0;
}
#endif
