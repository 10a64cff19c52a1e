// SPDX-License-Identifier: GPL-2.0
/*
 * Somebody's io_uring server: multishot accept into direct descriptors (no number in the process), multishot receive into
 * provided buffers; when its client has sent all, it sends that back, by SEND or by SEND_ZC. Says when it listens, and
 * what it counted.
 *
 *     uring_server PORT send|zerocopy
 */
#include <arpa/inet.h>
#include <errno.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef IORING_SEND_ZC_REPORT_USAGE
#define IORING_SEND_ZC_REPORT_USAGE (1U << 3) /* linux/io_uring.h, 6.2 */
#endif

enum { BUFFERS = 64, BUFFER_BYTES = 16384, GROUP = 7, FILES = 8 };
enum kind { ACCEPTED = 1, RECEIVED, SENT };

struct completion {
	unsigned long user_data;
	int res;
	unsigned int flags;
};

static struct io_uring ring;
static struct io_uring_buf_ring *buffers;
static char memory[BUFFERS][BUFFER_BYTES];
static char *kept;
static unsigned long read_bytes, sent_bytes, notified;

static void require(int works, const char *what)
{
	if (works)
		return;
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static struct io_uring_sqe *next_entry(void)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

	require(sqe != NULL, "io_uring_get_sqe");
	return sqe;
}

static void submit(struct io_uring_sqe *sqe, enum kind kind)
{
	sqe->user_data = kind;
	require(io_uring_submit(&ring) >= 0, "io_uring_submit");
}

static struct completion next_completion(void)
{
	struct completion copy;
	struct io_uring_cqe *cqe;

	require(!io_uring_wait_cqe(&ring, &cqe), "io_uring_wait_cqe");
	copy = (struct completion){ cqe->user_data, cqe->res, cqe->flags };
	io_uring_cqe_seen(&ring, cqe);
	return copy;
}

static void give_back(int buffer)
{
	io_uring_buf_ring_add(buffers, memory[buffer], BUFFER_BYTES, buffer, io_uring_buf_ring_mask(BUFFERS), 0);
	io_uring_buf_ring_advance(buffers, 1);
}

static void receive(int file)
{
	struct io_uring_sqe *sqe = next_entry();

	io_uring_prep_recv_multishot(sqe, file, NULL, 0, 0);
	sqe->flags |= IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT;
	sqe->buf_group = GROUP;
	submit(sqe, RECEIVED);
}

static void send_once(int file, int zerocopy)
{
	struct io_uring_sqe *sqe = next_entry();
	struct completion cqe;

	if (zerocopy)
		io_uring_prep_send_zc(sqe, file, kept + sent_bytes, read_bytes - sent_bytes, 0, IORING_SEND_ZC_REPORT_USAGE);
	else
		io_uring_prep_send(sqe, file, kept + sent_bytes, read_bytes - sent_bytes, 0);
	sqe->flags |= IOSQE_FIXED_FILE;
	submit(sqe, SENT);
	do {
		cqe = next_completion();
		if (cqe.flags & IORING_CQE_F_NOTIF) {
			notified++;
			continue;
		}
		require(cqe.user_data == SENT && cqe.res > 0, "send");
		sent_bytes += cqe.res;
	} while (cqe.flags & IORING_CQE_F_MORE);
}

static void keep(int buffer, int length)
{
	kept = realloc(kept, read_bytes + length);
	require(kept != NULL, "realloc");
	memcpy(kept + read_bytes, memory[buffer], length);
	read_bytes += length;
	give_back(buffer);
}

static void prepare(int listener)
{
	struct io_uring_buf_reg registered = { .ring_entries = BUFFERS, .bgid = GROUP };
	struct io_uring_sqe *sqe;

	require(!io_uring_queue_init(256, &ring, 0), "io_uring_queue_init");
	require(!io_uring_register_files_sparse(&ring, FILES), "register files");
	require(!posix_memalign((void **)&buffers, 4096, BUFFERS * sizeof(struct io_uring_buf)), "memory");
	registered.ring_addr = (unsigned long)buffers;
	require(!io_uring_register_buf_ring(&ring, &registered, 0), "register buffers");
	io_uring_buf_ring_init(buffers);
	for (int i = 0; i < BUFFERS; i++)
		give_back(i);
	sqe = next_entry();
	io_uring_prep_multishot_accept_direct(sqe, listener, NULL, NULL, 0);
	submit(sqe, ACCEPTED);
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int listener = socket(AF_INET, SOCK_STREAM, 0), file = -1, one = 1;

	require(argc == 3, "usage");
	address.sin_port = htons(atoi(argv[1]));
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	require(!bind(listener, (struct sockaddr *)&address, sizeof(address)) && !listen(listener, 8), "listen");
	prepare(listener);
	puts("listening");
	fflush(stdout);
	while (1) {
		struct completion cqe = next_completion();

		if (cqe.user_data == ACCEPTED) {
			require(cqe.res >= 0, "accept");
			file = cqe.res;
		} else if (cqe.res > 0) {
			keep(cqe.flags >> IORING_CQE_BUFFER_SHIFT, cqe.res);
		} else if (cqe.res != -ENOBUFS) {
			break;
		}
		if (!(cqe.flags & IORING_CQE_F_MORE) || cqe.user_data == ACCEPTED)
			receive(file);
	}
	while (sent_bytes < read_bytes)
		send_once(file, !strcmp(argv[2], "zerocopy"));
	printf("{\"read\": %lu, \"sent\": %lu, \"notified\": %lu}\n", read_bytes, sent_bytes, notified);
	return 0;
}
