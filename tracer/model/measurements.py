"""What was measured: passes, observations, counters, profile; all of it is a recording."""

from __future__ import annotations

from typing import Literal

import msgspec

from tracer.model.experiment import Count, Experiment, Host, Seconds
from tracer.model.sockets import Socket, Totals
from tracer.model.watching import Hooks, Subject, Window


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """Time a sender thread spends on one message, percentiles over all messages of all threads, ns.

    From one message's start to the next one's: packing, every send call it takes, and for zero-copy the wait for a free
    buffer; of several that one call takes, each an equal share. Histogram buckets are at most 1.6 % wide.
    """

    p50: Count
    p90: Count
    p99: Count
    max: Count


class Completions(msgspec.Struct, frozen=True, kw_only=True):
    """Notifications of zero-copy sends, one for each: from the error queue, or from io_uring's.

    Args:
        copied: Notifications that carried SO_EE_CODE_ZEROCOPY_COPIED, or IORING_NOTIF_USAGE_ZC_COPIED.
        zerocopy: Notifications that did not.
        ranges: Messages on the error queue; one can notify a range of send calls. io_uring's are of one each.
    """

    total: Count
    copied: Count
    zerocopy: Count
    ranges: Count


class CpuTime(msgspec.Struct, frozen=True, kw_only=True):
    """CPU time of the threads that sent or received, ns; interrupts' work may be charged to either.

    Args:
        total: Exact, by each thread's CPU clock (CLOCK_THREAD_CPUTIME_ID); None in a file of before it was read.
        user: The share of user mode. The kernel samples it at the scheduler's ticks: None over too few of them.
        system: The share of kernel mode, likewise.
    """

    total: Count | None = None
    user: Count | None = None
    system: Count | None = None

    @property
    def spent(self) -> int | None:
        """All of it, ns; None where it is not known."""
        if self.total is not None or self.user is None or self.system is None:
            return self.total
        return self.user + self.system


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """What the engine itself counted in one pass.

    Args:
        payload_bytes: Bytes that the send calls accepted.
        sends: Send calls that accepted bytes.
        short_sends: Of these, the ones that accepted fewer bytes than asked.
        elapsed_s: From the first sender's start to the last receiver's last byte.
        enobufs: Send calls refused with ENOBUFS and repeated after reaping completions.
        enobufs_limit: The limit that caused them.
        enomem: Zero-copy requests of io_uring refused with ENOMEM (RLIMIT_MEMLOCK), and repeated likewise.
        received_bytes: None where the receiver is not ours, unless it tells its sender, as one of datagrams does.
        verified: True where every received byte matched the pattern; None where that was not checked.
        packed_bytes: Bytes copied in user space to pack the fields before sending.
        retransmitted_bytes: Payload that TCP sent again, by its own count (TCP_INFO, tcpi_bytes_retrans); None where
            the kernel did not tell.
        bytes_sent: Payload that the sender's TCP handed down, sent again included (tcpi_bytes_sent, Linux 4.19).
        bytes_acked: Payload that the peer's TCP acknowledged (tcpi_bytes_acked, without SYN and FIN).
        bytes_received: Payload that the receiver's TCP took in (tcpi_bytes_received, without FIN); None, too, where the
            receiver is not ours.
        acks: Packets without payload that the sender's TCP got: acknowledgements, and not SYN-ACK and FIN (tcpi_segs_in
            less tcpi_data_segs_in, Linux 4.6).
        asked_sends: Of the sends, those that asked for zero-copy; None in a mode that does not, or that always does in
            a file of before they were counted apart.
        asked_bytes: What these accepted.
        taken: Bytes that the receiver took, by way (tracer/model/sockets.py, READ_WAYS); what it peeked at has one of
            its own, besides. None where the receiver is not ours, or the file does not say.
        hinted_bytes: Of those it copied, what TCP_ZEROCOPY_RECEIVE left to recv() (recv_skip_hint); None of other ways.
        datagrams: It was sent over UDP: TCP has no figures of it, and nothing is sent again.
        encrypted: Kernel TLS made records of it, of which TCP's figures are.
        stopped: The pass was ended before its end: some of what was sent was perhaps neither read nor notified.
    """

    payload_bytes: Count
    messages: Count
    sends: Count
    short_sends: Count
    elapsed_s: Seconds
    throughput_bytes_per_s: Seconds
    latency_ns: Latency | None
    completions: Completions | None
    enobufs: Count
    enobufs_limit: Literal["optmem", "memlock"] | None
    received_bytes: Count | None
    verified: bool | None
    packed_bytes: Count
    retransmitted_bytes: Count | None = None
    bytes_sent: Count | None = None
    bytes_acked: Count | None = None
    bytes_received: Count | None = None
    acks: Count | None = None
    asked_sends: Count | None = None
    enomem: Count = 0
    asked_bytes: Count | None = None
    taken: dict[str, Count] | None = None
    hinted_bytes: Count | None = None
    datagrams: bool = False
    encrypted: bool = False
    stopped: bool = False
    sender_cpu_ns: CpuTime
    receiver_cpu_ns: CpuTime | None


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """What a probe point counted for the workload's sockets.

    Args:
        events: Times it fired.
        bytes: Payload bytes, by the rule of that probe point.
        pages: Page references, where the probe point counts them.
    """

    events: Count
    bytes: Count
    pages: Count | None = None


