"""The answer to "what happened to my bytes", in one sentence, and what to try next. Pure."""

from __future__ import annotations

from tracer.books.function_entries import pulled_bytes
from tracer.model import Completions, Ledger, Link, Recording, Stage, Verdict
from tracer.units import format_count

UNTRUSTWORTHY = "untrustworthy"
UNDECIDED = "undecided"
INTERRUPTED = "interrupted"
COPIED = "copied"
COPIED_BY_LOOPBACK = "copied-by-loopback"
ZERO_COPY = "zero-copy"
MIXED = "mixed"
COPIED_WITHOUT_SG = "copied-without-sg"
BOUNCED = "bounced"
PARTLY = "partly-copied"


def verdict_of(recording: Recording, ledger: Ledger) -> Verdict:
    """Judge a recording by its ledger; the kernel's completion flag is quoted, never believed."""
    early = _unfit(recording, ledger)
    if early:
        return early
    if ledger.mixed_bytes:
        return _mixed(ledger)
    payload = recording.observed.payload_bytes if recording.observed else 0
    pinned, copied_in = ledger.bytes_of(Stage.PIN), ledger.bytes_of(Stage.COPY_IN)
    later = {stage: ledger.bytes_of(stage) for stage in (Stage.LINEARIZE, Stage.BOUNCE, Stage.DEFERRED_COPY)}
    if later[Stage.LINEARIZE]:
        return _without_scatter_gather(recording, ledger)
    if later[Stage.BOUNCE]:
        return _bounced(recording, ledger)
    if pinned is None or copied_in is None:
        return _undecided("where the send call took the bytes was not observed")
    if copied_in == payload and not pinned:
        return _copied(recording)
    deferred = later[Stage.DEFERRED_COPY]
    if pinned == payload and deferred:
        return _looped(recording, deferred, pinned)
    return _pinned(recording, ledger, pinned, payload)


def _unfit(recording: Recording, ledger: Ledger) -> Verdict | None:
    """The verdicts that forbid any other."""
    if recording.stuck and recording.observed is None:
        return Verdict(code=INTERRUPTED, sentence="Given up before anything was observed.", next=[])
    if not recording.complete and recording.observed is None:
        return Verdict(code=INTERRUPTED, sentence="Interrupted before anything was observed.", next=["run it again"])
    if not ledger.trustworthy:
        return Verdict(
            code=UNTRUSTWORTHY,
            sentence="This measurement cannot be trusted: " + "; ".join(ledger.doubts) + ".",
            next=["run it again on a quieter machine", "nettrace doctor"],
        )
    if recording.observed is not None and not recording.observed.payload_bytes:
        return _undecided("no payload was sent")
    return None


def _undecided(reason: str) -> Verdict:
    return Verdict(
        code=UNDECIDED,
        sentence=f"Undecided: {reason}.",
        next=["see it with function probes, in the lab: add --lab"],
    )


def _copied(recording: Recording) -> Verdict:
    mode, link = recording.experiment.mode, recording.experiment.link
    packed = bool(recording.observed and recording.observed.packed_bytes)
    before = "packed by the sender with one copy in user space, then " if packed else ""
    after = "" if link is Link.NIC else ", and once more by the reader's recv()"
    return Verdict(
        code=COPIED,
        sentence=f"Every byte was {before}copied once into the kernel by the send call{after}; "
        "no other copy in the kernel was seen.",
        next=[
            *(["nettrace run onecopy: the same without the packing copy"] if mode == "twocopy" else []),
            "nettrace run zerocopy: pins the pages instead of copying them",
        ],
    )


def _looped(recording: Recording, deferred: int, pinned: int) -> Verdict:
    again = deferred - pinned
    more = f" ({format_count(again)} B twice, as TCP sent them again)" if again > 0 else ""
    device = "veth" if recording.experiment.link is Link.VETH else "loopback"
    return Verdict(
        code=COPIED_BY_LOOPBACK,
        sentence="MSG_ZEROCOPY was asked for and every byte was pinned, but every byte was copied after all"
        f"{more} before the reader got it: {device} delivers packets to a local socket, "
        f"and the kernel does not let a reader hold the sender's pages{_flag(recording)}.",
        next=[
            "a NIC with scatter-gather is where zero-copy is real: nettrace run zerocopy --link nic --lab",
            "here nettrace run onecopy copies just as often, without pinning pages and reaping completions",
        ],
    )


