/* Bare loops over io_uring, by liburing: one request at a time, as the engine makes them. */
#define _GNU_SOURCE
#include <liburing.h>
#include <stdlib.h>
#include <string.h>

#include "plain.h"

enum { ENTRIES = 2, RESULTS = 512, BATCH = 8 };

#ifndef IORING_SEND_ZC_REPORT_USAGE
#define IORING_SEND_ZC_REPORT_USAGE (1U << 3)	/* linux/io_uring.h, 6.2 */
#endif

static long notified, requests;

static void make_ring(struct io_uring *ring)
{
	struct io_uring_params params = {.flags = IORING_SETUP_CQSIZE, .cq_entries = RESULTS};

	if (io_uring_queue_init_params(ENTRIES, ring, &params))
		errx(1, "no io_uring");
}

/* Empties the queue; the request's own result, or 0 where that has not come. */
static int take(struct io_uring *ring)
{
	struct io_uring_cqe *entry;
	unsigned int head, count = 0;
	int result = 0;

	io_uring_for_each_cqe(ring, head, entry) {
		if (entry->flags & IORING_CQE_F_NOTIF)
			notified++;
		else
			result = entry->res;
		count++;
	}
	io_uring_cq_advance(ring, count);
	return result;
}

/* What the last request sent; without MSG_WAITALL that may be less than was asked. */
static size_t submit(struct io_uring *ring)
{
	int result = 0;

	while (!result) {
		if (io_uring_submit_and_wait(ring, 1) < 0)
			errx(1, "io_uring_enter");
		result = take(ring);
	}
	if (result < 0)
		errx(1, "io_uring's send: %s", strerror(-result));
	requests++;
	return (size_t)result;
}

static void advance(struct msghdr *header, size_t sent)
{
	for (; sent >= header->msg_iov->iov_len; header->msg_iov++, header->msg_iovlen--)
		sent -= header->msg_iov->iov_len;
	header->msg_iov->iov_base = (uint8_t *)header->msg_iov->iov_base + sent;
	header->msg_iov->iov_len -= sent;
}

static void prepare(struct io_uring *ring, int fd, const struct msghdr *header, bool pin)
{
	struct io_uring_sqe *request = io_uring_get_sqe(ring);

	if (!pin) {
		io_uring_prep_sendmsg(request, fd, header, 0);
		return;
	}
	io_uring_prep_sendmsg_zc(request, fd, header, 0);
	request->ioprio = IORING_SEND_ZC_REPORT_USAGE;
}

static void send_message(struct io_uring *ring, int fd, struct message *message, size_t bytes, bool pin)
{
	struct msghdr header = {.msg_iov = message->fields, .msg_iovlen = FIELDS};
	struct message rest;

	for (size_t left = bytes; left;) {
		size_t sent;

		prepare(ring, fd, &header, pin);
		sent = submit(ring);
		if (sent < left && left == bytes) {
			rest = *message;
			header.msg_iov = rest.fields;
		}
		left -= sent;
		if (left)
			advance(&header, sent);
	}
}

void uring_send(const struct work *work, const struct end *end)
{
	struct io_uring ring;
	struct message message;

	fill(&message, work->bytes, NULL);
	make_ring(&ring);
	begin();
	for (long i = 0; i < work->messages; i++)
		send_message(&ring, end->fd, &message, work->bytes, false);
}

static void wait_for(struct io_uring *ring, int fd, long least)
{
	struct io_uring_cqe *entry;

	while (notified < least) {
		long before = notified;

		take(ring);
		if (notified > before)
			continue;
		push_held_segment(fd);
		io_uring_wait_cqe(ring, &entry);
		take(ring);
	}
}

void uring_zerocopy(const struct work *work, const struct end *end)
{
	struct message *pool = make_pool(work, NULL);
	long *last = calloc((size_t)work->pool, sizeof(*last));
	struct io_uring ring;

	make_ring(&ring);
	begin();
	for (long i = 0; i < work->messages; i++) {
		wait_for(&ring, end->fd, last[i % work->pool]);
		send_message(&ring, end->fd, &pool[i % work->pool], work->bytes, true);
		last[i % work->pool] = requests;
	}
	wait_for(&ring, end->fd, requests);
}

