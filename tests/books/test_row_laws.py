"""Sockets of a workload against the engine's own counts, and their own laws joined."""

from __future__ import annotations

import msgspec
import pytest

from tests.samples import workload
from tests.socket_samples import reader, run_with, sender
from tracer.books.ledger import breach, ledger_of
from tracer.books.row_laws import row_laws
from tracer.model import Law, LawState, Link
from tracer.model.sockets import Completions, Packets, Refused, Socket, TcpState, Transfer
from tracer.model.watching import BY_ENGINE

SENT = 10007
ENGINE = workload("onecopy", payload_bytes=SENT, received_bytes=SENT, sends=1, completions=None)


def laws(*sockets: Socket, **engine: object) -> dict[str, Law]:
    return {law.id: law for law in row_laws(sockets, "fexit", Link.LO, msgspec.structs.replace(ENGINE, **engine))}


def broken(found: dict[str, Law]) -> set[str]:
    return {name for name, law in found.items() if law.state is LawState.BROKEN}


def test_what_both_counted_alike_holds() -> None:
    """Bytes, calls, reads, refusals; and each law of a socket once."""
    found = laws(sender(), reader())

    assert {law.state for law in found.values()} == {LawState.HOLDS}
    assert found["E1"].left == found["E3"].left == SENT
    assert found["S2"].left == SENT


@pytest.mark.parametrize(
    ("engine", "law"),
    [
        ({"payload_bytes": SENT + 1}, "E1"),
        ({"sends": 2}, "E2"),
        ({"received_bytes": SENT - 1}, "E3"),
        ({"enobufs": 1}, "E4"),
    ],
)
def test_what_the_engine_counted_otherwise_breaks_one_law(engine: dict[str, int], law: str) -> None:
    """And no other."""
    assert broken(laws(sender(), reader(), **engine)) == {law}


def test_zero_copy_sends_are_notified_once_each_done_or_ignored() -> None:
    """Without scatter-gather TCP copies, and notifies all the same."""
    done = workload(payload_bytes=2 * SENT, received_bytes=None, sends=46)
    ways = {"zerocopy": Transfer(calls=20, bytes=SENT), "zerocopy_ignored": Transfer(calls=3, bytes=SENT)}
    found = {law.id: law for law in row_laws([sender(sent=ways)], "fexit", Link.LO, done)}

    assert (found["E5"].left, found["E5"].right, found["E5"].state) == (23, 23, LawState.HOLDS)
    assert "E3" not in found


def test_what_one_socket_breaks_is_broken() -> None:
    """Sums alone would hide it: one lacks what the other has too much."""
    less, more = (
        sender(cookie=cookie, left=Packets(copied=SENT + off, packets=1)) for cookie, off in ((1, -9), (2, 9))
    )
    found = laws(less, more)

    assert (found["S2"].left, found["S2"].right, found["S2"].state) == (2 * SENT, 2 * SENT, LawState.BROKEN)


def test_a_socket_that_went_on_leaves_its_laws_unknown() -> None:
    """What TCP says of it was not asked."""
    found = laws(sender(ended=False, tcp=TcpState()), reader())

    assert found["S2"].state is LawState.UNKNOWN
    assert "went on" in found["S2"].note
    assert found["R1"].state is LawState.HOLDS


def test_a_reader_on_another_machine_has_no_socket_here() -> None:
    """The lab's host tells what it received; nothing in the guest could agree with it."""
    found = {law.id: law.state for law in row_laws([sender()], "fexit", Link.NIC, ENGINE)}

    assert "E3" not in found
    assert found["E1"] is LawState.HOLDS


def test_without_sockets_there_is_no_such_law() -> None:
    """Functions know none: nothing is compared with nothing."""
    assert row_laws([], "", Link.LO, ENGINE) == []


def test_the_engine_is_no_witness_against_itself() -> None:
    """Where it counted the calls, they are one side of the sockets' own laws; what nobody watched is in no law."""
    found = {law.id: law.state for law in row_laws([sender(), reader(consumed_bytes=None)], BY_ENGINE, Link.LO, ENGINE)}

    assert found == dict.fromkeys(("R1", "R4", "S1", "S2", "S3", "S4"), LawState.HOLDS)


def test_they_are_laws_of_the_run() -> None:
    """Under a letter of their own; one that is broken makes the run untrustworthy, and counts calls, not bytes."""
    ledger = ledger_of(run_with(sender(refused=Refused(enobufs=3)), reader(), calls="fexit"))
    found = {law.id: law for law in ledger.laws}

    assert found["R.E4"].state is LawState.BROKEN
    assert breach(found["R.E4"]) in ledger.doubts
    assert breach(found["R.E4"]).endswith("(the left side has 3 more)")


@pytest.mark.parametrize(("taken", "state"), [(23, LawState.HOLDS), (24, LawState.BROKEN)])
def test_no_more_notifications_are_taken_than_tcp_numbered_sends(taken: int, state: LawState) -> None:
    """Of the last one the program may be quicker than the hook that sees it queued: that breaks nothing."""
    done = Completions(total=22, copied=22, reaped=taken, reaped_copied=taken, ranges=1)
    ways = {"zerocopy": Transfer(calls=23, bytes=SENT)}
    found = laws(sender(sent=ways, completions=done, tcp=TcpState(sent=SENT, acked=SENT + 2, zerocopy_ids=23)))

    assert found["S6"].state is state
