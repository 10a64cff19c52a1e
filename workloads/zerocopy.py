"""zero-copy: sendmsg(MSG_ZEROCOPY) pins the fields' pages; a buffer is free when the error queue says so."""

from tracer.model import Link, Stage
from workloads.modes import Copies, Mode

_PINNED: Copies = {Stage.PACK: 0.0, Stage.COPY_IN: 0.0, Stage.PIN: 1.0, Stage.COPY_OUT: 1.0}
# skb_orphan_frags_rx(): a packet that is looped to a local socket gets copies of the pinned pages after all.
_LOOPED: Copies = {**_PINNED, Stage.DEFERRED_COPY: 1.0}

MODE = Mode(
    name="zerocopy",
    summary="sendmsg(MSG_ZEROCOPY) over the 8 fields, completions from the error queue",
    sends="sendmsg(iovec of the 8 fields, MSG_ZEROCOPY), recvmsg(MSG_ERRQUEUE) for the completions",
    engine_mode=2,
    packs=False,
    asks_zerocopy=True,
    predicts={
        Link.LO: _LOOPED,
        Link.VETH: _LOOPED,
        Link.NIC: {**_PINNED, Stage.DEFERRED_COPY: 0.0, Stage.LINEARIZE: 0.0, Stage.DMA: 1.0},
    },
)
