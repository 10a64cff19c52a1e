"""How probe points are attached: the plan on literal kernels, the generated C, and the order of the rows."""

from __future__ import annotations

import re

import pytest

from tracer.books.facts import State
from tracer.books.function_rows import ROWS_WITH_PAGES, Row
from tracer.books.probes import PROBE_POINTS, At, ProbePoint
from tracer.observers.attachment import Attachment, KernelText
from tracer.observers.functions import defines, shell, source_text
from tracer.observers.source_text import whole_text
from tracer.reports.probes import probes_json, probes_text

PROGRAM = whole_text("functions.bpf.c")

SYMBOLS = b"""
ffffffff81a00000 T tcp_sendmsg_locked
ffffffff81b00000 T _copy_from_iter
ffffffff81c00000 t __skb_datagram_iter
ffffffff81d00000 T tcp_sendmsg
"""
PARAMETERS = {"tcp_sendmsg_locked": 3, "_copy_from_iter": 3, "__skb_datagram_iter": 7}


class Types:
    """A kernel's BTF that knows three functions and one tracepoint."""

    def function_parameters(self, name: str) -> list[str] | None:
        return ["argument"] * PARAMETERS[name] if name in PARAMETERS else None

    def tracepoint_parameters(self, name: str) -> list[str] | None:
        return ["skb"] if name == "net_dev_xmit" else None


def kernel(**other) -> KernelText:
    fields = {
        "types": Types(), "symbols": SYMBOLS, "traceable": b"\ntcp_sendmsg_locked\n__skb_datagram_iter\n",
        "fentry_refusal": None, "kprobe_refusal": None, "break_refusal": lambda _: None,
    }  # fmt: skip
    return KernelText(**{**fields, **other})


def point(symbol: str, at: At = At.ENTRY) -> ProbePoint:
    return ProbePoint(symbol, at, "handler", None, "", "net/file.c", "")


def test_fentry_is_preferred():
    """It reads arguments by their types, and returns see them too."""
    assert kernel().attachment(point("tcp_sendmsg_locked")).way == "fentry"


def test_more_arguments_than_a_trampoline_takes_need_a_kprobe():
    """Seven parameters: ENOTSUPP from fentry on older kernels, while registers do not care."""
    assert kernel().attachment(point("__skb_datagram_iter")).way == "kprobe"


def test_without_fentry_a_kprobe_serves():
    """The kprobe way gives the same counts."""
    assert kernel(fentry_refusal="EPERM").attachment(point("tcp_sendmsg_locked", At.RETURN)).way == "kprobe"


@pytest.mark.parametrize(
    ("symbol", "at", "reason"),
    [
        ("_copy_from_iter", At.ENTRY, "notrace"),
        ("no_such_function", At.ENTRY, "no such function"),
        ("no_such_tracepoint", At.TRACEPOINT, "no such tracepoint"),
    ],
)
def test_what_cannot_be_attached_says_why(symbol, at, reason):
    """Left out before anything is loaded, with the reason that the ledger repeats."""
    attachment = kernel().attachment(point(symbol, at))

    assert attachment.way is None
    assert reason in attachment.reason


def test_a_kernel_that_refuses_both_says_both():
    """Each refusal in the kernel's own words."""
    refused = kernel(fentry_refusal="EPERM: no", kprobe_refusal="built without kprobes")

    assert refused.attachment(point("tcp_sendmsg_locked")).reason == "fentry: EPERM: no; kprobe: built without kprobes"


def test_a_breakpoint_reaches_a_notrace_function_by_its_address():
    """The one probe for lib/iov_iter.c."""
    attachment = kernel().attachment(point("_copy_from_iter", At.BREAKPOINT))

    assert (attachment.way, attachment.address) == ("breakpoint", 0xFFFFFFFF81B00000)


