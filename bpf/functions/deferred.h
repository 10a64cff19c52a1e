// SPDX-License-Identifier: GPL-2.0
/* The deferred copy. At exit: it can fail with -ENOMEM after entry, having copied nothing. */

/* A stack that fentry takes begins with our own program and its trampoline; a kprobe's with the probed function. */
#ifdef NT_KPROBE_skb_copy_ubufs
#define OUR_FRAMES 0
#else
#define OUR_FRAMES 2
#endif

/* By the stack and not by the return address: where a kretprobe is, that is the address of its trampoline. */
static __always_inline struct caller caller_of(void *ctx)
{
	u64 frames[OUR_FRAMES + 2] = {};
	struct caller caller;

	bpf_get_stack(ctx, frames, sizeof(frames), 0);
	caller.frames[0] = frames[OUR_FRAMES];
	caller.frames[1] = frames[OUR_FRAMES + 1];
	return caller;
}

static __always_inline int enter_copy_ubufs(void *ctx, u64 from, u64 gfp, u64 a3, u64 a4, u64 a5)
{
	struct in_progress *now = on_this_cpu();
	struct sk_buff *skb = (void *)from;
	struct skb_shared_info *shinfo;
	void *head = NULL;
	u64 ubuf = 0;
	u32 end = 0;

	READ(head, &skb->head);
	READ(end, &skb->end);
	shinfo = head + end;
	READ(ubuf, &shinfo->destructor_arg);
	if (!now || !ubufs.lookup(&ubuf))
		return 0;
	READ(now->deferred, &skb->data_len);
	now->deferred_by = caller_of(ctx);
	now->stack = take_stack(ctx);
	return 0;
}

static __always_inline void add_deferred(struct in_progress *now)
{
	struct tally zero = {}, *tally = deferred_by.lookup_or_try_init(&now->deferred_by, &zero);

	add(COPY_UBUFS, now->deferred, 0);
	add_stack(COPY_UBUFS, now->stack, now->deferred);
	if (tally) {
		lock_xadd(&tally->events, 1);
		lock_xadd(&tally->bytes, now->deferred);
	} else {
		add(LOST, 0, 0);
	}
}

static __always_inline int leave_copy_ubufs(void *ctx, s64 result)
{
	struct in_progress *now = on_this_cpu();

	if (!now || !now->deferred)
		return 0;
	if ((s32)result == 0)
		add_deferred(now);
	now->deferred = 0;
	return 0;
}
