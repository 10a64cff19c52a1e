"""The function observer: sees each copying function run, on kernels that let functions be probed."""

from __future__ import annotations

import functools
from typing import Any

from tracer.books.function_rows import ROWS_WITH_PAGES, Row
from tracer.books.probes import PROBE_POINTS, At, tells_of
from tracer.books.tallies import total
from tracer.errors import MachineError
from tracer.machine.kernel.symbols import why_no_names
from tracer.model import Observation, Stack, Tally
from tracer.observers import drops
from tracer.observers.attachment import Attachment, KernelText
from tracer.observers.breakpoints import Breakpoints
from tracer.observers.flow import NOTHING, Flow
from tracer.observers.prepared import Prepared, Source, source_of
from tracer.observers.program import Program, prepare
from tracer.observers.source_text import whole_text
from tracer.observers.watched import Watched

_PROGRAM = "functions.bpf.c"

# Maps that hold something of a run.
_COUNTED = (
    "tallies", "in_progress", "sending", "receiving", "mapping", "giving", "ciphering", "ubufs", "deferred_by", "drops",
    "drops_lost",
)  # fmt: skip
_COUNTED_STACKS = ("stack_tallies", "stacks")

# Registers of the first five arguments, in the names of struct pt_regs (x86-64 calling convention).
_REGISTERS = ("di", "si", "dx", "cx", "r8")

_INDISPENSABLE = ("tcp_sendmsg_locked", "tcp_recvmsg_locked")


def shell_name(attachment: Attachment) -> str:
    """Name of the generated function; BCC and libbpf take the attach type from its prefix."""
    prefix = {("fentry", At.ENTRY): "kfunc", ("fentry", At.RETURN): "kretfunc",
              ("kprobe", At.ENTRY): "kprobe", ("kprobe", At.RETURN): "kretprobe"}  # fmt: skip
    return f"{prefix[attachment.way or '', attachment.point.at]}__{attachment.point.symbol}"


def shell(attachment: Attachment) -> str:
    """The one generated line of an attached function: hands arguments or the return value to its handler."""
    point, name = attachment.point, shell_name(attachment)
    fentry = attachment.way == "fentry"
    if point.at is At.RETURN:
        result = f"ctx[{attachment.parameters}]" if fentry else "ctx->ax"
        arguments = [result]
    elif fentry:
        arguments = [f"ctx[{index}]" if index < attachment.parameters else "0" for index in range(5)]
    else:
        arguments = [f"ctx->{register}" for register in _REGISTERS]
    context = "unsigned long long *ctx" if fentry else "struct pt_regs *ctx"
    return f"int {name}({context}) {{ return {point.handler}({', '.join(['ctx', *arguments])}); }}\n"


def program_text(attachments: list[Attachment]) -> str:
    """The generated part of the program: what follows functions.bpf.c."""
    return "".join(shell(attachment) for attachment in attachments if attachment.way in ("fentry", "kprobe"))


def defines(attachments: list[Attachment], stacks: bool) -> dict[str, int | str]:
    """The -D flags: the rows, how skb_copy_ubufs is entered, and what is left out where nobody asked for it."""
    by_kprobe = any(one.point.symbol == "skb_copy_ubufs" and one.way == "kprobe" for one in attachments)
    return {
        "NT_ROWS": ",".join(Row.__members__),
        **drops.DEFINES,
        **({"NT_KPROBE_skb_copy_ubufs": 1} if by_kprobe else {}),
        **({"NT_STACKS": 1} if stacks else {}),
    }


def source_text(attachments: list[Attachment]) -> str:
    """All of the C that would be compiled here."""
    return f"{whole_text(_PROGRAM)}\n{program_text(attachments)}"


def prepare_program(programs: dict[str, Any]) -> None:
    """Compile and load what a run without stacks needs, for a child of this process; nothing where probes are refused.

    Raises:
        MachineError: a function that looked loadable was not.
    """
    if why_no_send_path(attachments := planned()) is None:
        prepare(source(attachments), {entered_function(one): one.way for one in attachments if one.way}, programs)


def source(attachments: list[Attachment], *, stacks: bool = False) -> Source:
    """What is compiled for these."""
    return source_of(_PROGRAM, defines(attachments, stacks), program_text(attachments))


def entered_function(attachment: Attachment) -> str:
    """The function of the program that this probe point enters."""
    return shell_name(attachment) if attachment.way in ("fentry", "kprobe") else attachment.point.handler


@functools.cache
def planned() -> list[Attachment]:
    """How each probe point is attached on the running kernel."""
    return KernelText.of_running_kernel().plan(PROBE_POINTS)


