/* The messages that are sent: several fields each. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "internal.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25	/* linux/mman.h, 6.1 */
#endif

enum { HUGE_PAGE = 2 << 20 };

static uint64_t rounded_up(uint64_t bytes, uint64_t unit)
{
	return (bytes + unit - 1) / unit * unit;
}

static void write_pattern(struct message *message, uint64_t number)
{
	uint64_t value = pattern_at(number, 0);

	for (size_t i = 0; i < message->count; i++) {
		uint8_t *bytes = message->fields[i].iov_base;

		for (size_t at = 0; at < message->fields[i].iov_len; at++, value += PATTERN_BY_POSITION)
			bytes[at] = (uint8_t)(value >> 56);
	}
}

/* Where a message begins in the arena. What vmsplice() gives away shares no page with another message. */
static uint8_t *place_of(const struct engine_sender *sender, uint32_t number)
{
	const struct engine_pool *pool = sender->pool;
	uint64_t unit = sender->buffers == ENGINE_HUGE ? HUGE_PAGE : (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t each = sender->buffers == ENGINE_MAPPED ? rounded_up(sender->message_bytes, unit) : sender->message_bytes;

	return pool->arena ? (uint8_t *)rounded_up((uintptr_t)pool->arena, unit) + number * each : NULL;
}

/* The remainder is in the last field; with more fields than bytes it is the only one. */
static int message_open(struct message *message, const struct engine_sender *sender, uint8_t *place)
{
	uint64_t each = sender->message_bytes / sender->fields;

	message->fields = calloc(each ? sender->fields : 1, sizeof(*message->fields));
	if (!message->fields)
		return -ENOMEM;
	for (uint64_t left = sender->message_bytes; left; left -= message->fields[message->count++].iov_len) {
		uint64_t bytes = each && message->count < sender->fields - 1 ? each : left;
		void *field = place ? place + (sender->message_bytes - left) : malloc(bytes);

		if (!field)
			return -ENOMEM;
		message->fields[message->count] = (struct iovec){field, bytes};
	}
	return 0;
}

static int messages_open(struct engine_sender *sender)
{
	struct engine_pool *pool = sender->pool;

	for (uint32_t i = 0; i < pool->size; i++) {
		struct message *message = &pool->messages[i];
		int error = message_open(message, sender, place_of(sender, i));

		/* Touches every page, so that no page fault falls into the measured time. */
		error = error ? error : pool_renew(sender, message, i);
		if (error)
			return error;
		pool->batch[i].msg_hdr = (struct msghdr){.msg_iov = message->fields, .msg_iovlen = message->count};
	}
	return 0;
}

/* One huge page at least, and one more to begin at its border. MADV_COLLAPSE fails where any page is none. */
static int arena_open(struct engine_sender *sender)
{
	struct engine_pool *pool = sender->pool;
	bool huge = sender->buffers == ENGINE_HUGE;
	uint64_t bytes = rounded_up(sender->message_bytes, (uint64_t)sysconf(_SC_PAGESIZE)) * pool->size;
	uint8_t *start;

	bytes = huge ? rounded_up(bytes, HUGE_PAGE) : bytes;
	pool->arena_bytes = bytes + (huge ? HUGE_PAGE : 0);
	pool->arena = mmap(NULL, pool->arena_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (pool->arena == MAP_FAILED) {
		pool->arena = NULL;
		return -ENOMEM;
	}
	start = place_of(sender, 0);
	if (sender->buffers == ENGINE_REGISTERED)
		return ring_register(sender, start, bytes);
	if (!huge)
		return 0;
	sender->step = "huge";
	madvise(start, bytes, MADV_HUGEPAGE);
	memset(start, 0, bytes);
	return madvise(start, bytes, MADV_COLLAPSE) ? -errno : 0;
}

static int fill(struct engine_sender *sender)
{
	struct engine_pool *pool = sender->pool;
	int error;

	if (sender->buffers >= ENGINE_MAPPED) {
		error = arena_open(sender);
		if (error)
			return error;
	}
	pool->rest = calloc(sender->fields, sizeof(*pool->rest));
	pool->batch = calloc(pool->size, sizeof(*pool->batch));
	pool->packed = sender->buffers == ENGINE_PACKED ? malloc(sender->message_bytes) : NULL;
	if (!pool->rest || !pool->batch || (sender->buffers == ENGINE_PACKED && !pool->packed))
		return -ENOMEM;
	sender->step = "messages";
	error = messages_open(sender);
	if (!error && pool->packed)
		pool_pack(pool, &pool->messages[0]);
	return error;
}

/* 0 or -errno; what there is of it is sender->pool's. */
int pool_open(struct engine_sender *sender)
{
	sender->step = "messages";
	sender->pool = calloc(1, sizeof(*sender->pool) + sender->pool_messages * sizeof(sender->pool->messages[0]));
	if (!sender->pool)
		return -ENOMEM;
	sender->pool->size = sender->pool_messages;
	return fill(sender);
}

void pool_close(struct engine_pool *pool)
{
	if (!pool)
		return;
	for (uint32_t i = 0; i < pool->size; i++) {
		for (size_t field = 0; field < pool->messages[i].count && !pool->arena; field++)
			free(pool->messages[i].fields[field].iov_base);
		free(pool->messages[i].fields);
	}
	if (pool->arena)
		munmap(pool->arena, pool->arena_bytes);
	free(pool->packed);
	free(pool->batch);
	free(pool->rest);
	free(pool);
}

static int write_file(const struct engine_sender *sender, const struct message *message)
{
	uint64_t at = 0;

	/* Away with the old pages, of which some may be on their way: whoever changes them changes what is sent. */
	if (ftruncate(sender->file_fd, 0))
		return -errno;
	for (size_t i = 0; i < message->count; i++) {
		const struct iovec *field = &message->fields[i];
		ssize_t written = pwrite(sender->file_fd, field->iov_base, field->iov_len, (off_t)at);

		if (written != (ssize_t)field->iov_len)
			return written < 0 ? -errno : -ENOSPC;
		at += field->iov_len;
	}
	return 0;
}

/* Writes the pattern of a message anew, where nothing that is still on its way refers to. */
int pool_renew(const struct engine_sender *sender, struct message *message, uint64_t number)
{
	/* No completion tells when the kernel has let go of these. Fresh pages come instead. */
	if (sender->buffers == ENGINE_MAPPED &&
	    madvise(message->fields[0].iov_base, sender->message_bytes, MADV_DONTNEED))
		return -errno;
	write_pattern(message, number);
	return sender->buffers == ENGINE_FILE ? write_file(sender, message) : 0;
}

void pool_pack(struct engine_pool *pool, const struct message *message)
{
	uint8_t *to = pool->packed;

	for (size_t i = 0; i < message->count; i++) {
		memcpy(to, message->fields[i].iov_base, message->fields[i].iov_len);
		to += message->fields[i].iov_len;
	}
}
