"""What two workers report, as a Workload or as the error that a user should read; pure."""

from __future__ import annotations

import errno
import os
from typing import Any, Literal

from tracer.books.modes import known
from tracer.books.quantities import MIN_TICKS
from tracer.books.receiving import receive, taken_by
from tracer.errors import MachineError, NettraceError, PrivilegeError, UsageError, WorkloadError
from tracer.model import Completions, CpuTime, Experiment, Latency, Workload

Role = Literal["sender", "receiver"]
Reply = dict[str, Any]

Limit = Literal["optmem", "memlock"]

# workloads/engine/engine.h, enum engine_error
TRUNCATED, FOREIGN, DUPLICATE, UNKNOWN_ID, LIMIT, PATTERN = range(-5001, -5007, -1)
# The scheduler's tick is at most the user's (HZ is 100 or more), and it hits a thread that sleeps and wakes less often
# than its CPU time would have it.
TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGESIZE")
# What sock_omalloc() charges for one notification: SKB_TRUESIZE(0), 576 on x86-64; a few, because those that the
# kernel merges while we ask are given back.
NOTIFICATION_BYTES = 4 * 576

_AGAIN = "run it again; if it repeats, report it"
_BROKEN_BOOKS = {
    TRUNCATED: "a notification did not fit (MSG_CTRUNC)",
    FOREIGN: "the error queue held something that is no zero-copy completion",
    DUPLICATE: "a send was notified twice",
    UNKNOWN_ID: "a send was notified that never was",
}


def total(reply: Reply, name: str) -> int:
    """A count summed over the threads."""
    return sum(int(thread[name]) for thread in reply["threads"])


def workload_of(experiment: Experiment, *, asks_zerocopy: bool, sender: Reply, receiver: Reply | None) -> Workload:
    """One pass as the two processes counted it.

    Args:
        receiver: None where it is not ours or could not say.
    """
    elapsed_s = max(0, end_ns(sender, receiver) - min(thread["start_ns"] for thread in sender["threads"])) / 1e9
    payload_bytes = total(sender, "bytes")
    # A receiver of datagrams tells its sender, too.
    told = sender.get("told_bytes")
    read = total(receiver, "bytes") if receiver else told
    arrived = payload_bytes if read is None else read
    latency = sender["latency_ns"]
    return Workload(
        payload_bytes=payload_bytes,
        messages=total(sender, "messages"),
        sends=total(sender, "sends"),
        short_sends=total(sender, "short_sends"),
        elapsed_s=elapsed_s,
        throughput_bytes_per_s=arrived / elapsed_s if elapsed_s else 0.0,
        latency_ns=Latency(**latency) if latency else None,
        completions=completions_of(sender) if asks_zerocopy else None,
        enobufs=total(sender, "enobufs"),
        enomem=total(sender, "enomem"),
        enobufs_limit=limit_of(sender) if total(sender, "enobufs") else None,
        received_bytes=read,
        verified=True if experiment.verify and receiver else None,
        packed_bytes=total(sender, "packed_bytes"),
        retransmitted_bytes=sender["bytes_retrans"] if told is None else 0,
        bytes_sent=sender["bytes_sent"],
        bytes_acked=sender["bytes_acked"],
        bytes_received=receiver["bytes_received"] if receiver else None,
        acks=sender.get("acks"),
        sender_cpu_ns=cpu_of(sender),
        receiver_cpu_ns=cpu_of(receiver) if receiver else None,
        asked_sends=total(sender, "asked_sends") if asks_zerocopy else None,
        asked_bytes=total(sender, "asked_bytes") if asks_zerocopy else None,
        taken=taken_of(experiment.receive, receiver) if receiver else None,
        hinted_bytes=total(receiver, "hinted_bytes") if receiver and receive(experiment.receive).wants_pages else None,
        datagrams=told is not None,
        encrypted=(mode := known(experiment.mode)) is not None and mode.is_encrypted,
    )


def taken_of(name: str, receiver: Reply) -> dict[str, int]:
    """Bytes that all its threads took, by way."""
    counted = {count: total(receiver, count) for count in ("bytes", "peeked_bytes", "mapped_bytes")}
    return taken_by(receive(name), counted)


def end_ns(sender: Reply, receiver: Reply | None) -> int:
    """When the last byte was there: read, or the connections closed where the receiver is not ours."""
    if receiver is None:
        return int(sender["closed_ns"])
    return max(int(thread["last_byte_ns"]) for thread in receiver["threads"])


