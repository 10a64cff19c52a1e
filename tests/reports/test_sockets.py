"""The report of a program's sockets."""

from __future__ import annotations

import io

import pytest

from tests.socket_samples import recording, sender
from tracer.reports.sockets import print_sockets
from tracer.reports.tables import make_console


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("curk", "curk (started by"),
        ("cürl", "cürl (started by"),
        ("c\x1b[2Jl", "c\\x1b[2Jl (started by"),
        ("c\x7fl", "c\\x7fl (started by"),
        ("c\u202el", "c\\u202el (started by"),
        ("c\udcffl", "c\\udcffl (started by"),
    ],
)
def test_how_programs_name_themselves_is_shown_not_sent(name: str, told: str) -> None:
    """Also what JSON escapes in another way or not at all: DEL, the turn of the direction, a byte that is no UTF-8."""
    stream = io.StringIO()
    print_sockets(recording(sender(comm=name)), make_console(stream))

    assert told in stream.getvalue()
    assert stream.getvalue().replace("\n", "").isprintable()
