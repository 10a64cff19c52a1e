/* What both sides share. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include "internal.h"

uint32_t engine_bucket_of(uint64_t ticks)
{
	return bucket_of(ticks);
}

uint64_t engine_bucket_floor(uint32_t bucket)
{
	if (bucket < 128)
		return bucket;
	return (uint64_t)(64 + bucket % 64) << (bucket / 64 - 1);
}

uint8_t engine_pattern_byte(uint64_t message, uint64_t position)
{
	return (uint8_t)(pattern_at(message, position) >> 56);
}

/* The closing of a pipe's other end wakes every thread at once and can't be missed. */
int wait_for_gate(int gate_fd)
{
	struct pollfd gate = {.fd = gate_fd, .events = POLLIN};

	while (poll(&gate, 1, -1) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

static uint64_t time_ns(struct timeval time)
{
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_usec * 1000;
}

void span_start(struct engine_span *span, int use_tsc)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	span->user_ns = time_ns(usage.ru_utime);
	span->system_ns = time_ns(usage.ru_stime);
	span->cpu_ns = (uint64_t)clock_ns(CLOCK_THREAD_CPUTIME_ID);
	span->start_ns = monotonic_ns();
	span->start_ticks = ticks_now(use_tsc);
}

void span_end(struct engine_span *span, int use_tsc)
{
	struct rusage usage;

	span->end_ns = monotonic_ns();
	span->end_ticks = ticks_now(use_tsc);
	span->cpu_ns = (uint64_t)clock_ns(CLOCK_THREAD_CPUTIME_ID) - span->cpu_ns;
	getrusage(RUSAGE_THREAD, &usage);
	span->user_ns = time_ns(usage.ru_utime) - span->user_ns;
	span->system_ns = time_ns(usage.ru_stime) - span->system_ns;
}

void close_if_open(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}
