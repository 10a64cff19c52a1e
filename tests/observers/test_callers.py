"""Names for return addresses, from /proc/kallsyms."""

from __future__ import annotations

import pytest

from tracer.observers.callers import symbol_at

SYMBOLS = b"""
0000000000000000 A fixed_percpu_data
ffffffff81a00000 T __netif_receive_skb_core.constprop.0
ffffffff81a00f00 D some_data
ffffffff81a01000 t dev_queue_xmit_nit
ffffffff81b00000 T ip_local_deliver_finish
ffffffffc0a01000 t tun_net_xmit\t[tun]
"""


@pytest.mark.parametrize(
    ("address", "name"),
    [
        (0xFFFFFFFF81A00B9A, "__netif_receive_skb_core"),
        (0xFFFFFFFF81A00FFF, "__netif_receive_skb_core"),
        (0xFFFFFFFF81A01000, "dev_queue_xmit_nit"),
        (0xFFFFFFFF81AFFFFF, "dev_queue_xmit_nit"),
        (0xFFFFFFFFC0A01234, "tun_net_xmit"),
    ],
)
def test_an_address_lies_in_the_function_that_starts_before_it(address, name):
    """Data is no function, a module's is one, and the compiler's suffix is none of the name."""
    assert symbol_at(SYMBOLS, address) == name


def test_hidden_addresses_have_no_names():
    """kptr_restrict: all symbols are at 0, and nobody guesses."""
    hidden = b"\n0000000000000000 T __netif_receive_skb_core\n"

    assert symbol_at(hidden, 0xFFFFFFFF81A00B9A) is None
    assert symbol_at(b"", 0xFFFFFFFF81A00B9A) is None
