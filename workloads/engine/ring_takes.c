/* io_uring's way to receive: one request that stays, and buffers that it takes from a ring of them. */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "internal.h"
#include "ring.h"

/* A power of two; few, because what was just written is in the cache (see RECEIVE_BUFFER_BYTES). */
enum { BUFFERS = 4, GROUP = 1, CQ_ENTRIES = 16 };

uint64_t provided_bytes(const struct engine_receiver *receiver)
{
	return BUFFERS * receiver->buffer_bytes;
}

static void provide(struct engine_receiver *receiver, uint16_t number)
{
	struct io_uring_buf_ring *provided = receiver->provided;
	struct io_uring_buf *slot = &provided->bufs[provided->tail & (BUFFERS - 1)];

	slot->addr = (uintptr_t)(receiver->buffer + number * receiver->buffer_bytes);
	slot->len = (uint32_t)receiver->buffer_bytes;
	slot->bid = number;
	__atomic_store_n(&provided->tail, (uint16_t)(provided->tail + 1), __ATOMIC_RELEASE);
}

static int provide_all(struct engine_receiver *receiver)
{
	struct io_uring_buf_reg all = {.ring_entries = BUFFERS, .bgid = GROUP};
	void *page = mmap(NULL, BUFFERS * sizeof(struct io_uring_buf), PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	receiver->step = "provide";
	if (page == MAP_FAILED)
		return -errno;
	receiver->provided = page;
	all.ring_addr = (uintptr_t)page;
	if (syscall(SYS_io_uring_register, receiver->ring->fd, IORING_REGISTER_PBUF_RING, &all, 1))
		return -errno;
	for (uint16_t number = 0; number < BUFFERS; number++)
		provide(receiver, number);
	return 0;
}

int ring_takes_open(struct engine_receiver *receiver)
{
	int error;

	receiver->step = "ring";
	error = ring_make(&receiver->ring, CQ_ENTRIES, IORING_OP_RECV);
	if (receiver->ring)
		receiver->ring_fd = receiver->ring->fd;
	return error ? error : provide_all(receiver);
}

void ring_takes_close(struct engine_receiver *receiver)
{
	ring_free(&receiver->ring);
	receiver->ring_fd = -1;
	if (receiver->provided)
		munmap(receiver->provided, BUFFERS * sizeof(struct io_uring_buf));
	receiver->provided = NULL;
}

static void arm(struct engine_receiver *receiver)
{
	struct io_uring_sqe *request = ring_next(receiver->ring);

	request->opcode = IORING_OP_RECV;
	request->fd = receiver->fd;
	request->ioprio = IORING_RECV_MULTISHOT;
	request->flags = IOSQE_BUFFER_SELECT;
	request->buf_group = GROUP;
	ring_put(receiver->ring);
}

/* Until there is a result; 0, or -errno. A request that ended is made again, as long as bytes come. */
static int wait_for_result(struct engine_receiver *receiver)
{
	struct engine_ring *ring = receiver->ring;
	unsigned int submit = !receiver->armed;

	if (*ring->cq_head != __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE))
		return 0;
	if (submit)
		arm(receiver);
	receiver->armed = 1;
	for (;;) {
		int done = ring_enter(ring, submit, 1, -1);

		if (done < 0 && done != -EINTR && done != -EAGAIN && done != -EBUSY)
			return done;
		if (done > 0)
			submit = 0;
		if (*ring->cq_head != __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE))
			return 0;
	}
}

ssize_t by_multishot(struct engine_receiver *receiver)
{
	struct engine_ring *ring = receiver->ring;
	const struct io_uring_cqe *entry;
	int error = wait_for_result(receiver), result;
	unsigned int head = *ring->cq_head, flags;

	if (error)
		return error;
	entry = &ring->cqes[head & ring->cq_mask];
	result = entry->res;
	flags = entry->flags;
	__atomic_store_n(ring->cq_head, head + 1, __ATOMIC_RELEASE);
	if (!(flags & IORING_CQE_F_MORE))
		receiver->armed = 0;
	if (flags & IORING_CQE_F_BUFFER) {
		uint16_t number = (uint16_t)(flags >> IORING_CQE_BUFFER_SHIFT);

		if (result > 0)
			taken(receiver, receiver->buffer + number * receiver->buffer_bytes, (uint64_t)result);
		provide(receiver, number);
	}
	/* All buffers were in use for a moment: as good as a call that was interrupted. */
	return result == -ENOBUFS ? -EINTR : result;
}
