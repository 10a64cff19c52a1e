"""The page where it is read: a browser draws, sorts and filters it, asks for nothing and runs nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.html_samples import hostile_program, hostile_run, program, run_page, sockets_page
from tracer.model.socket_recording import SocketRecording
from tracer.model.sockets import Transfer

sync_api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")

CHROMIUM = Path("/usr/bin/chromium")
pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="there is no chromium: make test-packages"),
]

# The least contrast of a page's texts with what lies behind them, by WCAG 2; what is drawn in SVG is another test's.
CONTRASTS = """
() => {
  const channels = (text) => text.match(/[\\d.]+/g).map(Number);
  const luminance = (rgb) => rgb.slice(0, 3).map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, at) => sum + v * [0.2126, 0.7152, 0.0722][at], 0);
  const behind = (element) => {
    for (; element; element = element.parentElement) {
      const colour = channels(getComputedStyle(element).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const poor = [];
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || element.closest("svg, script") || !element.checkVisibility()) continue;
    const [low, high] = [luminance(channels(getComputedStyle(element).color)), luminance(behind(element))].sort((a, b) => a - b);
    if ((high + 0.05) / (low + 0.05) < 4.5) poor.push(element.outerHTML.slice(0, 80));
  }
  return poor;
}
"""  # noqa: E501


def uneven(sockets: int) -> SocketRecording:
    """Sockets of which no two have sent as much."""
    base = program(sockets)
    sent = [{"copy": Transfer(calls=1, bytes=7919 * number % 10_007)} for number in range(1, sockets + 1)]
    changed = [msgspec.structs.replace(one, sent=moved) for one, moved in zip(base.sockets, sent, strict=True)]
    return msgspec.structs.replace(base, sockets=changed)


class Reader:
    """A browser with one page open, and all that the page complained of or asked for."""

    def __init__(self, browser: Any, path: Path, **options: Any) -> None:
        self.page = browser.new_page(**options)
        self.troubles: list[str] = []
        self.page.on("console", lambda message: self.troubles.append(message.text))
        self.page.on("pageerror", lambda error: self.troubles.append(str(error)))
        self.page.on("dialog", lambda dialog: self.troubles.append(dialog.message))
        self.page.on("request", lambda asked: self._note(asked.url, path.as_uri()))
        self.page.goto(path.as_uri())

    def _note(self, url: str, own: str) -> None:
        if url != own and not url.startswith("data:"):
            self.troubles.append(url)

    def column(self, table: str, number: int) -> list[str]:
        """The texts of a column's cells that are shown."""
        rows = self.page.locator(f"{table} tbody tr:not([hidden])")
        return [text.split("\t")[number] for text in rows.all_inner_texts()]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as play:
        found = play.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = {
        "run": run_page(), "sockets": sockets_page(uneven(1400)), "hostile run": run_page(hostile_run()),
        "hostile sockets": sockets_page(hostile_program()),
    }  # fmt: skip
    place = tmp_path_factory.mktemp("pages")
    for name, text in made.items():
        (place / f"{name}.html").write_text(text)
    return {name: place / f"{name}.html" for name in made}


@pytest.fixture
def read(browser: Any, pages: dict[str, Path]) -> Iterator[Callable[..., Reader]]:
    readers: list[Reader] = []

    def opened(name: str, **options: Any) -> Reader:
        readers.append(Reader(browser, pages[name], **options))
        return readers[-1]

    yield opened
    for reader in readers:
        reader.page.close()


@pytest.mark.parametrize("width", [400, 1200])
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", ["run", "sockets"])
def test_it_is_drawn_within_its_window_and_can_be_read(read, name: str, theme: str, width: int) -> None:
    """No error, no request; nothing hangs out at the side; all texts stand out from what is behind them."""
    reader = read(name, color_scheme=theme, viewport={"width": width, "height": 800})

    assert reader.page.evaluate("document.documentElement.scrollWidth") <= width
    assert reader.page.evaluate(CONTRASTS) == []
    assert reader.page.locator("figure.flow svg[role=img]").first.bounding_box()["height"] > 100
    assert reader.page.locator("h1").is_visible()
    assert reader.troubles == []


def test_the_themes_differ(read) -> None:
    """What the reader's system prefers is what is shown."""
    colours = {read("run", color_scheme=theme).page.evaluate("getComputedStyle(document.body).backgroundColor")
               for theme in ("light", "dark")}  # fmt: skip

    assert len(colours) == 2


