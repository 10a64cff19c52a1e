"""The words of nettrace as types; no I/O, no policy.

A quantity that nobody observed is None, never 0. Bytes are payload bytes (headers excluded), times are nanoseconds
unless the name says otherwise. Every type is immutable; unknown fields of a file are ignored, so that later versions
may add some.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

import msgspec

SCHEMA: Literal["nettrace.recording/1"] = "nettrace.recording/1"

Count = Annotated[int, msgspec.Meta(ge=0)]
Seconds = Annotated[float, msgspec.Meta(ge=0)]


class Stage(StrEnum):
    """A place on the payload's way where bytes are copied, or where a copy is avoided."""

    PACK = "pack"
    COPY_IN = "copy_in"
    PIN = "pin"
    SPLICE = "splice"
    DEFERRED_COPY = "deferred_copy"
    LINEARIZE = "linearize"
    BOUNCE = "bounce"
    DMA = "dma"
    COPY_OUT = "copy_out"
    DROPPED = "dropped"


class Cause(StrEnum):
    """Why a copy was made after the send call: what the evidence names, never habit."""

    LOCAL_DELIVERY = "local_delivery"
    PACKET_TAP = "packet_tap"
    TUN = "tun"
    FORWARDING = "forwarding"
    NO_SCATTER_GATHER = "no_scatter_gather"
    CHECKSUM = "checksum"
    BOUNCE_BUFFER = "bounce_buffer"
    UNKNOWN = "unknown"


class Link(StrEnum):
    """What carries the payload from the sender's socket to the receiver's."""

    LO = "lo"
    VETH = "veth"
    NIC = "nic"


class ObserverChoice(StrEnum):
    """Which observers the user asks for."""

    AUTO = "auto"
    TRACEPOINTS = "tracepoints"
    FUNCTIONS = "functions"
    ALL = "all"


class Experiment(msgspec.Struct, frozen=True, kw_only=True):
    """One question to the kernel: this mode, this size, over this link, so much of it.

    Args:
        mode: Name of a workload module.
        size: Bytes of one message.
        threads: Connections; each has one sender and one receiver thread.
        messages: Messages of each connection; None where duration_s rules.
        duration_s: Time that the bare pass sends for; the observed pass repeats its number of messages.
        verify: The receiver checks every byte against the sender's pattern.
        scatter_gather: False asks for a NIC whose scatter-gather is off.
        bounce: True asks for a machine booted with swiotlb=force.
        stacks: Kernel stacks are collected at every copy location.
        counters: CPU counters are read around the bare pass.
        profile: A pass of its own samples the CPUs.
        peer: HOST:PORT of `nettrace serve`, for link nic.
        lab: Lab kernel that ran or is to run this; None for this machine's own.
    """

    mode: str
    size: Annotated[int, msgspec.Meta(ge=1, le=16 << 20)]
    threads: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1
    messages: Annotated[int, msgspec.Meta(ge=1)] | None = None
    duration_s: Annotated[float, msgspec.Meta(gt=0)] | None = None
    link: Link = Link.LO
    observer: ObserverChoice = ObserverChoice.AUTO
    verify: bool = False
    scatter_gather: bool = True
    bounce: bool = False
    stacks: bool = False
    counters: bool = False
    profile: bool = False
    peer: str | None = None
    lab: str | None = None


class Nic(msgspec.Struct, frozen=True, kw_only=True):
    """The device that the payload leaves through, and the offloads that decide where it is copied.

    Args:
        kind: What the kernel calls its kind (IFLA_INFO_KIND: "veth", "bridge", "tun"), "loopback", or "ethernet" for a
            device that has no kind.
        mtu: Bytes.
    """

    device: str
    driver: str | None
    scatter_gather: bool | None
    tx_checksum: bool | None
    tso: bool | None
    gso: bool | None = None
    kind: str | None = None
    mtu: Count | None = None


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """Where a recording was made.

    Args:
        emulated: True where the CPU is emulated: times and CPU costs then decide nothing.
        congestion_control: TCP's, in the sender's network namespace; one that paces shows as timers in the CPU profile.
        optmem_max: net.core.optmem_max in the sender's network namespace, bytes.
        memlock: RLIMIT_MEMLOCK of the sender, bytes; None where it is unlimited.
        packet_taps: Packet sockets that get a copy of what passes the link's devices, as they were after the passes:
            "tcpdump (pid 4711) on eth0", "somebody on any device"; None where nobody could look.
    """

    kernel: str
    where: Literal["host", "lab"]
    emulated: bool
    cpu: str
    cores: Count
    nic: Nic | None = None
    congestion_control: str | None = None
    optmem_max: Count | None = None
    memlock: Count | None = None
    packet_taps: list[str] | None = None


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """Time a sender thread spends on one message, percentiles over all messages of all threads, ns.

    From one message's start to the next one's: packing, every send call it takes, and for zero-copy
    the wait for a free buffer. Histogram buckets are at most 1.6 % wide.
    """

    p50: Count
    p90: Count
    p99: Count
    max: Count


