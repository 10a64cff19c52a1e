/* The calls that hand bytes over. */
#define _GNU_SOURCE
#include <errno.h>

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

hand_over *way_of(const struct engine_sender *sender)
{
	switch (sender->call) {
	case ENGINE_SEND:
		return by_send;
	case ENGINE_SENDMSG:
		return by_sendmsg;
	default:
		return NULL;
	}
}
