// SPDX-License-Identifier: GPL-2.0
/*
 * A kernel that preempts its own code runs no tracing program on a CPU where another task was interrupted in the middle of
 * it (prog->active, kernel/bpf/trampoline.c). There, TWINS, each stands at its hook twice, and of both the one that the
 * kernel runs first counts: a call goes uncounted only if one task is in the middle of either.
 */
#ifdef TWINS
/* Place of the call's arguments, which both are given on the stack of the thread, -> what was counted there last. */
BPF_HASH(told, u64, u64, 16384);

static __always_inline bool was_told(void *ctx, u64 event)
{
	u64 place = (u64)ctx, *last = told.lookup(&place);

	if (last && *last == event) {
		told.delete(&place);
		count_fate(TOLD_AGAIN);
		return true;
	}
	told.update(&place, &event);
	count_fate(TOLD);
	return false;
}

/*
 * What tells a call from the one before it on the same stack: how far TCP had come. Only where it has not (a refusal, a
 * datagram) may the remains of a call whose second program did not run be taken for the next one's.
 */
static __always_inline u64 progress_of(struct row *row, void *sk)
{
	u32 written = 0, copied = 0;

	if (row->protocol != TCP)
		return 0;
	READ(written, &((struct k_tcp *)sk)->write_seq);
	READ(copied, &((struct k_tcp *)sk)->copied_seq);
	return (u64)written << 32 | copied;
}

#define ONCE(ctx, event) \
	if (was_told(ctx, (u64)(event))) \
		return 0
#else
#define ONCE(ctx, event)
#endif
