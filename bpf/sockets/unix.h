// SPDX-License-Identifier: GPL-2.0
/*
 * Unix sockets: their calls alone, by process. They have no packets, no hook at their end, and no second witness; whose
 * they are is told by the process that calls, because nothing marks them when they are made.
 */
enum { AF_UNIX = 1 };

static __always_inline bool is_of_the_subject(void)
{
	u32 zero = 0;
	struct subject *one = subject.lookup(&zero);

	if (one && !one->cgroup)
		return is_attached_to(current_tgid());
	return one && bpf_get_current_ancestor_cgroup_id(one->level) == one->cgroup;
}

static __always_inline int count_unix(void *ctx, u32 way, int returned)
{
	struct unix_call key = {};
	struct moved none = {}, *sum;

	if (returned <= 0 || !is_of_the_subject())
		return 0;
	ONCE(ctx, returned);
	key.tgid = current_tgid();
	key.way = way;
	read_comm(key.comm);
	sum = unix_calls.lookup_or_try_init(&key, &none);
	if (!sum) {
		count_fate(UNNAMED_UNIX);
		return 0;
	}
	lock_xadd(&sum->calls, 1);
	lock_xadd(&sum->bytes, returned);
	return 0;
}

static __always_inline bool is_unix(struct k_sock *sk)
{
	return sk->family == AF_UNIX;
}

static __always_inline u32 unix_read(u32 flags)
{
	return WAYS + (flags & MSG_PEEK ? READ_PEEK : READ_COPY);
}

#define UNIX_RETURNS(function, way) \
int returned_from_##function(u64 *ctx) \
{ \
	return count_unix(ctx, way, ctx[PARAMETERS_##function]); \
}

#define FLAGS_OF(msg) ({ u32 flags_ = 0; READ(flags_, &((struct k_msghdr *)(msg))->msg_flags); flags_; })

#ifdef PARAMETERS_unix_stream_sendmsg
UNIX_RETURNS(unix_stream_sendmsg, FLAGS_OF(ctx[1]) & MSG_SPLICE_PAGES ? WAY_SPLICE : WAY_COPY)
#endif
#ifdef PARAMETERS_unix_dgram_sendmsg
UNIX_RETURNS(unix_dgram_sendmsg, WAY_COPY)
#endif
#ifdef PARAMETERS_unix_stream_sendpage
UNIX_RETURNS(unix_stream_sendpage, WAY_SPLICE)
#endif
#ifdef PARAMETERS_unix_stream_recvmsg
UNIX_RETURNS(unix_stream_recvmsg, unix_read(ctx[3]))
#endif
#ifdef PARAMETERS_unix_dgram_recvmsg
UNIX_RETURNS(unix_dgram_recvmsg, unix_read(ctx[3]))
#endif
#ifdef PARAMETERS_unix_stream_splice_read
UNIX_RETURNS(unix_stream_splice_read, WAYS + READ_SPLICE)
#endif
