"""Watches processes that run already: live hooks first, then what their sockets have come to; the live ones win.

A process is known to the programs by its id, its sockets by marks. An iterator over descriptors finds the sockets that
are there; another one marks those of TCP and makes each one's row under its lock (bpf/sockets/snapshot.h); the rest are
marked as soon as they move (bpf/sockets/held.h). Nothing of the target is duplicated, read, stopped or signalled.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from socket import IPPROTO_TCP
from typing import NamedTuple

from tracer.books.socket_rows import ROW_BYTES, Row, decode_row
from tracer.books.ways import PROTOCOLS
from tracer.errors import MachineError
from tracer.machine.namespaces import enter_netns_of
from tracer.machine.running import descendants_of, is_alive, name_of
from tracer.observers import loading
from tracer.observers.loading import Kind, Refusal
from tracer.observers.socket_counts import SocketCounts
from tracer.observers.socket_hooks import NEEDED, OF_A_PROGRAM, Hook
from tracer.observers.socket_programs import subject_of
from tracer.observers.sockets import SocketObserver

_ON_ROOT = {
    "on_sock_create": "on_attached_sock_create",
    "on_egress": "on_attached_egress",
    "on_ingress": "on_attached_ingress",
}
NEEDED_TO_ATTACH = (
    *(hook._replace(program=_ON_ROOT.get(hook.program, hook.program)) for hook in NEEDED),
    Hook(Kind.TP_BTF, "sched_process_exit", "on_sched_process_exit", "which processes have ended"),
)
OF_PROCESSES = OF_A_PROGRAM._replace(needed=NEEDED_TO_ATTACH)
FOLLOWS_CHILDREN = Hook(Kind.TP_BTF, "sched_process_fork", "on_sched_process_fork", "children")
MADE_IN_CGROUP = Hook(Kind.SOCK_CREATE, "", "on_sock_create", "sockets made in the cgroup")
_ITERATORS = {
    "on_file": "task_file", "on_file_seen": "task_file",
    "on_tcp_beginning": "tcp", "on_tcp_seen": "tcp", "on_tcp_end": "tcp",
}  # fmt: skip
# bpf/sockets/held.h; include/net/tcp_states.h.
_KEPT, _SOUGHT, _PENDING = 1, 2, 4
_CLOSED, _LISTENS = 7, 10
# struct found of bpf/sockets/snapshot.h.
_FOUND = struct.Struct("<QQIIHHHHII")


def no_cgroup() -> dict[str, bytes]:
    """No cgroup says whose a call on a Unix socket is, from the first one that is seen: the processes do."""
    return {"subject": subject_of(None)}


class Descriptor(NamedTuple):
    """A socket among the descriptors of a process.

    Args:
        cookie: 0 where nobody has asked for one yet.
        is_seen: It is marked, and counted.
    """

    cookie: int
    tgid: int
    number: int
    protocol: int
    local_port: int
    peer_port: int
    netns: int
    is_listener: bool
    is_seen: bool


class Attachment:
    """Marks and rows of processes, by the programs of an observer that is attached already."""

    def __init__(self, observer: SocketObserver, cgroup: Path | None, *, children: bool) -> None:
        self._observer = observer
        self._maps = observer.programs.maps
        self._children = children
        self.cgroup = cgroup
        if children:
            observer.programs.add(FOLLOWS_CHILDREN)
        if cgroup is not None:
            observer.programs.add(MADE_IN_CGROUP, cgroup)
        loaded = {name: observer.programs.load_iterator(name, target) for name, target in _ITERATORS.items()}
        self._iterators = {name: program for name, program in loaded.items() if program is not None}
        self._listening: set[tuple[int, int]] = set()
        self.pids: set[int] = set()

    def begin(self, pids: Iterable[int]) -> int:
        """Count what these do from here on; how many connections were there already."""
        self._watch(pids)
        if self._children:
            while new := descendants_of(self.pids) - self.pids:
                self._watch(new)
        if not self.sees_the_past:
            return 0
        self._hold(_SOUGHT)
        # A listener hands its mark on from the first time on; what it has accepted until then is found by the second.
        for _ in range(2):
            _walk(self._iterators["on_file"])
            self._in_each_namespace("on_tcp_beginning")
        found = self.descriptors()
        self._listening = {(one.netns, one.local_port) for one in found if one.is_listener}
        # Else every socket of the machine would be looked for, whenever it moves.
        self._hold(_SOUGHT if self._held() - self._marked() else _KEPT)
        return SocketCounts(self._maps).fates()["made"] + len(list(self._maps.keys("held_rows")))

    def _hold(self, how: int) -> None:
        self._maps.set("holding", 0, how.to_bytes(8, "little"))

    def _held(self) -> set[int]:
        """Addresses of sockets that have a mark or will get one when they move."""
        found = ((int.from_bytes(key, "little"), value) for key, value in self._maps.items("held"))
        return {address for address, mark in found if int.from_bytes(mark, "little") != _PENDING}

    def _marked(self) -> set[int]:
        """Addresses of TCP's sockets that have one, but for the closed."""
        return set(memoryview(b"".join(self._in_each_namespace("on_tcp_seen"))).cast("Q"))

    @property
    def sees_the_past(self) -> bool:
        """Whether the kernel lets it look for sockets that are there; else only those made from now on are counted."""
        return len(self._iterators) == len(_ITERATORS)

    def _watch(self, pids: Iterable[int]) -> None:
        for pid in pids:
            self._maps.put("processes", pid.to_bytes(4, "little"), b"\1")
            self.pids.add(pid)
            if not is_alive(pid):  # nobody would tell its end any more
                self._maps.remove("processes", pid.to_bytes(4, "little"))

    def alive(self) -> list[int]:
        """Processes that are watched and have not ended."""
        return sorted(int.from_bytes(key, "little") for key in self._maps.keys("processes"))

    def end(self) -> tuple[list[Row], list[Descriptor]]:
        """Rows of TCP's sockets that live, each read under its lock, and all that the processes hold.

        Counting goes on: taken off one after the other, the programs would count a socket that ends meanwhile in part.
        But one that begins meanwhile is left out: nothing would be read of it at one moment.
        """
        self._maps.set("ending", 0, (1).to_bytes(8, "little"))
        data = b"".join(self._in_each_namespace("on_tcp_end") if self.sees_the_past else [])
        rows = [decode_row(data[at : at + ROW_BYTES]) for at in range(0, len(data), ROW_BYTES)]
        return rows, self.descriptors()

    def descriptors(self) -> list[Descriptor]:
        """TCP and UDP sockets that they hold."""
        if not self.sees_the_past:
            return []
        rows = list(_FOUND.iter_unpack(_walk(self._iterators["on_file_seen"])))
        # Asked afterwards: whoever is made meanwhile is marked by then.
        seen = self._marked() | self._held()
        return [
            Descriptor(
                cookie, tgid, number, protocol, local, peer, netns, state == _LISTENS,
                # Of those that TCP has forgotten, the ones that were connected while they were watched have a cookie.
                address in seen or (protocol == IPPROTO_TCP and state == _CLOSED and cookie > 0),
            )
            for address, cookie, tgid, number, _, protocol, local, peer, netns, state in rows
        ]  # fmt: skip

    def _in_each_namespace(self, name: str) -> list[bytes]:
        """iter/tcp shows the network namespace of the thread that opens it."""
        program, own = self._iterators[name], _netns_of(os.getpid())
        data = [_walk(program)]
        for pid in {_netns_of(pid): pid for pid in self.alive() if _netns_of(pid) not in (own, None)}.values():
            with contextlib.suppress(FileNotFoundError):  # it has ended
                data.append(_iterate_within(Path(f"/proc/{pid}/ns/net"), program))
        return data

    def known(self, rows: Iterable[Row], held: list[Descriptor]) -> list[Row]:
        """Rows of sockets that nobody has used yet, with who holds them; and who was accepted before that was seen."""
        names = {tgid: name_of(tgid).encode()[:15] for tgid in {one.tgid for one in held}}
        holders = {one.cookie: (one.tgid, names[one.tgid]) for one in held if one.cookie}
        return [_with_holder(row, holders, self._listening) for row in rows]