static void send_registered(struct io_uring *ring, int fd, const uint8_t *message, size_t bytes)
{
	while (bytes) {
		struct io_uring_sqe *request = io_uring_get_sqe(ring);
		size_t sent;

		io_uring_prep_send_zc_fixed(request, fd, message, bytes, 0, IORING_SEND_ZC_REPORT_USAGE, 0);
		sent = submit(ring);
		message += sent;
		bytes -= sent;
	}
}

void uring_zerocopy_fixed(const struct work *work, const struct end *end)
{
	struct iovec all = {.iov_len = (size_t)work->pool * work->bytes};
	long *last = calloc((size_t)work->pool, sizeof(*last));
	struct io_uring ring;
	uint8_t *start = map(all.iov_len, false);

	all.iov_base = start;
	free(make_pool(work, start));
	make_ring(&ring);
	if (io_uring_register_buffers(&ring, &all, 1))
		errx(1, "buffers are not registered");
	begin();
	for (long i = 0; i < work->messages; i++) {
		wait_for(&ring, end->fd, last[i % work->pool]);
		send_registered(&ring, end->fd, start + (size_t)(i % work->pool) * work->bytes, work->bytes);
		last[i % work->pool] = requests;
	}
	wait_for(&ring, end->fd, requests);
}

/* A result or a notification; of the bytes that were sent. */
static int take_one(struct io_uring *ring, long *owed, bool *notifies)
{
	struct io_uring_cqe *entry;
	int result;

	if (io_uring_wait_cqe(ring, &entry))
		errx(1, "io_uring_enter");
	*notifies = entry->flags & IORING_CQE_F_NOTIF;
	*owed += *notifies ? -1 : !!(entry->flags & IORING_CQE_F_MORE);
	result = entry->res;
	io_uring_cqe_seen(ring, entry);
	if (!*notifies && result < 0)
		errx(1, "io_uring's send: %s", strerror(-result));
	return result;
}

static void put_batch(struct io_uring *ring, const struct iovec *payload)
{
	for (int i = 0; i < BATCH; i++) {
		struct io_uring_sqe *request = io_uring_get_sqe(ring);

		io_uring_prep_send_zc_fixed(request, 0, payload->iov_base, payload->iov_len, MSG_WAITALL, 0, 0);
		request->flags |= IOSQE_FIXED_FILE;
	}
	if (io_uring_submit(ring) != BATCH)
		errx(1, "io_uring_enter");
}

static void open_as_example(struct io_uring *ring, const int *fd, const struct iovec *payload)
{
	if (io_uring_queue_init(RESULTS, ring, IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SINGLE_ISSUER) ||
	    io_uring_register_files(ring, fd, 1) || io_uring_register_ring_fd(ring) < 0 ||
	    io_uring_register_buffers(ring, payload, 1))
		errx(1, "no io_uring");
}

/* The loop of liburing's examples/send-zerocopy.c, written anew, with its defaults: eight requests of one registered buffer
 * a call, which is sent over and over whoever still refers to it; registered socket and ring. */
void liburing_example(const struct work *work, const struct end *end)
{
	struct iovec payload = {map(work->bytes, false), work->bytes};
	struct io_uring ring;
	bool notifies;
	long owed = 0;

	memset(payload.iov_base, 'a', work->bytes);
	open_as_example(&ring, &end->fd, &payload);
	begin();
	for (size_t total = 0; total < work->bytes * (size_t)work->messages;) {
		put_batch(&ring, &payload);
		for (int results = 0; results < BATCH; results += !notifies) {
			int sent = take_one(&ring, &owed, &notifies);

			total += notifies ? 0 : (size_t)sent;
		}
	}
	shutdown(end->fd, SHUT_WR);
	while (owed)
		take_one(&ring, &owed, &notifies);
}