def _pinned(recording: Recording, ledger: Ledger, pinned: int, payload: int) -> Verdict:
    unknown = [stage for stage in (Stage.DEFERRED_COPY, Stage.BOUNCE) if _is_unknown(ledger, stage)]
    if unknown:
        names = " and ".join(str(stage).replace("_", " ") for stage in unknown)
        return _undecided(f"every byte was pinned, but whether a {names} followed was not observed")
    if pinned == payload:
        return Verdict(
            code=ZERO_COPY,
            sentence="Zero-copy is real here: every byte left from the sender's own pages, "
            f"none was copied on the sending side{_pulled(recording)}{_flag(recording)}.",
            next=[
                "does it pay at this size? on a machine with such a NIC: nettrace compare --link nic --peer HOST:PORT"
            ],
        )
    return Verdict(
        code=PARTLY,
        sentence=f"{format_count(pinned)} of {format_count(payload)} B were pinned, the rest was copied.",
        next=["nettrace doctor: limits on pinned pages"],
    )


def _pulled(recording: Recording) -> str:
    """The exception that a driver makes: e1000e pulls 4 payload bytes of each packet beside the headers."""
    pulled = pulled_bytes(recording.observations[0])
    return f" but for {format_count(pulled)} B that the driver pulled in beside the packets' headers" if pulled else ""


def _is_unknown(ledger: Ledger, stage: Stage) -> bool:
    return ledger.entry(stage) is not None and ledger.bytes_of(stage) is None


def _mixed(ledger: Ledger) -> Verdict:
    return Verdict(
        code=MIXED,
        sentence=f"{format_count(ledger.mixed_bytes)} B travelled in packets that mix copied and zero-copy payload; "
        "tracepoints cannot tell how many of them were copied by the send call.",
        next=["see it with function probes, in the lab: add --lab"],
    )


def _without_scatter_gather(recording: Recording, ledger: Ledger) -> Verdict:
    return Verdict(
        code=COPIED_WITHOUT_SG,
        sentence=f"{_copied_on_the_way(recording, ledger.bytes_of(Stage.LINEARIZE))} to make linear packets, "
        f"because the device has no scatter-gather{_wrong_flag(recording)}.",
        next=["ethtool -K DEVICE sg on, if the device can", "the same run without --no-sg"],
    )


def _bounced(recording: Recording, ledger: Ledger) -> Verdict:
    return Verdict(
        code=BOUNCED,
        sentence=f"{_copied_on_the_way(recording, ledger.bytes_of(Stage.BOUNCE))} into a bounce buffer (swiotlb) "
        f"for the device's DMA{_wrong_flag(recording)}.",
        next=["boot without swiotlb=force; in a confidential VM it cannot be avoided"],
    )


def _copied_on_the_way(recording: Recording, size: int | None) -> str:
    """The second copy of a mode that copies; the one that zero-copy was to spare."""
    if _completions(recording) is None:
        return f"A second copy is real here: {format_count(size)} B were copied again"
    return (
        "MSG_ZEROCOPY was asked for and the pages were pinned, but zero-copy is not real here: "
        f"{format_count(size)} B were copied after all,"
    )


def _completions(recording: Recording) -> Completions | None:
    return recording.observed.completions if recording.observed else None


def _flag(recording: Recording) -> str:
    """What the kernel's own flag says, where it agrees with the ledger."""
    completions = _completions(recording)
    if completions is None:
        return ""
    return f" (completions: {completions.copied} of {completions.total} say copied)"


def _wrong_flag(recording: Recording) -> str:
    """How many completions claim that nothing was copied although it was."""
    completions = _completions(recording)
    if completions is None or not completions.zerocopy:
        return ""
    return (
        f". The kernel's completion flag is wrong: {completions.zerocopy} of {completions.total} notifications say "
        "that nothing was copied"
    )