def why_no_send_path(attachments: list[Attachment]) -> str | None:
    """None if the send and the receive call can be watched; without them nobody can tell whose bytes are whose."""
    missing = [one for one in attachments if one.way is None and one.point.symbol in _INDISPENSABLE]
    return f"{missing[0].point.symbol}: {missing[0].reason}" if missing else None


class FunctionObserver:
    """Compiles at once, counts between attach() and detach(), and counts only the flow's sockets.

    Raises:
        MachineError: this kernel lets neither fentry nor kprobes near the send path.
    """

    name = "functions"
    watched: Watched | None = None

    def __init__(
        self,
        flow: Flow,
        *,
        stacks: bool = False,
        text: KernelText | None = None,
        prepared: Prepared | None = None,
    ) -> None:
        self._attachments = text.plan(PROBE_POINTS) if text else planned()
        if reason := why_no_send_path(self._attachments):
            raise MachineError(
                "function probes cannot run on this kernel", reason, "--observer tracepoints, or the lab: --lab"
            )
        self._own = [one for one in self._attachments if tells_of(one.point, flow.transport)]
        self._stacks = stacks and why_no_names() is None
        self._flow = flow
        self._program = Program(source(self._attachments, stacks=self._stacks), prepared)
        self._breakpoints = Breakpoints(self._program)
        self._is_attached = False

    def attach(self) -> None:
        """Start to count.

        Raises:
            PrivilegeError: the kernel refuses this user.
            MachineError: a function that looked attachable was not.
        """
        self._program.clear(*_COUNTED, *(_COUNTED_STACKS if self._stacks else ()))
        self._program.write("flows", self._flow.watched())
        if self._is_attached:  # an earlier pass's probes are still there
            self._program.forget_skipped_runs()
            return
        self._is_attached = True
        for attachment in self._own:
            point = attachment.point
            if attachment.way == "breakpoint":
                self._breakpoints.attach(attachment.address, point.handler)
            elif attachment.way is not None:
                self._program.attach(attachment.way, point.symbol, entered_function(attachment))

    def detach(self) -> Observation:
        """Stop to count; what was counted. The probes go with close(): fentry takes 0.1 s for each."""
        self._program.write("flows", NOTHING)
        sums = self._program.read_tallies("tallies", len(Row) + 1)
        attached = {one.point.symbol: one.way for one in self._own if one.way}
        tallies = {}
        for row, (events, size, pages) in zip(Row, sums, strict=False):
            if row.is_known(attached):
                tallies[str(row)] = Tally(events=events, bytes=size, pages=pages if row in ROWS_WITH_PAGES else None)
        if Row.COPY_UBUFS in tallies and why_no_names() is None:
            tallies |= {f"{Row.COPY_UBUFS.symbol}:{caller}": tally for caller, tally in self._callers().items()}
        if "kfree_skb" in attached:
            tallies |= drops.tallies_of_drops(self._program.read_drops("drops"))
        lost = total(self._program.skipped_runs(), sums[-1][0], self._program.length("sending", "receiving", "mapping"))
        lost = total(lost, self._program.read_count("drops_lost"))
        return Observation(
            observer="functions",
            tallies=tallies,
            unattached={one.point.symbol: one.reason for one in self._own if not one.way},
            attached=attached,
            lost=lost,
            stacks=self._read_stacks() if self._stacks else {},
        )

    def _callers(self) -> dict[str, Tally]:
        """Deferred copies by the function that asked for them."""
        found: dict[str, Tally] = {}
        for (first, second), events, size in self._program.read_by_caller("deferred_by"):
            caller = second if first.startswith(Row.COPY_UBUFS.symbol) else first
            before = found.get(caller, Tally(events=0, bytes=0))
            found[caller] = Tally(events=before.events + events, bytes=before.bytes + size)
        return found

    def _read_stacks(self) -> dict[str, list[Stack]]:
        names = [str(row) for row in Row]
        found: dict[str, dict[tuple[str, ...], Stack]] = {}
        for row, frames, events, size in self._program.read_stacks("stack_tallies", "stacks"):
            stacks = found.setdefault(names[row], {})
            same = stacks.get(tuple(frames), Stack(frames=frames, events=0, bytes=0))
            stacks[tuple(frames)] = Stack(frames=frames, events=same.events + events, bytes=same.bytes + size)
        return {name: sorted(stacks.values(), key=lambda stack: -stack.bytes) for name, stacks in found.items()}

    def close(self) -> None:
        """Free the program; safe to call twice."""
        self._breakpoints.detach()
        self._program.close()
