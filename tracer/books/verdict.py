"""The answer to "what happened to my bytes", in one sentence, and what to try next. Pure.

What is said about a cause stands in causes.py; what can be run next, in advice.py.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from tracer.books.advice import Advice, another_run, on_a_nic, with_function_probes
from tracer.books.causes import LATER_COPIES, ROWS, CauseRow, hints, row_of
from tracer.books.modes import known, udp_headers
from tracer.books.receiving import USUAL_RECEIVE, told_of_reader
from tracer.books.records import ADDED
from tracer.books.scene import Scene, scene_of
from tracer.model import Cause, Completions, LawState, Ledger, Link, Recording, Stage, Verdict
from tracer.texts import counted
from tracer.units import format_count

UNTRUSTWORTHY = "untrustworthy"
UNDECIDED = "undecided"
INTERRUPTED = "interrupted"
COPIED = "copied"
COPIED_AT_ONCE = "copied-at-once"
ZERO_COPY = "zero-copy"
MIXED = "mixed"
PARTLY = "partly-copied"
SPLICED = "spliced"
ENCRYPTED = "encrypted"


class Judgement(NamedTuple):
    """A verdict whose advice can still be read by a program."""

    code: str
    sentence: str
    advice: list[Advice]


def verdict_of(recording: Recording, ledger: Ledger) -> Verdict:
    """Judge a recording by its ledger; the kernel's completion flag is quoted, never believed."""
    found = judgement_of(recording, ledger)
    return Verdict(code=found.code, sentence=found.sentence, next=[str(advice) for advice in found.advice])


def judgement_of(recording: Recording, ledger: Ledger) -> Judgement:
    """The verdict with its advice as structures."""
    unfit = _unfit(recording, ledger)
    return unfit or _with_drops(_with_reader(_judged(recording, ledger), recording, ledger), recording, ledger)


def _unfit(recording: Recording, ledger: Ledger) -> Judgement | None:
    """The verdicts that forbid any other."""
    if recording.stuck and recording.observed is None:
        return Judgement(INTERRUPTED, "Given up before anything was observed.", [])
    if not recording.complete and recording.observed is None:
        return Judgement(INTERRUPTED, "Interrupted before anything was observed.", [Advice("run it again")])
    if _is_cut_short(recording, ledger):
        return _of_a_part(recording)
    if not ledger.trustworthy:
        sentence = "This measurement cannot be trusted: " + "; ".join(ledger.doubts) + "."
        return Judgement(UNTRUSTWORTHY, sentence + _explained(ledger), _about_doubts(ledger))
    if recording.observed is not None and not recording.observed.payload_bytes:
        return Judgement(UNDECIDED, "Undecided: no payload was sent.", [Advice("run it again, for longer")])
    return None


def _is_cut_short(recording: Recording, ledger: Ledger) -> bool:
    """And no law is broken, which would weigh more."""
    stopped = recording.observed is not None and recording.observed.stopped
    return stopped and not any(law.state is LawState.BROKEN for law in ledger.laws)


def _of_a_part(recording: Recording) -> Judgement:
    ended = "Given up" if recording.stuck else "Interrupted"
    sentence = f"{ended} in the middle of the observed pass, when {format_count(_payload(recording))} B had been sent"
    advice = [] if recording.stuck else [Advice("run it again")]
    return Judgement(INTERRUPTED, f"{sentence}: what is told of these is no answer.", advice)


def _explained(ledger: Ledger) -> str:
    """What could have broken the laws, once for all that it could have broken."""
    broken = [law.explanation for law in ledger.laws if law.state is LawState.BROKEN and law.explanation]
    return f" It could be: {'; '.join(dict.fromkeys(broken))}." if broken else ""


def _about_doubts(ledger: Ledger) -> list[Advice]:
    """A quieter machine helps against lost events alone."""
    if ledger.lost_events:
        return [Advice("run it again on a quieter machine, or with fewer messages")]
    return [
        Advice("keep the recording (--save FILE) and report it: a copy, or a loss, that nettrace does not know"),
        Advice("what this machine lacks, if it is that", "nettrace doctor"),
    ]


