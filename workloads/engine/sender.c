/* The sending loop. */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "internal.h"

/* More sends than a pool has messages, because a message can take several. */
enum { TRACKER_CAPACITY = 4096 };

/* The rest of a message was given up: ENGINE_STOP_NOW, and no completion came or the socket was shut down. */
enum { GIVEN_UP = 1 };

static bool hurried(const struct engine_sender *sender)
{
	return sender->stop == ENGINE_STOP_NOW;
}

int engine_sender_open(struct engine_sender *sender)
{
	int on = 1;
	int error;

	if (!sender->message_bytes || !sender->pool_messages || sender->pool_messages > TRACKER_CAPACITY)
		return -EINVAL;
	if (sender->mode == ENGINE_ZERO_COPY) {
		if (setsockopt(sender->fd, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof(on)))
			return -errno;
		error = engine_tracker_open(&sender->tracker, 0, TRACKER_CAPACITY, sender->pool_messages);
		if (error)
			return error;
	}
	sender->pool = pool_open(sender->pool_messages, sender->message_bytes, sender->mode == ENGINE_TWO_COPY);
	return sender->pool ? 0 : -ENOMEM;
}

void engine_sender_close(struct engine_sender *sender)
{
	pool_close(sender->pool);
	sender->pool = NULL;
	engine_tracker_close(&sender->tracker);
}

/* Takes what was accepted off the front. */
static void advance(struct msghdr *header, size_t accepted)
{
	while (accepted && accepted >= header->msg_iov->iov_len) {
		accepted -= header->msg_iov->iov_len;
		header->msg_iov++;
		header->msg_iovlen--;
	}
	if (accepted) {
		header->msg_iov->iov_base = (uint8_t *)header->msg_iov->iov_base + accepted;
		header->msg_iov->iov_len -= accepted;
	}
}

/* What to do after a call that accepted nothing: 0 to repeat it. */
static int after_refusal(struct engine_sender *sender, int error, int64_t *refused_since_ns)
{
	switch (error) {
	case EINTR:
		sender->eintr++;
		return 0;
	case EPIPE:
		return hurried(sender) ? GIVEN_UP : -EPIPE;
	case ENOBUFS:
		if (sender->mode == ENGINE_ZERO_COPY) {
			error = completions_relieve(sender, refused_since_ns);
			return !error && hurried(sender) ? GIVEN_UP : error;
		}
		return -ENOBUFS;
	default:
		return -error;
	}
}

static ssize_t send_once(const struct engine_sender *sender, const struct msghdr *header)
{
	if (sender->mode == ENGINE_TWO_COPY)
		return send(sender->fd, header->msg_iov->iov_base, header->msg_iov->iov_len, MSG_NOSIGNAL);
	return sendmsg(sender->fd, header, sender->mode == ENGINE_ZERO_COPY ? MSG_NOSIGNAL | MSG_ZEROCOPY : MSG_NOSIGNAL);
}

/* An id for a send that was accepted; never refused, because make_room() came before the send. */
static void account(struct engine_sender *sender, uint32_t buffer, size_t accepted)
{
	sender->bytes += accepted;
	sender->sends++;
	if (sender->mode == ENGINE_ZERO_COPY)
		engine_tracker_sent(&sender->tracker, buffer);
}

/* Zero-copy: waits until the tracker can take another id, and a buffer has no send outstanding if it is to be free. */
static int make_room(struct engine_sender *sender, uint32_t buffer, bool free)
{
	const struct engine_tracker *tracker = &sender->tracker;
	bool waited = false;

	while ((free && tracker->pending[buffer]) || tracker->next - tracker->oldest == tracker->capacity) {
		int ranges = completions_wait(sender, TICK_MS);

		if (ranges < 0)
			return ranges;
		if (!ranges && waited && hurried(sender))
			return GIVEN_UP;
		waited = true;
	}
	return 0;
}

static int send_fields(struct engine_sender *sender, uint32_t buffer, struct msghdr *header)
{
	uint64_t left = sender->message_bytes;
	int64_t refused_since_ns = 0;

	for (;;) {
		ssize_t accepted = send_once(sender, header);
		int result;

		if (accepted < 0) {
			result = after_refusal(sender, errno, &refused_since_ns);
			if (result)
				return result;
			continue;
		}
		account(sender, buffer, (size_t)accepted);
		left -= (uint64_t)accepted;
		if (!left)
			return 0;
		sender->short_sends++;
		advance(header, (size_t)accepted);
		if (sender->mode == ENGINE_ZERO_COPY) {
			result = make_room(sender, buffer, false);
			if (result)
				return result;
		}
	}
}

static int send_message(struct engine_sender *sender)
{
	uint32_t buffer = (uint32_t)(sender->messages % sender->pool->size);
	struct message *message = &sender->pool->messages[buffer];
	struct iovec fields[ENGINE_FIELDS];
	struct msghdr header = {.msg_iov = fields, .msg_iovlen = message->count};
	int result;

	if (sender->mode == ENGINE_ZERO_COPY) {
		result = make_room(sender, buffer, true);
		if (result)
			return result;
	}
	if (sender->verify)
		pool_write_pattern(message, sender->messages);
	if (sender->mode == ENGINE_TWO_COPY) {
		pool_pack(sender->pool, message);
		sender->packed_bytes += sender->message_bytes;
		fields[0] = (struct iovec){sender->pool->packed, sender->message_bytes};
		header.msg_iovlen = 1;
	} else {
		/* A copy, because a short send changes it. */
		memcpy(fields, message->fields, sizeof(fields));
	}
	return send_fields(sender, buffer, &header);
}

static int send_all(struct engine_sender *sender)
{
	uint64_t start = sender->span.start_ticks;

	while (!sender->stop && (!sender->messages_wanted || sender->messages < sender->messages_wanted)) {
		int result = send_message(sender);
		uint64_t now;

		if (result)
			return result;
		sender->messages++;
		now = ticks_now(sender->use_tsc);
		sender->latency[bucket_of(now - start)]++;
		if (now - start > sender->slowest_ticks)
			sender->slowest_ticks = now - start;
		start = now;
	}
	return 0;
}

int engine_send(struct engine_sender *sender)
{
	int result = wait_for_gate(sender->gate_fd);
	int drained = 0;

	span_start(&sender->span, sender->use_tsc);
	if (!result)
		result = send_all(sender);
	if (result == GIVEN_UP)
		result = 0;
	if (sender->mode == ENGINE_ZERO_COPY && !result)
		drained = completions_drain(sender);
	/* The pages of sends that are still outstanding stay pinned by the kernel after their memory is freed. */
	shutdown(sender->fd, SHUT_WR);
	span_end(&sender->span, sender->use_tsc);
	return result ? result : drained;
}
