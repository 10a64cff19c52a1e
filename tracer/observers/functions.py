"""The function observer: sees each copying function run, on kernels that let functions be probed."""

from __future__ import annotations

from tracer.errors import MachineError
from tracer.function_rows import ROWS, ROWS_WITH_PAGES
from tracer.kernel.attachment import Attachment, KernelText
from tracer.model import Observation, Stack, Tally
from tracer.observers.breakpoints import Breakpoints
from tracer.observers.flow import Flow
from tracer.observers.program import Program
from tracer.probes import PROBE_POINTS, At

# Registers of the first five arguments, in the names of struct pt_regs (x86-64 calling convention).
_REGISTERS = ("di", "si", "dx", "cx", "r8")

# Without these there is no telling whose bytes are whose.
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


class FunctionObserver:
    """Compiles at once, counts between attach() and detach(), and counts only the flow's sockets.

    Raises:
        MachineError: this kernel lets neither fentry nor kprobes near the send path.
    """

    name = "functions"

    def __init__(self, flow: Flow, *, stacks: bool = False, text: KernelText | None = None) -> None:
        text = text or KernelText()
        self._attachments = [text.attachment(point) for point in PROBE_POINTS]
        self._require_send_path()
        self._symbol_of = text
        self._stacks = stacks
        defines = {**flow.defines(), **({"NT_STACKS": 1} if stacks else {})}
        self._program = Program("functions.bpf.c", defines, program_text(self._attachments))
        self._breakpoints = Breakpoints(self._program)

    def _require_send_path(self) -> None:
        for attachment in self._attachments:
            if attachment.way is None and attachment.point.symbol in _INDISPENSABLE:
                raise MachineError(
                    "function probes cannot run on this kernel",
                    f"{attachment.point.symbol}: {attachment.reason}",
                    "--observer tracepoints, or the lab: --lab",
                )

    def attach(self) -> None:
        """Start to count.

        Raises:
            PrivilegeError: the kernel refuses this user.
            MachineError: a function that looked attachable was not.
        """
        for attachment in self._attachments:
            point = attachment.point
            if attachment.way == "tracepoint":
                self._program.attach_raw_tracepoint(point.symbol, point.handler)
            elif attachment.way == "breakpoint":
                self._breakpoints.attach(attachment.address, point.handler)
            elif attachment.way is not None:
                self._program.attach_function(attachment.way, point.symbol, shell_name(attachment))

    def detach(self) -> Observation:
        """Stop to count; what was counted."""
        self._breakpoints.detach()
        self._program.detach()
        sums = self._program.read_tallies("tallies", len(ROWS) + 1)
        attached = {one.point.symbol: one.way for one in self._attachments if one.way}
        tallies = {}
        for (name, needs), (events, size, pages) in zip(ROWS.items(), sums, strict=False):
            if all(symbol in attached for symbol in needs):
                tallies[name] = Tally(events=events, bytes=size, pages=pages if name in ROWS_WITH_PAGES else None)
        skipped, (failed_updates, _, _) = self._program.skipped_runs(), sums[-1]
        return Observation(
            observer="functions",
            tallies=tallies,
            unattached={one.point.symbol: one.reason for one in self._attachments if not one.way},
            attached=attached,
            lost=None if skipped is None else skipped + failed_updates,
            stacks=self._read_stacks() if self._stacks else {},
        )

    def _read_stacks(self) -> dict[str, list[Stack]]:
        names = list(ROWS)
        found: dict[str, list[Stack]] = {}
        for row, frames, events, size in self._program.read_stacks("stack_tallies", "stacks"):
            found.setdefault(names[row], []).append(Stack(frames=frames, events=events, bytes=size))
        return {name: sorted(stacks, key=lambda stack: -stack.bytes) for name, stacks in found.items()}

    def close(self) -> None:
        """Free the program; safe to call twice."""
        self._breakpoints.detach()
        self._program.close()
