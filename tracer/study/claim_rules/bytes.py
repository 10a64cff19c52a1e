"""Claims on where bytes are copied: S1, S2, S4 and S5. Decided by ledgers that balance; no time is read."""

from __future__ import annotations

from tracer.model import Document, Link, Stage
from tracer.study.claim_rules.findings import Case, Evidence, Finding
from tracer.units import format_ratio

# Of the payload: less is the few bytes beside the headers that a driver or a segment's edge may copy.
NOTHING, EVERYTHING = 0.01, 0.99
NO_NIC = "a run over a NIC with function probes, which sees the copies below TCP: nettrace claims --lab"
_SECOND_COPIES = (Stage.LINEARIZE, Stage.BOUNCE)


def share(document: Document, *stages: Stage) -> float | None:
    """Payload bytes that went through any of these stages, by payload byte; None if one of them is unknown.

    A stage without an entry is unknown too, unless the packing of the fields is meant: the engine counts that itself.
    """
    payload = document.observed.payload_bytes if document.observed else 0
    if not payload:
        return None
    shares = [_bytes(document, stage) for stage in stages]
    known = [one for one in shares if one is not None]
    return sum(known) / payload if len(known) == len(shares) else None


def _bytes(document: Document, stage: Stage) -> int | None:
    if stage is Stage.PACK:
        return document.observed.packed_bytes if document.observed else None
    return document.ledger.bytes_of(stage)


def place(document: Document) -> dict[str, str | int | bool]:
    """What an outcome on bytes can depend on."""
    experiment, nic = document.experiment, document.host.nic
    gathers = experiment.scatter_gather and (nic is None or nic.scatter_gather is not False)
    return {
        "link": str(experiment.link),
        "scatter-gather": gathers,
        "bounce buffer": experiment.bounce,
        "kernel": document.host.kernel,
        "size": experiment.size,
        "threads": experiment.threads,
    }


def of_mode(evidence: Evidence, mode: str) -> list[Document]:
    """The trustworthy ledgers of one mode."""
    return [document for document in evidence.books if document.experiment.mode == mode]


def _without(evidence: Evidence, what: str) -> str:
    if evidence.untrustworthy:
        return f"{what} whose books balance ({evidence.untrustworthy} were not trustworthy)"
    return what


def first_copy(evidence: Evidence) -> Finding:
    """S1."""
    cases = []
    for document in of_mode(evidence, "twocopy"):
        copied = share(document, Stage.COPY_IN)
        if copied is not None:
            text = f"copied in {format_ratio(copied)}x the payload"
            cases.append(Case(where=place(document), holds=copied >= EVERYTHING, text=text))
    return Finding(cases=cases, missing="" if cases else _without(evidence, "a recording of twocopy"))


def second_copy(evidence: Evidence) -> Finding:
    """S2: only a recording over a NIC can tell; over loopback no device ever reads the bytes."""
    cases = []
    for document in of_mode(evidence, "twocopy"):
        again = share(document, *_SECOND_COPIES)
        if document.experiment.link is not Link.NIC or again is None:
            continue
        holds = True if again >= EVERYTHING else False if again <= NOTHING else None
        cases.append(Case(where=place(document), holds=holds, text=f"copied again {format_ratio(again)}x the payload"))
    return Finding(cases=cases, missing="" if cases else evidence.missing.get("nic", NO_NIC), remark=_looped(evidence))


def _looped(evidence: Evidence) -> str:
    """What loopback says about a second copy on the way to the device: that there is none."""
    looped = [
        share(document, Stage.LINEARIZE)
        for document in of_mode(evidence, "twocopy")
        if document.experiment.link is not Link.NIC
    ]
    known = [one for one in looped if one is not None]
    if not known:
        return ""
    return f"over loopback or veth, {format_ratio(max(known))}x was copied again on the way to the device"


def only_packing(evidence: Evidence) -> Finding:
    """S4: pairs of a twocopy and a onecopy recording that differ in nothing else."""
    packed = {_key(document): document for document in of_mode(evidence, "twocopy")}
    cases = []
    for gathered in of_mode(evidence, "onecopy"):
        twin = packed.get(_key(gathered))
        if twin is not None:
            cases.append(_compare(twin, gathered))
    return Finding(
        cases=cases, missing="" if cases else _without(evidence, "a twocopy and a onecopy recording of one size")
    )


def _key(document: Document) -> tuple[object, ...]:
    return tuple(place(document).values())


def _compare(two: Document, one: Document) -> Case:
    packs = share(two, Stage.PACK), share(one, Stage.PACK)
    differing, unknown = [], []
    for stage in (Stage.COPY_IN, Stage.DEFERRED_COPY, Stage.LINEARIZE, Stage.BOUNCE, Stage.COPY_OUT):
        before, after = share(two, stage), share(one, stage)
        if before is None or after is None:
            unknown.append(stage)
        elif abs(before - after) > NOTHING:
            differing.append(f"{stage} {format_ratio(before)}x and {format_ratio(after)}x")
    removed = packs[0] is not None and packs[0] >= EVERYTHING and packs[1] == 0
    # Where the copy into the kernel was not seen, "nothing else" cannot be said.
    holds = None if Stage.COPY_IN in unknown else removed and not differing
    text = f"packed {format_ratio(packs[0])}x and {format_ratio(packs[1])}x"
    return Case(where=place(one), holds=holds, text=f"{text}; other stages: {', '.join(differing) or 'alike'}")


def real_zero_copy(evidence: Evidence) -> Finding:
    """S5: pinned, and copied nowhere after that."""
    cases = []
    for document in of_mode(evidence, "zerocopy"):
        pinned, copied = share(document, Stage.PIN), share(document, Stage.COPY_IN)
        stages = (
            [Stage.DEFERRED_COPY, *_SECOND_COPIES] if document.experiment.link is Link.NIC else [Stage.DEFERRED_COPY]
        )
        later = share(document, *stages)
        if pinned is None or copied is None or later is None:
            continue
        text = f"pinned {format_ratio(pinned)}x, copied in {format_ratio(copied)}x, copied later {format_ratio(later)}x"
        holds = pinned >= EVERYTHING and copied <= NOTHING and later <= NOTHING
        cases.append(Case(where=place(document), holds=holds, text=text))
    over_nic = any(case.where["link"] == "nic" for case in cases)
    remark = "" if over_nic or not cases else f"not examined: {evidence.missing.get('nic', NO_NIC)}"
    return Finding(cases=cases, missing="" if cases else _without(evidence, "a recording of zerocopy"), remark=remark)
