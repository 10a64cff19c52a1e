"""The counters: `perf stat` on the sender, on the receiver and on the whole system, gated to the measured window.

perf is started before the pass with its events disabled, and told through pipes when to count: perf-stat(1), --control
fd: and --delay -1. Where perf is missing or may not count, the run goes on: its counters are None and say why.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import time
from pathlib import Path

from tracer.machine.perf_output import (
    EVENTS,
    TSC,
    Scope,
    absent_counters,
    busy_time,
    complete_counters,
    read_counters,
    tsc_rate,
)
from tracer.machine.perf_program import how_it_ended
from tracer.model import Counter, CpuTime, Workload

# For all of them together: perf is ready in some 0.1 s, and answers in well under a millisecond.
START_DEADLINE_S, ANSWER_DEADLINE_S = 4.0, 1.0
END_DEADLINE_S = 2.0
_TSC_EVENT = Path("/sys/bus/event_source/devices/msr/events/tsc")
_CPUINFO, _STAT = Path("/proc/cpuinfo"), Path("/proc/stat")
_NOT_INSTALLED = "perf is not installed (Debian: linux-perf)"


def events() -> str:
    """What perf is asked for: all of EVENTS, and the time-stamp counter where there is a source for it."""
    return ",".join((*EVENTS, *((TSC,) if _TSC_EVENT.exists() else ())))


class PerfStat:
    """One perf stat, counting between enable() and disable().

    Args:
        target: Options that say what to count: ("-p", "42") or ("-a",).
    """

    def __init__(self, perf: str, target: tuple[str, ...]) -> None:
        self._late = ""
        control_out, self._control = os.pipe()
        self._answers, answers_in = os.pipe()
        self._output = os.memfd_create("nettrace-perf")
        self._errors = os.memfd_create("nettrace-perf-errors")
        command = [
            *_dies_with_us(), perf, "stat", "-j", "--log-fd", str(self._output), "-e", events(), *target,
            "--delay", "-1", "--control", f"fd:{control_out},{answers_in}",
        ]  # fmt: skip
        try:
            # A session of its own: Ctrl-C at the terminal ends the run, which then ends perf.
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self._errors,
                pass_fds=(control_out, answers_in, self._output), start_new_session=True,
                env={**os.environ, "LC_ALL": "C"},
            )  # fmt: skip
        except BaseException:
            self._close_descriptors()
            raise
        finally:
            os.close(control_out)
            os.close(answers_in)

    def tell(self, order: str, deadline: float) -> bool:
        """Have perf "enable" or "disable" its counters; whether it said by then (time.monotonic) that it had.

        One that did not answer, or has ended, is no measure of the window: reason() says why.
        """
        with contextlib.suppress(BrokenPipeError):
            os.write(self._control, f"{order}\n".encode())
            poll = select.poll()
            poll.register(self._answers, select.POLLIN)
            if poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                return os.read(self._answers, 64) != b""  # "ack\n", or nothing from a perf that ended
            self._late = f"perf stat did not {order} its counters in time: its figures would not be those of the pass"
        return False

    def finish(self) -> str:
        """End perf; what it printed."""
        # perf prints its figures when it is interrupted, as at a terminal.
        self._end(signal.SIGINT)
        return os.pread(self._output, 1 << 20, 0).decode(errors="replace")

    def give_up(self) -> str:
        """End perf without hearing it; why."""
        with contextlib.closing(self):
            self._end(signal.SIGKILL)
            return self.reason()

    def reason(self) -> str:
        """Why its figures do not count: it was late, or its own first words."""
        if self._late:
            return self._late
        text = os.pread(self._errors, 1 << 16, 0).decode(errors="replace")
        lines = [line.strip() for line in text.splitlines() if line.strip() and line.strip() != "Error:"]
        return f"perf stat: {lines[0]}" if lines else f"perf stat {how_it_ended(self._process.returncode)}"

    def _end(self, with_signal: signal.Signals) -> None:
        if self._process.poll() is None:
            self._process.send_signal(with_signal)
        try:
            self._process.wait(END_DEADLINE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """End perf and free everything."""
        with contextlib.ExitStack() as stack:
            stack.callback(self._close_descriptors)
            self._end(signal.SIGKILL)

    def _close_descriptors(self) -> None:
        for descriptor in (self._control, self._answers, self._output, self._errors):
            os.close(descriptor)


class Counters:
    """All three scopes; started at once, so that perf gets ready while the probes are compiled.

    Args:
        receiver: None where the receiver is on another machine.
    """

    def __init__(self, sender: int, receiver: int | None) -> None:
        targets: dict[Scope, tuple[str, ...]] = {"sender": ("-p", str(sender))}
        if receiver is not None:
            targets["receiver"] = ("-p", str(receiver))
        targets["system"] = ("-a",)
        self._perfs: dict[Scope, PerfStat | str] = {}
        self._stat = ("", "")
        perf = shutil.which("perf")
        try:
            for scope, target in targets.items():
                self._perfs[scope] = _start(perf, target)
        except BaseException:
            self.close()
            raise

    def enable(self) -> None:
        """Open the window."""
        self._tell_all("enable", START_DEADLINE_S)
        self._stat = (_STAT.read_text(), "")

    def disable(self) -> None:
        """Close the window."""
        self._stat = (self._stat[0], _STAT.read_text())
        self._tell_all("disable", ANSWER_DEADLINE_S)

    def _tell_all(self, order: str, deadline_s: float) -> None:
        """One that does not obey is ended at once, and its reason stands in its place."""
        deadline = time.monotonic() + deadline_s
        for scope, perf in self._perfs.items():
            if isinstance(perf, PerfStat) and not perf.tell(order, deadline):
                self._perfs[scope] = perf.give_up()

    def read(self, workload: Workload) -> list[Counter]:
        """What was counted, with stand-ins, for a pass whose threads took this CPU time."""
        busy = busy_time(*self._stat, os.sysconf("SC_CLK_TCK"))
        cpu: dict[Scope, CpuTime | None] = {
            "sender": workload.sender_cpu_ns, "receiver": workload.receiver_cpu_ns, "system": busy,
        }  # fmt: skip
        rate = tsc_rate(_CPUINFO.read_text())
        counters = []
        for scope, perf in self._perfs.items():
            counters += complete_counters(_finish(perf, scope), scope, cpu[scope], rate)
        return counters

    def close(self) -> None:
        """End all; safe to call twice."""
        perfs, self._perfs = self._perfs, {}
        with contextlib.ExitStack() as stack:
            for perf in perfs.values():
                if isinstance(perf, PerfStat):
                    stack.callback(perf.close)


def _dies_with_us() -> tuple[str, ...]:
    """A perf of the whole system would outlive a nettrace that was killed: it has no process whose end it waits for."""
    setpriv = shutil.which("setpriv")
    return (setpriv, "--pdeathsig", "KILL") if setpriv else ()


def _start(perf: str | None, target: tuple[str, ...]) -> PerfStat | str:
    """A perf that gets ready, or the reason why there is none."""
    if perf is None:
        return _NOT_INSTALLED
    try:
        return PerfStat(perf, target)
    except OSError as error:
        return f"{perf}: {error.strerror}"


def _finish(perf: PerfStat | str, scope: Scope) -> list[Counter]:
    if isinstance(perf, str):
        return absent_counters(scope, perf)
    return read_counters(perf.finish(), scope) or absent_counters(scope, perf.reason())
