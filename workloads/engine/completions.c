/* MSG_ZEROCOPY completions: what the error queue says about which sends. */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/errqueue.h>
#include <linux/sock_diag.h>

#include "internal.h"

/* Where nobody of ours has anything outstanding, the limit can't take even one send. */
#define REFUSED_FOR_GOOD_NS (2 * INT64_C(1000000000))
/* Stopped: completions that need a peer who reads may never come. */
#define STOPPED_DEADLINE_NS (INT64_C(100000000))

int engine_tracker_open(struct engine_tracker *tracker, uint32_t first_id, uint32_t capacity, uint32_t buffers)
{
	*tracker = (struct engine_tracker){.oldest = first_id, .next = first_id, .capacity = capacity};
	if (!capacity || capacity & (capacity - 1) || !buffers || buffers > UINT16_MAX)
		return -EINVAL;
	tracker->owners = calloc(capacity, sizeof(*tracker->owners));
	tracker->notified = calloc(capacity, sizeof(*tracker->notified));
	tracker->pending = calloc(buffers, sizeof(*tracker->pending));
	if (tracker->owners && tracker->notified && tracker->pending)
		return 0;
	engine_tracker_close(tracker);
	return -ENOMEM;
}

void engine_tracker_close(struct engine_tracker *tracker)
{
	free(tracker->owners);
	free(tracker->notified);
	free(tracker->pending);
	tracker->owners = NULL;
	tracker->notified = NULL;
	tracker->pending = NULL;
}

int engine_tracker_sent(struct engine_tracker *tracker, uint32_t buffer)
{
	uint32_t slot = tracker->next & (tracker->capacity - 1);

	if (tracker->next - tracker->oldest == tracker->capacity)
		return -ENOSPC;
	tracker->owners[slot] = (uint16_t)buffer;
	tracker->notified[slot] = 0;
	tracker->pending[buffer]++;
	tracker->outstanding++;
	tracker->next++;
	return 0;
}

static int range_error(const struct engine_tracker *tracker, uint32_t low, uint32_t high)
{
	uint32_t window = tracker->next - tracker->oldest;

	/* Serial-number arithmetic (RFC 1982): what is not ahead of the oldest lies behind it. */
	if ((int32_t)(low - tracker->oldest) < 0)
		return ENGINE_DUPLICATE;
	if ((int32_t)(high - low) < 0 || low - tracker->oldest >= window || high - tracker->oldest >= window)
		return ENGINE_UNKNOWN_ID;
	for (uint32_t id = low; id != high + 1; id++)
		if (tracker->notified[id & (tracker->capacity - 1)])
			return ENGINE_DUPLICATE;
	return 0;
}

int engine_tracker_notified(struct engine_tracker *tracker, uint32_t low, uint32_t high)
{
	uint32_t mask = tracker->capacity - 1;
	int error = range_error(tracker, low, high);

	if (error)
		return error;
	for (uint32_t id = low; id != high + 1; id++) {
		tracker->notified[id & mask] = 1;
		tracker->pending[tracker->owners[id & mask]]--;
	}
	tracker->outstanding -= high - low + 1;
	while (tracker->oldest != tracker->next && tracker->notified[tracker->oldest & mask])
		tracker->oldest++;
	return 0;
}

static int note_completion(struct engine_sender *sender, struct msghdr *message)
{
	struct cmsghdr *control = CMSG_FIRSTHDR(message);
	struct sock_extended_err notice;
	int error;

	if (message->msg_flags & MSG_CTRUNC)
		return ENGINE_TRUNCATED;
	if (!control || !((control->cmsg_level == SOL_IP && control->cmsg_type == IP_RECVERR) ||
			  (control->cmsg_level == SOL_IPV6 && control->cmsg_type == IPV6_RECVERR)))
		return ENGINE_FOREIGN;
	memcpy(&notice, CMSG_DATA(control), sizeof(notice));
	if (notice.ee_origin != SO_EE_ORIGIN_ZEROCOPY || notice.ee_errno != 0)
		return ENGINE_FOREIGN;
	error = engine_tracker_notified(&sender->tracker, notice.ee_info, notice.ee_data);
	if (error)
		return error;
	sender->ranges++;
	sender->completions += notice.ee_data - notice.ee_info + 1;
	if (notice.ee_code & SO_EE_CODE_ZEROCOPY_COPIED)
		sender->copied += notice.ee_data - notice.ee_info + 1;
	return 0;
}

