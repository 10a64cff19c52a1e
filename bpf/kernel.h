/* SPDX-License-Identifier: GPL-2.0 */
/*
 * By its number (linux/bpf.h): BCC looks the helper's name up in /proc/kallsyms, and where that is hidden
 * (kernel.kptr_restrict, no CAP_SYSLOG) takes bpf_probe_read() instead, which cgroup programs may not call. The same text
 * must give the same program, too: it is kept.
 */
static long (*read_kernel)(void *to, u32 size, const void *from) = (void *)113;
#define READ(variable, pointer) read_kernel(&(variable), sizeof(variable), (pointer))