def test_a_column_sorts_by_number_and_the_rest_stays_below(read) -> None:
    """Twice the other way round; the heading says which."""
    reader = read("sockets")
    heading = reader.page.locator("#sockets th", has_text="copied in")
    heading.locator("button").click()
    falling = reader.column("#sockets table", 5)
    said = heading.get_attribute("aria-sort")
    heading.locator("button").press("Enter")
    rising = reader.column("#sockets table", 5)

    assert (said, heading.get_attribute("aria-sort")) == ("descending", "ascending")
    assert falling[:-1] == sorted(falling[:-1], key=lambda text: -int(text.replace(",", "")))
    assert len(set(falling)) > 100
    assert falling[:-1] == rising[:-1][::-1]
    assert reader.column("#sockets table", 0)[-1] == "900 more"
    assert reader.troubles == []


def test_the_filter_hides_what_does_not_fit_and_counts_what_does(read) -> None:
    """All words must be there, in any case; an empty field shows all again."""
    reader = read("sockets")
    field = reader.page.get_by_label("Filter").first
    field.fill("WORKER17 443")
    shown = reader.column("#sockets table", 1)

    assert shown
    assert all(name.startswith("worker17") for name in shown)
    assert reader.page.locator("#sockets [role=status]").inner_text() == f"{len(shown)} of 501 rows"
    field.fill("")
    assert len(reader.column("#sockets table", 0)) == 501


def test_a_flame_graph_is_walked_and_zoomed_by_keys(read) -> None:
    """What is picked is told; Enter makes it as wide as the picture, Escape undoes that."""
    reader = read("run")
    area, told = reader.page.locator("#cost .boxes"), reader.page.locator("#cost .told")
    area.focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowDown"):
        area.press(key)
    assert "entry_SYSCALL_64_after_hwframe: 150" in told.inner_text()
    area.press("Enter")
    box = reader.page.locator("#cost .boxes .picked")
    assert box.get_attribute("width") == "100%"
    area.press("Escape")
    assert (box.text_content() or "").strip() == "all"
    assert reader.troubles == []


@pytest.mark.parametrize("name", ["hostile run", "hostile sockets"])
def test_nothing_hostile_is_run(read, name: str) -> None:
    """No script, no handler, no image of it: only text, which breaks no layout either."""
    reader = read(name, viewport={"width": 400, "height": 800})

    assert reader.page.evaluate("window.stolen") is None
    assert reader.page.locator("img").count() == 0
    assert reader.page.locator("script").count() == 2
    assert "onerror" in reader.page.locator("body").inner_text()
    assert reader.page.evaluate("document.documentElement.scrollWidth") <= 400
    assert reader.troubles == []


def test_a_script_that_got_in_would_not_run(browser, tmp_path: Path) -> None:
    """The second wall: the page lets the browser run one script only, by its hash."""
    path = tmp_path / "broken.html"
    path.write_text(
        run_page().replace("</main>", "<script>window.stolen=1</script><img src=x onerror='stolen=1'></main>")
    )
    reader = Reader(browser, path)

    assert reader.page.evaluate("window.stolen") is None
    assert [trouble for trouble in reader.troubles if "Content Security Policy" in trouble]
    reader.page.close()


def test_the_data_can_be_saved(read, tmp_path: Path) -> None:
    """As a file, without a server."""
    reader = read("run")
    with reader.page.expect_download() as waiting:
        reader.page.locator("#save").click()
    waiting.value.save_as(tmp_path / "saved.json")

    assert json.loads((tmp_path / "saved.json").read_text())["schema"] == "nettrace.recording/2"


def test_paper_shows_all_but_what_can_be_clicked(read) -> None:
    """In print: dark on light whatever the theme, no field, no button."""
    reader = read("sockets", color_scheme="dark")
    reader.page.emulate_media(media="print")

    assert reader.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not reader.page.get_by_label("Filter").first.is_visible()
    assert not reader.page.locator("#save").is_visible()
    assert reader.page.locator("#sockets table").is_visible()
    assert reader.page.evaluate(CONTRASTS) == []


def test_it_can_be_read_without_scripts(browser, pages: dict[str, Path]) -> None:
    """All texts and pictures are in the page itself."""
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(pages["run"].as_uri())

    assert page.locator("#laws tbody tr").count() > 3
    assert page.locator("#cost .boxes svg svg").count() > 5
    context.close()