def _judged(recording: Recording, ledger: Ledger) -> Judgement:
    """By what happened to the bytes."""
    if ledger.mixed_bytes and ledger.bytes_of(Stage.PIN) is None:
        return _mixed(recording, ledger)
    later = _later_copies(ledger)
    if later:
        return _copied_later(recording, ledger, later)
    if recording.observed is not None and recording.observed.encrypted:
        return _encrypted(recording, ledger)
    pinned, copied_in = ledger.bytes_of(Stage.PIN), ledger.bytes_of(Stage.COPY_IN)
    if pinned is None or copied_in is None:
        return _undecided(recording, ledger, "where the send call took the bytes was not observed")
    if copied_in == _payload(recording) and not pinned:
        return _copied(recording) if _completions(recording) is None else _copied_at_once(recording, ledger)
    if ledger.bytes_of(Stage.SPLICE):
        return _spliced(recording, ledger)
    return _pinned(recording, ledger, pinned)


def _payload(recording: Recording) -> int:
    return recording.observed.payload_bytes if recording.observed else 0


def _later_copies(ledger: Ledger) -> list[tuple[CauseRow, int]]:
    """Bytes that each cause had copied after the send call, in the order of the table of causes."""
    found = []
    for row in ROWS:
        sizes = [entry.bytes for entry in ledger.entries if entry.stage in LATER_COPIES and entry.cause is row.cause]
        if any(sizes):
            found.append((row, sum(size or 0 for size in sizes)))
    return found


def _copied_later(recording: Recording, ledger: Ledger, later: list[tuple[CauseRow, int]]) -> Judgement:
    scene, (first, _) = scene_of(recording), later[0]
    if len(later) == 1:
        told = _one_cause(recording, ledger, scene, *later[0])
    else:
        told = f"bytes were {_again(recording)}, " + "; ".join(
            f"{format_count(size)} B{row.how}: {row.why(scene)}" for row, size in later
        )
    sentence = f"{_asked_for(recording, ledger)}{told}{_flag(recording, ledger)}.{_aside(ledger, scene)}"
    # One way out each; what copies every byte comes first.
    advice = [step for row, _ in later for step in row.fix(recording, ledger.observer)]
    return Judgement(first.code(scene), sentence, list(dict.fromkeys(advice)))


def _one_cause(recording: Recording, ledger: Ledger, scene: Scene, row: CauseRow, size: int) -> str:
    payload = _payload(recording)
    amount = "every byte was" if size >= payload else f"{format_count(size)} of {format_count(payload)} B were"
    more = (
        f" ({format_count(size - payload)} B twice, as TCP sent them again)"
        if _is_resent(ledger, size, payload)
        else ""
    )
    return f"{amount} {_again(recording)}{more}{row.how}: {row.why(scene)}"


def _again(recording: Recording) -> str:
    """The copy was to be spared, or it is the second one."""
    return "copied again" if _completions(recording) is None and not _splices(recording) else "copied after all"


def _splices(recording: Recording) -> bool:
    found = known(recording.experiment.mode)
    return found is not None and found.way == "splice"


def _is_resent(ledger: Ledger, size: int, payload: int) -> bool:
    """Whether what was copied beyond the payload is what TCP sent again, and no copy for anybody else."""
    return 0 < size - payload <= (ledger.retransmitted_bytes or 0)


def _asked_for(recording: Recording, ledger: Ledger) -> str:
    """The second copy of a mode that copies; the one that zero-copy was to spare."""
    if recording.observed is not None and recording.observed.encrypted:
        return "A cipher wrote the payload anew, into records; then "
    if _splices(recording):
        return "Pages were referenced instead of copied, but "
    if _completions(recording) is None:
        return "A second copy is real here; "
    pinned, payload = ledger.bytes_of(Stage.PIN), _payload(recording)
    asked = f"{_asking(recording)} was asked for"
    if pinned == payload:
        return f"{asked} and every byte was pinned, but "
    some = f" and {format_count(pinned)} of {format_count(payload)} B were pinned" if pinned else ""
    return f"{asked}{some}, but "


