"""Files that an earlier nettrace wrote say what they said then."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.socket_samples import sender
from tracer.books.analysis import document_of
from tracer.books.recording import decode, encode
from tracer.model import Ledger, Stage, Tally, Verdict

# Observed before sequence numbers told what was sent again; one packet of it was (17 pages).
SAVED = Path(__file__).parents[1] / "data/recordings/zerocopy-lo-by-tracepoints.json"


class Then(msgspec.Struct):
    """What is compared of a document of then."""

    ledger: Ledger
    verdict: Verdict


def test_an_earlier_file_has_the_ledger_that_it_was_saved_with() -> None:
    """Entries and laws, to the byte and the page."""
    then = msgspec.convert(msgspec.json.decode(SAVED.read_bytes()), Then)
    now = document_of(decode(SAVED.read_bytes()))

    assert now.ledger == then.ledger
    assert (now.verdict.code, now.verdict.next) == (then.verdict.code, then.verdict.next)
    pin = now.ledger.entry(Stage.PIN)
    assert pin is not None
    assert pin.pages == 98_321 - 17


def test_what_is_saved_again_is_of_this_version() -> None:
    """And stays what it is."""
    once = decode(SAVED.read_bytes())

    assert not [name for name in once.observations[0].tallies if name.startswith("tcp_retransmit_skb")]
    assert decode(encode(once)) == once


def test_a_file_of_version_1_is_of_a_workload_and_its_sockets_are_its_own() -> None:
    """It did not say so; they stood with their observer."""
    document = msgspec.json.decode(SAVED.read_bytes())
    document["observations"][0]["sockets"] = [msgspec.to_builtins(sender())]
    once = decode(msgspec.json.encode(document))

    assert document["schema"] == "nettrace.recording/1"
    assert (once.schema, once.subject.kind) == ("nettrace.recording/2", "workload")
    assert once.subject.argv == ["nettrace", "run", "zerocopy"]
    assert once.sockets == [sender()]
    assert (once.hooks, once.totals, once.window) == (None, None, None)


@pytest.mark.parametrize("seen", [0, 22_529])
def test_packets_that_another_count_was_of_are_not_known(seen: int) -> None:
    """Attempts are not what left: where TCP counted others, the pages of what was sent again are not known."""
    document = msgspec.json.decode(SAVED.read_bytes())
    tallies = document["observations"][0]["tallies"]
    tallies["tcp_retransmit_skb:zerocopy"] = msgspec.to_builtins(Tally(events=1, bytes=seen, pages=17))
    pin = document_of(decode(msgspec.json.encode(document))).ledger.entry(Stage.PIN)

    assert pin is not None
    assert (pin.bytes, pin.pages) == (134_217_728, None)
