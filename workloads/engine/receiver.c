/* The receiving loop. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "internal.h"

static int pipe_open(struct engine_receiver *receiver)
{
	receiver->step = "pipe";
	if (pipe2(receiver->pipe_fds, O_CLOEXEC))
		return -errno;
	receiver->step = "null";
	receiver->null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	return receiver->null_fd < 0 ? -errno : 0;
}

/* The socket's own mapping (tcp_mmap(), net/ipv4/tcp.c), which has no page until some are received. */
static int window_open(struct engine_receiver *receiver)
{
	void *window = mmap(NULL, receiver->buffer_bytes, PROT_READ, MAP_SHARED, receiver->fd, 0);

	receiver->step = "window";
	if (window == MAP_FAILED)
		return -errno;
	receiver->window = window;
	return 0;
}

int engine_receiver_open(struct engine_receiver *receiver)
{
	receiver->pipe_fds[0] = receiver->pipe_fds[1] = receiver->null_fd = receiver->ring_fd = -1;
	receiver->step = "buffer";
	if (!receiver->message_bytes || !receiver->buffer_bytes || !taking(receiver))
		return -EINVAL;
	receiver->buffer = malloc(receiver->take == ENGINE_TAKE_URING ? provided_bytes(receiver) : receiver->buffer_bytes);
	if (!receiver->buffer)
		return -ENOMEM;
	if (receiver->take == ENGINE_TAKE_SPLICE)
		return pipe_open(receiver);
	if (receiver->take == ENGINE_TAKE_URING)
		return ring_takes_open(receiver);
	return receiver->take == ENGINE_TAKE_MAP ? window_open(receiver) : 0;
}

void engine_receiver_close(struct engine_receiver *receiver)
{
	/* A mapping keeps the connection open. */
	if (receiver->window)
		munmap(receiver->window, receiver->buffer_bytes);
	receiver->window = NULL;
	ring_takes_close(receiver);
	close_if_open(&receiver->pipe_fds[0]);
	close_if_open(&receiver->pipe_fds[1]);
	close_if_open(&receiver->null_fd);
	free(receiver->buffer);
	receiver->buffer = NULL;
}

/* The span's two pairs of readings are the calibration: no run of its own for that. */
static int64_t ns_of(const struct engine_span *span, uint64_t ticks)
{
	double all = (double)(span->end_ticks - span->start_ticks);
	double part = (double)(ticks - span->start_ticks);

	return span->start_ns + (all > 0 ? (int64_t)(part / all * (double)(span->end_ns - span->start_ns)) : 0);
}

/* start: in the stream. */
static void check_pattern(struct engine_receiver *receiver, uint64_t start, const uint8_t *bytes, uint64_t count)
{
	uint64_t message = start / receiver->message_bytes;
	uint64_t position = start % receiver->message_bytes;
	uint64_t value = pattern_at(message, position);

	for (uint64_t i = 0; i < count; i++) {
		if (bytes[i] != (uint8_t)(value >> 56)) {
			receiver->wrong_offset = start + i;
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

/* A stream goes on where it was. */
static uint64_t start_of_taken(struct engine_receiver *receiver, const uint8_t *bytes, uint64_t count)
{
	return receiver->report_bytes ? place_of_datagram(receiver, bytes, count) : receiver->bytes;
}

/* Bytes that have come: where they lie, unless nobody can see them. After a wrong one the rest is only counted. */
void taken(struct engine_receiver *receiver, const uint8_t *bytes, uint64_t count)
{
	receiver->last_ticks = ticks_now(receiver->use_tsc);
	if (!receiver->bytes)
		receiver->first_ticks = receiver->last_ticks;
	if (receiver->verify && bytes && receiver->expected_byte < 0)
		check_pattern(receiver, start_of_taken(receiver, bytes, count), bytes, count);
	receiver->bytes += count;
}

/* No SO_RCVTIMEO to look at a flag now and then: arming its timer costs 100 ns at each recv() that has to wait, 4 % of
 * the time of a 1 KiB message. Whoever wants an end shuts the socket down. */
static int receive_all(struct engine_receiver *receiver)
{
	take_some *way = taking(receiver);

	for (;;) {
		ssize_t count = way(receiver);

		if (count > 0)
			receiver->reads++;
		else if (count == 0)
			return receiver->expected_byte < 0 ? 0 : ENGINE_PATTERN;
		else if (count != -EINTR)
			return (int)count;
	}
}

int engine_receive(struct engine_receiver *receiver)
{
	int error;

	receiver->wrong_byte = receiver->expected_byte = -1;
	span_start(&receiver->span, receiver->use_tsc);
	error = receiver->report_bytes ? receive_datagrams(receiver) : receive_all(receiver);
	span_end(&receiver->span, receiver->use_tsc);
	if (receiver->bytes) {
		receiver->first_byte_ns = ns_of(&receiver->span, receiver->first_ticks);
		receiver->last_byte_ns = ns_of(&receiver->span, receiver->last_ticks);
	}
	return error;
}
