"""The sender and the receiver: two processes that are started, parked, released together, and always ended."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from tracer.books import modes, results
from tracer.books.connections import End, Witness, by_port
from tracer.books.receiving import receive
from tracer.books.results import Reply, Role
from tracer.books.stuck import crawling, stuck
from tracer.errors import WorkloadError, in_one_line
from tracer.machine.progress import Progress
from tracer.machine.running import name_of
from tracer.machine.softnet import rouse_cpus
from tracer.model import Experiment, Workload
from workloads.process import Start, WorkerProcess, first_to_speak, start_python

# Generous, because an emulated CPU is 30 times slower than the one that starts a worker in 60 ms.
START_DEADLINE_S = 60.0
PREPARE_DEADLINE_S = 60.0
# A sender whose connection broke: the receiver's end, and with it the reason, is known a moment later.
REASON_DEADLINE_S = 2.0
# One that is told to stop does so in 0.5 s, whatever its peer does, unless it hangs itself.
STOP_DEADLINE_S = 2.0
# Nothing has moved for so long: longer than TCP waits between the first retransmissions (1, 2, 4 s).
PATIENCE_S = 10.0
_NAMESPACES = Path("/run/netns")


class Workers:
    """Both processes for the time of a block; they serve any number of passes, one after the other.

    Each pass is prepare(), release(), then collect() or stop(). The receiver listens on one port all the time, because
    observers filter by it.

    Args:
        address: The receiver's, also what it binds to.
        port: 0 takes a free one.
        sender_netns: Name of a network namespace below /run/netns; None for the caller's.
        uid: User that both drop to after they entered their namespaces; None stays.
        peer: Host and port of a receiver that is not ours; only a sender is started then.
        patience_s: A pass in which nothing moves for so long is given up.
        wake: A descriptor that is readable once the user has interrupted; it is looked at, never read.
        warn: Is told, once, why a pass takes so long.
        start: How a worker's process is started.

    Attributes:
        stuck: Why the last pass was given up; None where it was not.
        slow: Why a pass took so long; empty where nothing is known to have slowed it down.
    """

    def __init__(
        self,
        experiment: Experiment,
        *,
        address: str,
        port: int = 0,
        sender_netns: str | None = None,
        receiver_netns: str | None = None,
        uid: int | None = None,
        gid: int | None = None,
        peer: tuple[str, int] | None = None,
        cgroup: Path | None = None,
        patience_s: float = PATIENCE_S,
        wake: int | None = None,
        start: Start = start_python,
        warn: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._experiment = experiment
        self._mode = modes.mode(experiment.mode)
        self._host, self._asked_port = peer or (address, port)
        self._ours = peer is None
        self._user = {"uid": uid, "gid": gid if gid is not None else uid}
        self._cgroup = cgroup
        self._netns = {"sender": sender_netns, "receiver": receiver_netns}
        self._processes: dict[Role, WorkerProcess] = {}
        self._replies: dict[Role, Reply] = {}
        self._hellos: dict[Role, Reply] = {}
        self._in_pass = False
        self._progress = Progress(patience_s)
        self._wake = wake
        self._start, self._warn = start, warn
        self._deadline = math.inf
        self.stuck: WorkloadError | None = None
        self.slow = ""

    def __enter__(self) -> Workers:
        """Spawns and returns; what goes wrong in the processes is raised by whoever needs them first."""
        try:
            for role in self._roles():
                self._processes[role] = WorkerProcess(role, self._config(role), self._start)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end()

    def _roles(self) -> tuple[Role, ...]:
        return ("receiver", "sender") if self._ours else ("sender",)

    def _config(self, role: Role) -> dict[str, Any]:
        netns = self._netns[role]
        return {
            "address": self._host,
            "port": self._asked_port,
            "cgroup": str(self._cgroup) if self._cgroup else None,
            "cpu": dict(zip(("sender", "receiver"), self._experiment.cpus, strict=False)).get(role),
            "rcvbuf": self._experiment.rcvbuf,
            "netns": str(_NAMESPACES / netns) if netns else None,
            **self._user,
        }

    def _end(self) -> None:
        processes, self._processes = self._processes, {}
        with contextlib.ExitStack() as stack:
            for process in processes.values():
                stack.callback(process.end)

    @property
    def sender_pid(self) -> int:
        return self._processes["sender"].pid

    @property
    def receiver_pid(self) -> int | None:
        """None where the receiver is not ours."""
        return self._processes["receiver"].pid if self._ours else None

    @property
    def transport(self) -> modes.Transport:
        """What carries the payload."""
        return self._mode.protocol

    @property
    def port(self) -> int:
        """The receiver's port; waits until it listens."""
        return int(self._hello("receiver")["port"]) if self._ours else self._asked_port

    def _hello(self, role: Role) -> Reply:
        if role not in self._hellos:
            self._hellos[role] = self._reply_of(role, time.monotonic() + START_DEADLINE_S)
        return self._hellos[role]

    def prepare(self, messages: int | None, duration_s: float | None) -> None:
        """Make the connections of one pass and park the sending threads.

        Args:
            messages: Messages of each connection; None where duration_s rules.
            duration_s: Seconds from release() on.
        """
        port = self.port
        for role in self._roles():
            self._hello(role)
        if failure := results.unpinnable(self._experiment, self._hello("sender")):
            raise failure
        order = {
            "do": "prepare",
            "host": self._host,
            "port": port,
            "threads": self._experiment.threads,
            "size": self._experiment.size,
            "verify": self._experiment.verify,
            "receive": self._experiment.receive,
            "fields": self._experiment.fields,
            "congestion": self._experiment.congestion,
            "nodelay": self._experiment.nodelay,
            "sndbuf": self._experiment.sndbuf,
            "protocol": self._mode.protocol,
            "segment": self._mode.segment_bytes(ipv6=self._experiment.ipv6),
            "call": self._mode.call,
            "buffers": self._mode.buffers,
            "zerocopy": self._mode.asks_zerocopy,
            "header": self._mode.header,
            "batches": self._mode.batches,
            "messages": messages,
            "duration_s": duration_s,
            "pulse_s": self._progress.pulse_s,
        }
        self._replies, self._progress, self.stuck = {}, Progress(self._progress.patience_s), None
        self._in_pass, self._duration_s = True, duration_s
        self._processes["sender"].tell(order)
        if self._ours:
            self._processes["receiver"].tell(order)
        # The sender first: a receiver waits for connections that fail without its knowing.
        for role in reversed(self._roles()):
            self._reply_of(role, time.monotonic() + PREPARE_DEADLINE_S)

    def release(self) -> None:
        """Open the gate: all sending threads start."""
        self._processes["sender"].tell({"do": "go"})
        self._deadline = math.inf if self._duration_s is None else time.monotonic() + self._duration_s

    def collect(self) -> Workload:
        """The figures of the pass, when it is done; of a part of it where it is given up, and `stuck` says why.

        Raises:
            WorkloadError: if a process died, the connection broke, the payload arrived damaged, or nothing moved before
                anything was sent.
            KeyboardInterrupt: the wake-up descriptor became readable; stop() has the figures.
        """
        self._progress.restart()
        while waiting := self._waiting():
            role = first_to_speak(self._processes, waiting, self._progress.until, self._wake)
            if role is None:
                return self._give_up()
            if self._hear(role) and self._has_failed(role):
                self._gather(time.monotonic() + REASON_DEADLINE_S)
                break
            if self._is_overdue():
                return self._give_up()
        if failure := results.failure_in(self._experiment, self._replies.get("sender"), self._replies.get("receiver")):
            raise failure
        return self._workload()

    def _give_up(self) -> Workload:
        stopped = [role for role in self._waiting() if self._processes[role].is_stopped()]
        self.stuck = self._crawl() or stuck(self._progress.patience_s, self._progress.pulses, stopped, self._waiting())
        partial = self.stop()
        if partial is None:
            raise self.stuck
        return partial

    def _is_overdue(self) -> bool:
        """Time is up, and what it has sent until then would take for ever; that it does is said as soon as it shows."""
        crawl = self._crawl()
        if crawl is not None and not self.slow:
            self.slow = in_one_line(crawl)
            self._warn(self.slow)
        return crawl is not None and time.monotonic() > self._deadline

    def _crawl(self) -> WorkloadError | None:
        return crawling(self._progress.pulses["sender"]) if self._progress.is_crawling else None

    def stop(self) -> Workload | None:
        """End the pass now; what was sent until then, or None if that was nothing or nobody can tell."""
        if not self._in_pass:
            return None
        for role in reversed(self._roles()):
            # The receiver ends by itself after the last byte, unless the sender is dead or hung.
            if role not in self._replies and not self._processes[role].is_stopped():
                self._processes[role].tell({"do": "stop"})
                with contextlib.suppress(WorkloadError):
                    self._gather(time.monotonic() + STOP_DEADLINE_S, awaited=role)
        if "sender" not in self._replies or not results.total(self._replies["sender"], "bytes"):
            return None
        return msgspec.structs.replace(self._workload(), stopped=True)

    def _workload(self) -> Workload:
        self._in_pass = False
        return results.workload_of(
            self._experiment,
            asks_zerocopy=self._mode.asks_zerocopy,
            sender=self._replies["sender"],
            receiver=self._replies.get("receiver"),
        )

    def witness(self) -> Witness | None:
        """What the engine counted of each connection of the last pass; None where the sender could not say."""
        if "sender" not in self._replies:
            return None
        return Witness(
            self._mode,
            receive(self._experiment.receive),
            self._end_of("sender"),
            self._end_of("receiver") if self._ours else None,
        )

    def _end_of(self, role: Role) -> End:
        pid, reply = self._processes[role].pid, self._replies.get(role)
        return End(pid, name_of(pid), {} if reply is None else by_port(reply))

    def _waiting(self) -> list[Role]:
        return [role for role in self._roles() if role not in self._replies]

    def _has_failed(self, role: Role) -> bool:
        return any(thread["result"] for thread in self._replies[role]["threads"])

    def _gather(self, deadline: float, awaited: Role | None = None) -> None:
        """Hear what both report at the end of a pass, until the awaited one (None: both) has or the deadline passes."""
        while (waiting := self._waiting()) and (awaited is None or awaited in waiting):
            role = first_to_speak(self._processes, waiting, deadline)
            if role is None:
                return
            self._hear(role)

    def _hear(self, role: Role) -> bool:
        """Take the next message of a pass; whether it was the report that ends it."""
        message = self._checked(role)
        if "pulse" in message:
            self._progress.note(role, message["pulse"])
            if self._progress.is_unnotified:
                rouse_cpus()
        if "threads" not in message:
            return False  # a pulse, or an answer that an interrupted prepare() did not wait for
        if role == "sender":
            message["limits"] = self._hellos["sender"]
        self._replies[role] = message
        return True

    def _reply_of(self, role: Role, deadline: float) -> Reply:
        if first_to_speak(self._processes, [role], deadline, self._wake) is None:
            why = "it is hung or stopped, or this machine is overloaded"
            raise WorkloadError(f"the {role} does not answer", why, "run it again, on a quieter machine")
        return self._checked(role)

    def _checked(self, role: Role) -> Reply:
        reply = self._processes[role].hear()
        if "error" in reply:
            port = self._hellos["receiver"]["port"] if "receiver" in self._hellos else self._asked_port
            raise results.refusal(role, reply["error"], self._host, port)
        return reply
