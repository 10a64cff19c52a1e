"""Ways to read: each has its ledger, and its term in the laws."""

from __future__ import annotations

from typing import Any

import pytest

from tests.samples import PAYLOAD, changed, copied, experiment, looped, tracepoints, workload
from tracer.books.analysis import document_of
from tracer.books.modes import mode, predicted
from tracer.books.receiving import RECEIVES, mapped_text, receive
from tracer.books.results import taken_of
from tracer.errors import UsageError
from tracer.model import Document, LawState, Link, Stage
from tracer.model.sockets import READ_WAYS

# A way, how often a byte is copied to the reader, and what the engine says that it took.
TAKEN = [
    ("peek", 2, {"copy": PAYLOAD, "peek": PAYLOAD}),
    ("discard", 0, {"discard": PAYLOAD}),
    ("splice", 0, {"splice": PAYLOAD}),
    ("map", 1, {"copy": PAYLOAD, "mapped": 0}),
    ("uring", 1, {"copy": PAYLOAD}),
]


def read(name: str, copies: float, taken: dict[str, int] | None) -> Document:
    """onecopy over lo, read in this way, whose reader was given so many copies of the payload."""
    observation = tracepoints(
        cgroup_egress__copied=(9, PAYLOAD),
        cgroup_ingress__copied=(9, PAYLOAD),
        skb_copy_datagram_iovec__copied=(11, round(copies * PAYLOAD)),
    )
    asked, observed = experiment("onecopy", receive=name), workload("onecopy", taken=taken)
    return document_of(changed(copied(), experiment=asked, observations=[observation], observed=observed))


def law_of_reader(document: Document) -> Any:
    return next(law for law in document.ledger.laws if law.id == "T.L6")


@pytest.mark.parametrize(("name", "copies", "taken"), TAKEN)
def test_each_way_has_its_term_in_the_law_of_the_reader(name: str, copies: int, taken: dict[str, int]) -> None:
    """It holds with as many copies as the way makes, and with no other number."""
    assert law_of_reader(read(name, copies, taken)).state is LawState.HOLDS
    for other in {0, 1, 2} - {copies}:
        assert law_of_reader(read(name, other, taken)).state is LawState.BROKEN


def test_of_mapped_pages_the_rest_is_copied() -> None:
    """The law is of the sum."""
    document = read("map", 7 / 23, {"copy": 7 * 10007, "mapped": 16 * 10007})

    assert law_of_reader(document).state is LawState.HOLDS
    assert document.ledger.bytes_of(Stage.MAP_OUT) == 16 * 10007
    assert "70,049 of 230,161 B were copied to it." in document.verdict.sentence


@pytest.mark.parametrize(("name", "copies", "taken"), TAKEN)
def test_the_prediction_and_the_books_agree(name: str, copies: int, taken: dict[str, int]) -> None:
    """One oracle."""
    document = read(name, copies, taken)
    wanted = predicted(mode("onecopy"), Link.LO, receive=receive(name))

    for stage in (Stage.COPY_OUT, Stage.SPLICE_OUT, Stage.MAP_OUT):
        assert (document.ledger.bytes_of(stage) or 0) == wanted.get(stage, 0) * PAYLOAD
    assert document.ledger.copies_per_byte.receive == copies


def test_what_may_be_mapped_is_not_predicted() -> None:
    """Where the pages are the packet's own; a file's, or the socket's, never are."""
    assert Stage.MAP_OUT not in predicted(mode("zerocopy"), Link.VETH, receive=receive("map"))
    assert predicted(mode("sendfile"), Link.LO, receive=receive("map"))[Stage.MAP_OUT] == 0


@pytest.mark.parametrize(("name", "words"), [
    ("peek", "looked at the bytes (MSG_PEEK) before it read them: every byte was copied to it twice."),
    ("discard", "threw the bytes away unread (MSG_TRUNC): no byte was copied to it."),
    ("splice", "passed the bytes on through a pipe (splice): no byte was copied to it."),
    ("uring", "had the bytes from one multishot RECV of io_uring: every byte was copied to it once."),
    (
        "map",
        "asked for mapped pages (TCP_ZEROCOPY_RECEIVE): every byte was copied to it once; it takes whole pages that "
        "are the packet's own, and none was.",
    ),
])  # fmt: skip
def test_the_answer_says_what_the_reader_did(name: str, words: str) -> None:
    """And no longer that its recv() copied."""
    copies, taken = next((copies, taken) for way, copies, taken in TAKEN if way == name)
    sentence = read(name, copies, taken).verdict.sentence

    assert sentence.endswith(f"The reader {words}")
    assert "recv() copied" not in sentence
    assert "the reader's recv()" not in sentence


def test_to_a_reader_that_maps_copying_does_not_come_to_the_same() -> None:
    """The pages of the deferred copy alone can be mapped: sending by a copy would cost it another one."""
    asked = experiment("zerocopy", receive="map")
    taken = [{"copy": 0, "mapped": PAYLOAD}, {"copy": PAYLOAD, "mapped": 0}]
    told = [
        " ".join(document_of(changed(looped(), experiment=asked, observed=workload(taken=one))).verdict.next)
        for one in taken
    ]

    assert ["onecopy copies just as often" in one for one in told] == [False, True]


def test_the_three_ways_of_a_mapping_read_are_told_apart() -> None:
    """Mapped, through the copy buffer of the same call, and left to recv() by its hint; nothing of other ways."""
    taken = {"copy": 3000, "mapped": 8192}

    assert mapped_text(workload("onecopy", taken=taken, hinted_bytes=1000)) == (
        "8,192 B mapped, 2,000 B through the copy buffer, 1,000 B left to recv()"
    )
    assert mapped_text(workload("onecopy", taken={"copy": PAYLOAD})) == ""
    assert mapped_text(workload("onecopy")) == ""


def test_the_answer_claims_nothing_of_a_reader_that_nobody_saw() -> None:
    """Without its copies in the books there is no sentence."""
    document = read("splice", 0, None)

    assert law_of_reader(document).state is LawState.BROKEN
    assert "The reader" not in document.verdict.sentence


def test_the_engine_s_count_is_told_by_way() -> None:
    """What was not mapped was copied; what was peeked at was copied besides."""
    thread = {"bytes": 1000, "peeked_bytes": 0, "mapped_bytes": 0}

    assert taken_of("recv", {"threads": [thread]}) == {"copy": 1000}
    assert taken_of("peek", {"threads": [{**thread, "peeked_bytes": 1100}]}) == {"copy": 1000, "peek": 1100}
    assert taken_of("map", {"threads": [{**thread, "mapped_bytes": 900}]}) == {"copy": 100, "mapped": 900}
    assert taken_of("splice", {"threads": [thread, thread]}) == {"splice": 2000}


def test_the_ways_speak_the_words_of_record() -> None:
    """And each name is one's."""
    assert {one.takes for one in RECEIVES} <= set(READ_WAYS)
    assert len({one.name for one in RECEIVES}) == len(RECEIVES)
    with pytest.raises(UsageError, match="unknown way to receive 'mapp'"):
        receive("mapp")
