// SPDX-License-Identifier: GPL-2.0
/* Copies after the send call. */

#ifdef PARAMETERS_skb_copy_ubufs
/* At entry: at its end the skb no longer knows whose pages they were. */
int entered_skb_copy_ubufs(u64 *ctx)
{
	struct k_skb *skb = (void *)ctx[0];
	struct copied none = {}, *sum;
	/* Entries: this program, the trampoline, skb_copy_ubufs (not on 7.2), and who called it. */
	u64 stack[4] = {}, uarg = 0, *cookie;
	struct copy key = {};
	void *head = NULL;
	u32 end = 0, bytes = 0;

	READ(head, &skb->head);
	READ(end, &skb->end);
	READ(bytes, &skb->data_len);
	READ(uarg, head + end + __builtin_offsetof(struct k_shinfo, destructor_arg));
	cookie = owners.lookup(&uarg);
	if (!cookie)
		return 0;
	ONCE(ctx, skb);
	bpf_get_stack(ctx, stack, sizeof(stack), 0);
	key.cookie = *cookie;
	key.frames[0] = stack[2];
	key.frames[1] = stack[3];
	sum = deferred.lookup_or_try_init(&key, &none);
	if (!sum) {
		count_fate(UNNAMED_COPIES);
		return 0;
	}
	lock_xadd(&sum->events, 1);
	lock_xadd(&sum->bytes, bytes);
	return 0;
}
#endif
