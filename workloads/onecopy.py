"""one-copy: sendmsg() gathers the fields, so nothing is packed."""

from tracer.model import Stage
from workloads.modes import Mode, copied_once

MODE = Mode(
    name="onecopy",
    summary="sendmsg() over the 8 fields, nothing is packed",
    sends="sendmsg(iovec of the 8 fields)",
    engine_mode=1,
    packs=False,
    asks_zerocopy=False,
    predicts={link: {Stage.PACK: 0.0, **copies} for link, copies in copied_once().items()},
)