def completions_of(sender: Reply) -> Completions:
    notified, copied = total(sender, "completions"), total(sender, "copied")
    return Completions(total=notified, copied=copied, zerocopy=notified - copied, ranges=total(sender, "ranges"))


def cpu_of(reply: Reply) -> CpuTime:
    """CPU time of all threads; told apart by mode where each of them ran for enough ticks.

    Each, because a thread that no tick has hit yet is counted as user mode alone (cputime_adjust(),
    kernel/sched/cputime.c), and many of them do not make up for that.
    """
    spent = total(reply, "cpu_ns")
    user, system = total(reply, "user_ns"), total(reply, "system_ns")
    least = min(int(thread["cpu_ns"]) for thread in reply["threads"])
    if least < MIN_TICKS * TICK_NS or not user + system:
        return CpuTime(total=spent)
    in_kernel = round(spent * system / (user + system))
    return CpuTime(total=spent, user=spent - in_kernel, system=in_kernel)


def limit_of(sender: Reply) -> Limit:
    """Which limit refused the first refused send, by what the socket had been charged at that moment.

    Only two can (msg_zerocopy_realloc(), net/core/skbuff.c): the option memory of the socket, for the notification,
    and RLIMIT_MEMLOCK of the user, for the pages; the latter does not bind who has CAP_IPC_LOCK.
    """
    refused = [thread for thread in sender["threads"] if thread["enobufs"]]
    charged = max(thread["refused_optmem_bytes"] for thread in refused)
    return _refuser(sender["limits"], charged)


def _refuser(limits: Reply, charged: int) -> Limit:
    memlock, optmem_max = limits["memlock"], limits["optmem_max"]
    if memlock is None or (optmem_max is not None and charged + NOTIFICATION_BYTES > optmem_max):
        return "optmem"
    return "memlock"


def failure_in(experiment: Experiment, sender: Reply | None, receiver: Reply | None) -> NettraceError | None:
    """The first failed thread's, the receiver's before the sender's: a sender often fails only in consequence.

    But not by a limit: it frees what was not read yet, and the receiver finds wrong bytes.
    """
    if sender is not None and any(thread["result"] == LIMIT for thread in sender["threads"]):
        return _limit_too_low(experiment, sender)
    for thread in receiver["threads"] if receiver else ():
        if thread["result"]:
            return receiver_failure(experiment.size, thread)
    for thread in sender["threads"] if sender else ():
        # A thread that was stopped because another failed has no failure of its own.
        if thread["result"] and sender is not None:
            return _sender_failure(experiment, thread, sender)
    return None


def receiver_failure(size: int, thread: Reply) -> NettraceError:
    """What a receiving thread met: a byte that was not sent, or an error of the socket.

    Args:
        size: Bytes of one message.
    """
    if thread["result"] == PATTERN:
        message, position = divmod(thread["wrong_offset"], size)
        sent, came = thread["expected_byte"], thread["wrong_byte"]
        return WorkloadError(
            f"byte {thread['wrong_offset']} of a connection is not the one that was sent",
            f"byte {position} of message {message}: {sent:#04x} sent, {came:#04x} came",
            "payload was lost, reordered or overwritten before it was copied: report it with the kernel's release",
        )
    return WorkloadError("the receiver could not go on", _reason(thread["result"]), _AGAIN)


# Why UDP_SEGMENT is refused: udp_send_skb(), net/ipv4/udp.c. The first was seen on 6.1, and is no more on 6.12.
_UNCUT = {
    errno.EIO: (
        "this kernel leaves their checksums to the device, which makes none",
        "udp; or a device whose checksum offload is on",
    ),
    errno.EINVAL: ("they take an Ethernet's packet each, and the device's are smaller", "an MTU of 1500; else udp"),
}


def _sender_failure(experiment: Experiment, thread: Reply, sender: Reply) -> NettraceError:
    code = thread["result"]
    if code == LIMIT:
        return _limit_too_low(experiment, sender)
    if code in _BROKEN_BOOKS:
        what, fix = "the completions of MSG_ZEROCOPY make no sense", "report it with the kernel's release"
        return WorkloadError(what, _BROKEN_BOOKS[code], fix)
    if -code in _UNCUT and (mode := known(experiment.mode)) is not None and mode.segmented:
        why, fix = _UNCUT[-code]
        what = f"{mode.name} cannot have its messages cut into datagrams for this device"
        return MachineError(what, f"{why}: {_reason(code)}", fix)
    if -code == errno.ENOBUFS and experiment.sndbuf is not None:
        why = f"{_reason(code)}: all of a datagram's packets have to be in it at once (__ip_append_data())"
        what = f"a send buffer of {experiment.sndbuf} bytes is too small for a datagram of {experiment.size}"
        return MachineError(what, why, "a larger --sndbuf, or a smaller --size")
    if -code in (errno.EPIPE, errno.ECONNRESET, errno.ECONNREFUSED):
        why = f"{thread['bytes']} bytes had been sent: {_reason(code)}"
        return WorkloadError("the receiver closed the connection", why, "look at the receiving program")
    return WorkloadError("the sender could not go on", _reason(code), _AGAIN)


