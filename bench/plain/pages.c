/* Bare loops whose calls hand over pages by reference. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "plain.h"

static int make_file(size_t bytes)
{
	int fd = memfd_create("plain", MFD_CLOEXEC);
	struct message message;

	fill(&message, bytes, NULL);
	must(writev(fd, message.fields, FIELDS), bytes, "a file in memory");
	return fd;
}

void by_sendfile(const struct work *work, const struct end *end)
{
	int file = make_file(work->bytes);

	begin();
	for (long i = 0; i < work->messages; i++) {
		for (off_t at = 0; at < (off_t)work->bytes;)
			if (sendfile(end->fd, file, &at, work->bytes - (size_t)at) <= 0)
				err(1, "sendfile");
	}
}

/* Out of the pipe, which holds the whole message. */
static void drain(int pipe_fd, int fd, size_t bytes)
{
	while (bytes) {
		ssize_t sent = splice(pipe_fd, NULL, fd, NULL, bytes, 0);

		if (sent <= 0)
			err(1, "splice");
		bytes -= (size_t)sent;
	}
}

void by_splice(const struct work *work, const struct end *end)
{
	int file = make_file(work->bytes), pipe_fds[2];

	if (pipe2(pipe_fds, O_CLOEXEC))
		err(1, "pipe");
	begin();
	for (long i = 0; i < work->messages; i++) {
		off_t at = 0;

		must(splice(file, &at, pipe_fds[1], NULL, work->bytes, 0), work->bytes, "splice of the file");
		drain(pipe_fds[0], end->fd, work->bytes);
	}
}

void by_vmsplice(const struct work *work, const struct end *end)
{
	struct message message;
	int pipe_fds[2];

	if (pipe2(pipe_fds, O_CLOEXEC))
		err(1, "pipe");
	fill(&message, work->bytes, map(work->bytes, false));
	begin();
	for (long i = 0; i < work->messages; i++) {
		must(vmsplice(pipe_fds[1], message.fields, FIELDS, 0), work->bytes, "vmsplice");
		drain(pipe_fds[0], end->fd, work->bytes);
	}
}
