/* What the engine's files share; the inline functions run once a message or once a byte. */
#ifndef NETTRACE_ENGINE_INTERNAL_H
#define NETTRACE_ENGINE_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

#ifdef __x86_64__
#include <x86intrin.h>
#endif

#include "engine.h"

/* A wait for completions looks at the stop flag this often. */
enum { TICK_MS = 100 };

/* The rest of a message was given up: ENGINE_STOP_NOW, and no completion came or the socket was shut down. */
enum { GIVEN_UP = 1 };

static inline int64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static inline int64_t monotonic_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

/* clock_gettime() takes 30 ns where the bare counter takes 12 (a 2-core cloud guest, clocksource tsc, the means of
 * 5 million calls), and sending 1 KiB over loopback takes 570: 5 % against 2 %. Unlike the vDSO this reads the counter
 * without a fence, so a reading may be some 10 ns early. */
static inline uint64_t ticks_now(int use_tsc)
{
#ifdef __x86_64__
	if (use_tsc)
		return __rdtsc();
#else
	(void)use_tsc;
#endif
	return (uint64_t)monotonic_ns();
}

/* Log-linear: values below 64 have a bucket each, then 64 buckets for each power of two: at most 1/64 wide. */
static inline uint32_t bucket_of(uint64_t ticks)
{
	unsigned int shift;

	if (ticks < 64)
		return (uint32_t)ticks;
	shift = 57 - (unsigned int)__builtin_clzll(ticks);
	return shift * 64 + (uint32_t)(ticks >> shift);
}

/* The top byte of a sum of odd multiples. By position, it changes at every step, so a lost or swapped byte shows; by
 * message, 64-bit golden ratio, it changes for all distances that a pool has, so a buffer reused too early shows. */
#define PATTERN_BY_MESSAGE 0x9e3779b97f4a7c15u
#define PATTERN_BY_POSITION 0x3c6ef372fe94f82bu

static inline uint64_t pattern_at(uint64_t message, uint64_t position)
{
	return message * PATTERN_BY_MESSAGE + position * PATTERN_BY_POSITION;
}

static inline bool sends_datagrams(const struct engine_sender *sender)
{
	return sender->window_bytes;
}

/* engine.c */
int wait_for_gate(int gate_fd);
void span_start(struct engine_span *span, int use_tsc);
void span_end(struct engine_span *span, int use_tsc);
void close_if_open(int *fd);

/* datagrams.c */
int datagrams_make_room(struct engine_sender *sender);
void datagrams_end(struct engine_sender *sender);
int receive_datagrams(struct engine_receiver *receiver);
uint64_t place_of_datagram(struct engine_receiver *receiver, const uint8_t *bytes, uint64_t count);

/* pool.c: messages of several fields. */
struct message {
	struct iovec *fields;	/* the ones that hold bytes; never an empty one */
	size_t count;
};

struct engine_pool {
	uint32_t size;
	void *arena;		/* where all messages are; NULL where each field is allocated by itself */
	size_t arena_bytes;
	uint8_t *packed;	/* where the fields are packed */
	struct mmsghdr *batch;	/* all messages */
	struct iovec *rest;	/* room for the fields of a message that are left */
	struct message messages[];
};

int pool_open(struct engine_sender *sender);
void pool_close(struct engine_pool *pool);
int pool_renew(const struct engine_sender *sender, struct message *message, uint64_t number);
void pool_pack(struct engine_pool *pool, const struct message *message);

/* What is left of a message, or of several that one call takes, and how to send it on. */
struct rest {
	struct msghdr header;	/* the bytes in memory; of several messages, of none; of a file, without fields */
	uint64_t left;
	uint64_t messages;	/* of which something is left, or was */
	uint32_t buffer;	/* which message of the pool that is */
	int flags;		/* MSG_ZEROCOPY where completions are to come */
	bool apart;		/* what the header points to may be changed */
};

void advance(struct msghdr *header, size_t accepted);

/* calls.c: each hands over some of what is left, from its front; how much, or -errno. */
typedef ssize_t hand_over(struct engine_sender *sender, const struct rest *rest);

hand_over *way_of(const struct engine_sender *sender);

/* receiver.c */
void taken(struct engine_receiver *receiver, const uint8_t *bytes, uint64_t count);

/* ring_takes.c */
int ring_takes_open(struct engine_receiver *receiver);
void ring_takes_close(struct engine_receiver *receiver);
uint64_t provided_bytes(const struct engine_receiver *receiver);

/* takes.c: each takes some of what has come; how much, 0 at the end, or -errno. */
typedef ssize_t take_some(struct engine_receiver *receiver);

take_some *taking(const struct engine_receiver *receiver);
take_some by_multishot;

/* ring_sends.c */
int ring_open(struct engine_sender *sender);
int ring_register(struct engine_sender *sender, void *start, size_t bytes);
void ring_close(struct engine_sender *sender);
int ring_reap(struct engine_sender *sender);
int ring_wait(struct engine_sender *sender, int timeout_ms);
hand_over by_uring;

/* completions.c */
int completions_reap(struct engine_sender *sender);
int completions_wait(struct engine_sender *sender, int timeout_ms);
int completions_drain(struct engine_sender *sender);
int completions_relieve(struct engine_sender *sender, int64_t *refused_since_ns);
/* RLIMIT_MEMLOCK is shared by all that a user has, and nothing tells when something lets go: waits a little; whether the
 * first refusal is so long ago that nobody will. 0: this is the first. */
bool refused_for_good(int64_t *since_ns);

#endif
