/* A bare loop between two processes over loopback: sends so many messages, and tells what that took.
 *
 * usage: plain LOOP MESSAGE_BYTES MESSAGES BUFFER_BYTES POOL_MESSAGES WINDOW_MESSAGES; prints the nanoseconds from the
 * first send to the last byte, the CPU time of the sender and of the receiver over the same spans as the engine's, ns,
 * and the bytes that came.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "plain.h"

/* What the sender tells its parent. */
struct told {
	int64_t start_ns;
	int64_t cpu_ns;
};

static struct told told;

static const struct loop {
	const char *name;
	send_all *send;
	bool datagrams;
} loops[] = {
	{"twocopy", twocopy, false},
	{"onecopy", onecopy, false},
	{"zerocopy", zerocopy, false},
	{"write", by_write, false},
	{"writev", by_writev, false},
	{"sendmmsg", by_sendmmsg, false},
	{"sendfile", by_sendfile, false},
	{"splice", by_splice, false},
	{"vmsplice", by_vmsplice, false},
	{"zerocopy-more", zerocopy_more, false},
	{"zerocopy-hugepages", zerocopy_hugepages, false},
	{"uring-send", uring_send, false},
	{"uring-zerocopy", uring_zerocopy, false},
	{"uring-zerocopy-fixed", uring_zerocopy_fixed, false},
	{"udp", udp, true},
	{"udp-gso", udp_gso, true},
	{"udp-zerocopy", udp_zerocopy, true},
	{"selftest", selftest, false},
	{"liburing-example", liburing_example, false},
};

static int64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void begin(void)
{
	told.cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	told.start_ns = clock_ns(CLOCK_MONOTONIC);
}

static const struct loop *loop_of(const char *name)
{
	for (size_t i = 0; i < sizeof(loops) / sizeof(loops[0]); i++)
		if (!strcmp(loops[i].name, name))
			return &loops[i];
	errx(2, "no such loop: %s", name);
}

/* A socket with an address of its own. */
static int bound(int type, struct sockaddr_in *address)
{
	socklen_t length = sizeof(*address);
	int fd = socket(AF_INET, type, 0);

	*address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	if (bind(fd, (struct sockaddr *)address, length) || getsockname(fd, (struct sockaddr *)address, &length))
		err(1, "bind");
	return fd;
}

static void join(int fd, const struct sockaddr_in *address)
{
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)))
		err(1, "connect");
}

static void connect_streams(int *sending, int *receiving)
{
	struct sockaddr_in address;
	int listener = bound(SOCK_STREAM, &address);

	*sending = socket(AF_INET, SOCK_STREAM, 0);
	if (listen(listener, 1))
		err(1, "listen");
	join(*sending, &address);
	*receiving = accept(listener, NULL, NULL);
	close(listener);
}

static void connect_datagrams(int *sending, int *receiving)
{
	struct sockaddr_in of_sender, of_receiver;

	*sending = bound(SOCK_DGRAM, &of_sender);
	*receiving = bound(SOCK_DGRAM, &of_receiver);
	join(*sending, &of_receiver);
	join(*receiving, &of_sender);
}

/* The child. In a session of its own, as the engine's sender: on a busy machine the scheduler shares the CPU between them. */
static void be_sender(const struct loop *loop, const struct work *work, const struct end *end, int pipe_fd)
{
	setsid();
	loop->send(work, end);
	if (!loop->datagrams)
		shutdown(end->fd, SHUT_WR);
	told.cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - told.cpu_ns;
	must(write(pipe_fd, &told, sizeof(told)), sizeof(told), "pipe");
	exit(0);
}

static uint64_t receive(const struct work *work, const struct end *end)
{
	uint8_t *buffer = malloc(work->buffer_bytes);
	uint64_t total = 0;
	ssize_t count;

	while ((count = recv(end->fd, buffer, work->buffer_bytes, 0)) > 0)
		total += (uint64_t)count;
	if (count < 0)
		err(1, "recv");
	return total;
}

static struct work work_of(char **numbers)
{
	struct work work = {
		.bytes = strtoul(numbers[0], NULL, 10),
		.messages = strtol(numbers[1], NULL, 10),
		.buffer_bytes = strtoul(numbers[2], NULL, 10),
		.pool = strtol(numbers[3], NULL, 10),
	};
	uint64_t window = strtoul(numbers[4], NULL, 10);

	work.window_bytes = window * work.bytes;
	work.report_bytes = (window > 1 ? window / 2 : 1) * work.bytes;
	return work;
}

static void run(const struct loop *loop, const struct work *work)
{
	struct end sending, receiving;
	int pipe_fds[2], status;
	int64_t cpu, end;
	uint64_t bytes;

	connect_streams(&sending.control_fd, &receiving.control_fd);
	(loop->datagrams ? connect_datagrams : connect_streams)(&sending.fd, &receiving.fd);
	if (pipe(pipe_fds))
		err(1, "pipe");
	if (!fork())
		be_sender(loop, work, &sending, pipe_fds[1]);
	close(sending.fd);
	close(pipe_fds[1]);
	cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	bytes = (loop->datagrams ? receive_datagrams : receive)(work, &receiving);
	end = clock_ns(CLOCK_MONOTONIC);
	cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;
	must(read(pipe_fds[0], &told, sizeof(told)), sizeof(told), "the sender");
	if (wait(&status) < 0 || status || bytes < work->bytes * (uint64_t)work->messages)
		errx(1, "bytes are missing");
	printf("%lld %lld %lld %llu\n", (long long)(end - told.start_ns), (long long)told.cpu_ns, (long long)cpu,
	       (unsigned long long)bytes);
}

int main(int argc, char **argv)
{
	struct work work;

	if (argc != 7)
		errx(2, "usage: plain LOOP MESSAGE_BYTES MESSAGES BUFFER_BYTES POOL_MESSAGES WINDOW_MESSAGES");
	work = work_of(argv + 2);
	run(loop_of(argv[1]), &work);
	return 0;
}
