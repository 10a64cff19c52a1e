// SPDX-License-Identifier: GPL-2.0
/*
 * Processes that run already: which these are, the sockets that they make or accept from then on, which are counted
 * from their first byte, and their packets in whatever cgroup.
 */

/* cgroup/sock_create on the root */
int on_attached_sock_create(struct bpf_sock *sk)
{
	if (is_attached_to(current_tgid()))
		mark_own(sk);
	return 1;
}

/* (parent, child) */
int on_sched_process_fork(u64 *ctx)
{
	u32 parent = tgid_of((void *)ctx[0]), child = tgid_of((void *)ctx[1]);
	u8 one = 1;

	if (parent == child || !is_attached_to(parent))
		return 0;
	ONCE(ctx, child);
	processes.update(&child, &one);
	return 0;
}

/* (task, ..) */
int on_sched_process_exit(u64 *ctx)
{
	struct k_task *task = (void *)ctx[0];
	struct k_signal *group = NULL;
	u32 tgid = tgid_of(task), live = 1;

	if (!is_attached_to(tgid))
		return 0;
	ONCE(ctx, tgid);
	READ(group, &task->signal);
	READ(live, &group->live);
	if (!live)
		processes.delete(&tgid);
	return 0;
}

/* On the root: whose packets these are is told by the mark alone, before anything else is looked at. */
static __always_inline bool is_counted(struct __sk_buff *context)
{
	struct bpf_sock *owner = context->sk;
	u64 *mark;

	if (!owner)
		return false;
	mark = marks.sk_storage_get(owner, 0, 0);
	return mark || mark_of_held(owner);
}

int on_attached_egress(struct __sk_buff *context)
{
	if (is_counted(context))
		count_packet(context, LEAVES, OWNS);
	return 1;
}

int on_attached_ingress(struct __sk_buff *context)
{
	if (is_counted(context))
		count_packet(context, ARRIVES, OWNS);
	return 1;
}
