// SPDX-License-Identifier: GPL-2.0
/*
 * A kernel that preempts its own code runs no tracing program on a CPU where another task was interrupted in the middle of
 * it (prog->active, kernel/bpf/trampoline.c). There several of each, PROGRAMS_PER_HOOK, stand at a hook, and the first one
 * that the kernel runs counts: a call goes uncounted only if a task is in the middle of every one.
 */
#ifdef PROGRAMS_PER_HOOK
/* Which of them a program is, as a bit: each has an array of its own (tracer/observers/socket_programs.py). */
BPF_ARRAY(own_bit, u64, 1);
struct told { u64 event, by; };
/* Place of the call's arguments, which all are given on the stack of the thread, -> what was counted there last. */
BPF_HASH(told, u64, struct told, 16384);
enum { BY_ALL = (1 << PROGRAMS_PER_HOOK) - 1 };

/* None runs twice for one event: what it has told itself is one before. */
static __always_inline bool was_told(void *ctx, u64 event)
{
	u64 place = (u64)ctx, *bit = own_bit.lookup(&(int){0});
	struct told *last = told.lookup(&place), now = {event, bit ? *bit : 0};

	if (last && last->event == event && !(last->by & now.by)) {
		last->by |= now.by;
		if (last->by == BY_ALL)
			told.delete(&place);
		count_fate(TOLD_AGAIN);
		return true;
	}
	told.update(&place, &now);
	count_fate(TOLD);
	return false;
}

/*
 * What tells a call from the one before it on the same stack: how far TCP had come. Only where it has not (a refusal, a
 * datagram) may the remains of a call that not all programs have seen be taken for the next one's.
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
