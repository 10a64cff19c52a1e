"""Claims F1 to F4 of the field, which the source study does not make, each with the rule that settles it. Pure."""

from __future__ import annotations

from tracer.study.claim_rules import field, modes
from tracer.study.claim_rules.findings import Outcome, Rule

_C, _R, _D = Outcome.CONFIRMED, Outcome.REFUTED, Outcome.DEPENDS
_CLEAR = "the interval of the median ratio, paired by repetition (95 % for all comparisons of this rule together),"
# Documentation/networking/msg_zerocopy.rst: "generally only effective at writes over around 10 KB".
DOCUMENTED_BYTES = 10 << 10

FIELD_RULES: tuple[Rule, ...] = (
    Rule(
        id="F1",
        claim="sendfile copies nothing",
        rule="copies on the sending side are at most 1 % of the payload (yes) or at least 99 % (no) in every "
        "trustworthy sendfile ledger",
        find=field.sendfile_copies,
        because={
            _C: "No byte was copied on the sending side: the packets refer to the page cache.",
            _R: "Every byte was copied on the sending side all the same.",
            _D: "Packets refer to the page cache, and are copied where the device needs them in one piece, or through "
            "a bounce buffer. It depends on {on}.",
        },
    ),
    Rule(
        id="F2",
        claim="io_uring's zero-copy needs no completion cost",
        rule="in every recording of uring-zerocopy and uring-zerocopy-fixed, notifications are at most 1 % of the "
        "zero-copy requests (yes) or at least 99 % (no)",
        find=field.uring_completions,
        because={
            _C: "Requests were not notified.",
            _R: "Each request had a notification of its own, which must be read before its pages may be used again.",
            _D: "Whether each request is notified by itself depends on {on}.",
        },
    ),
    Rule(
        id="F3",
        claim="zero-copy pays from 10 KB (kernel documentation)",
        rule="a crossover of zerocopy over onecopy, named only where intervals do not overlap on both sides of it, is "
        f"within 2x of {DOCUMENTED_BYTES} bytes",
        find=modes.overtakes("zerocopy", DOCUMENTED_BYTES, reference="onecopy"),
        because={
            _C: "Zero-copy overtakes copying there.",
            _R: "Zero-copy does not overtake copying there, on the links that were swept.",
            _D: "Where zero-copy overtakes copying depends on {on}.",
        },
    ),
    Rule(
        id="F4",
        claim="MSG_ZEROCOPY over loopback is slower than copying",
        rule=f"over lo, at every size and thread count, {_CLEAR} of zerocopy's throughput over onecopy is below 1",
        find=field.slower_over_loopback,
        because={
            _C: "Over loopback zero-copy is slower than one copy by the send call at every size.",
            _R: "Over loopback zero-copy is not slower than one copy by the send call.",
            _D: "Whether zero-copy is slower over loopback depends on {on}.",
        },
    ),
)