def _limit_too_low(experiment: Experiment, sender: Reply) -> NettraceError:
    refused, limits = "ENOMEM" if total(sender, "enomem") else "ENOBUFS", sender["limits"]
    if not total(sender, "enomem") and limit_of(sender) == "optmem":
        return _optmem_too_low(experiment, limits)
    return _memlock_too_low(experiment, refused, limits["memlock"])


def _refused(experiment: Experiment, refused: str) -> str:
    return (
        f"the kernel refuses a zero-copy send of {experiment.size} bytes ({refused}) with nothing of its own in flight"
    )


def _optmem_too_low(experiment: Experiment, limits: Reply) -> NettraceError:
    why = f"net.core.optmem_max is {limits['optmem_max']} bytes: too little for one notification"
    return WorkloadError(_refused(experiment, "ENOBUFS"), why, "sysctl -w net.core.optmem_max=131072")


def _memlock_too_low(experiment: Experiment, refused: str, memlock: int) -> NettraceError:
    needed = pinned_bytes(experiment.size) * experiment.threads
    why = f"RLIMIT_MEMLOCK is {memlock} bytes for all sockets of this user; this takes {needed}"
    fix = f"ulimit -l {-(-needed * 2 // 1024)}, a smaller --size, or fewer --threads"
    return WorkloadError(_refused(experiment, refused), why, fix)


