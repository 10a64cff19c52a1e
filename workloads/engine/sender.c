/* The sending loop. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "internal.h"

/* More sends than a pool has messages, because a message can take several. */
enum { TRACKER_CAPACITY = 4096 };

static bool hurried(const struct engine_sender *sender)
{
	return sender->stop == ENGINE_STOP_NOW;
}

static bool is_valid(const struct engine_sender *sender)
{
	return sender->message_bytes && sender->pool_messages && sender->pool_messages <= TRACKER_CAPACITY &&
	       sender->fields && sender->fields <= ENGINE_MAX_FIELDS && way_of(sender);
}

/* A file that is in memory alone, so that no file system decides what its pages are; gone when it is closed. */
static int descriptors_open(struct engine_sender *sender)
{
	if (sender->buffers == ENGINE_FILE) {
		sender->step = "file";
		sender->file_fd = memfd_create("nettrace", MFD_CLOEXEC);
		if (sender->file_fd < 0)
			return -errno;
	}
	if (sender->call == ENGINE_SPLICE || sender->call == ENGINE_VMSPLICE) {
		sender->step = "pipe";
		if (pipe2(sender->pipe_fds, O_CLOEXEC))
			return -errno;
	}
	return sender->call == ENGINE_URING ? ring_open(sender) : 0;
}

int engine_sender_open(struct engine_sender *sender)
{
	int on = 1;
	int error;

	sender->file_fd = sender->pipe_fds[0] = sender->pipe_fds[1] = sender->ring_fd = -1;
	sender->step = "messages";
	if (!is_valid(sender))
		return -EINVAL;
	if (sender->zerocopy) {
		sender->step = "zerocopy";
		if (setsockopt(sender->fd, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof(on)))
			return -errno;
		error = engine_tracker_open(&sender->tracker, 0, TRACKER_CAPACITY, sender->pool_messages);
		if (error)
			return error;
	}
	error = descriptors_open(sender);
	return error ? error : pool_open(sender);
}

void engine_sender_close(struct engine_sender *sender)
{
	pool_close(sender->pool);
	sender->pool = NULL;
	engine_tracker_close(&sender->tracker);
	ring_close(sender);
	close_if_open(&sender->file_fd);
	close_if_open(&sender->pipe_fds[0]);
	close_if_open(&sender->pipe_fds[1]);
}

/* Takes what was accepted off the front. */
void advance(struct msghdr *header, size_t accepted)
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
static int after_refusal(struct engine_sender *sender, const struct rest *rest, int error, int64_t *refused_since_ns)
{
	switch (error) {
	case -EINTR:
		sender->eintr++;
		return 0;
	case -EPIPE:
		return hurried(sender) ? GIVEN_UP : -EPIPE;
	case -ENOBUFS:
	case -ENOMEM:
		/* The same limit, two names: that of the error queue's notifications, and that of io_uring's. */
		if (!(rest->flags & MSG_ZEROCOPY) || (error == -ENOMEM) != (sender->call == ENGINE_URING))
			return error;
		error = completions_relieve(sender, refused_since_ns);
		return !error && hurried(sender) ? GIVEN_UP : error;
	default:
		return error;
	}
}

/* An id for a send that was accepted; never refused, because make_room() came before the send. A ring has seen to it. */
static void account(struct engine_sender *sender, const struct rest *rest, size_t accepted)
{
	sender->bytes += accepted;
	sender->sends++;
	if (rest->flags & MSG_ZEROCOPY) {
		sender->asked_bytes += accepted;
		sender->asked_sends++;
		if (!sender->ring)
			engine_tracker_sent(&sender->tracker, rest->buffer);
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

/* A short send changes the fields: of a message, which is sent again, a copy. */
static void keep_apart(struct engine_sender *sender, struct rest *rest)
{
	struct iovec *apart = sender->pool->rest;

	if (rest->apart)
		return;
	memcpy(apart, rest->header.msg_iov, rest->header.msg_iovlen * sizeof(*apart));
	rest->header.msg_iov = apart;
	rest->apart = true;
}

static int send_rest(struct engine_sender *sender, hand_over *way, struct rest *rest)
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
		account(sender, rest, (size_t)accepted);
		rest->left -= (uint64_t)accepted;
		if (!rest->left)
			return 0;
		if (rest->left % sender->message_bytes)
			sender->short_sends++;
		if (rest->header.msg_iovlen) {
			keep_apart(sender, rest);
			advance(&rest->header, (size_t)accepted);
		}
		if (rest->flags & MSG_ZEROCOPY) {
			result = make_room(sender, rest->buffer, false);
			if (result)
				return result;
		}
	}
}

