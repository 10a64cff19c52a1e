/* SPDX-License-Identifier: GPL-2.0 */
/*
 * By its number (linux/bpf.h): BCC looks the helper's name up in /proc/kallsyms, and where that is hidden
 * (kernel.kptr_restrict, no CAP_SYSLOG) takes bpf_probe_read() instead, which cgroup programs may not call. The same text
 * must give the same program, too: it is kept.
 */
static long (*read_kernel)(void *to, u32 size, const void *from) = (void *)113;
#define READ(variable, pointer) read_kernel(&(variable), sizeof(variable), (pointer))
/* A load, and no call, on 64 bits. */
static u64 (*jiffies64)(void) = (void *)118;
/* What it gives is a tcp_sock to the verifier: its members are loaded, at a tenth of the price of a READ. */
static struct k_tcp *(*tcp_sock_of)(void *sk) = (void *)137;
