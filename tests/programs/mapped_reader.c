// SPDX-License-Identifier: GPL-2.0
/*
 * Somebody's reader by TCP_ZEROCOPY_RECEIVE over loopback, with a buffer for what cannot be mapped: CALLS messages of
 * SIZE bytes, which a child writes, or sends by MSG_ZEROCOPY. Prints the bytes that were mapped and those that were
 * copied.
 *
 *     mapped_reader CALLS SIZE [pinned]
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WINDOW = 1 << 20, BUFFER = 65536 };

static void require(int works, const char *what)
{
	if (works)
		return;
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static void write_all(int listener, int calls, int size, int pinned)
{
	int sock = accept(listener, NULL, NULL);
	char *data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (data == MAP_FAILED || (pinned && setsockopt(sock, SOL_SOCKET, SO_ZEROCOPY, &pinned, sizeof(pinned))))
		_exit(1);
	for (int i = 0; i < calls; i++)
		if (send(sock, data, size, pinned ? MSG_ZEROCOPY : 0) != size)
			_exit(1);
	_exit(0);
}

int main(int argc, char **argv)
{
	int calls = argc > 1 ? atoi(argv[1]) : 0, size = argc > 2 ? atoi(argv[2]) : 0;
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int listener = socket(AF_INET, SOCK_STREAM, 0), sock = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t length = sizeof(address);
	long mapped = 0, copied = 0, wanted = (long)calls * size;
	static char buffer[BUFFER];
	void *window;

	require(!bind(listener, (void *)&address, length) && !listen(listener, 1), "listen");
	getsockname(listener, (void *)&address, &length);
	if (fork() == 0)
		write_all(listener, calls, size, argc > 3);
	require(!connect(sock, (void *)&address, length), "connect");
	window = mmap(NULL, WINDOW, PROT_READ, MAP_SHARED, sock, 0);
	require(window != MAP_FAILED, "mmap");
	while (mapped + copied < wanted) {
		struct tcp_zerocopy_receive zc = { .address = (unsigned long)window, .length = WINDOW };
		struct pollfd readable = { .fd = sock, .events = POLLIN };
		socklen_t bytes = sizeof(zc);

		poll(&readable, 1, 1000);
		zc.copybuf_address = (unsigned long)buffer;
		zc.copybuf_len = BUFFER;
		require(!getsockopt(sock, IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, &zc, &bytes), "TCP_ZEROCOPY_RECEIVE");
		mapped += zc.length;
		copied += zc.copybuf_len;
		if (!zc.length && zc.copybuf_len <= 0) {
			/* What it would skip is read as ever. */
			ssize_t got = read(sock, buffer, zc.recv_skip_hint < BUFFER && zc.recv_skip_hint ? zc.recv_skip_hint : BUFFER);

			require(got > 0, "read");
			copied += got;
		}
	}
	wait(NULL);
	printf("%ld %ld\n", mapped, copied);
	return 0;
}
