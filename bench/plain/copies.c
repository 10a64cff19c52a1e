/* Bare loops whose calls copy. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plain.h"

static void pack(uint8_t *to, const struct message *message)
{
	for (int i = 0; i < FIELDS; i++) {
		memcpy(to, message->fields[i].iov_base, message->fields[i].iov_len);
		to += message->fields[i].iov_len;
	}
}

void twocopy(const struct work *work, const struct end *end)
{
	uint8_t *packed = malloc(work->bytes);
	struct message message;

	fill(&message, work->bytes, NULL);
	begin();
	for (long i = 0; i < work->messages; i++) {
		pack(packed, &message);
		must(send(end->fd, packed, work->bytes, 0), work->bytes, "send");
	}
}

void by_write(const struct work *work, const struct end *end)
{
	uint8_t *packed = malloc(work->bytes);
	struct message message;

	fill(&message, work->bytes, NULL);
	begin();
	for (long i = 0; i < work->messages; i++) {
		pack(packed, &message);
		must(write(end->fd, packed, work->bytes), work->bytes, "write");
	}
}

void onecopy(const struct work *work, const struct end *end)
{
	struct message message;
	struct msghdr header = {.msg_iov = message.fields, .msg_iovlen = FIELDS};

	fill(&message, work->bytes, NULL);
	begin();
	for (long i = 0; i < work->messages; i++)
		must(sendmsg(end->fd, &header, 0), work->bytes, "sendmsg");
}

void by_writev(const struct work *work, const struct end *end)
{
	struct message message;

	fill(&message, work->bytes, NULL);
	begin();
	for (long i = 0; i < work->messages; i++)
		must(writev(end->fd, message.fields, FIELDS), work->bytes, "writev");
}

/* As many messages a call as the pool has. */
void by_sendmmsg(const struct work *work, const struct end *end)
{
	struct message *pool = make_pool(work, NULL);
	struct mmsghdr *batch = calloc((size_t)work->pool, sizeof(*batch));

	for (long i = 0; i < work->pool; i++)
		batch[i].msg_hdr = (struct msghdr){.msg_iov = pool[i].fields, .msg_iovlen = FIELDS};
	begin();
	for (long left = work->messages; left;) {
		unsigned int count = (unsigned int)(left < work->pool ? left : work->pool);

		must(sendmmsg(end->fd, batch, count, 0), count, "sendmmsg");
		left -= count;
	}
}
