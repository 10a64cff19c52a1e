// SPDX-License-Identifier: GPL-2.0
/*
 * Samples what the CPUs run in the context of a cgroup's processes: the kernel's stack, or that it was user mode.
 * Interrupts and softirqs that come meanwhile are among it; what is done for the cgroup in another's context is not.
 */

/* uapi/linux/bpf_perf_event.h */
struct bpf_perf_event_data {
	struct pt_regs regs;
	u64 sample_period;
	u64 addr;
};

struct subject { u64 cgroup; u32 level, unused; };
BPF_ARRAY(subject, struct subject, 1);

/* A hash's key has 512 bytes at most; the outermost frames of a deeper stack are left out. */
#define MAX_FRAMES 62
struct sample { u64 frames[MAX_FRAMES]; };
BPF_PERCPU_ARRAY(scratch, struct sample, 1);
/* The stack itself is the key: ids of a stack map collide. One without frames is user mode. */
BPF_HASH(samples, struct sample, u64, 8192);
/* Samples that could not be kept. */
BPF_ARRAY(lost, u64, 1);

int on_sample(struct bpf_perf_event_data *ctx)
{
	u32 zero = 0;
	struct subject *one = subject.lookup(&zero);
	struct sample *sample = scratch.lookup(&zero);
	u64 none = 0, *count, *missed = lost.lookup(&zero);

	if (!one || !sample || !missed || bpf_get_current_ancestor_cgroup_id(one->level) != one->cgroup)
		return 0;
	__builtin_memset(sample->frames, 0, sizeof(sample->frames));
	/* The kernel is in the upper half of the addresses. */
	if (ctx->regs.ip >> 63 && bpf_get_stack(ctx, sample->frames, sizeof(sample->frames), 0) < 0) {
		lock_xadd(missed, 1);
		return 0;
	}
	count = samples.lookup_or_try_init(sample, &none);
	lock_xadd(count ? count : missed, 1);
	return 0;
}
