"""A recording that can be shown to others: without addresses, users and command lines. Pure.

Ports, names of programs, of devices and of kernel functions stay: they are what a report is about.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import TypeVar

import msgspec

from tracer.books.endpoints import host_of, port_of
from tracer.model import Recording
from tracer.model.socket_recording import Finding, SocketRecording
from tracer.model.sockets import Socket

HIDDEN = "[redacted]"
# What might be an address: groups of hexadecimal digits with colons or dots, which are no part of a name.
_ADDRESS = re.compile(r"(?<![\w:.])(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-fA-F]{0,4}(?::[0-9a-fA-F.]{0,15}){2,7})(?!\w)")
# Words of a command line that are shorter are parts of other words.
_LEAST_WORD, _LONG_WORD = 3, 100
# Names that say nothing, and stand in many a sentence.
_NOBODY = ("root", "nobody")

Some = TypeVar("Some", Recording, SocketRecording)


def redacted(recording: Some) -> Some:
    """The same recording with addresses numbered, loopback named, users and arguments of commands left out.

    What was written in words is searched for them: findings and notes quote addresses too.
    """
    if isinstance(recording, SocketRecording):
        return _of_sockets(recording)
    return _of_run(recording)


def _of_run(recording: Recording) -> Recording:
    asked, hide = recording.experiment, _Hider()
    hosts = [host_of(asked.peer)] if asked.peer else []
    names = [name for name in [(recording.user or "").partition(" ")[0]] if name]
    hide.words((*hosts, *names, *asked.setup))
    host = recording.host
    shown = msgspec.structs.replace(
        asked, peer=hide.end(asked.peer) if asked.peer else None, setup=tuple(HIDDEN for _ in asked.setup)
    )
    return msgspec.structs.replace(
        recording,
        subject=msgspec.structs.replace(recording.subject, argv=["nettrace", "run", asked.mode], user=None),
        user=None if recording.user is None else HIDDEN,
        experiment=shown,
        sockets=[_socket(socket, hide) for socket in recording.sockets],
        host=msgspec.structs.replace(host, packet_taps=hide.each(host.packet_taps)),
        notes=[hide.text(note) for note in recording.notes],
        stuck=hide.text(recording.stuck),
    )


def _of_sockets(recording: SocketRecording) -> SocketRecording:
    subject, hide = recording.subject, _Hider()
    hide.words(subject.argv[1:])
    return msgspec.structs.replace(
        recording,
        subject=msgspec.structs.replace(
            subject,
            argv=[subject.argv[0].rpartition("/")[2], *([HIDDEN] if subject.argv[1:] else [])],
            user=None,
            other_users=[],
            inherited_sockets=[HIDDEN for _ in subject.inherited_sockets],
        ),
        sockets=[_socket(socket, hide) for socket in recording.sockets],
        peers=[_socket(socket, hide) for socket in recording.peers],
        findings=[_finding(finding, hide) for finding in recording.findings],
    )


def _socket(socket: Socket, hide: _Hider) -> Socket:
    return msgspec.structs.replace(
        socket,
        local=hide.end(socket.local),
        peer=hide.end(socket.peer),
        cgroup=None if socket.cgroup is None else HIDDEN,
    )


def _finding(finding: Finding, hide: _Hider) -> Finding:
    words = {name: hide.text(getattr(finding, name)) for name in ("sentence", "why", "fix")}
    return msgspec.structs.replace(finding, **words)


def _pattern(word: str) -> str:
    """The word by itself; of a long one its beginning, and whatever follows: who quotes it may have cut it."""
    if len(word) > _LONG_WORD:
        return rf"(?<!\w){re.escape(word[:_LONG_WORD])}.*"
    return rf"(?<!\w){re.escape(word)}(?!\w)"


class _Hider:
    """Knows which address has which number."""

    def __init__(self) -> None:
        self._numbers: dict[str, str] = {}
        self._words: re.Pattern[str] | None = None

    def words(self, found: Iterable[str]) -> None:
        """These are left out wherever they stand, the longest first."""
        wanted = {word for word in found if len(word) >= _LEAST_WORD and word not in _NOBODY}
        if wanted:
            self._words = re.compile("|".join(map(_pattern, sorted(wanted, key=len, reverse=True))), re.DOTALL)

    def end(self, endpoint: str) -> str:
        """An end of a connection: who it is, by number, and its port."""
        return f"{self._host(host_of(endpoint))}:{port_of(endpoint)}"

    def text(self, text: str) -> str:
        """Any other text."""
        if self._words is not None:
            text = self._words.sub(HIDDEN, text)
        return _ADDRESS.sub(self._address, text) if "." in text or ":" in text else text

    def each(self, texts: list[str] | None) -> list[str] | None:
        """Some of them, if there are any."""
        return None if texts is None else [self.text(text) for text in texts]

    def _address(self, match: re.Match[str]) -> str:
        try:
            return self._named(ipaddress.ip_address(match[0]))
        except ValueError:
            return match[0]

    def _host(self, host: str) -> str:
        try:
            return self._named(ipaddress.ip_address(host.partition("%")[0]))
        except ValueError:
            return self._number(host)

    def _named(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
        mapped = getattr(address, "ipv4_mapped", None) or address
        if mapped.is_loopback:
            return "loopback"
        return "any" if mapped.is_unspecified else self._number(str(mapped))

    def _number(self, name: str) -> str:
        return self._numbers.setdefault(name, f"address-{len(self._numbers) + 1}")
