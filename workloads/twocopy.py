"""two-copy: pack the fields, then send()."""

from tracer.model import Stage
from workloads.modes import Mode, copied_once

MODE = Mode(
    name="twocopy",
    summary="pack the 8 fields into one buffer, then send()",
    sends="memcpy() of the 8 fields into one buffer, then send(buffer)",
    engine_mode=0,
    packs=True,
    asks_zerocopy=False,
    predicts={link: {Stage.PACK: 1.0, **copies} for link, copies in copied_once().items()},
)
