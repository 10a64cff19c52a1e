"""Watches the sockets of a cgroup: gathers rows as sockets end, and reads those that live on (bpf/sockets.bpf.c)."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import importlib.resources
import os
import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tracer.books.socket_rows import COUNTERS, ROW_BYTES, Row, declaration, decode_row
from tracer.errors import MachineError, PrivilegeError
from tracer.machine.kernel.btf import Btf
from tracer.model_sockets import SEND_WAYS
from tracer.observers import loading
from tracer.observers.cgroup_links import exclusive_holder
from tracer.observers.compiling import compile_text
from tracer.observers.loading import Kind, Refusal
from tracer.observers.skips import recursion_misses
from tracer.observers.socket_structs import declarations


class Hook(NamedTuple):
    """A probe point, the program that is attached to it, and the question that it answers."""

    kind: Kind
    target: str
    program: str
    question: str


def _returns(question: str, *functions: str) -> tuple[Hook, ...]:
    return tuple(Hook(Kind.FEXIT, name, f"returned_from_{name}", question) for name in functions)


def _tracepoints(question: str, *names: str) -> tuple[Hook, ...]:
    return tuple(Hook(Kind.TP_BTF, name, f"on_{name}", question) for name in names)


# Without these there is nothing to tell.
_NEEDED = (
    Hook(Kind.SOCK_CREATE, "", "on_sock_create", "which sockets"),
    Hook(Kind.SOCK_RELEASE, "", "on_sock_release", "the end of UDP sockets"),
    Hook(Kind.CGROUP_EGRESS, "", "on_egress", "packets that leave"),
    Hook(Kind.CGROUP_INGRESS, "", "on_ingress", "packets that arrive"),
    *_tracepoints("the end of TCP sockets", "tcp_destroy_sock"),
)
# Calls by functions: one hook tells call, way and result of TCP, UDP and io_uring alike.
_SEND_FUNCTIONS = _returns("calls that send, by way", "inet_sendmsg", "inet6_sendmsg", "inet_sendpage")
_READ_FUNCTIONS = _returns(
    "calls that read, by way", "inet_recvmsg", "inet6_recvmsg", "tcp_splice_read", "tcp_zerocopy_receive"
)
_CALL_TRACEPOINTS = (
    *_tracepoints("calls that send, by way", "tcp_sendmsg_locked", "sock_send_length"),
    *_tracepoints("calls that read", "sock_recv_length"),
)
_WISHED = (
    *_tracepoints("how far reading has come", "tcp_rcv_space_adjust"),
    *_tracepoints("bytes copied to the reader", "skb_copy_datagram_iovec"),
    *_tracepoints("zero-copy notifications", "inet_sk_error_report", "io_uring_complete"),
    *_tracepoints("bytes dropped on this machine", "kfree_skb"),
    Hook(Kind.FENTRY, "skb_copy_ubufs", "entered_skb_copy_ubufs", "pinned pages that are copied later"),
)

_FUNCTIONS = tuple(
    hook.target for hook in (*_SEND_FUNCTIONS, *_READ_FUNCTIONS, *_WISHED) if hook.kind in (Kind.FEXIT, Kind.FENTRY)
)
_ASKED_TRACEPOINTS = ("kfree_skb", "io_uring_complete")

# 16 MiB: what 20,000 sockets leave while this process is not running.
_RING_PAGES = 4096
_BUCKETS = 32
_FATES = ("created", "made", "ended", "not_made", "not_sent", "unnamed_copies")
_SAMPLE_S, _MOST_SAMPLES = 1.0, 3600
# Rows kept in memory; the rest is in the totals.
MOST_LISTED = 40_000


@dataclass
class Watched:
    """What was counted.

    Args:
        ended: Rows of sockets that have ended, as many as are listed.
        living: Rows of those that live on.
        totals: Counters over the sockets that have ended, whatever became of their rows.
        notified: Cookie -> io_uring notifications, and those with the flag "copied".
        deferred: (cookie, calling function) -> events and bytes; None where the function cannot be probed.
        sizes: Way -> histogram.
        samples: Time (CLOCK_MONOTONIC, ns) and counters over all sockets, once a second.
        skipped: Program -> times the kernel did not run it; None where it does not tell.
    """

    ended: list[Row]
    living: list[Row]
    totals: dict[str, int]
    fates: dict[str, int]
    notified: dict[int, tuple[int, int]]
    deferred: dict[tuple[int, str], tuple[int, int]] | None
    sizes: dict[str, list[int]]
    attached: list[str]
    refused: dict[str, str]
    skipped: dict[str, int] | None = None
    samples: list[tuple[int, dict[str, int]]] = field(default_factory=list)
    unlisted: int = 0
    calls: str = "none"

    @property
    def lost(self) -> int:
        """Rows that could not be made, and those that were made and neither ended nor live."""
        adrift = self.fates["made"] - self.fates["ended"] - len(self.living)
        return self.fates["not_made"] + self.fates["not_sent"] + max(0, adrift)


@dataclass
class SocketObserver:
    """Attached between attach() and close()."""

    attached: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    calls: str = "none"
    samples: list[tuple[int, dict[str, int]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._undo = contextlib.ExitStack()
        self._rows: list[bytes] = []
        self._unlisted = 0
        self._stop = threading.Event()
        self._progress = threading.Condition()
        self._programs: dict[str, int] = {}

    def attach(self, cgroup: Path) -> None:
        """Compile, load and attach; from here on everything is counted.

        Raises:
            PrivilegeError: the kernel refuses this user.
            MachineError: this kernel lacks what cannot be done without.
        """
        btf = Btf.of_running_kernel()
        by_functions = self._can_fexit(btf)
        text = importlib.resources.files("bpf").joinpath("sockets.bpf.c").read_text()
        flags = (f"-DRING_PAGES={_RING_PAGES}", *(() if by_functions else ("-DREADS_BY_REGISTERS=1",)))
        self._bpf = compile_text(declaration() + declarations(btf, _FUNCTIONS, _ASKED_TRACEPOINTS) + text, flags)
        self._undo.callback(self._bpf.cleanup)
        self._watched = cgroup
        self._cgroup = loading.open_directory(cgroup)
        self._undo.callback(os.close, self._cgroup)
        self._attach_all(_NEEDED, btf, needed=True)
        self._attach_all((*_SEND_FUNCTIONS, *_READ_FUNCTIONS) if by_functions else _CALL_TRACEPOINTS, btf)
        self._attach_all(_WISHED, btf)
        self.calls = self._what_tells_calls()
        self._living = loading.load(
            self._bpf, "on_living", Kind.ITERATOR, loading.target_id(btf, Kind.ITERATOR, "bpf_sk_storage_map")
        )
        self._undo.callback(os.close, self._living)
        self._listen()

    def _can_fexit(self, btf: Btf) -> bool:
        """Whether this kernel takes programs at a function's return: tried, with the smallest one."""
        tried = compile_text("int tried(u64 *ctx) { return 0; }")
        try:
            program = loading.load(tried, "tried", Kind.FEXIT, loading.target_id(btf, Kind.FEXIT, "inet_sendmsg"))
            try:
                os.close(loading.attach(program, Kind.FEXIT))
            finally:
                os.close(program)
        except Refusal as refusal:
            self.refused["fexit"] = refusal.reason
            return False
        finally:
            tried.cleanup()
        return True

    def _attach_all(self, hooks: Iterable[Hook], btf: Btf, needed: bool = False) -> None:
        for hook in hooks:
            try:
                self._attach(hook, btf)
            except Refusal as refusal:
                if needed:
                    raise _failed(hook, refusal, self._watched) from refusal
                self.refused[hook.target] = refusal.reason

    def _attach(self, hook: Hook, btf: Btf) -> None:
        target = loading.target_id(btf, hook.kind, hook.target) if hook.target else None
        if hook.target and target is None:
            raise Refusal(errno.ENOENT, "this kernel has none")
        program = loading.load(self._bpf, hook.program, hook.kind, target)
        self._undo.callback(os.close, program)
        self._undo.callback(os.close, loading.attach(program, hook.kind, self._cgroup))
        self._programs[hook.program] = program
        self.attached.append(hook.target or hook.program)

    def _what_tells_calls(self) -> str:
        if "inet_sendmsg" in self.attached and "inet_recvmsg" in self.attached:
            return "fexit"
        return "tracepoint+registers" if "sock_send_length" in self.attached else "none"

    def _listen(self) -> None:
        self._bpf["ended_rows"].open_ring_buffer(self._on_row)
        thread = threading.Thread(target=self._gather, name="rows", daemon=True)
        thread.start()
        self._thread = thread

    def _gather(self) -> None:
        due = time.monotonic() + _SAMPLE_S
        while not self._stop.is_set():
            self._bpf.ring_buffer_poll(50)
            if time.monotonic() >= due and len(self.samples) < _MOST_SAMPLES:
                due += _SAMPLE_S
                self.samples.append((time.monotonic_ns(), self._all_counters()))

    def _all_counters(self) -> dict[str, int]:
        """Over all sockets until now; one that ends meanwhile is in the next sample."""
        sums = self._totals()
        for row in self._read_living():
            for name, value in row.counters.items():
                sums[name] += value
        return sums

    def _on_row(self, _context: Any, data: Any, _size: int) -> None:
        with self._progress:
            if len(self._rows) < MOST_LISTED:
                self._rows.append(ctypes.string_at(data, ROW_BYTES))
            else:
                self._unlisted += 1
            self._progress.notify_all()

    def drain(self, most_s: float) -> None:
        """Wait until no socket lives any more, or none has ended for so long."""
        while living := len(self._read_living()):
            if not self._wait_for_rows(living, most_s):
                return

    def _wait_for_rows(self, most: int, most_s: float) -> bool:
        """Wait for so many rows; whether any came at all."""
        with self._progress:
            before = self._come()
            self._progress.wait_for(lambda: self._come() >= before + most, most_s)
            return self._come() > before

    def _come(self) -> int:
        return len(self._rows) + self._unlisted

    def _read_living(self) -> list[Row]:
        data = loading.iterate_map(self._living, self._map("rows"))
        return [decode_row(data[at : at + ROW_BYTES]) for at in range(0, len(data), ROW_BYTES)]

    def _map(self, name: str) -> int:
        from bcc.libbcc import lib

        return int(lib.bpf_table_fd(self._bpf.module, name.encode()))

    def finish(self) -> Watched:
        """Stop counting; all that was counted."""
        # Before the living are read: a row that is made after that is among neither these nor those.
        made = self._fates()["made"]
        living = self._read_living()
        self._stop.set()
        self._thread.join()
        self._bpf.ring_buffer_consume()
        fates = {**self._fates(), "made": made}
        sizes = self._sums("sizes", len(SEND_WAYS) * _BUCKETS)
        listed = [decode_row(row) for row in self._rows]
        seen = {row.number("cookie") for row in listed}
        return Watched(
            ended=listed,
            living=[row for row in living if row.number("cookie") not in seen],
            totals=self._totals(),
            fates=fates,
            notified={key.value: (value.posted, value.copied) for key, value in self._bpf["notified"].items()},
            deferred=self._deferred(),
            sizes={
                way: sizes[at * _BUCKETS : (at + 1) * _BUCKETS]
                for at, way in enumerate(SEND_WAYS)
                if any(sizes[at * _BUCKETS : (at + 1) * _BUCKETS])
            },
            attached=self.attached,
            refused=self.refused,
            skipped=self._skipped(),
            samples=self.samples,
            unlisted=self._unlisted,
            calls=self.calls,
        )

    def _skipped(self) -> dict[str, int] | None:
        found = {name: recursion_misses(program) for name, program in self._programs.items()}
        known = {name: times for name, times in found.items() if times is not None}
        return {name: times for name, times in known.items() if times} if len(known) == len(found) else None

    def _fates(self) -> dict[str, int]:
        return dict(zip(_FATES, self._sums("fates", len(_FATES)), strict=True))

    def _sums(self, table: str, length: int) -> list[int]:
        array = self._bpf[table]
        return [sum(array[ctypes.c_int(index)]) for index in range(length)]

    def _totals(self) -> dict[str, int]:
        cells = self._bpf["totals"][ctypes.c_int(0)]
        return {name: sum(cell.counters[at] for cell in cells) for at, name in enumerate(COUNTERS)}

    def _deferred(self) -> dict[tuple[int, str], tuple[int, int]] | None:
        if "skb_copy_ubufs" not in self.attached:
            return None
        events: Counter[tuple[int, str]] = Counter()
        copied: Counter[tuple[int, str]] = Counter()
        for key, value in self._bpf["deferred"].items():
            name = (key.cookie, self._caller(key.frames))
            events[name] += value.events
            copied[name] += value.bytes
        return {name: (events[name], copied[name]) for name in events}

    def _caller(self, frames: Iterable[int]) -> str:
        """Who called skb_copy_ubufs(): on some kernels (7.2) its trampoline leaves the function itself out."""
        first, second = (str(self._bpf.ksym(address).decode()) for address in frames)
        return second if first.startswith("skb_copy_ubufs") else first

    def close(self) -> None:
        """Detach and free everything."""
        self._stop.set()
        self._undo.close()


def _failed(hook: Hook, refusal: Refusal, cgroup: Path) -> MachineError | PrivilegeError:
    what = f"cannot watch {hook.question} ({hook.target or hook.program})"
    holder = exclusive_holder(cgroup, hook.kind.value.attach_type) if hook.kind in loading.OF_A_CGROUP else None
    if holder is not None:
        why = f"another program holds {holder} alone (it was attached without BPF_F_ALLOW_MULTI)"
        return MachineError(what, why, f"bpftool cgroup show {holder}; detach it, or run in the lab: --lab")
    if refusal.number in (errno.EPERM, errno.EACCES):
        return PrivilegeError(
            what, refusal.reason, "run as root, or with CAP_BPF and CAP_PERFMON; see: nettrace doctor"
        )
    return MachineError(what, refusal.reason, "see: nettrace doctor; or run in the lab: --lab")
