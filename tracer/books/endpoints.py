"""Ends of connections as recordings write them: "127.0.0.1:80", "[::1]:80". Pure."""

from __future__ import annotations

_MAPPED = "[::ffff:"


def port_of(endpoint: str) -> int:
    """Its port; an IP socket that is bound to none has 0."""
    return int(endpoint.rpartition(":")[2])


def host_of(endpoint: str) -> str:
    """Its address, without the brackets of IPv6."""
    return endpoint.rpartition(":")[0].strip("[]")


def unmapped(endpoint: str) -> str:
    """As an IPv4 socket writes it: an IPv6 socket that speaks IPv4 sees the same end as ::ffff:127.0.0.1."""
    if not endpoint.startswith(_MAPPED) or "." not in endpoint:
        return endpoint
    return f"{host_of(endpoint).removeprefix('::ffff:')}:{port_of(endpoint)}"
