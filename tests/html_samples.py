"""Recordings for pages: with everything in them, with thousands of sockets, and by somebody who means harm."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from tests.samples import changed, looped
from tests.socket_samples import reader, recording, sender
from tracer.model import CpuProfile, Recording
from tracer.model.socket_recording import Finding, Sample, SocketRecording
from tracer.model.sockets import Socket, Totals, Transfer
from tracer.model.watching import Subject
from tracer.reports.html.of_run import page_of_run
from tracer.reports.html.of_sockets import page_of_sockets
from tracer.reports.html.page import render

# What a browser would run, if it could get out of the text that it stands in.
PAYLOADS = (
    "<script>window.stolen=1</script>",
    "\"><img src=x onerror='window.stolen=1'>",
    "</script><script>window.stolen=1</script>",
    "<!--<script>",
    "{{ 7 * 7 }}{% raw %}",
    "javascript:window.stolen=1",
    "\x1b[2J\x00\x07\u202e\u2028]]>",
)
EVIL = "".join(PAYLOADS)

STACKS = {
    "sender;kernel;entry_SYSCALL_64_after_hwframe;tcp_sendmsg;tcp_sendmsg_locked;skb_zerocopy_iter_stream": 60,
    "sender;kernel;entry_SYSCALL_64_after_hwframe;tcp_sendmsg;tcp_write_xmit;ip_output;skb_copy_ubufs": 90,
    "receiver;kernel;entry_SYSCALL_64_after_hwframe;tcp_recvmsg;tcp_recvmsg_locked;_copy_to_iter": 50,
    "receiver;user;main;recv": 1,
}


def profile(folded: dict[str, int] | None = None, **other: Any) -> CpuProfile:
    from tracer.books.stages import stage_costs

    stacks = STACKS if folded is None else folded
    fields: dict[str, Any] = {
        "event": "cpu-clock", "period_ns": 100_000, "samples": sum(stacks.values()), "payload_bytes": 10**6,
        "elapsed_s": 0.02, "stages": stage_costs(stacks, 100_000, 10**6), "folded": stacks,
    }  # fmt: skip
    return CpuProfile(**{**fields, **other})


def whole_run() -> Recording:
    """A run with all that a page can show."""
    return changed(looped(), profile=profile(), user="alice (uid 1000)", notes=["a note"])


def program(sockets: int = 24, **changes: Any) -> SocketRecording:
    """Half of its sockets send, half of them read; the first one more than all others."""
    half = sockets // 2
    senders = [_numbered(sender(), number, number) for number in range(half)]
    readers = [_numbered(reader(), number, half + number) for number in range(half)]
    moved = {"copy": Transfer(calls=half, bytes=10007 * half)}
    fields: dict[str, Any] = {
        "totals": Totals(sent=moved, read=moved),
        "subject": Subject(
            kind="command", argv=["/home/alice/bin/curl", "--user", "alice:secret", "http://192.0.2.7/x"], pids=[7],
            exit_status=0, user=1000,
        ),
        "samples": [Sample(t=float(t), sent={"copy": 100 * t}, read={"copy": 90 * t}) for t in range(1, 5)],
        "sizes": {"copy": [0, 0, 3, 0, 9]},
        "findings": [Finding(code="x", sentence="192.0.2.7 is slow", why="it is alice:secret", fix="ask 2001:db8::7")],
        "profile": profile(),
        **changes,
    }  # fmt: skip
    return recording(*senders, *readers, **fields)


def _numbered(socket: Socket, number: int, cookie: int) -> Socket:
    here, there = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}:{20000 + number % 40000}", "192.0.2.7:443"
    local, peer = (there, here) if socket.accepted else (here, there)
    return msgspec.structs.replace(
        socket, cookie=cookie, local=local, peer=peer, comm=f"worker{number}", pids=[number + 100], link="eth0"
    )  # fmt: skip


def run_page(found: Recording | None = None, *, hide: bool = False) -> str:
    return render(page_of_run(found or whole_run(), hide=hide)).decode()


def sockets_page(found: SocketRecording | None = None, *, hide: bool = False) -> str:
    return render(page_of_sockets(found or program(), hide=hide)).decode()


def data_in(page: str) -> Any:
    """The JSON document of a page."""
    found = re.search(r'<script type="application/json" id="document">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return msgspec.json.decode(found[1].encode())


def hostile_run() -> Recording:
    """Every string of it, as far as the types allow."""
    base = whole_run()
    stacks = {f"sender;kernel;{EVIL};tcp_sendmsg;{EVIL}": 200}
    return changed(
        base, user=EVIL, notes=[EVIL, "x" * 10_000_000], stuck=EVIL, version=EVIL,
        profile=profile(stacks), experiment=msgspec.structs.replace(base.experiment, mode=EVIL, setup=(EVIL,)),
        host=msgspec.structs.replace(base.host, kernel=EVIL, cpu="y" * 10_000_000, packet_taps=[EVIL]),
    )  # fmt: skip


def hostile_program() -> SocketRecording:
    """The same of a program's sockets."""
    base = program()
    sockets = [msgspec.structs.replace(one, comm=EVIL, link=EVIL, cgroup=EVIL, peer_comm=EVIL) for one in base.sockets]
    finding = Finding(code=EVIL, sentence=EVIL, why=EVIL, fix="z" * 10_000_000)
    return msgspec.structs.replace(
        base, sockets=sockets, findings=[finding] * 3, kernel=EVIL,
        subject=msgspec.structs.replace(base.subject, argv=[EVIL, "w" * 10_000_000]),
        hooks=msgspec.structs.replace(base.hooks, refused={EVIL: EVIL}, attached=[EVIL]),
    )  # fmt: skip
