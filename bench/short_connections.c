// SPDX-License-Identifier: GPL-2.0
/* N connections over loopback, one after the other in each of two pairs of threads, 7 bytes each; prints the seconds. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { PAIRS = 2, BYTES = 7 };

struct pair {
	int listener;
	struct sockaddr_in address;
	long connections;
};

static void require(int works, const char *what)
{
	if (works)
		return;
	perror(what);
	exit(1);
}

static void *serve(void *argument)
{
	struct pair *pair = argument;
	char data[BYTES];

	for (long i = 0; i < pair->connections; i++) {
		int fd = accept(pair->listener, NULL, NULL);

		require(fd >= 0, "accept");
		while (read(fd, data, sizeof(data)) > 0)
			;
		close(fd);
	}
	return NULL;
}

static void *ask(void *argument)
{
	struct pair *pair = argument;
	struct linger linger = { .l_onoff = 1, .l_linger = 2 };

	for (long i = 0; i < pair->connections; i++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		require(fd >= 0, "socket");
		require(!connect(fd, (struct sockaddr *)&pair->address, sizeof(pair->address)), "connect");
		require(write(fd, "1234567", BYTES) == BYTES, "write");
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
		close(fd);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	struct timespec begin, end;
	struct pair pairs[PAIRS];
	pthread_t threads[2 * PAIRS];

	require(argc == 2, "usage: short_connections N");
	for (int i = 0; i < PAIRS; i++) {
		struct sockaddr_in *address = &pairs[i].address;
		socklen_t length = sizeof(*address);

		*address = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + i) };
		pairs[i].connections = atol(argv[1]) / PAIRS;
		pairs[i].listener = socket(AF_INET, SOCK_STREAM, 0);
		require(!bind(pairs[i].listener, (struct sockaddr *)address, length), "bind");
		require(!listen(pairs[i].listener, 128), "listen");
		require(!getsockname(pairs[i].listener, (struct sockaddr *)address, &length), "getsockname");
	}
	clock_gettime(CLOCK_MONOTONIC, &begin);
	for (int i = 0; i < PAIRS; i++) {
		pthread_create(&threads[2 * i], NULL, serve, &pairs[i]);
		pthread_create(&threads[2 * i + 1], NULL, ask, &pairs[i]);
	}
	for (int i = 0; i < 2 * PAIRS; i++)
		pthread_join(threads[i], NULL);
	clock_gettime(CLOCK_MONOTONIC, &end);
	printf("%.3f\n", (end.tv_sec - begin.tv_sec) + (end.tv_nsec - begin.tv_nsec) / 1e9);
	return 0;
}
