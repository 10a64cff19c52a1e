/* io_uring's ways to send: one request at a time, as a program that comes from send() would begin. */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "internal.h"
#include "ring.h"

#ifndef IORING_SEND_ZC_REPORT_USAGE
#define IORING_SEND_ZC_REPORT_USAGE (1U << 3)	/* linux/io_uring.h, 6.2 */
#define IORING_NOTIF_USAGE_ZC_COPIED (1U << 31)
#endif

/* Notifications of all sends that are mostly in flight. More would do no harm: the kernel keeps what has no room. */
enum { CQ_ENTRIES = 512 };

/* The result of the request that is being done. */
struct result {
	uint32_t buffer;
	bool known;
	bool owed;		/* it failed, and its notification, which tells nothing, is still to come */
	int value;
};

static uint8_t opcode_of(const struct engine_sender *sender)
{
	if (!sender->zerocopy)
		return IORING_OP_SENDMSG;
	return sender->buffers == ENGINE_REGISTERED ? IORING_OP_SEND_ZC : IORING_OP_SENDMSG_ZC;
}

int ring_open(struct engine_sender *sender)
{
	int error;

	sender->step = "ring";
	error = ring_make(&sender->ring, CQ_ENTRIES, opcode_of(sender));
	if (sender->ring)
		sender->ring_fd = sender->ring->fd;
	return error;
}

int ring_register(struct engine_sender *sender, void *start, size_t bytes)
{
	struct iovec all = {start, bytes};
	int64_t refused_since_ns = 0;

	sender->step = "register";
	while (syscall(SYS_io_uring_register, sender->ring->fd, IORING_REGISTER_BUFFERS, &all, 1)) {
		int error = errno;

		if (error != ENOMEM || refused_for_good(&refused_since_ns))
			return -error;
	}
	return 0;
}

void ring_close(struct engine_sender *sender)
{
	ring_free(&sender->ring);
	sender->ring_fd = -1;
}

static int note_notification(struct engine_sender *sender, const struct io_uring_cqe *entry)
{
	int error = engine_tracker_notified(&sender->tracker, (uint32_t)entry->user_data, (uint32_t)entry->user_data);

	if (error)
		return error;
	sender->ranges++;
	sender->completions++;
	if ((uint32_t)entry->res & IORING_NOTIF_USAGE_ZC_COPIED)
		sender->copied++;
	return 0;
}

/* Its id is taken here, because its notification may be the very next entry. */
static void note_result(struct engine_sender *sender, const struct io_uring_cqe *entry, struct result *result)
{
	bool more = entry->flags & IORING_CQE_F_MORE;

	if (!result)
		return;
	result->known = true;
	result->value = entry->res;
	result->owed = more && entry->res <= 0;
	if (more && entry->res > 0)
		engine_tracker_sent(&sender->tracker, result->buffer);
}

/* Empties the queue; how many notifications it held, or an error. Without a request, results are not to come. */
static int take(struct engine_sender *sender, struct result *result)
{
	struct engine_ring *ring = sender->ring;
	unsigned int head = *ring->cq_head;
	int notified = 0, error = 0;

	for (; !error && head != __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE); head++) {
		const struct io_uring_cqe *entry = &ring->cqes[head & ring->cq_mask];

		if (!(entry->flags & IORING_CQE_F_NOTIF)) {
			note_result(sender, entry, result);
		} else if (result && result->owed && (uint32_t)entry->user_data == sender->tracker.next) {
			result->owed = false;
		} else {
			error = note_notification(sender, entry);
			notified++;
		}
	}
	__atomic_store_n(ring->cq_head, head, __ATOMIC_RELEASE);
	return error ? error : notified;
}

int ring_reap(struct engine_sender *sender)
{
	return take(sender, NULL);
}

int ring_wait(struct engine_sender *sender, int timeout_ms)
{
	int error = ring_enter(sender->ring, 0, 1, timeout_ms);

	return error < 0 && error != -ETIME && error != -EINTR ? error : take(sender, NULL);
}

static void put_request(struct engine_sender *sender, const struct rest *rest)
{
	struct io_uring_sqe *request = ring_next(sender->ring);

	request->opcode = opcode_of(sender);
	request->fd = sender->fd;
	request->msg_flags = MSG_NOSIGNAL;
	request->user_data = sender->tracker.next;
	request->addr = (uintptr_t)&rest->header;
	request->len = 1;
	if (sender->zerocopy)
		request->ioprio = IORING_SEND_ZC_REPORT_USAGE;
	if (sender->buffers == ENGINE_REGISTERED) {
		request->addr = (uintptr_t)rest->header.msg_iov->iov_base;
		request->len = (uint32_t)rest->left;
		request->ioprio |= IORING_RECVSEND_FIXED_BUF;
	}
	ring_put(sender->ring);
}

/* Without MSG_WAITALL: what a full socket does not take is another request, as it is another call of send(). */
ssize_t by_uring(struct engine_sender *sender, const struct rest *rest)
{
	struct result result = {.buffer = rest->buffer};
	unsigned int submit = 1;

	put_request(sender, rest);
	while (!result.known || result.owed) {
		int done = ring_enter(sender->ring, submit, 1, -1);

		if (done < 0 && done != -EINTR && done != -EAGAIN && done != -EBUSY)
			return done;
		if (done > 0)
			submit = 0;
		done = take(sender, &result);
		if (done < 0)
			return done;
	}
	return result.value ? result.value : -EIO;
}