def _asking(recording: Recording) -> str:
    """What asks for zero-copy."""
    found = known(recording.experiment.mode)
    return found.asks if found is not None and found.asks_zerocopy else "MSG_ZEROCOPY"


def _aside(ledger: Ledger, scene: Scene) -> str:
    """What a copy does not mean, and which copies nobody counted: tracepoints do not see a tap's."""
    told = ""
    pinned, read_by_device = ledger.bytes_of(Stage.PIN), ledger.bytes_of(Stage.DMA)
    on_the_way = [ledger.bytes_of(stage) for stage in (Stage.LINEARIZE, Stage.BOUNCE)]
    if pinned and read_by_device is not None and read_by_device >= pinned and on_the_way == [0, 0]:
        told += " The device still reads the sender's pages."
    if scene.packet_taps and ledger.observer == "tracepoints":
        told += f" What was copied besides was not observed: {row_of(Cause.PACKET_TAP).why(scene)}."
    return told


def _spliced(recording: Recording, ledger: Ledger) -> Judgement:
    spliced, payload = ledger.bytes_of(Stage.SPLICE) or 0, _payload(recording)
    if unknown := _unknown_copies(recording, ledger, "the pages were referenced", Stage.BOUNCE):
        return unknown
    amount = "every byte" if spliced >= payload else f"{format_count(spliced)} of {format_count(payload)} B"
    after = "; the reader's recv() copied it once" if _is_usually_read(recording) else ""
    sentence = f"Nothing was copied on the sending side: {amount} left from the pages in which it lay already{after}."
    experiment = recording.experiment
    command = f"nettrace compare --modes onecopy,{experiment.mode} --size {experiment.size}"
    here = experiment.link is Link.LO and recording.host.where == "host"
    return Judgement(SPLICED, sentence, [Advice("does it pay at this size?", command)] if here else [])


def _encrypted(recording: Recording, ledger: Ledger) -> Judgement:
    """The cipher takes the place of the copy into the kernel: it reads each byte and writes another one."""
    entry, copied_in = ledger.entry(Stage.ENCRYPT), ledger.bytes_of(Stage.COPY_IN)
    records = entry.events if entry is not None else None
    cut = "" if records is None else f", in {counted(records, 'TLS record')} of {ADDED} B more each"
    if copied_in is None:
        sentence = f"Every byte was encrypted{cut}; from where the cipher read it was not observed."
        return Judgement(ENCRYPTED, sentence, with_function_probes(recording, ledger.observer))
    told = f"{_read_by_cipher(recording, copied_in)} and wrote it anew{cut}{_refused(recording, copied_in)}"
    return Judgement(ENCRYPTED, f"{told}.{_of_decryption(recording, ledger)}", [])


def _read_by_cipher(recording: Recording, copied_in: int) -> str:
    where = "the page cache" if _splices(recording) else "the sender's own pages"
    if not copied_in:
        return f"Encrypted instead of copied: the cipher read every byte in {where}"
    if copied_in >= _payload(recording):
        return "Copied, and encrypted: every byte was copied into the kernel first, where the cipher read it"
    copied = f"{format_count(copied_in)} B were copied into the kernel first"
    return f"Copied, and encrypted: {copied}, the cipher read the rest in {where}"


def _refused(recording: Recording, copied_in: int) -> str:
    if _splices(recording):
        return ""
    return f". Kernel TLS refuses MSG_ZEROCOPY{'' if copied_in else ', which would spare nothing'}"


def _of_decryption(recording: Recording, ledger: Ledger) -> str:
    copied = ledger.bytes_of(Stage.COPY_OUT)
    if recording.experiment.link is Link.NIC or copied is None:
        return ""
    in_place = _payload(recording) - copied
    if not copied or not in_place:
        how = (
            "decrypted first, and then copied to the reader"
            if copied
            else "decrypted straight into the reader's buffer"
        )
        return f" Every byte was {how}."
    straight = f"{format_count(in_place)} B were decrypted straight into the reader's buffer"
    return f" {straight}, {format_count(copied)} B were decrypted first, and then copied to it."


