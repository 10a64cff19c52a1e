/* The hot loops of nettrace's workloads: what Python sees of them.
 *
 * Functions return 0, -errno, or one of enum engine_error. Results are in structs that the caller owns, and are valid
 * on error too. Sizes are bytes, times are nanoseconds of CLOCK_MONOTONIC unless a name says ticks: a tick is one cycle
 * of the time-stamp counter where use_tsc is set, else a nanosecond.
 *
 * build.py hands everything between the two cffi lines to cffi as it is: plain declarations only.
 */
#ifndef NETTRACE_ENGINE_H
#define NETTRACE_ENGINE_H

#include <stdint.h>

/* cffi begin */

enum engine_limits {
	ENGINE_MAX_FIELDS = 1024,	/* of one message: IOV_MAX */
	ENGINE_BUCKETS = 3776,	/* of the latency histogram: 64 for each power of two of an uint64_t */
};

/* What hands a message to the kernel. */
enum engine_call {
	ENGINE_SEND,
	ENGINE_WRITE,
	ENGINE_SENDMSG,
	ENGINE_WRITEV,
	ENGINE_SENDMMSG,	/* several messages a call */
	ENGINE_SENDFILE,
	ENGINE_SPLICE,		/* from the file into a pipe, and from there into the socket */
	ENGINE_VMSPLICE,	/* from memory into a pipe, and from there into the socket */
	ENGINE_URING,		/* a request of io_uring, and a wait for its result */
};

/* Where its bytes lie. */
enum engine_buffers {
	ENGINE_HEAP,		/* each field allocated by itself */
	ENGINE_PACKED,		/* the same, and copied into one buffer before the call */
	ENGINE_FILE,		/* in a file that lives in the page cache alone */
	ENGINE_MAPPED,		/* the fields side by side, in pages of the message's own */
	ENGINE_HUGE,		/* the messages side by side, in huge pages */
	ENGINE_REGISTERED,	/* likewise, in pages that io_uring has been told of before */
};

/* What another thread writes into stop. */
enum engine_stop {
	ENGINE_GO_ON = 0,
	ENGINE_FINISH = 1,	/* end after this message, wait for all completions */
	ENGINE_STOP_NOW = 2,	/* the same if completions come; else give them up in 100 ms. Who waits for a peer that
				   does not read is set free by shutdown(fd, SHUT_WR) from another thread. Nothing
				   here gives up by itself: whoever sees both sides decides that nothing moves. */
};

/* What can go wrong beyond errno, whose values end at 4095 (linux/err.h, MAX_ERRNO). */
enum engine_error {
	ENGINE_TRUNCATED = -5001,	/* MSG_CTRUNC: a completion did not fit, its ids are lost */
	ENGINE_FOREIGN = -5002,		/* the error queue held something that is no zero-copy completion */
	ENGINE_DUPLICATE = -5003,	/* an id was notified twice */
	ENGINE_UNKNOWN_ID = -5004,	/* an id was notified that no send has had */
	ENGINE_LIMIT = -5005,		/* ENOBUFS although this socket has nothing outstanding that could be reaped */
	ENGINE_PATTERN = -5006,		/* a received byte is not the one that was sent */
};

/* When a thread ran and what CPU time it took. cpu_ns is exact (CLOCK_THREAD_CPUTIME_ID). What of it was spent in which
 * mode is a sample, taken at the scheduler's ticks (getrusage(RUSAGE_THREAD)): over few ticks it says nothing. */
struct engine_span {
	int64_t start_ns;
	int64_t end_ns;
	uint64_t start_ticks;
	uint64_t end_ticks;
	uint64_t cpu_ns;
	uint64_t user_ns;
	uint64_t system_ns;
};

/* Which MSG_ZEROCOPY sends have been notified. Ids are 32 bits wide and wrap. TCP notifies mostly in order, which
 * Documentation/networking/msg_zerocopy.rst does not promise: ranges may come in any order, each id exactly once. */
