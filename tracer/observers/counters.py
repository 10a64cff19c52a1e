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
from tracer.model import Counter, CpuTime, Workload

# An emulated CPU takes seconds to start perf.
START_DEADLINE_S = 20.0
# perf answers in well under a millisecond; it is given up after this.
ANSWER_DEADLINE_S = 5.0
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

    def enable(self) -> None:
        """Start to count; waits until perf says so. A perf that ended is told apart by reason()."""
        self._tell("enable", START_DEADLINE_S)

    def disable(self) -> None:
        """Stop to count."""
        self._tell("disable", ANSWER_DEADLINE_S)

    def _tell(self, order: str, deadline_s: float) -> None:
        with contextlib.suppress(BrokenPipeError):
            os.write(self._control, f"{order}\n".encode())
            poll = select.poll()
            poll.register(self._answers, select.POLLIN)
            if poll.poll(deadline_s * 1000):
                os.read(self._answers, 64)  # "ack\n", or nothing from a perf that ended

    def finish(self) -> str:
        """End perf; what it printed."""
        # perf prints its figures when it is interrupted, as at a terminal.
        self._end(signal.SIGINT)
        return os.pread(self._output, 1 << 20, 0).decode(errors="replace")

    def reason(self) -> str:
        """Why perf printed nothing: its first words."""
        text = os.pread(self._errors, 1 << 16, 0).decode(errors="replace")
        lines = [line.strip() for line in text.splitlines() if line.strip() and line.strip() != "Error:"]
        return f"perf stat: {lines[0]}" if lines else f"perf stat ended with code {self._process.returncode}"

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
        self._end(signal.SIGKILL)
        self._close_descriptors()

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
        for perf in self._running():
            perf.enable()
        self._stat = (_STAT.read_text(), "")

    def disable(self) -> None:
        """Close the window."""
        self._stat = (self._stat[0], _STAT.read_text())
        for perf in self._running():
            perf.disable()

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

    def _running(self) -> list[PerfStat]:
        return [perf for perf in self._perfs.values() if isinstance(perf, PerfStat)]

    def close(self) -> None:
        """End all; safe to call twice."""
        running, self._perfs = self._running(), {}
        for perf in running:
            perf.close()


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
