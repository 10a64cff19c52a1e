/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What passes the link between a workload's two ends: packets, of which some have lost their socket, and drops. Whose a
 * socket is, each program knows in its own way.
 *
 * The structs (sk_buff, net_device, ...) are declared from the running kernel's BTF: tracer/observers/headers.py.
 */
/*
 * Which packets are the workload's where they have no socket: port in host order, inodes of network namespaces, and IP's
 * number of the protocol: a TCP connection beside datagrams, of the same port, is none of it. A map and not -D flags, so
 * that one compiled program serves many runs.
 */
struct flow {
	u32 port;
	u32 protocol;
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

static __always_inline bool in_netns(struct net *net, u32 inode)
{
	u32 inum = 0;

	READ(inum, &net->inum);
	return inum == inode;
}

/* What is needed of an sk_buff; the whole would leave too little of the 512 bytes of stack for its fragments. */
struct packet {
	void *head, *data;
	u32 len, data_len, end;
	u16 network_header, transport_header;
};

static __always_inline void look_at(struct packet *packet, struct sk_buff *skb)
{
	READ(packet->head, &skb->head);
	READ(packet->data, &skb->data);
	READ(packet->len, &skb->len);
	READ(packet->data_len, &skb->data_len);
	READ(packet->end, &skb->end);
	READ(packet->network_header, &skb->network_header);
	READ(packet->transport_header, &skb->transport_header);
}

/* What an skb has instead of an offset before anybody has put a header there. */
#define NO_HEADER 0xffff

/* Data is at the link's header: a qdisc, a device or a filter has the packet; receiving begins at IP's. */
static __always_inline bool is_before_device(struct packet *packet)
{
	return packet->network_header != NO_HEADER && packet->data < packet->head + packet->network_header;
}

#define PROTOCOL_TCP 6
#define PROTOCOL_UDP 17
#define UDP_HEADER 8
#define FRAGMENT_OFFSET 0x1fff		/* in bytes / 8; include/net/ip.h: IP_OFFSET */
#define OF_FRAGMENT 0x3fff		/* this, or IP_MF: more fragments follow */

/* Which protocol's is it, and is it a fragment? As IPv4 says it, of IPv6 too. */
struct ip {
	u8 version, protocol;
	u16 fragment;
};

/* include/net/ipv6.h: NEXTHDR_FRAGMENT, struct frag_hdr */
#define NEXT_IS_FRAGMENT 44
#define MORE_FRAGMENTS 0x2000

static __always_inline void read_ipv6_fragment(struct ip *ip, void *ipv6)
{
	u8 header[4] = {};
	u16 offset;

	READ(header, ipv6 + 40);
	offset = header[2] << 8 | header[3];
	ip->protocol = header[0];
	ip->fragment = offset >> 3 | (offset & 1 ? MORE_FRAGMENTS : 0);
}

static __always_inline void read_ip(struct ip *ip, struct packet *packet)
{
	u8 header[10] = {};

	READ(header, packet->head + packet->network_header);
	ip->version = header[0];
	if (ip->version >> 4 == 6) {
		ip->protocol = header[6];
		if (ip->protocol == NEXT_IS_FRAGMENT)
			read_ipv6_fragment(ip, packet->head + packet->network_header);
		return;
	}
	ip->protocol = header[9];
	ip->fragment = header[6] << 8 | header[7];
}

/* Bytes from data to the payload, which data can be behind; of the fragments, the first alone has TCP's or UDP's header. */
static __always_inline s32 header_bytes(struct packet *packet, struct ip *ip)
{
	void *transport = packet->head + packet->transport_header;
	s32 before = transport - packet->data;
	u8 doff = 0;

	if (packet->transport_header == NO_HEADER)
		return 0;
	if (ip->fragment & FRAGMENT_OFFSET)
		return before;
	if (ip->protocol == PROTOCOL_UDP)
		return before + UDP_HEADER;
	READ(doff, transport + 12);
	return before + (doff >> 4) * 4;
}

/* Bytes of TCP's or UDP's payload in a packet; its data is at the link's, IP's or their header, or behind them all. */
static __always_inline u32 payload_of(struct packet *packet, struct ip *ip)
{
	s32 headers = header_bytes(packet, ip);

	return headers <= 0 ? packet->len : headers < (s32)packet->len ? packet->len - headers : 0;
}

static __always_inline bool to_our_port(struct packet *packet)
{
	u16 dport = 0;

	READ(dport, packet->head + packet->transport_header + 2);
	return dport && dport == __builtin_bswap16(the_flow().port);
}

/* Addressed to the workload's port, as its headers say; fragments but the first do not. */
static __always_inline bool has_our_port(struct packet *packet, struct ip *ip)
{
	if (packet->network_header == NO_HEADER || packet->transport_header == NO_HEADER)
		return false;
	return ip->protocol == the_flow().protocol && !(ip->fragment & FRAGMENT_OFFSET) && to_our_port(packet);
}

static __always_inline bool is_of_netns(struct net_device *device, u32 inode)
{
	struct net *net = NULL;

	READ(net, &device->net);
	return in_netns(net, inode);
}

/*
 * Whether it hands each packet on to another device, which is given it then: a bridge to a port, a VLAN or a bond to the
 * NIC below. An empty list (include/linux/list.h) points to itself.
 */
static __always_inline bool is_above_another(struct net_device *device)
{
	void *first = NULL;

	READ(first, &device->lower);
	return first != &device->lower;
}

/*
 * Whose packet it is on its way to the device. A qdisc takes the socket from those that it changes, delays twice, or
 * makes a second one of (netem: skb_unshare(), skb_orphan_partial(), skb_clone()); the port is left.
 *
 * has_socket, is_senders: The packet's socket, as the caller knows it.
 * device: The one it goes to. skb->dev is not always: a veth that is busy has set it to its peer's end.
 */
enum whose { FOREIGN, OWNED, ORPHANED };

static __always_inline enum whose whose_packet(bool has_socket, bool is_senders, struct net_device *device,
					       struct packet *packet, struct ip *ip)
{
	if (is_senders)
		return OWNED;
	if (has_socket || !has_our_port(packet, ip))
		return FOREIGN;
	return device && is_of_netns(device, the_flow().sender_netns) ? ORPHANED : FOREIGN;
}

/* enum netdev_tx of linux/netdevice.h: the driver did not take it, and will be given it again. */
#define NETDEV_TX_BUSY 0x10

/*
 * Packets of the workload that this machine dropped, by the kernel's reason (enum skb_drop_reason) and by where they
 * were. NT_PLACES comes from tracer/books/drops.py.
 */
enum place { NT_PLACES, PLACES, NOT_OURS };

struct drop {
	u32 reason;
	u32 place;
};
BPF_HASH(drops, struct drop, struct tally, 1024);

/* Drops that could not be counted. */
BPF_ARRAY(drops_lost, u64, 1);

static __always_inline void add_drop(u32 reason, enum place place, u32 bytes)
{
	struct drop key = { .reason = reason, .place = place };
	struct tally zero = {}, *tally = drops.lookup_or_try_init(&key, &zero);

	if (tally) {
		lock_xadd(&tally->events, 1);
		lock_xadd(&tally->bytes, bytes);
	} else {
		drops_lost.atomic_increment(0);
	}
}

/*
 * net/ipv4/tcp_ipv4.c, tcp_v4_rcv(): a packet's device is forgotten when its socket has it, filters and all; in the
 * queue of what came out of order, other things stand in its place.
 */
static __always_inline enum place place_of_arrived(struct net_device *device)
{
	return device && is_of_netns(device, the_flow().receiver_netns) ? ARRIVING : RECEIVED;
}

/* By its headers: it has left its sender's socket, and no other has taken it yet, or this kernel does not tell which. */
static __always_inline enum place place_by_headers(struct packet *packet, struct ip *ip, struct net_device *device)
{
	bool later_fragment = ip->protocol == the_flow().protocol && ip->fragment & FRAGMENT_OFFSET;

	if (!later_fragment && !has_our_port(packet, ip))
		return NOT_OURS;
	if (!device)
		return later_fragment ? NOT_OURS : RECEIVED;
	if (!is_before_device(packet) && is_of_netns(device, the_flow().receiver_netns))
		return ip->fragment & OF_FRAGMENT ? ARRIVING_FRAGMENT : ARRIVING;
	return !later_fragment && is_of_netns(device, the_flow().sender_netns) ? UNOWNED : NOT_OURS;
}

/*
 * What is known of a dropped packet's socket: it is the sender's, or the receiver's; since 6.11 the tracepoint tells, too,
 * which one was to get it. An acknowledgement of the receiver's own, of which a fragment seems to have payload, has its
 * socket as well.
 */
struct ends {
	bool is_senders, is_receivers, was_for_receiver;
};

static __always_inline enum place place_of(struct packet *packet, struct ip *ip, struct net_device *device,
					   struct ends *ends)
{
	if (ends->is_senders)
		return ip->fragment & OF_FRAGMENT ? SENT_FRAGMENT : SENT;
	if (ends->was_for_receiver)
		return place_of_arrived(device);
	if (ends->is_receivers)
		return is_before_device(packet) ? NOT_OURS : place_of_arrived(device);
	return place_by_headers(packet, ip, device);
}

/*
 * include/trace/events/skb.h: kfree_skb(skb, location, reason[, rx_sk]); what was consumed does not come here. Its payload.
 */
static __always_inline u32 count_drop(struct sk_buff *skb, u32 reason, struct ends *ends)
{
	struct net_device *device = NULL;
	struct packet packet = {};
	struct ip ip = {};
	enum place place;
	u32 payload;

	look_at(&packet, skb);
	if (packet.transport_header != NO_HEADER)
		read_ip(&ip, &packet);
	payload = payload_of(&packet, &ip);
	if (!payload)
		return 0;
	READ(device, &skb->dev);
	place = place_of(&packet, &ip, device, ends);
	if (place != NOT_OURS)
		add_drop(reason, place, payload);
	return payload;
}