struct engine_tracker {
	uint32_t oldest;	/* first id that has not been notified; next where all have */
	uint32_t next;		/* id of the next send */
	uint32_t capacity;	/* ids between oldest and next at most; a power of two */
	uint32_t outstanding;	/* ids sent and not notified */
	uint16_t *owners;	/* by id modulo capacity: its buffer */
	uint8_t *notified;	/* by id modulo capacity */
	uint32_t *pending;	/* by buffer: its ids that are outstanding */
};

int engine_tracker_open(struct engine_tracker *tracker, uint32_t first_id, uint32_t capacity, uint32_t buffers);
void engine_tracker_close(struct engine_tracker *tracker);
/* -ENOSPC where capacity ids lie between oldest and next. */
int engine_tracker_sent(struct engine_tracker *tracker, uint32_t buffer);
/* low and high are both in the range. On ENGINE_DUPLICATE or ENGINE_UNKNOWN_ID nothing has changed. */
int engine_tracker_notified(struct engine_tracker *tracker, uint32_t low, uint32_t high);

struct engine_pool;
struct engine_ring;

/* One sending thread. All counts are of this thread. */
struct engine_sender {
	/* The caller sets these before engine_sender_open(). */
	int fd;				/* connected, blocking socket without time-outs: no EAGAIN */
	int control_fd;			/* of UDP: the TCP connection beside it */
	uint64_t window_bytes;		/* of UDP: on their way at most; one message at least. 0: it is TCP */
	int gate_fd;			/* reading end of a pipe; engine_send() starts when nobody has the other end open */
	int call;			/* enum engine_call */
	int buffers;			/* enum engine_buffers */
	int zerocopy;			/* ask the kernel to pin the pages, and reap completions */
	int header;			/* the first field goes ahead, copied, by a call with MSG_MORE */
	int use_tsc;			/* the kernel itself keeps time by the TSC, so ticks may, too */
	int verify;			/* write the pattern anew before every message */
	int nodelay;			/* TCP_NODELAY is set, so no segment is held back */
	uint32_t fields;		/* of a message; 1 to ENGINE_MAX_FIELDS */
	uint32_t pool_messages;		/* messages in the pool; one will do where a call's return frees its buffer, and
					   sendmmsg() sends as many as there are */
	uint64_t message_bytes;
	uint64_t messages_wanted;	/* 0: until stop is set */
	volatile int stop;		/* enum engine_stop */
	const struct engine_sender *beside;	/* the process's next one, all in a circle; NULL: it has no other */

	/* Results. */
	struct engine_span span;	/* from the gate to the last completion */
	uint64_t bytes;			/* accepted by the send calls */
	uint64_t packed_bytes;		/* copied in user space from the fields into one buffer */
	uint64_t messages;		/* accepted whole */
	uint64_t sends;			/* calls that accepted bytes; of sendmmsg(), each message is one */
	uint64_t short_sends;		/* of these, the ones that accepted fewer than asked */
	uint64_t asked_sends;		/* of them, the ones that asked for zero-copy */
	uint64_t asked_bytes;		/* accepted by these */
	uint64_t eintr;
	uint64_t enobufs;		/* calls refused with ENOBUFS, and repeated */
	uint64_t enomem;		/* zero-copy requests of io_uring refused with ENOMEM, and repeated */
	uint64_t told_bytes;		/* of UDP: what the receiver says it has read */
	uint64_t refused_optmem_bytes;	/* at the first ENOBUFS: charged to this socket's option memory */
	uint64_t completions;		/* sends notified */
	uint64_t copied;		/* of these, the ones with SO_EE_CODE_ZEROCOPY_COPIED, or IORING_NOTIF_USAGE_ZC_COPIED */
	uint64_t ranges;		/* messages on the error queue that notified them, or notifications of io_uring */
	uint64_t slowest_ticks;
	uint64_t latency[ENGINE_BUCKETS];	/* messages by ticks from their start to the next one's start; of several
						   that one call takes, each an equal share */

	/* The engine's own. */
	struct engine_tracker tracker;
	struct engine_pool *pool;
	uint64_t settled_bytes;		/* of UDP: read, or taken for lost, */
	uint32_t guesses;		/* which is a guess: so many since the receiver was heard */
	const char *step;	/* what engine_sender_open() was at when it failed */
	int file_fd;		/* -1 where there is none, as of the others */
	int pipe_fds[2];	/* its reading end and its writing end */
	uint64_t piped;		/* bytes that are in the pipe */
	int ring_fd;
	struct engine_ring *ring;
};

