"""The lab: the same command under another kernel, in a virtual machine that stays warm."""

from tracer.lab.guest import Guest, guest_for

__all__ = ["Guest", "guest_for"]