static int reap_queue(struct engine_sender *sender)
{
	for (int ranges = 0;; ranges++) {
		char control[CMSG_SPACE(sizeof(struct sock_extended_err) + sizeof(struct sockaddr_in6))];
		struct msghdr message = {.msg_control = control, .msg_controllen = sizeof(control)};
		int error;

		while (recvmsg(sender->fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) {
			if (errno == EAGAIN)
				return ranges;
			if (errno != EINTR)
				return -errno;
		}
		error = note_completion(sender, &message);
		if (error)
			return error;
	}
}

/* Empties the queue that notifies; how many ranges it held, or an error. */
int completions_reap(struct engine_sender *sender)
{
	return sender->ring ? ring_reap(sender) : reap_queue(sender);
}

/* A send that Nagle's algorithm holds back until the peer's delayed acknowledgement is never completed meanwhile. */
static void push_held_segment(int fd)
{
	int on = 1, off = 0;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &off, sizeof(off));
}

/* Waits until the queue that notifies holds something, and empties it; how many ranges it held (0: timeout), or an error. */
int completions_wait(struct engine_sender *sender, int timeout_ms)
{
	struct pollfd socket = {.fd = sender->fd};
	int ranges = completions_reap(sender);
	int error = 0;
	socklen_t size = sizeof(error);

	if (ranges)
		return ranges;
	if (!sender->nodelay)
		push_held_segment(sender->fd);
	if (sender->ring)
		return ring_wait(sender, timeout_ms);
	if (poll(&socket, 1, timeout_ms) <= 0)
		return 0;
	ranges = completions_reap(sender);
	if (ranges)
		return ranges;
	/* Woken by something else: without this, a broken connection would make it spin. */
	getsockopt(sender->fd, SOL_SOCKET, SO_ERROR, &error, &size);
	if (error)
		return -error;
	return socket.revents & POLLHUP ? -EPIPE : 0;
}

/* Waits for the completion of all sends, unless they are given up. */
int completions_drain(struct engine_sender *sender)
{
	int64_t progress_ns = monotonic_ns();

	while (sender->tracker.outstanding) {
		int ranges;

		if (sender->stop == ENGINE_STOP_NOW && monotonic_ns() - progress_ns > STOPPED_DEADLINE_NS)
			break;
		ranges = completions_wait(sender, TICK_MS);
		if (ranges < 0)
			return ranges;
		if (ranges)
			progress_ns = monotonic_ns();
	}
	return 0;
}

static void record_refusal(struct engine_sender *sender)
{
	uint32_t memory[SK_MEMINFO_VARS] = {0};
	socklen_t size = sizeof(memory);

	/* SO_MEMINFO, Linux 4.12: the very number that sock_omalloc() compares with optmem_max. */
	if (!getsockopt(sender->fd, SOL_SOCKET, SO_MEMINFO, memory, &size))
		sender->refused_optmem_bytes = memory[SK_MEMINFO_OPTMEM];
}

bool refused_for_good(int64_t *since_ns)
{
	if (!*since_ns)
		*since_ns = monotonic_ns();
	poll(NULL, 0, 1);
	return monotonic_ns() - *since_ns > REFUSED_FOR_GOOD_NS;
}

/* However long a slow receiver keeps it waiting, a thread beside this one will let go of its pages. */
static bool is_held_beside(const struct engine_sender *sender)
{
	for (const struct engine_sender *other = sender->beside; other && other != sender; other = other->beside)
		if (__atomic_load_n(&other->tracker.outstanding, __ATOMIC_RELAXED))
			return true;
	return false;
}

/* After ENOBUFS, or ENOMEM of io_uring: 0 where the send is to be repeated. */
int completions_relieve(struct engine_sender *sender, int64_t *refused_since_ns)
{
	int ranges;

	if (sender->ring)
		sender->enomem++;
	else if (!sender->enobufs++)
		record_refusal(sender);
	if (sender->tracker.outstanding) {
		*refused_since_ns = 0;
		ranges = completions_wait(sender, TICK_MS);
		return ranges < 0 ? ranges : 0;
	}
	if (is_held_beside(sender))
		*refused_since_ns = 0;
	return refused_for_good(refused_since_ns) ? ENGINE_LIMIT : 0;
}
