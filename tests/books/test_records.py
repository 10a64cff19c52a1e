"""What follows from the tallies of kernel TLS: a cipher takes the place of the copy, laws have a term for records."""

from __future__ import annotations

import msgspec
import pytest

from tests.function_samples import with_counted
from tests.record_samples import COPIED_OUT, RECORDS, by_functions, by_tracepoints
from tests.samples import PAYLOAD, changed
from tracer.books.analysis import document_of
from tracer.books.evidence import evidence_of
from tracer.books.laws import laws_of
from tracer.books.ledger import ledger_of
from tracer.model import LawState, Link, Recording, Stage
from tracer.reports.picture import draw_path


def broken(base: Recording) -> list[str]:
    return [law.id for law in laws_of(base) if law.state is LawState.BROKEN]


def located(base: Recording, *stages: Stage) -> list[int | None]:
    ledger = ledger_of(base)
    return [ledger.bytes_of(stage) for stage in stages]


@pytest.mark.parametrize(
    ("base", "in_place", "spliced"),
    [(by_functions(), PAYLOAD, None), (by_functions("ktls-sendfile"), 0, PAYLOAD)],
)
def test_a_cipher_takes_the_place_of_the_copy(base: Recording, in_place: int, spliced: int | None) -> None:
    """It reads the payload where it lies, and no law is without its records."""
    found = document_of(base)

    assert located(base, Stage.COPY_IN, Stage.PIN, Stage.SPLICE) == [0, in_place, spliced]
    assert located(base, Stage.ENCRYPT, Stage.DECRYPT, Stage.COPY_OUT) == [PAYLOAD, PAYLOAD, COPIED_OUT]
    assert (broken(base), found.verdict.code) == ([], "encrypted")
    assert found.ledger.copies_per_byte.send == 0


def test_the_verdict_tells_where_the_cipher_read_and_what_the_reader_got() -> None:
    """In two sentences, with the number of records; and that there is no zero-copy to be had."""
    told = document_of(by_functions()).verdict.sentence

    assert "the cipher read every byte in the sender's own pages and wrote it anew, in 23 TLS records of 29 B" in told
    assert "Kernel TLS refuses MSG_ZEROCOPY" in told
    assert "180,126 B were decrypted straight into the reader's buffer, 50,035 B were decrypted first" in told
    told = document_of(by_functions("ktls-sendfile")).verdict.sentence
    assert "the cipher read every byte in the page cache" in told
    assert "MSG_ZEROCOPY" not in told


def test_what_lies_in_too_many_pages_is_copied_first() -> None:
    """And the verdict says so."""
    base = by_functions(in_place=PAYLOAD - 10007)

    assert located(base, Stage.COPY_IN, Stage.PIN) == [10007, PAYLOAD - 10007]
    assert broken(base) == []
    assert "Copied, and encrypted: 10,007 B were copied into the kernel first" in document_of(base).verdict.sentence
    told = document_of(by_functions(in_place=0)).verdict.sentence
    assert "every byte was copied into the kernel first, where the cipher read it and wrote it anew" in told
    assert "Kernel TLS refuses MSG_ZEROCOPY." in told


@pytest.mark.parametrize(
    ("name", "law"),
    [
        ("inet_sendmsg:return", "F.L1"),
        ("__check_object_size:send", "F.L1a"),
        ("_copy_from_iter:breakpoint", "F.L1b"),
        ("crypto_aead_encrypt:entry", "F.L1c"),
        ("__tcp_transmit_skb:entry", "F.L2b"),
        ("net_dev_start_xmit:payload", "F.L2"),
        ("crypto_aead_decrypt:entry", "F.L6"),
        ("inet_recvmsg:return", "F.L6a"),
        ("__check_object_size:receive", "F.L6b"),
        ("_copy_to_iter:breakpoint", "F.L6c"),
    ],
)
def test_one_byte_off_breaks_the_law(name: str, law: str) -> None:
    """Each row has a witness of its own."""
    base = by_functions()
    seen = base.observations[0].tallies[name]

    assert law in broken(with_counted(base, name, seen.bytes + 1))


def test_packets_tell_what_was_encrypted_and_not_where_it_was_read() -> None:
    """They are of the cipher's own pages: what came before, and what came out behind, is not observed."""
    base = by_tracepoints()
    found = document_of(base)

    assert located(base, Stage.ENCRYPT, Stage.DECRYPT, Stage.DEFERRED_COPY, Stage.LINEARIZE) == [PAYLOAD, PAYLOAD, 0, 0]
    assert located(base, Stage.COPY_IN, Stage.PIN, Stage.COPY_OUT) == [None, None, None]
    assert (broken(base), found.verdict.code) == ([], "encrypted")
    assert "from where the cipher read it was not observed" in found.verdict.sentence
    assert found.ledger.copies_per_byte.send is None


def test_what_came_twice_does_not_tell_what_was_decrypted() -> None:
    """A packet that was doubled, or lost on the way and sent again: what was encrypted is known all the same."""
    doubled = with_counted(by_tracepoints(), "cgroup_ingress:shared", RECORDS + 1448)

    assert located(doubled, Stage.ENCRYPT, Stage.DECRYPT) == [PAYLOAD, None]


def test_both_observers_agree_on_what_was_encrypted() -> None:
    """One by the cipher's own calls, the other by packets and the numbers of the records."""
    both = changed(by_functions(), observations=[*by_functions().observations, *by_tracepoints().observations])
    agreed = {law.id: law.state for law in laws_of(both) if law.id in ("A encrypt", "A decrypt")}

    assert agreed == dict.fromkeys(("A encrypt", "A decrypt"), LawState.HOLDS)
    assert broken(both) == []


def test_a_cipher_that_reads_in_place_is_no_zero_copy_send() -> None:
    """By its way it is one that is copied; --expect asks for the way of the call."""
    figures = evidence_of(document_of(by_functions())).figures

    assert [figures[f"way {way}"][0] for way in ("copy", "zerocopy")] == [1, 0]


def test_the_picture_leads_through_a_record() -> None:
    """What the send call takes is no skb yet."""
    lines = "\n".join(draw_path(document_of(by_functions())))

    assert "[payload of a TLS record]\n" in lines
    assert "[TLS records, in an skb]\n" in lines
    assert "socket buffer (skb)]" not in lines


def test_a_device_without_scatter_gather_gets_records_copied() -> None:
    """The later copy is told, and that the cipher came first."""
    base = by_functions(link=Link.NIC, received_bytes=RECORDS)
    base = changed(base, experiment=msgspec.structs.replace(base.experiment, scatter_gather=False))
    for name in ("skb_copy_bits:segment", "skb_copy_bits:entry", "net_dev_start_xmit:linear"):
        base = with_counted(base, name, RECORDS)
    found = document_of(base)

    assert (found.verdict.code, broken(base)) == ("copied-without-sg", [])
    assert found.verdict.sentence.startswith("A cipher wrote the payload anew, into records; then every byte was")


def test_behind_a_device_nobody_has_keys() -> None:
    """What is read there are records, as both observers count them; without their number nothing is judged."""
    base = by_functions(link=Link.NIC, received_bytes=RECORDS)
    (law,) = [law for law in laws_of(base) if law.id == "E1"]

    assert (law.state, law.left, law.right) == (LawState.HOLDS, RECORDS, RECORDS)
    assert [one.state for one in laws_of(changed(base, observations=[])) if one.id == "E1"] == [LawState.UNKNOWN]