def _unknown_copies(recording: Recording, ledger: Ledger, done: str, *stages: Stage) -> Judgement | None:
    """Undecided, where one of these may have followed."""
    unknown = [stage for stage in stages if _is_unknown(ledger, stage)]
    if not unknown:
        return None
    names = " and ".join(str(stage).replace("_", " ") for stage in unknown)
    return _undecided(recording, ledger, f"{done}, but whether a {names} followed was not observed")


def _pinned(recording: Recording, ledger: Ledger, pinned: int) -> Judgement:
    payload, observed = _payload(recording), recording.observed
    done = "every byte was pinned"
    if unknown := _unknown_copies(recording, ledger, done, Stage.DEFERRED_COPY, Stage.BOUNCE):
        return unknown
    if pinned == payload:
        sentence = (
            "Zero-copy is real here: every byte left from the sender's own pages, none was copied on the sending side"
        )
        peer = recording.experiment.peer or "HOST:PORT"
        command = f"nettrace compare --link nic --peer {peer}"
        words = "does it pay at this size? on a machine with such a NIC"
        return Judgement(ZERO_COPY, f"{sentence}{_pulled(ledger)}{_flag(recording, ledger)}.", [Advice(words, command)])
    if observed is not None and pinned == observed.asked_bytes:
        sentence = f"{format_count(pinned)} of {format_count(payload)} B left from the sender's own pages"
        return Judgement(PARTLY, f"{sentence}, the header before them was copied{_flag(recording, ledger)}.", [])
    sentence = f"{format_count(pinned)} of {format_count(payload)} B were pinned, the rest was copied."
    at_home = recording.host.where == "host"
    return Judgement(PARTLY, sentence, [Advice("limits on pinned pages", "nettrace doctor")] if at_home else [])


def _pulled(ledger: Ledger) -> str:
    """The exception that a driver makes: e1000e pulls 4 payload bytes of each packet beside the headers."""
    pulled = ledger.pulled_bytes
    return f" but for {format_count(pulled)} B that the driver pulled in beside the packets' headers" if pulled else ""


def _is_unknown(ledger: Ledger, stage: Stage) -> bool:
    return ledger.entry(stage) is not None and ledger.bytes_of(stage) is None


def _undecided(recording: Recording, ledger: Ledger, reason: str) -> Judgement:
    found = hints(scene_of(recording))
    sentence = f"Undecided: {reason}{f' ({found})' if found else ''}."
    return Judgement(UNDECIDED, sentence, with_function_probes(recording, ledger.observer))


def _mixed(recording: Recording, ledger: Ledger) -> Judgement:
    sentence = (
        f"{format_count(ledger.mixed_bytes)} B travelled in packets that mix copied and zero-copy payload; "
        "tracepoints cannot tell how many of them were copied by the send call."
    )
    return Judgement(MIXED, sentence, with_function_probes(recording, ledger.observer))


def _copied(recording: Recording) -> Judgement:
    packed = bool(recording.observed and recording.observed.packed_bytes)
    before = "packed by the sender with one copy in user space, then " if packed else ""
    came = "what came to the reader " if _is_read_in_part(recording) else ""
    by = "its" if came else "the reader's"
    after = f", and {came}once more by {by} recv()" if _is_usually_read(recording) else ""
    sentence = f"Every byte was {before}copied once into the kernel by the send call{after}; "
    steps = another_run(recording, "the same without the packing copy", mode="onecopy") if packed else []
    steps += on_a_nic(recording, "pin the pages instead of copying them, over a NIC, where zero-copy can be real")
    before = "" if recording.experiment.receive == USUAL_RECEIVE.name else " before the reader"
    return Judgement(COPIED, f"{sentence}no other copy in the kernel was seen{before}.", steps)


def _is_read_in_part(recording: Recording) -> bool:
    """Datagrams that were lost are read by nobody."""
    observed = recording.observed
    read = observed.received_bytes if observed is not None else None
    return read is not None and read < _payload(recording)


def _is_usually_read(recording: Recording) -> bool:
    """By recv(), where somebody watches."""
    return recording.experiment.link is not Link.NIC and recording.experiment.receive == USUAL_RECEIVE.name


