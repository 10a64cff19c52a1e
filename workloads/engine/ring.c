/* io_uring by its system calls, without liburing: of that, this needs so little that it is not worth a package more on
 * every machine that sends, and a library less that keeps the engine from being loaded at all.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/time_types.h>

#include "internal.h"
#include "ring.h"

int ring_enter(const struct engine_ring *ring, unsigned int submit, unsigned int wait_for, int timeout_ms)
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

/* Whether this kernel knows the request. */
static int probe(const struct engine_ring *ring, uint8_t opcode)
{
	enum { OPCODES = 256 };
	struct io_uring_probe *found = calloc(1, sizeof(*found) + OPCODES * sizeof(found->ops[0]));
	int error = 0;

	if (!found)
		return -ENOMEM;
	if (syscall(SYS_io_uring_register, ring->fd, IORING_REGISTER_PROBE, found, OPCODES))
		error = -errno;
	else if (opcode > found->last_op || !(found->ops[opcode].flags & IO_URING_OP_SUPPORTED))
		error = -EOPNOTSUPP;
	free(found);
	return error;
}

/* What an earlier ring was charged is given back some time after it is closed (io_ring_exit_work(), io_uring.c). */
static int set_up(struct io_uring_params *params)
{
	int64_t refused_since_ns = 0;

	for (;;) {
		int fd = (int)syscall(SYS_io_uring_setup, SQ_ENTRIES, params);
		int error = errno;

		if (fd >= 0)
			return fd;
		if (error != ENOMEM || refused_for_good(&refused_since_ns))
			return -error;
	}
}

int ring_make(struct engine_ring **made, unsigned int cq_entries, uint8_t opcode)
{
	struct io_uring_params params = {.flags = IORING_SETUP_CQSIZE, .cq_entries = cq_entries};
	struct engine_ring *ring = *made = calloc(1, sizeof(*ring));
	int error;

	if (!ring)
		return -ENOMEM;
	ring->fd = set_up(&params);
	if (ring->fd < 0)
		return ring->fd;
	if (!(params.features & IORING_FEAT_SINGLE_MMAP) || !(params.features & IORING_FEAT_EXT_ARG))
		return -EOPNOTSUPP;
	error = map_rings(ring, &params);
	return error ? error : probe(ring, opcode);
}

struct io_uring_sqe *ring_next(const struct engine_ring *ring)
{
	struct io_uring_sqe *request = &ring->sqes[*ring->sq_tail & ring->sq_mask];

	memset(request, 0, sizeof(*request));
	return request;
}

void ring_put(const struct engine_ring *ring)
{
	unsigned int tail = *ring->sq_tail;

	ring->sq_array[tail & ring->sq_mask] = tail & ring->sq_mask;
	__atomic_store_n(ring->sq_tail, tail + 1, __ATOMIC_RELEASE);
}

/* The kernel lets go of what is registered, and cancels what is still to be done, when the last descriptor is gone. */
void ring_free(struct engine_ring **made)
{
	struct engine_ring *ring = *made;

	if (!ring)
		return;
	if (ring->rings && ring->rings != MAP_FAILED)
		munmap(ring->rings, ring->rings_bytes);
	if (ring->sqes && ring->sqes != MAP_FAILED)
		munmap(ring->sqes, ring->sqes_bytes);
	if (ring->fd >= 0)
		close(ring->fd);
	free(ring);
	*made = NULL;
}
