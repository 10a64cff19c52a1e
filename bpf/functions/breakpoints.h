// SPDX-License-Identifier: GPL-2.0
/* Hardware breakpoints on the notrace functions of lib/iov_iter.c: (address, bytes, iterator). */

struct bpf_perf_event_data {
	struct pt_regs regs;
	u64 sample_period;
	u64 addr;
};

int break_copy_from_iter(struct bpf_perf_event_data *ctx)
{
	if (is_inside(true))
		add(BREAK_FROM_ITER, ctx->regs.si, 0);
	return 0;
}

int break_copy_to_iter(struct bpf_perf_event_data *ctx)
{
	if (is_inside(false))
		add(BREAK_TO_ITER, ctx->regs.si, 0);
	return 0;
}
