// SPDX-License-Identifier: GPL-2.0
/*
 * The system call that the current task is in, by its registers. The verifier knows what these are: they are loaded, and
 * not copied by a helper, which costs fifty times as much.
 */
enum { NR_WRITE = 1, NR_WRITEV = 20, NR_SENDFILE = 40, NR_SENDTO = 44, NR_SENDMSG = 46, NR_RECVMSG = 47, NR_GETSOCKOPT = 55,
       NR_IO_SUBMIT = 209, NR_SPLICE = 275, NR_SENDMMSG = 307, NR_PWRITEV2 = 328, ENOSYS = 38 };

static __always_inline struct k_regs *syscall_registers(void)
{
	return (struct k_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());
}

/*
 * -1 where it is in none: a thread of the kernel's, a worker of io_uring, or a request of io_uring that is done on the way
 * back from a call, which has its result then (arch/x86/entry/entry_64.S: until then that is -ENOSYS).
 */
static __always_inline long syscall_number(struct k_regs *regs)
{
	return regs->cs == 0x33 && (long)regs->ax == -ENOSYS ? (long)regs->orig_ax : -1;
}
