"""The claims S1 to S18 of the source study, each with the rule that settles it; and those of the field. Pure."""

from __future__ import annotations

from tracer.study.claim_rules import bytes as byte_rules
from tracer.study.claim_rules import costs, modes, privilege, times
from tracer.study.claim_rules.findings import Evidence, Outcome, Rule, Ruling, ruling_of
from tracer.study.field_claims import FIELD_RULES

_C, _R, _D = Outcome.CONFIRMED, Outcome.REFUTED, Outcome.DEPENDS
_CLEAR = "the interval of the median ratio, paired by repetition (95 % for all comparisons of this rule together),"
_SAMPLED = "by at least 100 samples, of which at most 20 % are unattributed"

RULES: tuple[Rule, ...] = (
    Rule(
        id="S1",
        claim="two-copy: send() copies the payload from the user buffer into the socket send buffer (copy_from_user)",
        rule="copy_in bytes are at least 99 % of the payload in every trustworthy twocopy ledger",
        find=byte_rules.first_copy,
        because={
            _C: "The send call copied every payload byte into the socket's buffers.",
            _R: "The send call did not copy every payload byte.",
            _D: "The send call copied every byte in some runs only; it depends on {on}.",
        },
    ),
    Rule(
        id="S2",
        claim="two-copy: the kernel then copies it again, from the socket buffer into a DMA-able buffer for the NIC",
        rule="over a NIC, linearized plus bounced bytes are at least 99 % of the payload (yes) or at most 1 % (no)",
        find=byte_rules.second_copy,
        because={
            _C: "Every byte was copied a second time on its way to the device.",
            _R: "No CPU copy follows the first one: the NIC reads the socket buffer's pages by DMA.",
            _D: "A second copy is made only where the device needs one: without scatter-gather, or through a bounce "
            "buffer; else the NIC reads the socket buffer's pages by DMA. It depends on {on}.",
        },
    ),
    Rule(
        id="S3",
        claim="these two copies dominate; the CPU, in the kernel, performs both",
        rule=f"copy in and second copies take over half of the CPU time of twocopy, {_SAMPLED}, and S2's second copy "
        "is there",
        find=costs.copies_dominate,
        because={
            _C: "Both copies exist and take most of the CPU time.",
            _R: "The two copies do not take most of the CPU time, or there are not two.",
            _D: "Whether copies dominate the CPU time depends on {on}.",
        },
    ),
    Rule(
        id="S4",
        claim="one-copy removes the user-space copy that packs the fields, and nothing else",
        rule="of a twocopy and a onecopy run alike in all else, packed bytes are 1x and 0x, and no other stage differs",
        find=byte_rules.only_packing,
        because={
            _C: "The packing copy is gone and every stage in the kernel moves as many bytes as before.",
            _R: "More than the packing copy differs, or the packing copy is still there.",
            _D: "Whether anything but the packing copy differs depends on {on}.",
        },
    ),
    Rule(
        id="S5",
        claim="zero-copy: the NIC reads the application's pages by DMA; the kernel only tracks metadata, pins pages "
        "and posts completions",
        rule="pinned bytes are at least 99 % of the payload, and bytes copied in or copied later at most 1 %",
        find=byte_rules.real_zero_copy,
        because={
            _C: "Every byte left from the sender's own pages, and none was copied.",
            _R: "Every byte was pinned and then copied after all.",
            _D: "Zero-copy is real on a NIC with scatter-gather alone; where packets are looped or made linear, every "
            "byte is copied after all. It depends on {on}.",
        },
    ),
    Rule(
        id="S6",
        claim="in every mode throughput rises with message size",
        rule=f"for every mode and thread count, {_CLEAR} of throughput is above 1 from the smallest to the largest "
        "size, and below 1 at no step between",
        find=times.RISING_THROUGHPUT,
        because={
            _C: "Throughput rises with the message size in every mode.",
            _R: "Throughput falls with the message size somewhere in every series.",
            _D: "Throughput rises with the message size in some series only; it depends on {on}.",
        },
    ),
    Rule(
        id="S7",
        claim="peak throughput is highest with zero-copy, then one-copy, then two-copy",
        rule=f"{_CLEAR} is above 1 for each repetition's peaks of zerocopy over onecopy, and of onecopy over twocopy",
        find=modes.peak_order,
        because={
            _C: "The peaks come in this order.",
            _R: "The peaks do not come in this order on the links that were swept.",
            _D: "The order of the peaks depends on {on}.",
        },
    ),
    Rule(
        id="S8",
        claim="throughput first rises with the number of threads, then falls, because of context switches and cache "
        "contention",
        rule=f"{_CLEAR} shows a rise to a peak and a fall after it, where switches and misses a byte rise",
        find=times.rise_and_fall,
        because={
            _C: "Throughput rises, then falls where context switches and misses a byte rise.",
            _R: "Throughput does not rise and then fall for that reason.",
            _D: "Whether throughput rises and then falls depends on {on}.",
        },
    ),
    Rule(
        id="S9",
        claim="latency per message rises with message size",
        rule=f"for every mode and thread count, {_CLEAR} of the median time per message is above 1 from the smallest "
        "to the largest size, and below 1 at no step between",
        find=times.RISING_LATENCY,
        because={
            _C: "A larger message takes longer in every mode.",
            _R: "A larger message does not take longer.",
            _D: "Whether a larger message takes longer throughout depends on {on}.",
        },
    ),
    Rule(
        id="S10",
        claim="cycles per byte fall as messages grow",
        rule=f"for every mode and thread count, {_CLEAR} of cycles a byte is below 1 from the smallest to the largest "
        "size, and above 1 at no step between",
        find=times.FALLING_CYCLES,
        because={
            _C: "The cost of a byte falls with the message size in every mode: what a call costs is spread over more.",
            _R: "The cost of a byte does not fall with the message size.",
            _D: "Whether the cost of a byte falls all the way depends on {on}.",
        },
    ),
    Rule(
        id="S11",
        claim="zero-copy needs the fewest cycles per byte",
        rule=f"at every size and thread count, {_CLEAR} of zerocopy's cycles a byte is below 1 over both others",
        find=costs.fewest_cycles,
        because={
            _C: "Zero-copy costs fewer cycles a byte than both others.",
            _R: "Zero-copy costs more cycles a byte than another mode on the links that were swept.",
            _D: "Whether zero-copy costs the fewest cycles depends on {on}.",
        },
    ),
    Rule(
        id="S12",
        claim="for small messages zero-copy is slower than both others: pinning, DMA set-up and accounting dominate",
        rule=f"at 1024 bytes or less {_CLEAR} of throughput is below 1 over both others, and pinning, memory, device "
        f"and completions take over half of zerocopy's CPU time, {_SAMPLED}",
        find=costs.slow_when_small,
        because={
            _C: "Zero-copy is slower at small sizes, for the reason that the study gives.",
            _R: "It does not hold as a whole.",
            _D: "Whether zero-copy is slower at small sizes, for that reason, depends on {on}.",
        },
    ),
    Rule(
        id="S13",
        claim="cache behaviour (LLC, or branch-misses as a stand-in) improves with fewer copies, most at large sizes",
        rule=f"{_CLEAR} of misses a byte is below 1 over twocopy, above 1 at no size, and least at the largest size",
        find=costs.fewer_misses,
        because={
            _C: "Modes with fewer copies miss less, most at large sizes.",
            _R: "Modes with fewer copies do not miss less, or not most at large sizes.",
            _D: "Whether fewer copies mean fewer misses depends on {on}.",
        },
    ),
    Rule(
        id="S14",
        claim="more threads mean more context switches",
        rule=f"for every mode and size, {_CLEAR} of context switches a byte is above 1 from the fewest to the most "
        "threads, and below 1 at no step between",
        find=times.RISING_SWITCHES,
        because={
            _C: "The same payload takes more context switches with more threads.",
            _R: "The same payload does not take more context switches with more threads.",
            _D: "Whether more threads mean more context switches depends on {on}.",
        },
    ),
    Rule(
        id="S15",
        claim="one-copy overtakes two-copy at about 4096 bytes",
        rule="a crossover, named only where intervals do not overlap on both sides of it, is within 2x of 4096 bytes",
        find=modes.overtakes("onecopy", 4096),
        because={
            _C: "One-copy overtakes two-copy there.",
            _R: "One-copy does not overtake two-copy there.",
            _D: "Where one-copy overtakes two-copy depends on {on}.",
        },
    ),
    Rule(
        id="S16",
        claim="zero-copy overtakes two-copy at about 16384 bytes",
        rule="a crossover, named only where intervals do not overlap on both sides of it, is within 2x of 16384 bytes",
        find=modes.overtakes("zerocopy", 16384),
        because={
            _C: "Zero-copy overtakes two-copy there.",
            _R: "Zero-copy does not overtake two-copy there, on the links that were swept.",
            _D: "Where zero-copy overtakes two-copy depends on {on}.",
        },
    ),
    Rule(
        id="S17",
        claim="at tiny sizes zero-copy is not clearly better than one-copy",
        rule=f"at 1024 bytes or less {_CLEAR} of throughput over onecopy ends below 1.05",
        find=modes.not_clearly_better,
        because={
            _C: "Zero-copy gains nothing over one-copy at tiny sizes.",
            _R: "Zero-copy is clearly faster than one-copy at tiny sizes.",
            _D: "Whether zero-copy gains at tiny sizes depends on {on}.",
        },
    ),
    Rule(
        id="S18",
        claim="perf stat fails for an ordinary user until perf_event_paranoid is lowered",
        rule="perf stat is run as an unprivileged user: refused above level 1, and allowed at 1 or less",
        find=privilege.perf_needs_sysctl,
        because={
            _C: "An ordinary user's perf stat is refused until the sysctl is lowered.",
            _R: "An ordinary user's perf stat does not hang on the sysctl.",
            _D: "perf stat is refused or not depending on {on}: the kernel's share and other processes are refused.",
        },
    ),
)


def judge(evidence: Evidence) -> list[Ruling]:
    """A ruling for each claim, in their order."""
    return [ruling_of(rule, evidence) for rule in (*RULES, *FIELD_RULES)]
