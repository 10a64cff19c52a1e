// SPDX-License-Identifier: GPL-2.0
/*
 * Somebody's io_uring sender over loopback, to a child that reads: 7 x 10007 bytes by requests of one kind.
 *
 *     uring_ways write|writev|send|async|silent|flagged|sendmsg|zerocopy|sendmsg_zerocopy|splice|spliced_out tcp|udp
 *
 * spliced_out: by the child, from the socket. async: by a thread of the kernel's. silent: whose completion is not wanted.
 * flagged: MSG_ZEROCOPY of a plain send.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CALLS = 7, SIZE = 10007 };	/* what a UDP socket holds unread */

static char data[SIZE];
static struct iovec field = {data, SIZE};
static struct msghdr message = {.msg_iov = &field, .msg_iovlen = 1};
static int file, ends[2];

static void require(int works, const char *what)
{
	if (works)
		return;
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static void read_all(int listener, int is_udp)
{
	int sock = is_udp ? listener : accept(listener, NULL, NULL);
	static char taken[65536];
	ssize_t all = 0, bytes;

	while (all < CALLS * SIZE && (bytes = read(sock, taken, sizeof(taken))) > 0)
		all += bytes;
	_exit(all != CALLS * SIZE);
}

/* Out of the socket, into a pipe, by a ring. */
static void splice_all(int listener)
{
	int sock = accept(listener, NULL, NULL), into[2];
	struct io_uring_cqe *cqe;
	struct io_uring ring;
	ssize_t all = 0;

	require(!pipe(into) && !io_uring_queue_init(CALLS, &ring, 0), "a pipe and a ring");
	while (all < CALLS * SIZE) {
		io_uring_prep_splice(io_uring_get_sqe(&ring), sock, -1, into[1], -1, SIZE, 0);
		require(io_uring_submit(&ring) == 1 && !io_uring_wait_cqe(&ring, &cqe) && cqe->res > 0, "a splice");
		require(read(into[0], data, cqe->res) == cqe->res, "the pipe");
		all += cqe->res;
		io_uring_cqe_seen(&ring, cqe);
	}
	_exit(0);
}

static void prepare(struct io_uring_sqe *sqe, int sock, const char *kind)
{
	off_t beginning = 0;

	if (!strcmp(kind, "write"))
		io_uring_prep_write(sqe, sock, data, SIZE, 0);
	else if (!strcmp(kind, "writev"))
		io_uring_prep_writev(sqe, sock, &field, 1, 0);
	else if (!strcmp(kind, "sendmsg"))
		io_uring_prep_sendmsg(sqe, sock, &message, MSG_WAITALL);
	else if (!strcmp(kind, "zerocopy"))
		io_uring_prep_send_zc(sqe, sock, data, SIZE, MSG_WAITALL, 0);
	else if (!strcmp(kind, "sendmsg_zerocopy"))
		io_uring_prep_sendmsg_zc(sqe, sock, &message, MSG_WAITALL);
	else if (!strcmp(kind, "splice")) {
		require(splice(file, &beginning, ends[1], NULL, SIZE, 0) == SIZE, "splice");
		io_uring_prep_splice(sqe, ends[0], -1, sock, -1, SIZE, 0);
	} else
		io_uring_prep_send(sqe, sock, data, SIZE, MSG_WAITALL | (!strcmp(kind, "flagged") ? MSG_ZEROCOPY : 0));
	if (!strcmp(kind, "async"))
		sqe->flags |= IOSQE_ASYNC;
	if (!strcmp(kind, "silent"))
		sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
}

static void send_one(struct io_uring *ring, int sock, const char *kind)
{
	struct io_uring_cqe *cqe;
	unsigned int more;

	prepare(io_uring_get_sqe(ring), sock, kind);
	require(io_uring_submit(ring) == 1, "io_uring_submit");
	if (!strcmp(kind, "silent"))
		return;
	do {
		require(io_uring_wait_cqe(ring, &cqe) == 0, "io_uring_wait_cqe");
		more = cqe->flags & IORING_CQE_F_MORE;
		require(cqe->flags & IORING_CQE_F_NOTIF || cqe->res == SIZE, "a request");
		io_uring_cqe_seen(ring, cqe);
	} while (more);
}

int main(int count, char **arguments)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int is_udp = count == 3 && !strcmp(arguments[2], "udp"), type = is_udp ? SOCK_DGRAM : SOCK_STREAM, one = 1;
	int listener = socket(AF_INET, type, 0), sock, status;
	socklen_t length = sizeof(address);
	struct io_uring ring;
	pid_t reader;

	require(!bind(listener, (void *)&address, length), "bind");
	require(!getsockname(listener, (void *)&address, &length), "getsockname");
	require(is_udp || !listen(listener, 1), "listen");
	reader = fork();
	if (!reader && !strcmp(arguments[1], "spliced_out"))
		splice_all(listener);
	if (!reader)
		read_all(listener, is_udp);
	sock = socket(AF_INET, type, 0);
	require(!connect(sock, (void *)&address, length), "connect");
	require(!setsockopt(sock, SOL_SOCKET, SO_ZEROCOPY, &one, sizeof(one)), "SO_ZEROCOPY");
	file = memfd_create("file", 0);
	require(write(file, data, SIZE) == SIZE && !pipe(ends), "a file and a pipe");
	require(!io_uring_queue_init(CALLS, &ring, 0), "io_uring_queue_init");
	for (int call = 0; call < CALLS; call++)
		send_one(&ring, sock, arguments[1]);
	require(waitpid(reader, &status, 0) == reader && !status, "the reader");
	return 0;
}
