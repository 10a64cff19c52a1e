"""What a recording shows of the link and the machine, as far as it decides where and why bytes are copied. Pure.

Laws, entries and causes know no more of what was asked for than this.
"""

from __future__ import annotations

from typing import NamedTuple

from tracer.model import Link, Nic, Recording


class Scene(NamedTuple):
    """The link, and the machine that it was seen on.

    Args:
        packet_taps: As in Host: None where nobody could look.
        without_sg: The device's scatter-gather was switched off for the run.
        copied: Completions that say copied, and all of them; None where there are none.
        bounce: The machine was booted with swiotlb=force for the run.
        transport: The protocol, as people call it.
        is_read_elsewhere: The receiver is known to be on another machine.
    """

    link: Link
    nic: Nic | None
    packet_taps: list[str] | None
    without_sg: bool
    copied: tuple[int, int] | None = None
    bounce: bool = False
    transport: str = "TCP"
    is_read_elsewhere: bool = False

    @property
    def device(self) -> str:
        """The device as people call it."""
        return {Link.LO: "loopback", Link.VETH: "veth"}.get(self.link) or (
            self.nic.device if self.nic else "the device"
        )

    @property
    def kind(self) -> str | None:
        """The kind of the device; None where it was not asked."""
        return self.nic.kind if self.nic else None


def scene_of(recording: Recording) -> Scene:
    """The scene of a recording's observed pass."""
    host, experiment = recording.host, recording.experiment
    done = recording.observed.completions if recording.observed else None
    copied = (done.copied, done.total) if done else None
    without_sg = not experiment.scatter_gather
    transport = "UDP" if recording.observed and recording.observed.datagrams else "TCP"
    # Behind the NIC of the lab's guest is the lab's own receiver, unless a peer was named, who may be in the guest.
    elsewhere = experiment.lab is not None and experiment.link is Link.NIC and experiment.peer is None
    return Scene(
        experiment.link, host.nic, host.packet_taps, without_sg, copied, experiment.bounce, transport, elsewhere
    )
