/* The calls that hand bytes over, a function each. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "internal.h"

static ssize_t or_errno(ssize_t result)
{
	return result < 0 ? -errno : result;
}

static ssize_t by_send(struct engine_sender *sender, const struct rest *rest)
{
	const struct iovec *bytes = rest->header.msg_iov;

	return or_errno(send(sender->fd, bytes->iov_base, bytes->iov_len, MSG_NOSIGNAL | rest->flags));
}

static ssize_t by_sendmsg(struct engine_sender *sender, const struct rest *rest)
{
	return or_errno(sendmsg(sender->fd, &rest->header, MSG_NOSIGNAL | rest->flags));
}

/* These know no MSG_NOSIGNAL: whoever runs the engine ignores SIGPIPE, as Python does. */

static ssize_t by_write(struct engine_sender *sender, const struct rest *rest)
{
	const struct iovec *bytes = rest->header.msg_iov;

	return or_errno(write(sender->fd, bytes->iov_base, bytes->iov_len));
}

static ssize_t by_writev(struct engine_sender *sender, const struct rest *rest)
{
	return or_errno(writev(sender->fd, rest->header.msg_iov, (int)rest->header.msg_iovlen));
}

static ssize_t sum_of(const struct mmsghdr *messages, int count)
{
	ssize_t sum = 0;

	for (int i = 0; i < count; i++)
		sum += messages[i].msg_len;
	return sum;
}

/* The kernel ends with a message that it could not take whole (__sys_sendmmsg(), net/socket.c). */
static ssize_t by_sendmmsg(struct engine_sender *sender, const struct rest *rest)
{
	struct engine_pool *pool = sender->pool;
	uint32_t count = (uint32_t)((rest->left + sender->message_bytes - 1) / sender->message_bytes);
	uint32_t begin = (uint32_t)(rest->messages - count);
	struct message *first = &pool->messages[begin];
	struct mmsghdr *batch = &pool->batch[begin];
	struct msghdr whole = batch->msg_hdr;
	int sent;

	memcpy(pool->rest, first->fields, first->count * sizeof(*first->fields));
	batch->msg_hdr.msg_iov = pool->rest;
	advance(&batch->msg_hdr, count * sender->message_bytes - rest->left);
	sent = sendmmsg(sender->fd, batch, count, MSG_NOSIGNAL | rest->flags);
	batch->msg_hdr = whole;
	if (sent < 0)
		return -errno;
	sender->sends += (uint64_t)sent - 1;
	return sum_of(batch, sent);
}

static ssize_t by_sendfile(struct engine_sender *sender, const struct rest *rest)
{
	off_t offset = (off_t)(sender->message_bytes - rest->left);
	ssize_t sent = sendfile(sender->fd, sender->file_fd, &offset, rest->left);

	return sent ? or_errno(sent) : -EIO;
}

static ssize_t out_of_pipe(struct engine_sender *sender, const struct rest *rest)
{
	unsigned int flags = sender->piped < rest->left ? SPLICE_F_MORE : 0;
	ssize_t sent = splice(sender->pipe_fds[0], NULL, sender->fd, NULL, sender->piped, flags);

	if (sent > 0)
		sender->piped -= (uint64_t)sent;
	return sent ? or_errno(sent) : -EIO;
}

static ssize_t by_splice(struct engine_sender *sender, const struct rest *rest)
{
	if (!sender->piped) {
		off_t offset = (off_t)(sender->message_bytes - rest->left);
		ssize_t filled = splice(sender->file_fd, &offset, sender->pipe_fds[1], NULL, rest->left, 0);

		if (filled <= 0)
			return filled ? -errno : -EIO;
		sender->piped = (uint64_t)filled;
	}
	return out_of_pipe(sender, rest);
}

static ssize_t by_vmsplice(struct engine_sender *sender, const struct rest *rest)
{
	if (!sender->piped) {
		ssize_t filled = vmsplice(sender->pipe_fds[1], rest->header.msg_iov, rest->header.msg_iovlen, 0);

		if (filled < 0)
			return -errno;
		sender->piped = (uint64_t)filled;
	}
	return out_of_pipe(sender, rest);
}

hand_over *way_of(const struct engine_sender *sender)
{
	static hand_over *const ways[] = {
		[ENGINE_SEND] = by_send,
		[ENGINE_WRITE] = by_write,
		[ENGINE_SENDMSG] = by_sendmsg,
		[ENGINE_WRITEV] = by_writev,
		[ENGINE_SENDMMSG] = by_sendmmsg,
		[ENGINE_SENDFILE] = by_sendfile,
		[ENGINE_SPLICE] = by_splice,
		[ENGINE_VMSPLICE] = by_vmsplice,
		[ENGINE_URING] = by_uring,
	};

	return sender->call >= 0 && (size_t)sender->call < sizeof(ways) / sizeof(ways[0]) ? ways[sender->call] : NULL;
}
