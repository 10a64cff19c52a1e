/* io_uring: one request at a time, as a program that comes from send() would begin.
 *
 * By its system calls, without liburing: of that, this needs so little that it is not worth a package more on every
 * machine that sends, and a library less that keeps the engine from being loaded at all.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/io_uring.h>
#include <linux/time_types.h>

#include "internal.h"

#ifndef IORING_SEND_ZC_REPORT_USAGE
#define IORING_SEND_ZC_REPORT_USAGE (1U << 3)	/* linux/io_uring.h, 6.2 */
#define IORING_NOTIF_USAGE_ZC_COPIED (1U << 31)
#endif

/* Notifications of all sends that are mostly in flight. More would do no harm: the kernel keeps what has no room. It
 * charges the ring to RLIMIT_MEMLOCK (seen on 6.18), so it is a small one. */
enum { SQ_ENTRIES = 2, CQ_ENTRIES = 512 };

struct engine_ring {
	int fd;
	void *rings;		/* both, in one mapping */
	size_t rings_bytes;
	struct io_uring_sqe *sqes;
	size_t sqes_bytes;
	unsigned int *sq_tail, *sq_array, sq_mask;
	unsigned int *cq_head, *cq_tail, cq_mask;
	struct io_uring_cqe *cqes;
};

/* The result of the request that is being done. */
struct result {
	uint32_t buffer;
	bool known;
	bool owed;		/* it failed, and its notification, which tells nothing, is still to come */
	int value;
};

static int enter(const struct engine_ring *ring, unsigned int submit, unsigned int wait_for, int timeout_ms)
{
	struct __kernel_timespec timeout = {timeout_ms / 1000, timeout_ms % 1000 * INT64_C(1000000)};
	struct io_uring_getevents_arg argument = {.ts = (uintptr_t)&timeout};
	unsigned int flags = IORING_ENTER_GETEVENTS | (timeout_ms < 0 ? 0 : IORING_ENTER_EXT_ARG);
	long done = syscall(SYS_io_uring_enter, ring->fd, submit, wait_for, flags, timeout_ms < 0 ? NULL : &argument,
			    timeout_ms < 0 ? 0 : sizeof(argument));

	return done < 0 ? -errno : (int)done;
}

static int map_rings(struct engine_ring *ring, const struct io_uring_params *params)
{
	uint8_t *base;

	ring->rings_bytes = params->cq_off.cqes + params->cq_entries * sizeof(struct io_uring_cqe);
	ring->sqes_bytes = params->sq_entries * sizeof(struct io_uring_sqe);
	ring->rings = mmap(NULL, ring->rings_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, IORING_OFF_SQ_RING);
	ring->sqes = mmap(NULL, ring->sqes_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, IORING_OFF_SQES);
	if (ring->rings == MAP_FAILED || ring->sqes == MAP_FAILED)
		return -errno;
	base = ring->rings;
	ring->sq_tail = (unsigned int *)(base + params->sq_off.tail);
	ring->sq_array = (unsigned int *)(base + params->sq_off.array);
	ring->sq_mask = *(unsigned int *)(base + params->sq_off.ring_mask);
	ring->cq_head = (unsigned int *)(base + params->cq_off.head);
	ring->cq_tail = (unsigned int *)(base + params->cq_off.tail);
	ring->cq_mask = *(unsigned int *)(base + params->cq_off.ring_mask);
	ring->cqes = (struct io_uring_cqe *)(base + params->cq_off.cqes);
	return 0;
}

static uint8_t opcode_of(const struct engine_sender *sender)
{
	if (!sender->zerocopy)
		return IORING_OP_SENDMSG;
	return sender->buffers == ENGINE_REGISTERED ? IORING_OP_SEND_ZC : IORING_OP_SENDMSG_ZC;
}

/* Whether this kernel knows the request. */
static int probe(const struct engine_sender *sender)
{
	enum { OPCODES = 256 };
	uint8_t opcode = opcode_of(sender);
	struct io_uring_probe *found = calloc(1, sizeof(*found) + OPCODES * sizeof(found->ops[0]));
	int error = 0;

	if (!found)
		return -ENOMEM;
	if (syscall(SYS_io_uring_register, sender->ring->fd, IORING_REGISTER_PROBE, found, OPCODES))
		error = -errno;
	else if (opcode > found->last_op || !(found->ops[opcode].flags & IO_URING_OP_SUPPORTED))
		error = -EOPNOTSUPP;
	free(found);
	return error;
}

int ring_open(struct engine_sender *sender)
{
	struct io_uring_params params = {.flags = IORING_SETUP_CQSIZE, .cq_entries = CQ_ENTRIES};
	struct engine_ring *ring = calloc(1, sizeof(*ring));
	int error;

	sender->step = "ring";
	sender->ring = ring;
	if (!ring)
		return -ENOMEM;
	sender->ring_fd = ring->fd = (int)syscall(SYS_io_uring_setup, SQ_ENTRIES, &params);
	if (ring->fd < 0)
		return -errno;
	if (!(params.features & IORING_FEAT_SINGLE_MMAP) || !(params.features & IORING_FEAT_EXT_ARG))
		return -EOPNOTSUPP;
	error = map_rings(ring, &params);
	return error ? error : probe(sender);
}

int ring_register(struct engine_sender *sender, void *start, size_t bytes)
{
	struct iovec all = {start, bytes};

	sender->step = "register";
	return syscall(SYS_io_uring_register, sender->ring->fd, IORING_REGISTER_BUFFERS, &all, 1) ? -errno : 0;
}

/* The kernel lets go of what is registered, and cancels what is still to be done, when the last descriptor is gone. */
void ring_close(struct engine_sender *sender)
{
	struct engine_ring *ring = sender->ring;

	if (!ring)
		return;
	if (ring->rings && ring->rings != MAP_FAILED)
		munmap(ring->rings, ring->rings_bytes);
	if (ring->sqes && ring->sqes != MAP_FAILED)
		munmap(ring->sqes, ring->sqes_bytes);
	if (ring->fd >= 0)
		close(ring->fd);
	free(ring);
	sender->ring = NULL;
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
	int error = enter(sender->ring, 0, 1, timeout_ms);

	return error < 0 && error != -ETIME && error != -EINTR ? error : take(sender, NULL);
}

static void put_request(struct engine_sender *sender, const struct rest *rest)
{
	struct engine_ring *ring = sender->ring;
	unsigned int tail = *ring->sq_tail;
	struct io_uring_sqe *request = &ring->sqes[tail & ring->sq_mask];

	memset(request, 0, sizeof(*request));
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
	ring->sq_array[tail & ring->sq_mask] = tail & ring->sq_mask;
	__atomic_store_n(ring->sq_tail, tail + 1, __ATOMIC_RELEASE);
}

/* Without MSG_WAITALL: what a full socket does not take is another request, as it is another call of send(). */
ssize_t by_uring(struct engine_sender *sender, const struct rest *rest)
{
	struct result result = {.buffer = rest->buffer};
	unsigned int submit = 1;

	put_request(sender, rest);
	while (!result.known || result.owed) {
		int done = enter(sender->ring, submit, 1, -1);

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
