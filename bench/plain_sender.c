/* The bare loop that the engine is measured against: the same sendmsg() over 8 fields and the same recv(), in two
 * processes, and nothing else: no clock in the loop, no histogram, no stop flag, no time-outs.
 *
 * usage: plain_sender MESSAGE_BYTES MESSAGES BUFFER_BYTES; prints nanoseconds from the first send to the last byte, and
 * the CPU time of the sender and of the receiver over the same spans as the engine's, ns.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { FIELDS = 8 };

/* What the sender tells its parent. */
struct told {
	int64_t start_ns;
	int64_t cpu_ns;
};

static int64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void prepare(struct iovec *fields, size_t bytes)
{
	for (int i = 0; i < FIELDS; i++) {
		fields[i].iov_len = i < FIELDS - 1 ? bytes / FIELDS : bytes - bytes / FIELDS * (FIELDS - 1);
		fields[i].iov_base = malloc(fields[i].iov_len);
		memset(fields[i].iov_base, i, fields[i].iov_len);
	}
}

static void send_messages(int fd, struct iovec *fields, size_t bytes, long messages)
{
	struct msghdr header = {.msg_iov = fields, .msg_iovlen = FIELDS};

	for (long i = 0; i < messages; i++)
		if (sendmsg(fd, &header, 0) != (ssize_t)bytes)
			err(1, "sendmsg");
}

/* The child. */
static void sender(const struct sockaddr_in *address, int pipe_fd, size_t bytes, long messages)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct iovec fields[FIELDS];
	struct told told;

	/* As the engine's sender: on a busy machine the scheduler shares the CPU between sessions. */
	setsid();
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)))
		err(1, "connect");
	prepare(fields, bytes);
	told.cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	told.start_ns = clock_ns(CLOCK_MONOTONIC);
	send_messages(fd, fields, bytes, messages);
	shutdown(fd, SHUT_WR);
	told.cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - told.cpu_ns;
	if (write(pipe_fd, &told, sizeof(told)) != sizeof(told))
		err(1, "write");
	exit(0);
}

static uint64_t receive(int fd, size_t buffer_bytes)
{
	char *buffer = malloc(buffer_bytes);
	uint64_t total = 0;
	ssize_t count;

	while ((count = recv(fd, buffer, buffer_bytes, 0)) > 0)
		total += (uint64_t)count;
	if (count < 0)
		err(1, "recv");
	free(buffer);
	return total;
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(address);
	size_t bytes, buffer_bytes;
	struct told told;
	int64_t end, cpu;
	long messages;
	int listener, connection, pipe_fds[2], status;

	if (argc != 4)
		errx(2, "usage: plain_sender MESSAGE_BYTES MESSAGES BUFFER_BYTES");
	bytes = strtoul(argv[1], NULL, 10);
	messages = strtol(argv[2], NULL, 10);
	buffer_bytes = strtoul(argv[3], NULL, 10);
	listener = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listener, (struct sockaddr *)&address, length) || listen(listener, 1) ||
	    getsockname(listener, (struct sockaddr *)&address, &length) || pipe(pipe_fds))
		err(1, "set-up");
	if (!fork())
		sender(&address, pipe_fds[1], bytes, messages);
	connection = accept(listener, NULL, NULL);
	cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	if (receive(connection, buffer_bytes) != bytes * (uint64_t)messages)
		errx(1, "bytes are missing");
	end = clock_ns(CLOCK_MONOTONIC);
	cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;
	if (read(pipe_fds[0], &told, sizeof(told)) != sizeof(told) || wait(&status) < 0 || status)
		errx(1, "the sender failed");
	printf("%lld %lld %lld\n", (long long)(end - told.start_ns), (long long)told.cpu_ns, (long long)cpu);
	return 0;
}