int engine_sender_open(struct engine_sender *sender);	/* allocates and touches the pool, sets SO_ZEROCOPY */
int engine_send(struct engine_sender *sender);		/* waits for the gate, sends, shuts the sending side down */
void engine_sender_close(struct engine_sender *sender);

/* How a thread takes what has come. */
enum engine_take {
	ENGINE_TAKE_RECV,
	ENGINE_TAKE_PEEK,	/* it looks (MSG_PEEK), and reads what it has seen */
	ENGINE_TAKE_DISCARD,	/* it throws away (MSG_TRUNC) */
	ENGINE_TAKE_SPLICE,	/* into a pipe, and from there to /dev/null; if it is to verify, by read() */
	ENGINE_TAKE_MAP,	/* TCP_ZEROCOPY_RECEIVE; what cannot be mapped is copied */
	ENGINE_TAKE_URING,	/* one multishot RECV of io_uring, into buffers that are provided to it */
};

/* One receiving thread. */
struct engine_receiver {
	/* The caller sets these before engine_receiver_open(). */
	int fd;			/* as the sender's */
	int take;		/* enum engine_take; of datagrams, ENGINE_TAKE_RECV */
	int control_fd;		/* of UDP, likewise */
	uint64_t report_bytes;	/* of UDP: how often it tells how far it is. 0: it is TCP */
	uint64_t segment_bytes;	/* of UDP: of a datagram, but for the last of a message */
	int use_tsc;
	int verify;		/* compare every byte with the pattern of message_bytes; not of what is thrown away */
	volatile int stop;	/* of UDP: set before shutdown(fd, SHUT_RD), which looks as an empty datagram does */
	uint64_t message_bytes;
	uint64_t buffer_bytes;	/* of one call at most */

	/* Results. */
	struct engine_span span;	/* CPU: of the whole call */
	uint64_t bytes;
	uint64_t reads;		/* calls that returned bytes */
	uint64_t peeked_bytes;	/* returned by calls that looked */
	uint64_t mapped_bytes;	/* of all bytes, those in pages that were mapped, */
	uint64_t leftover_bytes;	/* those that the same calls copied beside them, */
	uint64_t hinted_bytes;	/* and those that they left to recv() */
	uint64_t mapped_reads;	/* of the reads, those that mapped a page, */
	uint64_t copied_reads;	/* and those that copied a byte: of some, both is true */
	int64_t first_byte_ns;	/* when the first of them had come; 0 where none did */
	int64_t last_byte_ns;	/* when the last of them had; 0 where none did */
	uint64_t wrong_offset;	/* of the first wrong byte in the stream, where the result is ENGINE_PATTERN */
	int wrong_byte;		/* what came there */
	int expected_byte;	/* what was sent there */

	/* The engine's own. */
	const char *step;	/* what engine_receiver_open() was at when it failed */
	uint8_t *buffer;
	uint8_t *window;	/* where pages are mapped to; NULL where none are, as -1 of the others */
	int pipe_fds[2];
	int null_fd;
	int ring_fd;
	struct engine_ring *ring;
	void *provided;		/* the ring of buffers that io_uring takes from */
	int armed;		/* its request is there */
	uint64_t first_ticks;
	uint64_t last_ticks;
	uint64_t reported_bytes;
	uint64_t next_datagram;	/* the number of the one that should come next */
};

int engine_receiver_open(struct engine_receiver *receiver);
/* Until the peer shuts its side down (of UDP: has told how much there was), or another thread calls
 * shutdown(fd, SHUT_RD) and no more byte is queued. */
int engine_receive(struct engine_receiver *receiver);
void engine_receiver_close(struct engine_receiver *receiver);

/* The byte at a position of the n-th message of a connection. */
uint8_t engine_pattern_byte(uint64_t message, uint64_t position);
/* The histogram: index of a value's bucket, and the least value of a bucket. */
uint32_t engine_bucket_of(uint64_t ticks);
uint64_t engine_bucket_floor(uint32_t bucket);

/* cffi end */

#endif
