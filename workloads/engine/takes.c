/* The ways to take what has come, a function each. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/tcp.h>

#include "internal.h"

/* What TCP_ZEROCOPY_RECEIVE copies beside what it maps: less than a page, or it would copy a page that came alone. */
enum { LEFTOVER = 4095 };

static ssize_t receive(struct engine_receiver *receiver, uint64_t bytes, int flags)
{
	ssize_t count = recv(receiver->fd, receiver->buffer, bytes, flags);

	return count < 0 ? -errno : count;
}

static ssize_t by_recv(struct engine_receiver *receiver)
{
	ssize_t count = receive(receiver, receiver->buffer_bytes, 0);

	if (count > 0)
		taken(receiver, receiver->buffer, (uint64_t)count);
	return count;
}

static ssize_t by_peek(struct engine_receiver *receiver)
{
	ssize_t count = receive(receiver, receiver->buffer_bytes, MSG_PEEK);

	if (count <= 0)
		return count;
	receiver->peeked_bytes += (uint64_t)count;
	count = receive(receiver, (uint64_t)count, 0);
	if (count > 0)
		taken(receiver, receiver->buffer, (uint64_t)count);
	return count;
}

static ssize_t by_discard(struct engine_receiver *receiver)
{
	ssize_t count = receive(receiver, receiver->buffer_bytes, MSG_TRUNC);

	if (count > 0)
		taken(receiver, NULL, (uint64_t)count);
	return count;
}

static ssize_t out_of_pipe(struct engine_receiver *receiver, uint64_t bytes)
{
	if (receiver->verify)
		return read(receiver->pipe_fds[0], receiver->buffer, bytes);
	return splice(receiver->pipe_fds[0], NULL, receiver->null_fd, NULL, bytes, 0);
}

static ssize_t by_splice(struct engine_receiver *receiver)
{
	ssize_t filled = splice(receiver->fd, NULL, receiver->pipe_fds[1], NULL, receiver->buffer_bytes, 0);

	if (filled <= 0)
		return filled ? -errno : 0;
	for (ssize_t left = filled; left;) {
		ssize_t count = out_of_pipe(receiver, (uint64_t)left);

		if (count > 0) {
			taken(receiver, receiver->verify ? receiver->buffer : NULL, (uint64_t)count);
			left -= count;
		} else if (count == 0 || errno != EINTR) {
			return count ? -errno : -EIO;
		}
	}
	return filled;
}

/* What cannot be mapped, and the end, is for recv(). */
static ssize_t receive_hinted(struct engine_receiver *receiver, uint64_t hint)
{
	uint64_t most = hint && hint < receiver->buffer_bytes ? hint : receiver->buffer_bytes;
	ssize_t count = receive(receiver, most, 0);

	if (count > 0) {
		receiver->hinted_bytes += (uint64_t)count;
		taken(receiver, receiver->buffer, (uint64_t)count);
	}
	return count;
}

/* 0 or -errno: it does not wait, and at the end, where recv() returns 0, it fails. */
static int zerocopy_receive(struct engine_receiver *receiver, struct tcp_zerocopy_receive *done)
{
	struct pollfd readable = {.fd = receiver->fd, .events = POLLIN};
	socklen_t size = sizeof(*done);

	*done = (struct tcp_zerocopy_receive){
		.address = (uintptr_t)receiver->window,
		.length = (uint32_t)receiver->buffer_bytes,
		.copybuf_address = (uintptr_t)receiver->buffer,
		.copybuf_len = LEFTOVER,
	};
	if (poll(&readable, 1, -1) < 0)
		return -errno;
	if (!getsockopt(receiver->fd, IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, done, &size))
		return 0;
	*done = (struct tcp_zerocopy_receive){0};
	return errno == EIO ? 0 : -errno;
}

static ssize_t by_map(struct engine_receiver *receiver)
{
	struct tcp_zerocopy_receive done;
	int error = zerocopy_receive(receiver, &done);
	ssize_t hinted = 0;
	uint64_t copied = done.copybuf_len > 0 ? (uint64_t)done.copybuf_len : 0;

	if (error)
		return error;
	if (done.length)
		taken(receiver, receiver->window, done.length);
	if (copied)
		taken(receiver, receiver->buffer, copied);
	receiver->mapped_bytes += done.length;
	receiver->leftover_bytes += copied;
	receiver->mapped_reads += done.length > 0;
	if (done.recv_skip_hint || done.length + copied == 0)
		hinted = receive_hinted(receiver, done.recv_skip_hint);
	receiver->copied_reads += copied || hinted > 0;
	return hinted < 0 ? hinted : (ssize_t)(done.length + copied) + hinted;
}

take_some *taking(const struct engine_receiver *receiver)
{
	static take_some *const ways[] = {
		[ENGINE_TAKE_RECV] = by_recv,
		[ENGINE_TAKE_PEEK] = by_peek,
		[ENGINE_TAKE_DISCARD] = by_discard,
		[ENGINE_TAKE_SPLICE] = by_splice,
		[ENGINE_TAKE_MAP] = by_map,
		[ENGINE_TAKE_URING] = by_multishot,
	};

	return receiver->take >= 0 && (size_t)receiver->take < sizeof(ways) / sizeof(ways[0]) ? ways[receiver->take] : NULL;
}
