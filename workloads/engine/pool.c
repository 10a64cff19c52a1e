/* The messages that are sent: 8 heap-allocated fields each. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "internal.h"

static int message_open(struct message *message, uint64_t message_bytes)
{
	uint64_t each = message_bytes / ENGINE_FIELDS;

	for (int i = 0; i < ENGINE_FIELDS; i++) {
		/* The remainder is in the last field; below 8 bytes it is the only one. */
		uint64_t bytes = i < ENGINE_FIELDS - 1 ? each : message_bytes - each * (ENGINE_FIELDS - 1);

		if (!bytes)
			continue;
		message->allocated[i] = malloc(bytes);
		if (!message->allocated[i])
			return -1;
		message->fields[message->count++] = (struct iovec){message->allocated[i], bytes};
	}
	return 0;
}

struct engine_pool *pool_open(uint32_t size, uint64_t message_bytes, bool packs)
{
	struct engine_pool *pool = calloc(1, sizeof(*pool) + size * sizeof(pool->messages[0]));

	if (!pool)
		return NULL;
	pool->size = size;
	if (packs) {
		pool->packed = malloc(message_bytes);
		if (!pool->packed)
			goto failed;
		memset(pool->packed, 0, message_bytes);
	}
	for (uint32_t i = 0; i < size; i++) {
		if (message_open(&pool->messages[i], message_bytes))
			goto failed;
		/* Touches every page, so that no page fault falls into the measured time. */
		pool_write_pattern(&pool->messages[i], i);
	}
	return pool;
failed:
	pool_close(pool);
	return NULL;
}

void pool_close(struct engine_pool *pool)
{
	if (!pool)
		return;
	for (uint32_t i = 0; i < pool->size; i++)
		for (int field = 0; field < ENGINE_FIELDS; field++)
			free(pool->messages[i].allocated[field]);
	free(pool->packed);
	free(pool);
}

void pool_write_pattern(struct message *message, uint64_t number)
{
	uint64_t value = pattern_at(number, 0);

	for (size_t i = 0; i < message->count; i++) {
		uint8_t *bytes = message->fields[i].iov_base;

		for (size_t at = 0; at < message->fields[i].iov_len; at++, value += PATTERN_BY_POSITION)
			bytes[at] = (uint8_t)(value >> 56);
	}
}

void pool_pack(struct engine_pool *pool, const struct message *message)
{
	uint8_t *to = pool->packed;

	for (size_t i = 0; i < message->count; i++) {
		memcpy(to, message->fields[i].iov_base, message->fields[i].iov_len);
		to += message->fields[i].iov_len;
	}
}
