// SPDX-License-Identifier: GPL-2.0
/*
 * A process by its id, as nettrace's own pid namespace has it: what /proc says there, and what its user means. In the
 * first namespace that is the kernel's own.
 */
enum { PIDTYPE_TGID = 1, MAX_PID_NS_LEVEL = 32 };

/* 0 where it is not in that namespace. A process has an id in its namespace, and in each one above. */
static __always_inline u32 id_within(struct k_task *task, u32 namespace)
{
	struct k_signal *group = NULL;
	struct k_upid id = {};
	void *pid = NULL;
	u32 level = 0, inum = 0;

	READ(group, &task->signal);
	READ(pid, group->pids + PIDTYPE_TGID * sizeof(pid));
	READ(level, &((struct k_pid *)pid)->level);
#pragma clang loop unroll(disable)
	for (int i = 0; i <= MAX_PID_NS_LEVEL && level <= MAX_PID_NS_LEVEL; i++, level--) {
		READ(id, pid + __builtin_offsetof(struct k_pid, numbers) + level * sizeof(id));
		READ(inum, &((struct k_pid_namespace *)id.ns)->inum);
		if (inum == namespace)
			return id.nr;
	}
	return 0;
}

static __always_inline u32 tgid_of(void *task)
{
	u32 zero = 0, tgid = 0;
	struct subject *one = subject.lookup(&zero);

	if (one && one->pid_namespace)
		return id_within(task, one->pid_namespace);
	READ(tgid, &((struct k_task *)task)->tgid);
	return tgid;
}

static __always_inline u32 current_tgid(void)
{
	return tgid_of((void *)bpf_get_current_task());
}

static __always_inline bool is_attached_to(u32 tgid)
{
	return processes.lookup(&tgid) != NULL;
}
