/* The messages that are sent: several fields each. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "internal.h"

/* The remainder is in the last field; with more fields than bytes it is the only one. */
static int message_open(struct message *message, uint32_t fields, uint64_t message_bytes)
{
	uint64_t each = message_bytes / fields;

	message->fields = calloc(each ? fields : 1, sizeof(*message->fields));
	if (!message->fields)
		return -1;
	for (uint64_t left = message_bytes; left; left -= message->fields[message->count++].iov_len) {
		uint64_t bytes = each && message->count < fields - 1 ? each : left;
		void *field = malloc(bytes);

		if (!field)
			return -1;
		message->fields[message->count] = (struct iovec){field, bytes};
	}
	return 0;
}

static void message_close(struct message *message)
{
	for (size_t i = 0; i < message->count; i++)
		free(message->fields[i].iov_base);
	free(message->fields);
}

static int messages_open(struct engine_pool *pool, const struct engine_sender *sender)
{
	for (uint32_t i = 0; i < pool->size; i++) {
		if (message_open(&pool->messages[i], sender->fields, sender->message_bytes))
			return -1;
		/* Touches every page, so that no page fault falls into the measured time. */
		pool_write_pattern(&pool->messages[i], i);
	}
	return 0;
}

struct engine_pool *pool_open(const struct engine_sender *sender)
{
	bool packs = sender->buffers == ENGINE_PACKED;
	struct engine_pool *pool = calloc(1, sizeof(*pool) + sender->pool_messages * sizeof(pool->messages[0]));

	if (!pool)
		return NULL;
	pool->size = sender->pool_messages;
	pool->rest = calloc(sender->fields, sizeof(*pool->rest));
	pool->packed = packs ? malloc(sender->message_bytes) : NULL;
	if (!pool->rest || (packs && !pool->packed) || messages_open(pool, sender)) {
		pool_close(pool);
		return NULL;
	}
	if (packs)
		pool_pack(pool, &pool->messages[0]);
	return pool;
}

void pool_close(struct engine_pool *pool)
{
	if (!pool)
		return;
	for (uint32_t i = 0; i < pool->size; i++)
		message_close(&pool->messages[i]);
	free(pool->packed);
	free(pool->rest);
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