def _with_reader(found: Judgement, recording: Recording, ledger: Ledger) -> Judgement:
    """What a way to read that is not the usual one did."""
    told = told_of_reader(recording.experiment.receive, ledger.bytes_of(Stage.COPY_OUT), _payload(recording))
    return found._replace(sentence=f"{found.sentence}{told}")


def _copied_at_once(recording: Recording, ledger: Ledger) -> Judgement:
    """UDP looks before it pins, and the completions say what it did (net/ipv4/ip_output.c: __ip_append_data())."""
    why, advice = _why_unpinned(recording)
    sentence = f"{_asking(recording)} was asked for, but the send call copied every byte into the kernel at once"
    return Judgement(COPIED_AT_ONCE, f"{sentence}: {why}{_flag(recording, ledger)}.", advice)


def _why_unpinned(recording: Recording) -> tuple[str, list[Advice]]:
    nic, experiment = recording.host.nic, recording.experiment
    most = nic.mtu - udp_headers(ipv6=experiment.ipv6) if nic is not None and nic.mtu else None
    if most is not None and experiment.size > most:
        why = f"a datagram that takes more than one packet is not pinned, and one of the device's holds {most:,} B"
        return why, another_run(recording, "a datagram that fits into one packet", size=most)
    return "UDP pins only what its device takes in pieces, and sums up by itself", []


def _with_drops(found: Judgement, recording: Recording, ledger: Ledger) -> Judgement:
    """Bytes that were lost on this machine are told in every verdict."""
    dropped, packets = Counter[str](), Counter[str]()
    for entry in ledger.entries:
        if entry.stage is Stage.DROPPED and entry.bytes:
            dropped[entry.function] += entry.bytes
            packets[entry.function] += entry.events or 0
    if not dropped:
        return found
    of = {name: f"{format_count(size)} B{_in_packets(recording, packets[name])}" for name, size in dropped.items()}
    (first, size), *others = of.items()
    places = f"{size} were dropped by {first}" + "".join(f", {size} by {function}" for function, size in others)
    whole = recording.observed is not None and recording.observed.received_bytes == recording.observed.payload_bytes
    again = f"{',' if others else ''} and sent again" if whole else ""
    return found._replace(sentence=f"{found.sentence} On the way {places}{again}.")


def _in_packets(recording: Recording, number: int) -> str:
    """How many are missing; of a stream none is. A packet may hold several datagrams that are still to be cut."""
    found = known(recording.experiment.mode)
    if found is None or not found.is_datagrams:
        return ""
    return f" in {counted(number, 'packet' if found.segmented else 'datagram')}"


def _completions(recording: Recording) -> Completions | None:
    return recording.observed.completions if recording.observed else None


def _flag(recording: Recording, ledger: Ledger) -> str:
    """What the kernel's own flag says; it is wrong where the device got copies and the flag denies it."""
    done = _completions(recording)
    if done is None:
        return ""
    if is_flag_wrong(recording, ledger):
        denied = f"{done.zerocopy:,} of {done.total:,} notifications say that nothing was copied"
        return f". The kernel's completion flag is wrong: {denied}"
    if done.copied and _is_nothing_copied_later(ledger) and _asking(recording) == "SEND_ZC":
        claimed = f"{done.copied:,} of {done.total:,} notifications say copied, and nothing was"
        return f". io_uring's completion flag is wrong: {claimed}"
    return f" (completions: {done.copied:,} of {done.total:,} say copied)"


def _is_nothing_copied_later(ledger: Ledger) -> bool:
    """All of it known. io_uring says copied of a request that was added to an earlier one's packet, since 6.10.

    Of requests that are linked the first alone learns what became of the packet: io_uring/notif.c, io_link_skb(),
    io_tx_ubuf_complete() and io_notif_tw_complete().
    """
    return all(ledger.bytes_of(stage) == 0 for stage in LATER_COPIES)


def is_flag_wrong(recording: Recording, ledger: Ledger) -> bool:
    """Whether completions deny a copy of every byte that was counted on its way to the device."""
    done = _completions(recording)
    for_the_device = sum(ledger.bytes_of(stage) or 0 for stage in (Stage.LINEARIZE, Stage.BOUNCE))
    return done is not None and done.zerocopy > 0 and for_the_device >= _payload(recording)