def pinned_bytes(size: int) -> int:
    """What a zero-copy send is charged for (mm_account_pinned_pages()): two pages more, neither end need be aligned."""
    return (size // PAGE_BYTES + 2) * PAGE_BYTES


def unpinnable(experiment: Experiment, limits: Reply) -> NettraceError | None:
    """Why not even the first zero-copy send could be, alone as it is; None where it may.

    Args:
        limits: The sender's, and whether the least of sends was allowed. RLIMIT_MEMLOCK binds by pages, and not whom
            the kernel lets pin what he likes; io_uring keeps no notification in a socket's optmem.
    """
    found, memlock = known(experiment.mode), limits["memlock"]
    if found is None or not found.asks_zerocopy or found.buffers == "registered":
        return None
    by_ring = found.call.startswith("uring")
    if not by_ring and not limits["may_send_zerocopy"] and _refuser(limits, charged=0) == "optmem":
        return _optmem_too_low(experiment, limits)
    asked = experiment.size - (experiment.size // experiment.fields if found.header else 0)
    if memlock is None or pinned_bytes(asked) <= memlock // PAGE_BYTES * PAGE_BYTES:
        return None
    return _memlock_too_low(experiment, "ENOMEM" if by_ring else "ENOBUFS", memlock)


def refusal(role: str, error: Reply, address: str, port: int) -> NettraceError:
    """A worker's own words about why it could not begin."""
    during, code, detail = error["during"], error["code"], error["detail"]
    if during == "listen":
        return _cannot_listen(code, address, port)
    if during == "netns":
        if code == errno.EPERM:
            return PrivilegeError(f"cannot enter the network namespace {detail}", _reason(-code), "run it with sudo")
        return MachineError(f"there is no network namespace {detail}", _reason(-code), "ip netns list shows all")
    if during == "cgroup":
        return PrivilegeError(f"the {role} cannot enter the cgroup {detail}", _reason(-code), "run it as root")
    if during == "privileges":
        return PrivilegeError(f"the {role} cannot become user {detail}", _reason(-code), "run it with sudo")
    if during == "connect":
        fix = f"is a receiver listening there? ss -ltn 'sport = :{port}'"
        return WorkloadError(f"cannot connect to {address} port {port}", detail, fix)
    if during == "accept":
        fix = "look for a firewall: nft list ruleset"
        return WorkloadError("the sender's connections do not reach the receiver", detail, fix)
    if during == "datagrams":
        fix = f"is the receiver a nettrace that knows UDP? does a firewall drop it? ss -lun 'sport = :{port}'"
        return WorkloadError("sender and receiver do not agree on datagrams", detail or _reason(-code), fix)
    if during in _SETTINGS:
        return _cannot_set(during, code, detail, role)
    if during in _MEANS:
        return MachineError(*_cannot_provide(during, code, role))
    return WorkloadError(f"the {role} cannot {during}", detail or _reason(-abs(code)), _AGAIN)


# What was asked of a connection or a process and cannot be had, and what would help.
_SETTINGS = {
    "congestion": (
        "the {role} cannot have the congestion control '{detail}'",
        "sysctl net.ipv4.tcp_available_congestion_control net.ipv4.tcp_allowed_congestion_control; else, as root: "
        "modprobe tcp_{detail}",
    ),
    "sndbuf": (
        "the kernel would give a send buffer of {detail} bytes instead",
        "sysctl net.core.wmem_max says the most; the least is 2304",
    ),
    "rcvbuf": (
        "the kernel would give a receive buffer of {detail} bytes instead",
        "sysctl net.core.rmem_max says the most; the least is 1152",
    ),
    "cpu": ("the {role} cannot be bound to CPU {detail}", "those it may have: taskset -cp $$"),
}  # fmt: skip


def _cannot_set(setting: str, code: int, detail: str, role: str) -> NettraceError:
    what, fix = (words.format(role=role, detail=detail) for words in _SETTINGS[setting])
    return MachineError(what, _reason(-abs(code)), fix)


# What a mode needs beside its messages, by the engine's word for it; and what would help.
_MEANS = {
    "messages": (
        "its messages", "they are written before anything is sent", "free memory, fewer --threads or a smaller --size",
    ),
    "zerocopy": ("SO_ZEROCOPY", "this mode asks for zero-copy", "it takes Linux 4.14, and 5.0 for UDP; else onecopy"),
    "file": ("a file in memory", "this mode's messages are one", "free memory"),
    "pipe": ("a pipe", "its messages pass one", "fewer --threads"),
    "ring": (
        "io_uring", "its bytes pass by it",
        "it takes Linux 6.1, kernel.io_uring_disabled=0 (sysctl), and a container whose seccomp filter allows it; else "
        "zerocopy, and --receive recv",
    ),
    "tls": (
        "kernel TLS", "the module tls, which encrypts this mode's payload, is not loaded",
        "modprobe tls, as root; where the kernel has no such module: --lab, or onecopy",
    ),
    "cipher": (
        "the cipher of kernel TLS", "this mode's payload is encrypted with AES-GCM-128, which is not loaded",
        "modprobe gcm, as root; where the kernel has none: --lab, or onecopy",
    ),
    "ring memory": (
        "io_uring", "its rings are charged to RLIMIT_MEMLOCK", "ulimit -l unlimited, fewer --threads, or zerocopy",
    ),
    "register": (
        "registered buffers", "io_uring pins them for good, within RLIMIT_MEMLOCK",
        "ulimit -l unlimited, fewer --threads, or uring-zerocopy",
    ),
    "threads": ("its threads", "one for each connection", "fewer --threads; cat pids.max of its cgroup"),
    "null": ("/dev/null", "what is spliced ends there", "ls -l /dev/null"),
    "provide": (
        "buffers for io_uring's RECV", "it takes them from a ring of them", "it takes Linux 6.1; else --receive recv",
    ),
    "window": (
        "a window for mapped pages", "TCP_ZEROCOPY_RECEIVE puts them there", "--receive recv, or free memory",
    ),
    "huge": (
        "huge pages", "this mode's fields lie in some",
        "it takes Linux 6.1 with transparent huge pages, and free memory in one piece: "
        "echo 1 > /proc/sys/vm/compact_memory; else --size smaller, or zerocopy",
    ),
}  # fmt: skip


def _cannot_provide(means: str, code: int, role: str) -> tuple[str, str, str]:
    too_much = means == "ring" and abs(code) == errno.ENOMEM
    what, why, fix = _MEANS["ring memory" if too_much else means]
    return f"the {role} cannot have {what}", f"{why}: {_reason(-abs(code))}", fix


def _cannot_listen(code: int, address: str, port: int) -> NettraceError:
    if code == errno.EADDRINUSE:
        fix = f"choose another port, or see who has it: ss -ltnp 'sport = :{port}'"
        return UsageError(f"port {port} on {address} is taken", _reason(-code), fix)
    if code == errno.EACCES:
        return PrivilegeError(f"the receiver may not listen on port {port}", _reason(-code), "choose one from 1024 up")
    return MachineError(f"the receiver cannot listen on {address}", _reason(-code), "ip address shows those there are")


def _reason(code: int) -> str:
    return f"{errno.errorcode.get(-code, code)}: {os.strerror(-code)}" if -4096 < code < 0 else f"engine error {code}"
