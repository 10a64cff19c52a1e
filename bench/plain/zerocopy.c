/* Bare loops with MSG_ZEROCOPY: a message of the pool is sent again when its last send has been notified. */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/time.h>

#include <linux/errqueue.h>

#include "plain.h"

static long notified;

void ask_for_zerocopy(int fd)
{
	int on = 1;

	if (setsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof(on)))
		err(1, "SO_ZEROCOPY");
}

/* One message of the error queue; false where there is none. */
static bool read_notification(int fd)
{
	char control[CMSG_SPACE(sizeof(struct sock_extended_err) + sizeof(struct sockaddr_in))];
	struct msghdr message = {.msg_control = control, .msg_controllen = sizeof(control)};
	struct sock_extended_err notice;

	if (recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) {
		if (errno != EAGAIN)
			err(1, "error queue");
		return false;
	}
	memcpy(&notice, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(notice));
	notified += notice.ee_data - notice.ee_info + 1;
	return true;
}

static bool read_notifications(int fd)
{
	bool any = false;

	while (read_notification(fd))
		any = true;
	return any;
}

/* What Nagle's algorithm holds back is not notified before the peer's delayed acknowledgement. */
void push_held_segment(int fd)
{
	int on = 1, off = 0;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &off, sizeof(off));
}

void wait_for_notifications(int fd, long least, bool push)
{
	struct pollfd socket = {.fd = fd};

	while (notified < least) {
		if (read_notifications(fd))
			continue;
		if (push)
			push_held_segment(fd);
		poll(&socket, 1, -1);
		read_notifications(fd);
	}
}

void send_pinned(int fd, const struct msghdr *header, size_t bytes, bool push)
{
	ssize_t sent;

	while ((sent = sendmsg(fd, header, MSG_ZEROCOPY)) < 0 && errno == ENOBUFS)
		wait_for_notifications(fd, notified + 1, push);
	must(sent, bytes, "sendmsg(MSG_ZEROCOPY)");
}

static void send_pool(const struct work *work, int fd, struct message *pool)
{
	begin();
	for (long i = 0; i < work->messages; i++) {
		struct msghdr header = {.msg_iov = pool[i % work->pool].fields, .msg_iovlen = FIELDS};

		wait_for_notifications(fd, i + 1 - work->pool, true);
		send_pinned(fd, &header, work->bytes, true);
	}
	wait_for_notifications(fd, work->messages, true);
}

void zerocopy(const struct work *work, const struct end *end)
{
	ask_for_zerocopy(end->fd);
	send_pool(work, end->fd, make_pool(work, NULL));
}

void zerocopy_hugepages(const struct work *work, const struct end *end)
{
	ask_for_zerocopy(end->fd);
	send_pool(work, end->fd, make_pool(work, map((size_t)work->pool * work->bytes, true)));
}

void zerocopy_more(const struct work *work, const struct end *end)
{
	struct message *pool = make_pool(work, NULL);

	ask_for_zerocopy(end->fd);
	begin();
	for (long i = 0; i < work->messages; i++) {
		struct iovec *fields = pool[i % work->pool].fields;
		struct msghdr first = {.msg_iov = fields, .msg_iovlen = 1};
		struct msghdr others = {.msg_iov = fields + 1, .msg_iovlen = FIELDS - 1};

		wait_for_notifications(end->fd, i + 1 - work->pool, true);
		must(sendmsg(end->fd, &first, MSG_MORE), fields->iov_len, "sendmsg(MSG_MORE)");
		send_pinned(end->fd, &others, work->bytes - fields->iov_len, true);
	}
	wait_for_notifications(end->fd, work->messages, true);
}

static bool is_writable(int fd)
{
	struct pollfd socket = {.fd = fd, .events = POLLOUT};

	return poll(&socket, 1, -1) > 0 && socket.revents & POLLOUT;
}

/* The loop of tools/testing/selftests/net/msg_zerocopy.c, written anew: one buffer, which is sent over and over whoever
 * still refers to it; after each call a poll() and a look at the clock; notifications are read when the socket is full. */
void selftest(const struct work *work, const struct end *end)
{
	struct iovec payload = {map(work->bytes, false), work->bytes};
	struct msghdr header = {.msg_iov = &payload, .msg_iovlen = 1};
	int buffer_bytes = 1 << 21;
	struct timeval now;
	long sends = 0;

	memset(payload.iov_base, 'a', work->bytes);
	setsockopt(end->fd, SOL_SOCKET, SO_SNDBUF, &buffer_bytes, sizeof(buffer_bytes));
	ask_for_zerocopy(end->fd);
	begin();
	for (size_t total = 0; total < work->bytes * (size_t)work->messages; gettimeofday(&now, NULL)) {
		ssize_t sent = sendmsg(end->fd, &header, MSG_DONTWAIT | MSG_ZEROCOPY);

		if (sent < 0 && errno != EAGAIN && errno != ENOBUFS)
			err(1, "sendmsg");
		if (sent > 0) {
			total += (size_t)sent;
			sends++;
		}
		if (sent < 0 && errno == ENOBUFS)
			read_notifications(end->fd);
		while (!is_writable(end->fd))
			read_notifications(end->fd);
	}
	wait_for_notifications(end->fd, sends, false);
}
