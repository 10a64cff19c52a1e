/* What both sides share, and the receiver. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>

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

/* The span's two pairs of readings are the calibration: no run of its own for that. */
static int64_t ns_of(const struct engine_span *span, uint64_t ticks)
{
	double all = (double)(span->end_ticks - span->start_ticks);
	double part = (double)(ticks - span->start_ticks);

	return span->start_ns + (all > 0 ? (int64_t)(part / all * (double)(span->end_ns - span->start_ns)) : 0);
}

static void check_pattern(struct engine_receiver *receiver, const uint8_t *bytes, uint64_t count)
{
	uint64_t message = receiver->bytes / receiver->message_bytes;
	uint64_t position = receiver->bytes % receiver->message_bytes;
	uint64_t value = pattern_at(message, position);

	for (uint64_t i = 0; i < count; i++) {
		if (bytes[i] != (uint8_t)(value >> 56)) {
			receiver->wrong_offset = receiver->bytes + i;
			receiver->wrong_byte = bytes[i];
			receiver->expected_byte = (uint8_t)(value >> 56);
			return;
		}
		value += PATTERN_BY_POSITION;
		if (++position == receiver->message_bytes) {
			position = 0;
			value = pattern_at(++message, 0);
		}
	}
}

/* No SO_RCVTIMEO to look at a flag now and then: arming its timer costs 100 ns at each recv() that has to wait, 4 % of
 * the time of a 1 KiB message. Whoever wants an end shuts the socket down. */
static int receive_all(struct engine_receiver *receiver, uint8_t *buffer, uint64_t *first, uint64_t *last)
{
	for (;;) {
		ssize_t count = recv(receiver->fd, buffer, receiver->buffer_bytes, 0);

		if (count > 0) {
			*last = ticks_now(receiver->use_tsc);
			if (!receiver->reads++)
				*first = *last;
			/* After a wrong byte the rest is only counted. */
			if (receiver->verify && receiver->expected_byte < 0)
				check_pattern(receiver, buffer, (uint64_t)count);
			receiver->bytes += (uint64_t)count;
		} else if (count == 0) {
			return receiver->expected_byte < 0 ? 0 : ENGINE_PATTERN;
		} else if (errno != EINTR) {
			return -errno;
		}
	}
}

int engine_receive(struct engine_receiver *receiver)
{
	uint64_t first = 0, last = 0;
	uint8_t *buffer = malloc(receiver->buffer_bytes);
	int error;

	receiver->wrong_byte = receiver->expected_byte = -1;
	span_start(&receiver->span, receiver->use_tsc);
	if (!buffer)
		return -ENOMEM;
	error = receive_all(receiver, buffer, &first, &last);
	span_end(&receiver->span, receiver->use_tsc);
	if (receiver->reads) {
		receiver->first_byte_ns = ns_of(&receiver->span, first);
		receiver->last_byte_ns = ns_of(&receiver->span, last);
	}
	free(buffer);
	return error;
}
