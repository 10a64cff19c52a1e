"""The page: it says what the terminal says, asks for nothing, stays small, and nothing gets out of it."""

from __future__ import annotations

import ipaddress
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

from tests.function_samples import PULLED, on_nic
from tests.html_samples import (
    PAYLOADS,
    data_in,
    hostile_program,
    hostile_run,
    profile,
    program,
    run_page,
    sockets_page,
    whole_run,
)
from tests.reports.test_reports import DOCUMENTS, SAMPLES
from tests.samples import looped
from tests.sweep_samples import plan, runs, sweep
from tracer.books.analysis import document_of
from tracer.books.socket_verdict import sentences_of
from tracer.model import LawState, Recording
from tracer.model.sockets import Totals, Transfer
from tracer.reports.html.answers import answers_of
from tracer.reports.html.of_study import page_of_claims, page_of_comparison, page_of_sweep
from tracer.reports.html.page import render
from tracer.reports.picture import legs_of
from tracer.study.claim_rules.findings import Evidence, Outcome
from tracer.study.claims import judge
from tracer.study.comparison import comparison_of
from tracer.study.standing import standing
from tracer.study.sweep_answer import answer_of

KIB = 1024


class Elements(HTMLParser):
    """What a browser would make of a page: its elements with their attributes, and its text."""

    VOID = frozenset({"meta", "input", "br", "img", "rect", "circle", "path"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1] == tag, f"</{tag}> ends <{self.open[-1]}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.text += data

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


PAGES = {"run": run_page, "sockets": sockets_page}


@pytest.fixture(scope="module", params=list(PAGES))
def page(request: pytest.FixtureRequest) -> str:
    return PAGES[request.param]()


@pytest.mark.parametrize("name", list(SAMPLES))
def test_the_page_says_what_the_screen_says(name: str) -> None:
    """Verdict, title, every place with its bytes and its function, every law with both sides, and what comes next."""
    document = DOCUMENTS[name]
    text = " ".join(Elements(run_page(document)).text.split())

    wanted = [document.verdict.sentence, *document.verdict.next, *document.notes]
    wanted += [entry.function for entry in document.ledger.entries]
    wanted += [f"{entry.bytes:,}" for entry in document.ledger.entries if entry.bytes is not None]
    wanted += [law.statement for law in document.ledger.laws]
    wanted += [leg.what for leg in legs_of(document)]
    assert [words for words in wanted if " ".join(words.split()) not in text] == []


def test_a_programs_page_says_what_the_screen_says() -> None:
    """The sentences, the findings, and a row for each socket."""
    found = program()
    text = " ".join(Elements(sockets_page(found)).text.split())

    wanted = [*sentences_of(found), *(finding.fix for finding in found.findings), *(one.local for one in found.sockets)]
    assert [words for words in wanted if words not in text] == []


def test_the_picture_is_told_in_words_too() -> None:
    """The label of the picture has every step, and so has the list beside it."""
    elements = Elements(run_page())
    label = next(attributes["aria-label"] for tag, attributes in elements.found if attributes.get("role") == "img")

    for leg in legs_of(document_of(whole_run())):
        assert str(leg) in (label or "")
        assert leg.what in elements.text


def test_elements_are_closed_in_order(page: str) -> None:
    """What was opened last is closed first."""
    assert Elements(page).open == []


def test_nothing_is_asked_for(page: str) -> None:
    """No address of anything outside; no frame, form or script from elsewhere, and no handler in an attribute."""
    elements = Elements(page).found
    links = [value for _, attributes in elements for name, value in attributes.items() if name in ("src", "href")]

    assert [link for link in links if not (link or "").startswith(("#", "data:"))] == []
    assert {tag for tag, _ in elements} & {"iframe", "form", "link", "object", "embed", "base"} == set()
    assert [name for _, attributes in elements for name in attributes if name.startswith("on")] == []
    assert "@import" not in page
    assert not re.search(r"url\((?!#)", page)
    policy = next(attributes["content"] or "" for _, attributes in elements if "http-equiv" in attributes)
    assert policy.startswith("default-src 'none'")


def test_names_are_used_once(page: str) -> None:
    """An anchor leads to one place."""
    names = [attributes["id"] for _, attributes in Elements(page).found if "id" in attributes]

    assert len(names) == len(set(names))


def test_what_is_read_aloud_has_names(page: str) -> None:
    """Each section, picture and table has one, headings of columns say how they are sorted."""
    elements = Elements(page).found
    names = {attributes.get("id") for _, attributes in elements}

    assert all(attributes.get("aria-labelledby") in names for tag, attributes in elements if tag == "section")
    assert all(
        attributes.get("aria-label") for _, attributes in elements if attributes.get("role") in ("img", "region")
    )
    columns = [attributes for tag, attributes in elements if tag == "th" and attributes.get("scope") == "col"]
    assert columns
    assert all(attributes.get("aria-sort") == "none" for attributes in columns)
    assert sum(tag == "caption" for tag, _ in elements) == sum(tag == "table" for tag, _ in elements)


def test_the_data_are_the_document(page: str) -> None:
    """What the page shows, as `report --json` has it."""
    data = data_in(page)

    assert data["schema"] == "nettrace.recording/2"
    assert "totals" in data or data["verdict"]["sentence"] in unescape(page)


def test_the_page_of_a_run_is_small() -> None:
    """300 KB, also of a profile with thousands of stacks, deep ones among them."""
    stacks = {
        f"sender;kernel;{';'.join(f'function_{(n * d) % 997}' for d in range(30))}": n % 17 + 1 for n in range(9000)
    }

    assert len(run_page()) < 100 * KIB
    assert len(run_page(msgspec.structs.replace(whole_run(), profile=profile(stacks)))) < 300 * KIB


def test_no_sample_is_lost_with_the_rare_stacks() -> None:
    """Those that are left out are summed."""
    stacks = {f"sender;kernel;{'f' * 300}{n}": 1 for n in range(3000)}
    data = data_in(run_page(msgspec.structs.replace(whole_run(), profile=profile(stacks))))

    assert sum(data["profile"]["folded"].values()) == 3000
    assert len(data["profile"]["folded"]) < 400


def test_the_page_of_thirty_thousand_sockets_is_small() -> None:
    """2 MB; the rest is one row, which with the listed ones makes the total."""
    found = program(30_000)
    page = sockets_page(found)
    rows = re.findall(
        r'<tr( class="rest")?><th scope="row">([^<]*)</th><td>[^<]*</td><td class="n ?">([\d,]+)</td>', page
    )

    assert len(page) < 2 << 20
    assert sum(int(sent.replace(",", "")) for *_, sent in rows) == found.totals.sent_bytes
    assert [name for rest, name, _ in rows if rest] == ["29,500 more"]
    assert data_in(page)["unlisted_sockets"] == 29_500
    assert len(data_in(page)["sockets"]) == 500


@pytest.mark.parametrize("hide", [False, True])
@pytest.mark.parametrize("make", [lambda hide: run_page(hostile_run(), hide=hide),
                                  lambda hide: sockets_page(hostile_program(), hide=hide)])  # fmt: skip
def test_nothing_gets_out_of_its_text(make, hide: bool) -> None:
    """Scripts in names, control characters, strings of 10 MB: shown, cut, and never an element or an attribute."""
    page = make(hide)
    elements = Elements(page)

    assert elements.open == []
    assert [attributes for tag, attributes in elements.found if tag == "script"] == [
        {"type": "application/json", "id": "document"}, {},
    ]  # fmt: skip
    assert [tag for tag, _ in elements.found if tag == "img"] == []
    assert [name for _, attributes in elements.found for name in attributes if name.startswith("on")] == []
    assert set(re.findall(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202e]", page)) == set()
    assert len(page) < 300 * KIB
    assert data_in(page)


def test_hostile_words_are_shown_as_they_are() -> None:
    """Nothing is swallowed: a reader sees what the program called itself."""
    text = Elements(sockets_page(hostile_program())).text

    assert [payload for payload in PAYLOADS[:6] if payload not in text] == []


def test_a_redacted_page_has_no_address_user_or_argument() -> None:
    """In no place of it, the data for programs included."""
    for page in (sockets_page(hide=True), run_page(hide=True)):
        shown = re.sub(r"<style>.*?</style>|<script>.*?</script>", "", page, flags=re.DOTALL)
        assert [word for word in ("alice", "secret", "192.0.2.7", "2001:db8") if word in shown] == []
        assert [word for word in re.findall(r"\d+\.\d+\.\d+\.\d+", shown) if _is_address(word)] == []
        assert "(--redact)" in shown


def _is_address(word: str) -> bool:
    try:
        ipaddress.ip_address(word)
    except ValueError:
        return False
    return True


def test_a_page_that_is_not_redacted_says_nothing_of_it() -> None:
    """And shows the addresses."""
    page = sockets_page()

    assert "(--redact)" not in page
    assert "192.0.2.7" in page


def test_what_nobody_observed_is_not_zero() -> None:
    """A stage without a probe is n/a in its row, and unknown in the picture."""
    page = run_page(DOCUMENTS["zerocopy-nic-linear"])

    assert re.search(r"deferred copy</th>.*?n/a", page)
    assert 'class="as-it-is unknown band"' in page


def test_a_broken_law_is_said_first() -> None:
    """In the heading, and the answer's colour."""
    page = run_page(DOCUMENTS["broken-law"])

    assert '<section id="answer" class="answer doubtful"' in page
    assert re.search(r'<h1[^>]*><span class="sentence">This measurement cannot be trusted', page)


def test_broken_laws_of_sockets_are_told() -> None:
    """Which socket, which law, and that the page cannot be trusted."""
    found = program(4)
    broken = msgspec.structs.replace(found.sockets[0], sent={"copy": Transfer(calls=1, bytes=10008)})
    page = sockets_page(msgspec.structs.replace(found, sockets=[broken, *found.sockets[1:]]))

    assert 'class="answer doubtful"' in page
    assert re.search(r'class="bad">broken: S\d', page)
    assert "Broken laws" in page
    assert LawState.HOLDS in page


def test_a_program_without_sockets_has_a_page() -> None:
    """Its finding is the answer."""
    page = sockets_page(program(0, totals=Totals(), samples=[], sizes={}, profile=None))

    assert "192.0.2.7 is slow" in page
    assert Elements(page).open == []


def lines_of(document: Recording, question: str) -> str:
    return " ".join(next(one.lines for one in answers_of(document_of(document)) if one.question.startswith(question)))


def test_the_page_alone_answers_how_often() -> None:
    """One number, then which copies it is made of; where one side was not watched, no sum."""
    assert lines_of(looped(), "How many") == (
        "2x in the kernel: 1x by the send call or on the way (deferred copy), 1x by the reader's call (copy out)."
    )
    assert lines_of(on_nic(), "How many") == (
        "In the kernel: 0x by the send call or on the way, n/a by the reader's call, which nobody watched. "
        f"And {PULLED} B that the driver pulled in beside the packets' headers."
    )
    assert lines_of(on_nic(), "Where") == "Nowhere: no stage that was watched copied a byte."


def test_the_page_alone_says_what_else_to_measure() -> None:
    """The cost of another way, how it was counted, and what a NIC would change: of which copy."""
    assert "nettrace compare --size 10007" in lines_of(looped(), "What did it cost")
    assert "n/a in the kernel" not in lines_of(looped(), "What did it cost")
    assert "inferred from what the packets are made of" in lines_of(looped(), "Can I trust")
    assert "of the deferred copy: Over a NIC with scatter-gather it is not made" in lines_of(looped(), "What would")


def test_pages_of_the_study_say_what_the_screens_say() -> None:
    """A comparison, a sweep with its pictures, and verdicts on claims; nothing is asked for here either."""
    one = plan(sizes=[16384], threads=[1], repetitions=3)
    measured = sweep(runs(of=one), one)
    compared, rulings = comparison_of(measured), standing([judge(Evidence(measured.runs, []))])
    pages = {
        render(page_of_comparison(compared, "nettrace compare")): [
            *(contest.sentence for contest in compared.contests),
            "Which mode wins?",
            "onecopy: 2x copied (copy in 1x",
        ],
        render(page_of_sweep(measured, Path("d"), "nettrace sweep d")): [
            *answer_of(measured),
            "16 KiB",
            "From which size does a mode pay?",
            "What next?",
            "nettrace plot d",
        ],
        render(page_of_claims(rulings, ["a note"], None, "nettrace claims")): [
            *(one.sentence for one in rulings),
            *(f"{one.id}: {one.sentence}" for one in rulings if one.outcome is not Outcome.UNDECIDED),
            "What could not be decided?",
        ],
    }

    for page, sentences in pages.items():
        elements = Elements(page.decode())
        assert elements.open == []
        assert [words for words in ["In short", *sentences] if words not in elements.text] == []
        assert [value for _, attributes in elements.found if (value := attributes.get("src"))
                and not value.startswith("data:image/svg+xml;base64,")] == []  # fmt: skip
        assert data_in(page.decode())
    assert b"<img" in list(pages)[1]
