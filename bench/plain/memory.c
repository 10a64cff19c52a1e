/* Where the bare loops' messages lie. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "plain.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25	/* linux/mman.h, 6.1 */
#endif

enum { HUGE_PAGE = 2 << 20 };

void fill(struct message *message, size_t bytes, uint8_t *place)
{
	for (int i = 0; i < FIELDS; i++) {
		struct iovec *field = &message->fields[i];

		field->iov_len = i < FIELDS - 1 ? bytes / FIELDS : bytes - bytes / FIELDS * (FIELDS - 1);
		field->iov_base = place ? place + bytes / FIELDS * (size_t)i : malloc(field->iov_len);
		memset(field->iov_base, i, field->iov_len);
	}
}

struct message *make_pool(const struct work *work, uint8_t *place)
{
	struct message *pool = calloc((size_t)work->pool, sizeof(*pool));

	for (long i = 0; i < work->pool; i++)
		fill(&pool[i], work->bytes, place ? place + (size_t)i * work->bytes : NULL);
	return pool;
}

static uint8_t *mapped(size_t bytes)
{
	uint8_t *start = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (start == MAP_FAILED)
		err(1, "mmap");
	return start;
}

uint8_t *map(size_t bytes, bool huge)
{
	size_t whole = (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
	uint8_t *start = mapped(huge ? whole + HUGE_PAGE : bytes);

	if (!huge)
		return start;
	start = (uint8_t *)(((uintptr_t)start + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE);
	madvise(start, whole, MADV_HUGEPAGE);
	memset(start, 0, whole);
	if (madvise(start, whole, MADV_COLLAPSE))
		err(1, "huge pages");
	return start;
}
