// SPDX-License-Identifier: GPL-2.0
/*
 * A kernel that preempts its own code runs no tracing program on a CPU where another task was interrupted in the middle of
 * it (prog->active, kernel/bpf/trampoline.c). There several of each, PROGRAMS_PER_HOOK, stand at a hook, and the first one
 * that the kernel runs counts: a call goes uncounted only if a task is in the middle of every one.
 */
#ifdef PROGRAMS_PER_HOOK
/* Which of them a program is, as the kernel runs them one after the other: each has an array of its own. */
BPF_ARRAY(own_rank, u64, 1);
struct told { u64 event, rank; };
/* Place of the call's arguments, which all are given on the stack of the thread, -> who has told of it last, and what. */
BPF_TABLE("lru_hash", u64, struct told, told, 16384);
enum { LAST_RANK = PROGRAMS_PER_HOOK - 1 };

/*
 * event: what stays as it is while they run, in whose middle a thread may be interrupted: not how far TCP has come, which
 * another thread moves. A call like the one before begins where the ranks do not go on: it is taken for that one only if
 * the last programs did not run then, nor the first ones now.
 */
static __always_inline bool was_told(void *ctx, u64 event)
{
	u64 place = (u64)ctx, *rank = own_rank.lookup(&(int){0});
	struct told *last = told.lookup(&place), now = {event, rank ? *rank : 0};

	if (last && last->event == event && last->rank < now.rank) {
		last->rank = now.rank;
		if (now.rank == LAST_RANK)
			told.delete(&place);
		count_fate(TOLD_AGAIN);
		return true;
	}
	told.update(&place, &now);
	count_fate(TOLD);
	return false;
}

#define ONCE(ctx, event) \
	if (was_told(ctx, (u64)(event))) \
		return 0

/* Of two that stand at one hook, the first one and then the other, in a digit each. */
BPF_ARRAY(ran, u64, 1);
enum { BOTH_RAN = 0x10 };

int note_rank(u64 *ctx)
{
	u64 *rank = own_rank.lookup(&(int){0}), *both = ran.lookup(&(int){0});

	if (rank && both && *both < BOTH_RAN)
		*both = *both << 4 | (*rank + 1);
	return 0;
}
#else
#define ONCE(ctx, event)
#endif
