/* Bare loops over UDP, with what keeps the engine's from losing any: its receiver tells how far it is. */
#define _GNU_SOURCE
#include <endian.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdlib.h>

#include "plain.h"

enum { DATAGRAM = 1500 - 20 - 8 };

static void tell(int fd, uint64_t number)
{
	uint64_t told = htobe64(number);

	must(send(fd, &told, sizeof(told), MSG_NOSIGNAL), sizeof(told), "control connection");
}

static uint64_t hear(int fd)
{
	struct pollfd control = {.fd = fd, .events = POLLIN};
	uint64_t told;

	if (poll(&control, 1, 5000) != 1)
		errx(1, "datagrams were lost");
	must(recv(fd, &told, sizeof(told), MSG_WAITALL), sizeof(told), "control connection");
	return be64toh(told);
}

static void make_room(const struct work *work, const struct end *end, uint64_t sent)
{
	static uint64_t read;

	while (sent > read && sent + work->bytes > read + work->window_bytes)
		read = hear(end->control_fd);
}

static void finish(const struct work *work, const struct end *end)
{
	tell(end->control_fd, work->bytes * (uint64_t)work->messages);
	send(end->fd, NULL, 0, 0);
}

void udp(const struct work *work, const struct end *end)
{
	struct message message;
	struct msghdr header = {.msg_iov = message.fields, .msg_iovlen = FIELDS};

	fill(&message, work->bytes, NULL);
	begin();
	for (long i = 0; i < work->messages; i++) {
		make_room(work, end, work->bytes * (uint64_t)i);
		must(sendmsg(end->fd, &header, 0), work->bytes, "sendmsg");
	}
	finish(work, end);
}

void udp_gso(const struct work *work, const struct end *end)
{
	int each = DATAGRAM;

	if (setsockopt(end->fd, SOL_UDP, UDP_SEGMENT, &each, sizeof(each)))
		err(1, "UDP_SEGMENT");
	udp(work, end);
}

void udp_zerocopy(const struct work *work, const struct end *end)
{
	struct message *pool = make_pool(work, NULL);

	ask_for_zerocopy(end->fd);
	begin();
	for (long i = 0; i < work->messages; i++) {
		struct msghdr header = {.msg_iov = pool[i % work->pool].fields, .msg_iovlen = FIELDS};

		wait_for_notifications(end->fd, i + 1 - work->pool, false);
		make_room(work, end, work->bytes * (uint64_t)i);
		send_pinned(end->fd, &header, work->bytes, false);
	}
	wait_for_notifications(end->fd, work->messages, false);
	finish(work, end);
}

uint64_t receive_datagrams(const struct work *work, const struct end *end)
{
	uint8_t *buffer = malloc(work->buffer_bytes);
	uint64_t total = 0, told = 0, sent = UINT64_MAX;

	while (total < sent) {
		ssize_t count = recv(end->fd, buffer, work->buffer_bytes, 0);

		if (count < 0)
			err(1, "recv");
		total += (uint64_t)count;
		if (!count)
			sent = hear(end->control_fd);
		if (total - told >= work->report_bytes)
			tell(end->control_fd, told = total);
	}
	return total;
}