/* What the call is given: the fields, or the buffer that they are in. */
static void lay_out(struct engine_sender *sender, const struct message *message, struct rest *rest)
{
	struct engine_pool *pool = sender->pool;
	void *start = message->fields[0].iov_base;

	if (sender->buffers != ENGINE_PACKED && sender->buffers != ENGINE_REGISTERED) {
		rest->header.msg_iov = message->fields;
		rest->header.msg_iovlen = message->count;
		return;
	}
	if (sender->buffers == ENGINE_PACKED) {
		pool_pack(pool, message);
		sender->packed_bytes += sender->message_bytes;
		start = pool->packed;
	}
	pool->rest[0] = (struct iovec){start, sender->message_bytes};
	rest->header.msg_iov = pool->rest;
	rest->header.msg_iovlen = 1;
	rest->apart = true;
}

/* The first field by itself, if it is not the only one: the kernel keeps it back until more comes. */
static int send_header(struct engine_sender *sender, hand_over *way, struct rest *rest)
{
	struct rest header = {.header = {.msg_iov = rest->header.msg_iov, .msg_iovlen = 1}, .flags = MSG_MORE};

	if (rest->header.msg_iovlen == 1)
		return 0;
	header.left = rest->header.msg_iov->iov_len;
	rest->left -= header.left;
	rest->header.msg_iov++;
	rest->header.msg_iovlen--;
	return send_rest(sender, way, &header);
}

/* Member by member: an initializer becomes a rep stos, which takes as long as all else here. */
static void begin(struct rest *rest, uint64_t left, uint32_t buffer, int flags)
{
	rest->header.msg_name = NULL;
	rest->header.msg_namelen = 0;
	rest->header.msg_iov = NULL;
	rest->header.msg_iovlen = 0;
	rest->header.msg_control = NULL;
	rest->header.msg_controllen = 0;
	rest->header.msg_flags = 0;
	rest->left = left;
	rest->messages = 0;
	rest->buffer = buffer;
	rest->flags = flags;
	rest->apart = false;
}

static int send_one(struct engine_sender *sender, hand_over *way, uint32_t buffer)
{
	struct message *message = &sender->pool->messages[buffer];
	struct rest rest;
	int result = sender->zerocopy ? make_room(sender, buffer, true) : 0;

	if (!result && sends_datagrams(sender))
		result = datagrams_make_room(sender);
	if (!result && sender->verify)
		result = pool_renew(sender, message, sender->messages);
	if (result)
		return result;
	begin(&rest, sender->message_bytes, buffer, sender->zerocopy ? MSG_ZEROCOPY : 0);
	if (sender->buffers != ENGINE_FILE)
		lay_out(sender, message, &rest);
	if (sender->header)
		result = send_header(sender, way, &rest);
	return result ? result : send_rest(sender, way, &rest);
}

/* As many as the pool has; what was accepted of those that were given up counts too. */
static int send_several(struct engine_sender *sender, hand_over *way, uint32_t count)
{
	struct rest rest = {.left = count * sender->message_bytes, .messages = count};
	int result = 0;

	for (uint32_t i = 0; i < count && sender->verify && !result; i++)
		result = pool_renew(sender, &sender->pool->messages[i], sender->messages + i);
	if (!result)
		result = send_rest(sender, way, &rest);
	if (result)
		sender->messages += count - (rest.left + sender->message_bytes - 1) / sender->message_bytes;
	return result;
}

/* How many messages the next call takes. */
static uint32_t next_count(const struct engine_sender *sender)
{
	uint64_t left = sender->messages_wanted - sender->messages;

	if (sender->call != ENGINE_SENDMMSG)
		return 1;
	return sender->messages_wanted && left < sender->pool->size ? (uint32_t)left : sender->pool->size;
}

static int send_next(struct engine_sender *sender, hand_over *way, uint32_t count, uint32_t buffer)
{
	if (sender->call == ENGINE_SENDMMSG)
		return send_several(sender, way, count);
	return send_one(sender, way, buffer);
}

static int send_all(struct engine_sender *sender)
{
	uint32_t buffer = (uint32_t)(sender->messages % sender->pool->size);
	uint64_t start = sender->span.start_ticks;
	hand_over *way = way_of(sender);

	while (!sender->stop && (!sender->messages_wanted || sender->messages < sender->messages_wanted)) {
		uint32_t count = next_count(sender);
		int result = send_next(sender, way, count, buffer);
		uint64_t now, each;

		if (result)
			return result;
		sender->messages += count;
		if (++buffer == sender->pool->size)
			buffer = 0;
		now = ticks_now(sender->use_tsc);
		each = count == 1 ? now - start : (now - start) / count;
		sender->latency[bucket_of(each)] += count;
		if (each > sender->slowest_ticks)
			sender->slowest_ticks = each;
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
	if (sends_datagrams(sender))
		datagrams_end(sender);
	else
		shutdown(sender->fd, SHUT_WR);
	span_end(&sender->span, sender->use_tsc);
	return result ? result : drained;
}
