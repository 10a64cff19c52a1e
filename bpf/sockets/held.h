// SPDX-License-Identifier: GPL-2.0
/*
 * Sockets that were there when their process was attached to, by address. A program that comes to them by a descriptor
 * cannot mark them: some kernels do not take what it finds there for a socket. So TCP's are marked by the iterator that
 * makes their rows, and all others by the first program that is handed one. Sockets that are made meanwhile are noted here
 * too: whatever is, is seen.
 */
BPF_F_TABLE("hash", u64, u64, held, 65536, 1);	/* BPF_F_NO_PREALLOC */
enum { NOBODY, KEPT, SOUGHT };	/* whether sockets are kept here; whether some of them have no mark yet */
BPF_ARRAY(holding, u64, 1);

static __always_inline u64 is_holding(void)
{
	u64 *how = holding.lookup(&(int){0});

	return how ? *how : NOBODY;
}

static __always_inline void hold(void *sk, u64 mark)
{
	u64 address = (u64)sk;

	if (is_holding())
		held.update(&address, &mark);
}

/* NULL of a socket that is not held, and of one whose row must be made first. */
static __always_inline u64 *mark_of_held(void *sk)
{
	u64 address = (u64)sk, *mark, own;

	if (is_holding() != SOUGHT)
		return NULL;
	mark = held.lookup(&address);
	if (!mark || *mark == PENDING)
		return NULL;
	own = *mark;
	/* Where two come at one moment the kernel refuses the other one, for whom it is there. */
	mark = marks.sk_storage_get(sk, &own, 1);
	return mark ? mark : marks.sk_storage_get(sk, 0, 0);
}
