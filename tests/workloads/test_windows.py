"""How much may be on its way over UDP: no more than the receiver's buffer holds, by what the kernel charges."""

from __future__ import annotations

from workloads.child.udp import charge_of, most_pages, window_messages


def test_a_window_holds_one_message_at_least() -> None:
    """However small the buffer is; and no more than it is charged for."""
    order = {"size": 65507, "segment": None, "zerocopy": False, "fields": 8}

    assert window_messages(2304, order) == 1
    assert window_messages(10 * charge_of(order), order) == 7


def test_pinned_fields_are_charged_by_their_pages() -> None:
    """A byte may be in one page; a field of a page and a byte, in three: it touches two, or begins in another."""
    assert [most_pages(1, 8), most_pages(8, 8), most_pages(4096, 1), most_pages(4098, 1)] == [1, 8, 2, 3]