def unseen(held: list[Descriptor]) -> list[str]:
    """Sockets that are not counted, in words."""
    return [
        f"descriptor {one.number} of {name_of(one.tgid)} {one.tgid} ({PROTOCOLS.get(one.protocol, 'socket')}, port "
        f"{one.local_port})"
        for one in {(one.tgid, one.number): one for one in held if not one.is_seen}.values()
    ]


def _with_holder(row: Row, holders: dict[int, tuple[int, bytes]], listening: set[tuple[int, int]]) -> Row:
    fields = dict(row.fields)
    if row.number("before") and (row.number("netns"), row.number("local_port")) in listening:
        fields["accepted"] = 1
    if not row.number("owned") and (holder := holders.get(row.number("cookie"))):
        fields |= {"owned": 1, "tgid": holder[0], "comm": holder[1]}
    return row._replace(fields=fields)


def _netns_of(pid: int) -> int | None:
    try:
        return Path(f"/proc/{pid}/ns/net").stat().st_ino
    except OSError:
        return None


def _walk(program: int) -> bytes:
    """What an iterator writes.

    Raises:
        MachineError: the kernel does not iterate.
    """
    try:
        return loading.iterate(program)
    except Refusal as refusal:
        raise MachineError("cannot look through the sockets", refusal.reason, "see: nettrace doctor") from refusal


def _iterate_within(namespace: Path, program: int) -> bytes:
    with ThreadPoolExecutor(max_workers=1) as executor:
        executor.submit(enter_netns_of, namespace).result()
        return executor.submit(_walk, program).result()
