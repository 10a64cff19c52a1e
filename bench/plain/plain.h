/* What the bare loops share: what they are to send, and over what. Each does the calls of one of the engine's modes and
 * nothing else: no clock in the loop, no histogram, no stop flag, no look at what else could come.
 */
#ifndef NETTRACE_PLAIN_H
#define NETTRACE_PLAIN_H

#include <err.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum { FIELDS = 8 };

struct work {
	size_t bytes;		/* of a message */
	long messages;
	size_t buffer_bytes;	/* of one recv() */
	long pool;		/* messages that a sender has memory for */
	uint64_t window_bytes;	/* of datagrams that are on their way at most */
	uint64_t report_bytes;	/* how often their receiver tells how many it has read */
};

/* One end of a connection. */
struct end {
	int fd;
	int control_fd;		/* of datagrams: the TCP connection beside them */
};

struct message {
	struct iovec fields[FIELDS];
};

/* Makes ready, begins, and sends all. */
typedef void send_all(const struct work *work, const struct end *end);

/* main.c: what was done until then is not counted. */
void begin(void);

send_all twocopy, onecopy, by_write, by_writev, by_sendmmsg;
send_all by_sendfile, by_splice, by_vmsplice;
send_all zerocopy, zerocopy_hugepages, zerocopy_more, selftest;
send_all uring_send, uring_zerocopy, uring_zerocopy_fixed, liburing_example;
send_all udp, udp_gso, udp_zerocopy;

/* memory.c. place: where a message's fields lie side by side; NULL where each is allocated by itself. */
void fill(struct message *message, size_t bytes, uint8_t *place);
struct message *make_pool(const struct work *work, uint8_t *place);
uint8_t *map(size_t bytes, bool huge);

/* zerocopy.c: MSG_ZEROCOPY's notifications. */
void ask_for_zerocopy(int fd);
void push_held_segment(int fd);
void wait_for_notifications(int fd, long least, bool push);
void send_pinned(int fd, const struct msghdr *header, size_t bytes, bool push);

/* datagrams.c */
uint64_t receive_datagrams(const struct work *work, const struct end *end);

static inline void must(long done, size_t wanted, const char *what)
{
	if (done != (long)wanted)
		err(1, "%s: %ld of %zu", what, done, wanted);
}

#endif
