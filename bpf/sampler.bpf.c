// SPDX-License-Identifier: GPL-2.0
/*
 * Samples what the CPUs run: the kernel stack, or in user mode the two innermost addresses.
 *
 * Kept are samples in the context of the sender's and the receiver's process (of struct subject), and kernel-mode
 * samples in any other context: softirq work for the workload may be among them, and the stack tells that to whoever
 * reads it. NT_CONTEXTS, the members of `enum context`, comes from tracer/observers/sampler.py.
 */

/* uapi/linux/bpf_perf_event.h */
struct bpf_perf_event_data {
	struct pt_regs regs;
	u64 sample_period;
	u64 addr;
};

enum context { NT_CONTEXTS };

/* Pids of the PID namespace (its device and inode) that the reader lives in; 0 where that process is not ours. */
struct subject { u64 device, inode; u32 sender, receiver; };
BPF_ARRAY(subject, struct subject, 1);

/* A hash's key has 512 bytes at most; the outermost frames of a deeper stack are left out. */
#define MAX_FRAMES 62

struct sample {
	u32 context;
	u32 user;
	u64 frames[MAX_FRAMES];
};

/* The stack itself is the key: ids of a stack map collide, and lose 2 in 100 samples that way. */
BPF_HASH(samples, struct sample, u64, 8192);
BPF_PERCPU_ARRAY(scratch, struct sample, 1);

/* Samples that could not be kept. */
BPF_PERCPU_ARRAY(lost, u64, 1);

static __always_inline enum context context(void)
{
	struct bpf_pidns_info current = {};
	u32 zero = 0;
	struct subject *one = subject.lookup(&zero);

	/* Fails for a task of another namespace: that is nobody of ours. */
	if (!one || bpf_get_ns_current_pid_tgid(one->device, one->inode, &current, sizeof(current)) || !current.tgid)
		return SOFTIRQ;
	if (current.tgid == one->sender)
		return SENDER;
	if (current.tgid == one->receiver)
		return RECEIVER;
	return SOFTIRQ;
}

static __always_inline void lose(void)
{
	u32 zero = 0;
	u64 *count = lost.lookup(&zero);

	if (count)
		(*count)++;
}

static __always_inline int keep(struct sample *sample)
{
	u64 none = 0, *count = samples.lookup_or_try_init(sample, &none);

	if (count)
		__sync_fetch_and_add(count, 1);
	else
		lose();
	return 0;
}

int on_sample(struct bpf_perf_event_data *ctx)
{
	u32 zero = 0;
	struct sample *sample = scratch.lookup(&zero);

	if (!sample)
		return 0;
	sample->context = context();
	sample->user = !(ctx->regs.ip >> 63); /* The kernel is in the upper half of the addresses. */
	if (sample->user && sample->context == SOFTIRQ)
		return 0;
	if (!sample->user) {
		/* Fills the rest with zeros, on error all of it. */
		if (bpf_get_stack(ctx, sample->frames, sizeof(sample->frames), 0) < 0)
			lose();
		return keep(sample);
	}
	__builtin_memset(sample->frames, 0, sizeof(sample->frames));
	sample->frames[0] = ctx->regs.ip;
	/* A function without a frame, such as the C library's memcpy, has its return address on top of the stack. */
	bpf_probe_read_user(&sample->frames[1], sizeof(u64), (void *)ctx->regs.sp);
	return keep(sample);
}