class Completions(msgspec.Struct, frozen=True, kw_only=True):
    """MSG_ZEROCOPY notifications from the error queue, one for each send call.

    Args:
        copied: Notifications that carried SO_EE_CODE_ZEROCOPY_COPIED.
        zerocopy: Notifications that did not.
        ranges: Messages on the error queue; one can notify a range of send calls.
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
        received_bytes: None where the receiver is not ours.
        verified: True where every received byte matched the pattern; None where that was not checked.
        packed_bytes: Bytes copied in user space to pack the fields before sending.
        retransmitted_bytes: Payload that TCP sent again, by its own count (TCP_INFO, tcpi_bytes_retrans); None where
            the kernel did not tell.
        bytes_sent: Payload that the sender's TCP handed down, sent again included (tcpi_bytes_sent, Linux 4.19).
        bytes_acked: Payload that the peer's TCP acknowledged (tcpi_bytes_acked, without SYN and FIN).
        bytes_received: Payload that the receiver's TCP took in (tcpi_bytes_received, without FIN); None, too, where the
            receiver is not ours.
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
    """

    schema: Literal["nettrace.recording/1"]
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


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What one function did to the payload in one stage: a copy location.

    Args:
        function: The kernel function (or user code) that does it.
        source: Observer and symbol, for example "fentry:skb_copy_ubufs" or "tracepoint:net_dev_start_xmit".
        bytes: Payload bytes, headers excluded. None where no probe point of the stage was attached: unknown,
            which is not zero.
        events: Times that the probe point fired; None where the source counts none.
        pages: Page references taken, in host pages; None where the stage has none or nobody counted.
        per_payload_byte: bytes / payload bytes.
        witnesses: Other, independent counts of the same bytes, by source; None where one was not there.
        cause: Why a later copy was made; None for a stage that is no later copy, and for one that copied nothing.
        cause_inferred_from: What the cause was inferred from; empty where the observer saw it, or nobody knows it.
        note: What is special about this row.
    """

    stage: Stage
    function: str
    source: str
    bytes: Count | None
    events: Count | None = None
    pages: Count | None = None
    per_payload_byte: float | None = None
    stacks: list[Stack] = []
    witnesses: dict[str, Count | None] = {}
    cause: Cause | None = None
    cause_inferred_from: str = ""
    note: str = ""


class LawState(StrEnum):
    """Whether both sides of a conservation law are equal."""

    HOLDS = "holds"
    BROKEN = "broken"
    UNKNOWN = "unknown"


class Law(msgspec.Struct, frozen=True, kw_only=True):
    """A conservation law with both its sides in bytes (or notifications, where the note says so).

    Args:
        id: "F." and "T." are the function and the tracepoint observer's, the others are the engine's or compare two.
        explanation: What could explain a broken law: drops, a tap, a late packet; empty where nothing is known to.
    """

    id: str
    statement: str
    state: LawState
    left: int | None
    right: int | None
    note: str = ""
    explanation: str = ""


class CopiesPerByte(msgspec.Struct, frozen=True, kw_only=True):
    """Kernel copies of one payload byte on each side; None where a stage that counts is unknown."""

    send: float | None
    receive: float | None


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """Where every byte went, and whether the books balance.

    Args:
        trustworthy: False where a law is broken or an event was lost.
        doubts: Why it is not trustworthy, a sentence each.
        mixed_bytes: Bytes in skbs that hold both copied and pinned payload: tracepoints cannot split them.
        retransmitted_bytes: Bytes sent again by TCP; they are copied again on links that copy.
        pulled_bytes: Payload that a driver pulled into the linear part beside the headers; None where nobody watched.
        observer: Whose entries these are; None where nobody watched.
        lost_events: Updates that the observers lost; None where none of them can tell.
    """

    entries: list[Entry]
    laws: list[Law]
    copies_per_byte: CopiesPerByte
    trustworthy: bool
    doubts: list[str]
    mixed_bytes: Count | None = None
    retransmitted_bytes: Count | None = None
    pulled_bytes: Count | None = None
    observer: Literal["tracepoints", "functions"] | None = None
    lost_events: Count | None = None

    def entry(self, stage: Stage) -> Entry | None:
        """The first entry of a stage: its best-founded one."""
        return next((entry for entry in self.entries if entry.stage is stage), None)

    def bytes_of(self, stage: Stage) -> int | None:
        """Bytes of a stage, summed over its functions; None if unknown or not listed."""
        sizes = [entry.bytes for entry in self.entries if entry.stage is stage]
        known = [size for size in sizes if size is not None]
        return sum(known) if sizes and len(known) == len(sizes) else None


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The answer in one sentence, and what to try next.

    Args:
        code: Stable word for programs, for example "copied-by-loopback".
    """

    code: str
    sentence: str
    next: list[str]


class Overhead(msgspec.Struct, frozen=True, kw_only=True):
    """What watching cost: observed over bare time of the same fixed work."""

    observed_over_bare: float | None


class Document(Recording, frozen=True, kw_only=True):
    """A recording with everything that follows from it: what --json prints and --save writes."""

    ledger: Ledger
    overhead: Overhead
    verdict: Verdict
