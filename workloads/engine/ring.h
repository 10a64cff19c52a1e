/* A ring of io_uring: what the sides share. */
#ifndef NETTRACE_ENGINE_RING_H
#define NETTRACE_ENGINE_RING_H

#include <stddef.h>
#include <stdint.h>

#include <linux/io_uring.h>

/* The kernel charges a ring to RLIMIT_MEMLOCK (seen on 6.18), so it is a small one. */
enum { SQ_ENTRIES = 2 };

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

int ring_make(struct engine_ring **made, unsigned int cq_entries, uint8_t opcode);
void ring_free(struct engine_ring **made);
int ring_enter(const struct engine_ring *ring, unsigned int submit, unsigned int wait_for, int timeout_ms);
/* The next request, all zeros; and its handing over, once it is written. */
struct io_uring_sqe *ring_next(const struct engine_ring *ring);
void ring_put(const struct engine_ring *ring);

#endif
