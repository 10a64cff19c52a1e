// SPDX-License-Identifier: GPL-2.0
/*
 * Somebody's io_uring sender over loopback, to a child that reads: 23 x 10007 bytes by SEND_ZC, with or without asking
 * whether they were copied. Prints how many notifications said so.
 *
 *     uring_sender report|silent [told]
 *
 * Told: a line is printed and one awaited before the ring is made, and before anything is sent by it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef IORING_SEND_ZC_REPORT_USAGE
#define IORING_SEND_ZC_REPORT_USAGE (1U << 3) /* linux/io_uring.h, 6.2 */
#endif

enum { CALLS = 23, SIZE = 10007 };

static void require(int works, const char *what)
{
	if (works)
		return;
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static void read_all(int listener)
{
	static char data[65536];
	int sock = accept(listener, NULL, NULL);

	while (read(sock, data, sizeof(data)) > 0)
		;
	_exit(0);
}

static int send_one(struct io_uring *ring, int sock, const char *data, unsigned int flags)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
	struct io_uring_cqe *cqe;
	int copied = 0;
	unsigned int more;

	io_uring_prep_send_zc(sqe, sock, data, SIZE, MSG_WAITALL, flags);
	require(io_uring_submit(ring) == 1, "io_uring_submit");
	do {
		require(io_uring_wait_cqe(ring, &cqe) == 0, "io_uring_wait_cqe");
		more = cqe->flags & IORING_CQE_F_MORE;
		if (cqe->flags & IORING_CQE_F_NOTIF)
			copied = (unsigned int)cqe->res >> 31;
		else
			require(cqe->res == SIZE, "send_zc");
		io_uring_cqe_seen(ring, cqe);
	} while (more);
	return copied;
}

static void wait_to_be_told(const char *what)
{
	puts(what);
	fflush(stdout);
	getchar();
}

int main(int argc, char **argv)
{
	int told = argc > 2;
	unsigned int flags = argc > 1 && !strcmp(argv[1], "report") ? IORING_SEND_ZC_REPORT_USAGE : 0;
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0), sock = socket(AF_INET, SOCK_STREAM, 0), copied = 0;
	static char data[SIZE];
	struct io_uring ring;

	require(!bind(listener, (void *)&address, length) && !listen(listener, 1), "listen");
	getsockname(listener, (void *)&address, &length);
	if (fork() == 0)
		read_all(listener);
	require(!connect(sock, (void *)&address, length), "connect");
	if (told)
		wait_to_be_told("connected");
	require(!io_uring_queue_init(8, &ring, 0), "io_uring_queue_init");
	if (told)
		wait_to_be_told("has a ring");
	for (int i = 0; i < CALLS; i++)
		copied += send_one(&ring, sock, data, flags);
	shutdown(sock, SHUT_WR);
	wait(NULL);
	printf("%d\n", copied);
	return 0;
}