def test_a_symbol_is_found_by_its_whole_name():
    """tcp_sendmsg is no prefix of another, nor the end of one."""
    assert kernel().address("tcp_sendmsg") == 0xFFFFFFFF81D00000
    assert kernel().address("sendmsg_locked") is None


def test_what_a_user_may_not_see_is_unknown_not_refused():
    """Without root, EPERM and hidden addresses say nothing about the kernel."""
    hidden = re.sub(rb"[0-9a-f]{16}", b"0" * 16, SYMBOLS)
    text = kernel(symbols=hidden, traceable=b"", fentry_refusal="EPERM", kprobe_refusal="EPERM", is_root=False)

    plan = text.plan([point("tcp_sendmsg_locked"), point("_copy_from_iter", At.BREAKPOINT)])

    assert {attachment.described().state for attachment in plan} == {State.UNKNOWN}


@pytest.mark.parametrize(
    ("attachment", "line"),
    [
        (
            Attachment(point("f"), "fentry", parameters=2),
            "int kfunc__f(unsigned long long *ctx) { return handler(ctx, ctx[0], ctx[1], 0, 0, 0); }\n",
        ),
        (
            Attachment(point("f", At.RETURN), "fentry", parameters=2),
            "int kretfunc__f(unsigned long long *ctx) { return handler(ctx, ctx[2]); }\n",
        ),
        (
            Attachment(point("f"), "kprobe"),
            "int kprobe__f(struct pt_regs *ctx) "
            "{ return handler(ctx, ctx->di, ctx->si, ctx->dx, ctx->cx, ctx->r8); }\n",
        ),
        (
            Attachment(point("f", At.RETURN), "kprobe"),
            "int kretprobe__f(struct pt_regs *ctx) { return handler(ctx, ctx->ax); }\n",
        ),
    ],
)
def test_each_attached_point_is_one_generated_line(attachment, line):
    """An fentry program may not read beyond the function's parameters; the return value follows them."""
    assert shell(attachment) == line


def test_the_source_holds_only_what_can_be_attached():
    """A function that is missing here is not in the program that BCC would load."""
    text = source_text(kernel().plan([point("tcp_sendmsg_locked"), point("no_such_function")]))

    assert "kfunc__tcp_sendmsg_locked" in text
    assert "no_such_function" not in text


def test_every_name_in_capitals_that_the_program_counts_in_is_a_row() -> None:
    """The enum is made of the table: names and numbers cannot part; a row that C alone knows does not compile."""
    counted = set(re.findall(r"\badd(?:_here|_stack)?\((?:ctx, )?([A-Z_]+)[,)]", PROGRAM))
    chosen = set(re.findall(r"\? ([A-Z_]+) : ([A-Z_]+),", PROGRAM))

    assert (counted | {name for pair in chosen for name in pair}) - {"LOST"} == set(Row.__members__)


def test_the_enum_is_made_of_the_table_in_its_order() -> None:
    """What is read by number afterwards is read in the same order."""
    flags = defines([], stacks=False)

    assert flags["NT_ROWS"] == ",".join(row.name for row in Row)
    assert "enum row { NT_ROWS, LOST, ROWS };" in PROGRAM
    assert set(ROWS_WITH_PAGES) <= set(Row)


def test_every_handler_of_the_table_is_in_the_program():
    """And every symbol that a row rests on is in the table."""
    symbols = {probe.symbol for probe in PROBE_POINTS}

    assert [probe.handler for probe in PROBE_POINTS if f" {probe.handler}(" not in PROGRAM] == []
    assert {symbol for row in Row for either in row.needs for symbol in either.split("|")} <= symbols


def test_the_list_tells_every_row_its_way_or_its_reason():
    """For people in 100 columns, for programs in JSON."""
    rows = [one.described() for one in kernel().plan(PROBE_POINTS)]
    text = probes_text(rows, colour=False)

    assert all(len(line) <= 100 for line in text.splitlines())
    assert "no such function" in text
    assert '"schema": "nettrace.probes/1"' in probes_json(rows)
