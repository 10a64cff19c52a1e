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

static bool is_valid(const struct engine_sender *sender)
{
	return sender->message_bytes && sender->pool_messages && sender->pool_messages <= TRACKER_CAPACITY &&
	       sender->fields && sender->fields <= ENGINE_MAX_FIELDS && way_of(sender);
}

int engine_sender_open(struct engine_sender *sender)
{
	int on = 1;
	int error;

	if (!is_valid(sender))
		return -EINVAL;
	if (sender->zerocopy) {
		if (setsockopt(sender->fd, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof(on)))
			return -errno;
		error = engine_tracker_open(&sender->tracker, 0, TRACKER_CAPACITY, sender->pool_messages);
		if (error)
			return error;
	}
	sender->pool = pool_open(sender);
	return sender->pool ? 0 : -ENOMEM;
}

void engine_sender_close(struct engine_sender *sender)
{
	pool_close(sender->pool);
	sender->pool = NULL;
	engine_tracker_close(&sender->tracker);
}

/* Takes what was accepted off the front. */
static void advance(struct rest *rest, size_t accepted)
{
	struct msghdr *header = &rest->header;

	rest->left -= accepted;
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
static int after_refusal(struct engine_sender *sender, const struct rest *rest, int error, int64_t *refused_since_ns)
{
	switch (error) {
	case -EINTR:
		sender->eintr++;
		return 0;
	case -EPIPE:
		return hurried(sender) ? GIVEN_UP : -EPIPE;
	case -ENOBUFS:
		if (rest->flags & MSG_ZEROCOPY) {
			error = completions_relieve(sender, refused_since_ns);
			return !error && hurried(sender) ? GIVEN_UP : error;
		}
		return -ENOBUFS;
	default:
		return error;
	}
}

/* An id for a send that was accepted; never refused, because make_room() came before the send. */
static void account(struct engine_sender *sender, uint32_t buffer, const struct rest *rest, size_t accepted)
{
	sender->bytes += accepted;
	sender->sends++;
	if (rest->flags & MSG_ZEROCOPY) {
		sender->asked_bytes += accepted;
		sender->asked_sends++;
		engine_tracker_sent(&sender->tracker, buffer);
	}
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

static int send_rest(struct engine_sender *sender, hand_over *way, uint32_t buffer, struct rest *rest)
{
	int64_t refused_since_ns = 0;

	for (;;) {
		ssize_t accepted = way(sender, rest);
		int result;

		if (accepted < 0) {
			result = after_refusal(sender, rest, (int)accepted, &refused_since_ns);
			if (result)
				return result;
			continue;
		}
		account(sender, buffer, rest, (size_t)accepted);
		if ((uint64_t)accepted == rest->left)
			return 0;
		sender->short_sends++;
		advance(rest, (size_t)accepted);
		if (rest->flags & MSG_ZEROCOPY) {
			result = make_room(sender, buffer, false);
			if (result)
				return result;
		}
	}
}

/* What the call is given: a copy of the fields, because a short send changes it, or the buffer that they are in. */
static void lay_out(struct engine_sender *sender, const struct message *message, struct msghdr *header)
{
	struct engine_pool *pool = sender->pool;

	header->msg_iov = pool->rest;
	if (sender->buffers == ENGINE_PACKED) {
		pool_pack(pool, message);
		sender->packed_bytes += sender->message_bytes;
		pool->rest[0] = (struct iovec){pool->packed, sender->message_bytes};
		header->msg_iovlen = 1;
	} else {
		memcpy(pool->rest, message->fields, message->count * sizeof(*message->fields));
		header->msg_iovlen = message->count;
	}
}

static int send_message(struct engine_sender *sender, hand_over *way)
{
	uint32_t buffer = (uint32_t)(sender->messages % sender->pool->size);
	struct message *message = &sender->pool->messages[buffer];
	struct rest rest = {.left = sender->message_bytes, .flags = sender->zerocopy ? MSG_ZEROCOPY : 0};

	if (sender->zerocopy) {
		int result = make_room(sender, buffer, true);

		if (result)
			return result;
	}
	if (sender->verify)
		pool_write_pattern(message, sender->messages);
	lay_out(sender, message, &rest.header);
	return send_rest(sender, way, buffer, &rest);
}

static int send_all(struct engine_sender *sender)
{
	uint64_t start = sender->span.start_ticks;
	hand_over *way = way_of(sender);

	while (!sender->stop && (!sender->messages_wanted || sender->messages < sender->messages_wanted)) {
		int result = send_message(sender, way);
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
	if (sender->zerocopy && !result)
		drained = completions_drain(sender);
	/* The pages of sends that are still outstanding stay pinned by the kernel after their memory is freed. */
	shutdown(sender->fd, SHUT_WR);
	span_end(&sender->span, sender->use_tsc);
	return result ? result : drained;
}
