"""Records a command under another kernel: the lab's guest runs it among this machine's files."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import platformdirs

from tracer.books.socket_file import decode_sockets
from tracer.errors import LabError
from tracer.lab import kernels, opening
from tracer.lab.guest import Guest, writer
from tracer.model.socket_recording import SocketRecording
from tracer.observers import image_cache
from tracer.runs import warming
from tracer.runs.in_lab import AGAIN, error_of, give, renew
from tracer.runs.orders import CommandAnswer, CommandOrder
from tracer.runs.subjects.command import Order

_ANSWERS = msgspec.json.Decoder(CommandAnswer)
_NUMBERS = itertools.count()


def record_in_lab(kernel: str | None, order: Order, user: str | None, note: Callable[[str], None]) -> SocketRecording:
    """Run it in the guest, as its root unless a user is named; its output is passed on as it comes.

    Raises:
        LabError: the guest did not start, hung, panicked or was killed.
        NettraceError: whatever nettrace raised in the guest.
    """
    asked = CommandOrder(
        argv=[os.fsencode(word) for word in order.argv],
        cwd=os.fsencode(Path.cwd()),
        user=user,
        most_s=order.most_s,
        wait=order.wait,
        peers=order.peers,
        profile=order.profile,
        cache=str(platformdirs.user_cache_path()),
        # Named by this process: a guest that stays still has what others wrote.
        answer=f"/run/nettrace/answer-{os.getpid()}-{next(_NUMBERS)}",
    )
    with opening.guest(warming.wanted(kernel or kernels.default(), least=warming.ALL), note) as guest:
        streams = writer(sys.stdout.fileno()), writer(sys.stderr.fileno())
        status, handed_in = give(guest, asked, note, *streams)
        answer = _answer(guest, asked.answer, status)
        renew(guest, [], handed_in, note)
    image_cache.keep_for_guests(answer.compiled)
    if answer.recording is None:
        raise error_of(answer.failure)
    return decode_sockets(answer.recording, "the guest's recording")


def _answer(guest: Guest, path: str, status: int) -> CommandAnswer:
    try:
        return _ANSWERS.decode(guest.read_file(path))
    except (LabError, msgspec.DecodeError) as error:
        raise LabError(f"nettrace failed in the lab's guest (exit code {status})", str(error), AGAIN) from error