class Stack(msgspec.Struct, frozen=True, kw_only=True):
    """A kernel stack below which bytes were copied.

    Args:
        frames: Function names, innermost first.
    """

    frames: list[str]
    events: Count
    bytes: Count


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that one observer counted during the observed pass.

    Args:
        tallies: By probe point, "symbol:aspect". A point that was attached and never fired is there with zeros;
            one that could not be attached is not there.
        unattached: Probe point to the reason why it could not be attached.
        attached: Symbol to how it was attached: "fentry", "kprobe", "tracepoint", "cgroup" or "breakpoint".
        lost: Updates that failed and probe runs that the kernel skipped; None where it cannot be read.
        stacks: By probe point, where they were asked for.
    """

    observer: Literal["tracepoints", "functions"]
    tallies: dict[str, Tally]
    unattached: dict[str, str] = {}
    attached: dict[str, str] = {}
    lost: Count | None = None
    stacks: dict[str, list[Stack]] = {}


class Counter(msgspec.Struct, frozen=True, kw_only=True):
    """One CPU counter of the bare pass, gated to its measured window.

    Args:
        event: perf's name; "cycles:u" is user mode, "cycles:k" kernel mode, "cycles" both. "task-clock" is CPU time
            in ns; the others are counts.
        scope: The sender's process, the receiver's process, or all CPUs with whatever ran there. The system's
            "task-clock" is the time that its CPUs were not idle.
        value: None where the machine does not count it.
        source: "perf"; a stand-in's name ("tsc", "thread-clock", "proc-stat"); "none" where nothing counted.
        note: Why it is absent, multiplexed or a stand-in.
    """

    event: str
    scope: Literal["sender", "receiver", "system"]
    value: float | None
    source: str
    note: str = ""


class StageCost(msgspec.Struct, frozen=True, kw_only=True):
    """CPU samples that fell into one stage of the work.

    Args:
        stage: A name of tracer/books/stage_table.py, or "unmapped".
        samples: Samples of the workload's processes and of softirq work done for it.
        share: Of all samples, 0 to 1.
        ns_per_byte: CPU time per payload byte, ns; None where no payload was sent.
        functions: The function that decided the stage, to its samples; most samples first.
    """

    stage: str
    samples: Count
    share: float
    ns_per_byte: float | None
    functions: dict[str, Count] = {}


class CpuProfile(msgspec.Struct, frozen=True, kw_only=True):
    """CPU cost by stage, from sampled stacks, in a pass of its own over the same fixed work.

    Args:
        event: What was sampled: "cycles" where there is a PMU, else "cpu-clock".
        period_ns: CPU time that one sample stands for.
        stages: Those with samples, most expensive first.
        payload_bytes: Payload of the profiled pass.
        elapsed_s: Its time; over the bare pass's time per byte, that is what sampling costs.
        elsewhere: Of the samples, those that hit softirq work for the workload in another process's context.
        folded: Stack, outermost first and joined by ";", to its samples: the flame-graph format.
        lost: Samples whose stack could not be stored; None where it cannot be read.
    """

    event: str
    period_ns: Count
    samples: Count
    stages: list[StageCost]
    payload_bytes: Count = 0
    elapsed_s: Seconds = 0.0
    elsewhere: Count = 0
    folded: dict[str, Count] = {}
    lost: Count | None = None


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """All that was measured; the only thing that ledger, laws, verdicts and reports see.

    Args:
        workload: The bare pass: nothing was attached. Time and CPU come from here.
        observed: The observed pass over the same fixed work; None if it was interrupted before its end.
        attempts: Times that the observed pass was done, the last of which is told of: an earlier one lost events.
        complete: False where the run was interrupted, or given up.
        user: Who the workload ran as: "alice (uid 1000)"; None where the file does not say.
        stuck: Why it was given up: nothing moved any more, and where; empty where it was not.
        notes: What the reader must know to read the figures right.
        window: When the observed pass was watched; None where there was none.
        hooks: How the kernel was asked about the sockets; None where functions alone were watched, which know the link
            and no socket, and in a file of before these were kept. So, too, what follows.
        sockets: Those of the observed pass, as record tells those of a program.
        totals: Over all of them.
        lost: Of these, those that could not be kept.
    """

    schema: Literal["nettrace.recording/2"]
    subject: Subject
    version: str
    experiment: Experiment
    host: Host
    workload: Workload | None
    observed: Workload | None
    observations: list[Observation]
    complete: bool
    attempts: Count = 1
    counters: list[Counter] = []
    profile: CpuProfile | None = None
    notes: list[str] = []
    user: str | None = None
    stuck: str = ""
    window: Window | None = None
    hooks: Hooks | None = None
    sockets: list[Socket] = []
    totals: Totals | None = None
    unlisted_sockets: Count = 0
    lost: Count | None = None
