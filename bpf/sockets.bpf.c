// SPDX-License-Identifier: GPL-2.0
/*
 * One row of counters in each socket of a subject (BPF_MAP_TYPE_SK_STORAGE): no key, no size, no clean-up. (In a map where
 * they must be, ROWS_APART: see rows.h.) Whose sockets have one is told by the cgroup that the packet programs are on and by
 * marks, never by this text.
 *
 * Before this file stand struct row and its enums (tracer/books/socket_rows.py), and the members of the kernel's structs
 * at this kernel's offsets (struct k_*, tracer/observers/socket_structs.py), which also defines PARAMETERS_function for
 * each function that this kernel has.
 */
#include "kernel.h"
static long (*read_user)(void *to, u32 size, const void *from) = (void *)112;
#define READ_USER(variable, pointer) read_user(&(variable), sizeof(variable), (pointer))
#define ADD(row, counter, n) lock_xadd(&(row)->counters[counter], (u64)(n))
/* A counter that is computed: the verifier must see the mask, which the compiler would otherwise drop. */
#define ADD_AT(row, first, index, mask, n) \
	do { u64 at_ = (index); asm volatile("%0 &= " #mask : "+r"(at_)); lock_xadd(&(row)->counters[(first) + at_], (u64)(n)); } while (0)

enum { TCP = 6, RAW = 255, SOCK_RAW = 3, AF_INET = 2, AF_INET6 = 10, EAGAIN = 11, EFAULT = 14, ENOBUFS = 105 };
enum { MSG_OOB = 1, MSG_PEEK = 2, MSG_TRUNC = 0x20, MSG_ERRQUEUE = 0x2000, MSG_ZEROCOPY = 0x4000000, MSG_SPLICE_PAGES = 0x8000000 };
/* include/net/tcp_states.h */
enum { ESTABLISHED = 1, SYN_SENT = 2, SYN_RECV = 3, CLOSED = 7, LISTEN = 10 };
enum { SHARED_FRAG = 2, ORIGIN_ZEROCOPY = 5, CODE_COPIED = 1, NOTIFICATION = 8 };

#ifdef OF_A_LINK
#define ROWS_APART 1
#endif
BPF_F_TABLE("sk_storage", int, u64, marks, 0, 513);   /* BPF_F_NO_PREALLOC, BPF_F_CLONE: an accepted socket has its listener's */
/*
 * Marks: a peer that has connected, or has accepted; of the subject's own sockets, the one that socket() made. PENDING is
 * what is held of a connection that is there already until its row is made (held.h).
 */
enum mark { PEER_ASKS = 1, PEER_SERVES = 2, OWN = 3, PENDING = 4 };
enum { BEFORE = 1 };   /* a bit of a mark: the socket was there before it was watched */
BPF_RINGBUF_OUTPUT(ended_rows, RING_PAGES);

/* Rows that have ended, summed: exact whatever the ring buffer loses. */
struct totals { u64 counters[COUNTERS]; };
BPF_PERCPU_ARRAY(totals, struct totals, 1);
enum fate { CREATED, MADE, ENDED, NOT_MADE, NOT_SENT, UNNAMED_COPIES, UNNAMED_UNIX, TOLD, TOLD_AGAIN, FATES };
BPF_PERCPU_ARRAY(fates, u64, FATES);
enum { BUCKETS = 32 };
BPF_PERCPU_ARRAY(sizes, u64, WAYS * BUCKETS);

/* struct ubuf_info of a zero-copy send -> cookie: who is meant where an skb has no socket any more. */
BPF_TABLE("lru_hash", u64, u64, owners, 16384);
struct notifications { u64 posted, copied; };
BPF_TABLE("lru_hash", u64, struct notifications, notified, 16384);
struct copy { u64 cookie, frames[2]; };
struct copied { u64 events, bytes; };
BPF_TABLE("hash", struct copy, struct copied, deferred, 16384);

/* Ports of the subject's own ends, by network namespace: who connects to the one, or answers the other, is its peer. */
BPF_HASH(listening, u64, u8, 1024);
BPF_TABLE("lru_hash", u64, u8, connecting, 16384);

/* The cgroup that is watched, and how many are above it; the pid namespace that ids are of, 0 for the first one. */
struct subject { u64 cgroup; u32 level, pid_namespace; };
BPF_ARRAY(subject, struct subject, 1);
/* Processes that are attached to, where it is not a cgroup; connections that wait to be accepted by these. */
BPF_HASH(processes, u32, u8, 65536);
BPF_HASH(awaited, u64, u8, 65536);
/* Not 0: the sockets are being read for the last time, and one that moves its first byte now is left out. */
BPF_ARRAY(ending, u64, 1);
/* Calls on Unix sockets: ways to send, and behind them ways to read. */
struct unix_call { u32 tgid, way; char comm[16]; };
struct moved { u64 calls, bytes; };
BPF_TABLE("hash", struct unix_call, struct moved, unix_calls, 4096);

#ifdef OF_A_LINK
#include "link.h"
#endif
#include "sockets/processes.h"
#include "sockets/states.h"
#include "sockets/handed_down.h"
#include "sockets/connections.h"
#include "sockets/held.h"
#include "sockets/rows.h"
#include "sockets/once.h"
#ifdef OF_A_LINK
#include "sockets/passing.h"
#endif
#include "sockets/beginning.h"
#include "sockets/registers.h"
#include "sockets/cork.h"
#include "sockets/ways.h"
#include "sockets/rings.h"
#include "sockets/notifications.h"
#include "sockets/unix.h"
#include "sockets/calls_by_functions.h"
#include "sockets/calls_by_tracepoints.h"
#include "sockets/reading.h"
#include "sockets/later_copies.h"
#include "sockets/drops.h"
#include "sockets/tls.h"
#include "sockets/ends.h"
#include "sockets/packets.h"
#include "sockets/peers.h"
#ifndef OF_A_LINK
#include "sockets/attaching.h"
#include "sockets/snapshot.h"
#endif
