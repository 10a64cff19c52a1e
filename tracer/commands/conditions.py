"""What cannot go together: each option is honoured or refused with its reason; none is ignored in silence."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from tracer.books.modes import Mode, known
from tracer.books.receiving import USUAL_RECEIVE, receive
from tracer.commands.options import ALL
from tracer.errors import UsageError
from tracer.model import Experiment, Link, ObserverChoice


class Condition(NamedTuple):
    """Something that makes an option useless or impossible."""

    what: str
    why: str
    fix: str
    applies: Callable[[Experiment, int | None], bool]
    """To an experiment, and the port asked for."""


def _forces_bounce() -> bool:
    return "swiotlb=force" in Path("/proc/cmdline").read_text()


def _mode(asked: Experiment) -> Mode:
    found = known(asked.mode)
    assert found is not None, "an experiment's mode has been looked up"
    return found


def _is_too_long(asked: Experiment) -> bool:
    most = _mode(asked).most_bytes(ipv6=asked.ipv6)
    return most is not None and asked.size > most


def _lies_in_too_many_pages(asked: Experiment) -> bool:
    most = _mode(asked).most_pieces
    if most is None:
        return False
    from workloads.child.udp import most_pages

    return most_pages(asked.size, asked.fields) > most


CONDITIONS = (
    Condition(
        "--messages and --duration exclude each other", "both say how much to send", "give one",
        lambda asked, _: asked.messages is not None and asked.duration_s is not None,
    ),
    Condition(
        "--no-sg needs a network device", "neither lo nor veth leads to one", "--link nic --no-sg",
        lambda asked, _: not asked.scatter_gather and asked.link is not Link.NIC,
    ),
    Condition(
        "--peer needs a network device", "neither lo nor veth leads to another machine", "--link nic --peer HOST:PORT",
        lambda asked, _: asked.peer is not None and asked.link is not Link.NIC,
    ),
    Condition(
        "link nic needs a receiver on another machine", "looped packets never reach a device",
        "--lab, which has both; or `nettrace serve` there and --peer HOST:PORT here",
        lambda asked, _: asked.link is Link.NIC and asked.peer is None and asked.lab is None,
    ),
    Condition(
        "--bounce needs a network device", "nothing on lo or veth is mapped for DMA", "--link nic --bounce --lab",
        lambda asked, _: asked.bounce and asked.link is not Link.NIC,
    ),
    Condition(
        "--bounce needs a machine booted with swiotlb=force", "this one was not", "--bounce --lab",
        lambda asked, _: asked.bounce and asked.lab is None and not _forces_bounce(),
    ),
    Condition(
        "--port and --peer exclude each other", "the receiver is the peer's, and HOST:PORT names its port",
        "leave out --port",
        lambda asked, port: port is not None and asked.peer is not None,
    ),
    Condition(
        "--port does not reach into the lab on this link", "the receiver is in the guest, and takes any free port",
        "leave out --port",
        lambda asked, port: port is not None and asked.lab is not None and asked.link is not Link.NIC,
    ),
    Condition(
        "--verify needs a receiver of this run", "the one at the other end of a nic counts bytes, and compares none",
        "leave out --verify, or verify on --link veth",
        lambda asked, _: asked.verify and asked.link is Link.NIC,
    ),
    Condition(
        "--ipv6 does not reach the lab's nic", "the receiver behind it listens on IPv4 alone", "--ipv6 --link veth",
        lambda asked, _: asked.ipv6 and asked.link is Link.NIC and asked.lab is not None,
    ),
    Condition(
        "--receive needs a receiver of this run", "the one at the other end of a nic reads by recv()",
        "leave out --receive, or --link veth",
        lambda asked, _: asked.receive != USUAL_RECEIVE.name and asked.link is Link.NIC,
    ),
    Condition(
        "--verify and --receive discard exclude each other", "what is thrown away in the kernel is seen by nobody",
        "leave out --verify, or --receive recv",
        lambda asked, _: asked.verify and not receive(asked.receive).is_seen,
    ),
    Condition(
        "--rcvbuf needs a receiver of this run", "the one at the other end of a nic is another program's",
        "leave out --rcvbuf, or --link veth",
        lambda asked, _: asked.rcvbuf is not None and asked.link is Link.NIC,
    ),
    Condition(
        "--cpus S,R needs a receiver of this run", "the one at the other end of a nic runs where it was started",
        "--cpus S",
        lambda asked, _: len(asked.cpus) > 1 and asked.link is Link.NIC,
    ),
    Condition(
        "--receive needs TCP", "what comes over UDP is read by recv() here", "leave out --receive",
        lambda asked, _: asked.receive != USUAL_RECEIVE.name and _mode(asked).is_datagrams,
    ),
    Condition(
        "--receive needs bytes that TCP itself hands out", "those of kernel TLS are read by recv() here",
        "leave out --receive",
        lambda asked, _: asked.receive != USUAL_RECEIVE.name and _mode(asked).is_encrypted,
    ),
    Condition(
        "--congestion needs TCP", "UDP sends what it is given, and controls nothing", "leave out --congestion",
        lambda asked, _: asked.congestion is not None and _mode(asked).is_datagrams,
    ),
    Condition(
        "--nodelay needs TCP", "UDP holds nothing back", "leave out --nodelay",
        lambda asked, _: asked.nodelay and _mode(asked).is_datagrams,
    ),
    Condition(
        "a message of this --size is no datagram", "UDP takes 65,507 B at most over IPv4, and 65,527 B over IPv6",
        "--size 65507, or a mode over TCP",
        lambda asked, _: _is_too_long(asked),
    ),
    Condition(
        "these --fields cannot be pinned as one datagram",
        "they may lie in more than 17 pages, which is what a packet refers to at most (MAX_SKB_FRAGS)",
        "fewer --fields or a smaller --size; or zerocopy, over TCP",
        lambda asked, _: _lies_in_too_many_pages(asked),
    ),
    Condition(
        "--setup needs --lab", "it would change this very machine", "add --lab",
        lambda asked, _: bool(asked.setup) and asked.lab is None,
    ),
    Condition(
        "--stacks and --observer tracepoints exclude each other", "tracepoints here collect no stacks",
        "--observer functions, or leave out --stacks",
        lambda asked, _: asked.stacks and asked.observer is ObserverChoice.TRACEPOINTS,
    ),
)  # fmt: skip


def check_conditions(
    experiment: Experiment, *, port: int | None = None, files: Mapping[str, Path] | None = None
) -> None:
    """Refuse what an experiment cannot do, before anything is done.

    Args:
        port: The receiver's port, where the user gave one.
        files: Files to write, by the option that names them.

    Raises:
        UsageError: what does not go together, why, and what to write instead.
    """
    for condition in CONDITIONS:
        if condition.applies(experiment, port):
            raise UsageError(condition.what, condition.why, condition.fix)
    if experiment.lab == ALL and files:
        raise UsageError(f"{next(iter(files))} holds one recording", "--lab all makes one a kernel", "name one kernel")
    check_files(files or {})


def require_files(files: Mapping[str, Path | None]) -> None:
    """Before anything runs: afterwards there would be nothing to write a result to.

    Args:
        files: Where results go, by the option's name; None of one that is not wanted.
    """
    from tracer.machine.files import require_writable

    wanted = {option: path for option, path in files.items() if path is not None}
    check_files(wanted)
    for path in wanted.values():
        require_writable(path)


def check_files(files: Mapping[str, Path]) -> None:
    """The second result would replace the first; a device or a descriptor takes both.

    Args:
        files: Files to write, by the option that names them.

    Raises:
        UsageError: two are one.
    """
    from tracer.machine.files import descriptor_in

    seen: dict[str, str] = {}
    for option, path in files.items():
        keeps_one = descriptor_in(path) is None and (path.is_file() or not path.exists())
        if keeps_one and (other := seen.setdefault(os.path.realpath(path), option)) != option:
            raise UsageError(f"{other} and {option} name the same file", str(path), "give each its own")
