"""The live view's screen and its keys, without a terminal: what is shown after which key."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from textual.events import Key
from textual.pilot import Pilot
from textual.widgets import Static

from tests.socket_samples import reader, recording, sender
from tracer.books.live import Detail, Frame, Page, Query, State, Together
from tracer.books.replay import Replay
from tracer.errors import MachineError
from tracer.model.socket_recording import Finding, Sample, SocketRecording
from tracer.model.sockets import Totals, Transfer
from tracer.reports.live.app import LiveApp, Settings
from tracer.reports.live.lines import Lines
from tracer.reports.live.output import tail_of
from tracer.reports.live.pages import Over

# App, what has the focus, its parents, the app; twice, as a field tells of a key by a message of its own.
MOST_HOPS = 8
FINDINGS = [Finding(code="lost", sentence="rows were lost", why="no memory", fix="more memory")]
SOCKETS = [
    *(sender(cookie=at, local=f"127.0.0.1:{40000 + at}", ended=False) for at in range(1, 41)),
    reader(cookie=100, comm="nginx", pids=[8], ended=False),
]


def told(**changes: Any) -> Settings:
    """Drawn when a test says so, and not by the clock."""
    return Settings(**{"save": lambda _made: "saved", "each_s": None, **changes})


class Told:
    """A source that a test tells what is so."""

    def __init__(self) -> None:
        totals = Totals(sent={"copy": Transfer(calls=1, bytes=10007)}, read={"copy": Transfer(calls=1, bytes=10007)})
        samples = [Sample(t=float(at), sent={"copy": 1000 * at}) for at in range(1, 6)]
        self.made = recording(*SOCKETS, totals=totals, samples=samples, findings=FINDINGS)
        self._replay = Replay(self.made, title="curl 7")
        self.state, self.seconds = State.RUNNING, 0
        self.failure: Exception | None = None

    def frame(self) -> Frame:
        if self.failure is not None:
            raise self.failure
        self.seconds += 1
        return self._replay.frame()._replace(state=self.state, at_s=float(self.seconds))

    def page(self, query: Query) -> Page:
        return self._replay.page(query)

    def groups(self, by: str, query: Query) -> list[Together]:
        return self._replay.groups(by, query)

    def detail(self, cookie: int) -> Detail | None:
        return self._replay.detail(cookie)

    def recording(self) -> SocketRecording:
        return self.made

    def step(self, by: int) -> bool:
        return self.state is not State.RUNNING and self._replay.step(by)


class Screen:
    """A view that is shown, and what can be read on it."""

    def __init__(self, app: LiveApp, pilot: Pilot[None]) -> None:
        self.app, self.pilot = app, pilot

    async def press(self, *keys: str) -> None:
        for key in keys:
            self.app.post_message(Key("space", " ") if key == " " else Key(key, key if len(key) == 1 else None))
            await self.settle()

    async def settle(self) -> None:
        """Until what a key leads to has been done: a message goes to who has the focus, and back up to the app.

        The pilot's own waits are for a processor that is idle, which is luck where it is busy.
        """
        for _ in range(MOST_HOPS):
            await self.pilot.pause(0)

    def lines(self, name: str) -> str:
        return self.app.screen_stack[0].query_one(f"#{name}", Lines).text()

    @property
    def over(self) -> str | None:
        """What lies over the view."""
        if not isinstance(self.app.screen, Over):
            return None
        console = Console(width=self.app.size.width - 4, file=io.StringIO())
        with console.capture() as capture:
            console.print(self.app.screen.query_one("#text", Static).content)
        return capture.get()


def on_screen(
    act: Callable[[Screen], Awaitable[None]], source: Told | Replay, *, size: tuple[int, int] = (120, 40),
    settings: Settings | None = None,
) -> LiveApp:  # fmt: skip
    """Do something with a view; the app, when it has been left."""

    async def run() -> LiveApp:
        app = LiveApp(source, settings or told())
        async with app.run_test(size=size) as pilot:
            screen = Screen(app, pilot)
            await screen.settle()
            await act(screen)
        return app

    return asyncio.run(run())


def test_the_first_screen_tells_all() -> None:
    """Who, figures, ways, stages, findings, sockets, keys."""

    async def act(screen: Screen) -> None:
        top, sockets = screen.lines("top"), screen.lines("sockets")

        assert top.startswith("curl 7  live\n")
        for part in (
            "41 sockets",
            "sent 10,007 B",
            "copies per byte",
            "send: copy",
            "copy out",
            "note: rows were lost",
        ):
            assert part in top
        assert sockets.startswith("socket 1 to ")
        assert "127.0.0.1:40001 > 127.0.0.1:80" in sockets
        assert "more" in sockets.split("\n")[-1]

    on_screen(act, Told())


def test_sorting_goes_through_the_orders() -> None:
    """And says which."""

    async def act(screen: Screen) -> None:
        for order in ("all", "sent", "read"):
            await screen.press("s")
            assert f"live; sorted by {order}" in screen.lines("top")
        assert "nginx" in screen.lines("sockets").split("\n")[1]

    on_screen(act, Told())


def test_groups_and_sockets_again() -> None:
    """By program, by port, by peer, by link; a group is no socket, and enter shows none."""

    async def act(screen: Screen) -> None:
        await screen.press("g")
        assert screen.lines("sockets").split("\n")[0].startswith("by program")
        assert "nginx :80" in screen.lines("sockets")
        await screen.press("enter")
        assert screen.over is None
        await screen.press("g", "g", "g")
        assert "by link" in screen.lines("sockets")
        await screen.press("g")
        assert screen.lines("sockets").startswith("socket 1 to ")

    on_screen(act, Told())


def test_groups_from_the_beginning_as_many_as_are_wanted() -> None:
    """--by and --top."""

    async def act(screen: Screen) -> None:
        head, _, rest = screen.lines("sockets").split("\n")
        assert head.startswith("by program")
        assert rest.startswith("1 more")

    on_screen(act, Told(), settings=told(by="program", top=1))


def test_a_filter_shows_what_it_fits_until_it_is_taken_back() -> None:
    """Its letters are no keys of the view: q does not leave, s does not sort."""

    async def act(screen: Screen) -> None:
        await screen.press("slash", *"nginx q s")
        await screen.press(*["backspace"] * 4, "enter")
        only = screen.lines("sockets")
        await screen.press("escape")

        assert only.startswith("socket 1 to 1 of 1")
        assert screen.lines("sockets").split("\n")[0].split()[5] == "41"
        assert screen.app.is_running

    on_screen(act, Told())


def test_pause_stands_still() -> None:
    """The source is not asked; afterwards at once."""
    source = Told()

    async def act(screen: Screen) -> None:
        await screen.press("space")
        paused, seconds = screen.lines("top"), source.seconds
        screen.app.tick()
        assert source.seconds == seconds
        assert "live; paused" in paused
        await screen.press("p")
        assert source.seconds == seconds + 1
        assert "paused" not in screen.lines("top")

    on_screen(act, source)


def test_enter_shows_the_socket_under_the_cursor() -> None:
    """And esc goes back."""

    async def act(screen: Screen) -> None:
        await screen.press("down", "down", "up", "enter")
        title = str(screen.app.screen.query("Static").first().render())
        assert "127.0.0.1:40002" in title
        await screen.press("escape")
        assert screen.over is None

    on_screen(act, Told())


@pytest.mark.parametrize(("key", "text"), [("question_mark", "save a recording"), ("n", "why: no memory")])
def test_pages_lie_over_the_view_and_go(key: str, text: str) -> None:
    """q goes back, too, and does not leave."""

    async def act(screen: Screen) -> None:
        await screen.press(key)
        assert screen.over is not None
        assert text in screen.over
        await screen.press("q")
        assert screen.over is None

    on_screen(act, Told())


def test_the_cursor_and_pages_reach_every_socket() -> None:
    """On a screen of few rows."""

    async def act(screen: Screen) -> None:
        first = screen.lines("sockets").split("\n")[1]
        await screen.press("pagedown")
        assert screen.lines("sockets").split("\n")[1] != first
        await screen.press("pageup")
        assert screen.lines("sockets").split("\n")[1] == first
        await screen.press(*["down"] * 60)
        assert screen.lines("sockets").split("\n")[0].split()[3:6] == ["41", "of", "41"]
        await screen.press(*["up"] * 60)
        assert screen.lines("sockets").split("\n")[1] == first

    on_screen(act, Told(), size=(120, 12))


def test_saving_says_where_or_why_not() -> None:
    """The recording until now is handed on; the view stays."""
    saved: list[SocketRecording] = []
    source = Told()

    def save(made: SocketRecording) -> str:
        saved.append(made)
        if len(saved) > 1:
            raise MachineError("cannot write x.json", "No space left on device")
        return "saved x.json"

    async def act(screen: Screen) -> None:
        await screen.press("w")
        assert "saved x.json" in screen.lines("top")
        await screen.press("w")
        assert "cannot write x.json: No space left" in screen.lines("top")

    on_screen(act, source, settings=told(save=save))
    assert saved == [source.made, source.made]


@pytest.mark.parametrize("key", ["q", "ctrl+c"])
def test_leaving(key: str) -> None:
    """Without an error."""

    async def act(screen: Screen) -> None:
        await screen.press(key)
        assert not screen.app.is_running

    assert on_screen(act, Told()).return_code == 0


def test_a_target_that_has_ended_stays_on_the_screen() -> None:
    """It says so, and the source is not asked again; its seconds can be gone through."""
    source = Told()

    async def act(screen: Screen) -> None:
        source.state = State.ENDED
        screen.app.tick()
        await screen.settle()
        seconds = source.seconds
        screen.app.tick()
        assert source.seconds == seconds
        assert "has ended" in screen.lines("top")
        before = screen.lines("top")
        await screen.press("left", "left")
        assert screen.lines("top") != before

    on_screen(act, source)


def test_what_breaks_in_the_source_ends_the_view() -> None:
    """The terminal is given back first; whoever started the view raises it."""
    source = Told()

    async def act(screen: Screen) -> None:
        source.failure = MachineError("the ring is gone")
        screen.app.tick()
        await screen.settle()
        assert not screen.app.is_running

    assert on_screen(act, source).failure is source.failure


@pytest.mark.parametrize("size", [(20, 10), (20, 40), (300, 8), (80, 24)])
def test_any_size_shows_figures_and_a_socket(size: tuple[int, int]) -> None:
    """And a new size is drawn anew."""

    async def act(screen: Screen) -> None:
        assert "sent 10,007 B" in screen.lines("top")
        assert len(screen.lines("sockets").split("\n")) >= 3
        await screen.pilot.resize_terminal(120, 40)
        await screen.settle()
        assert "send: copy" in screen.lines("top")
        assert len(screen.lines("sockets").split("\n")) > 15

    on_screen(act, Told(), size=size)


def test_top_is_the_most_that_is_listed() -> None:
    """The rest is one row."""

    async def act(screen: Screen) -> None:
        assert screen.lines("sockets").split("\n")[-1].startswith("38 more")

    on_screen(act, Told(), settings=told(top=3))


def test_the_time_is_over() -> None:
    """-d leaves."""

    async def act(screen: Screen) -> None:
        screen.app.tick()
        await screen.settle()
        assert not screen.app.is_running

    on_screen(act, Told(), settings=told(most_s=2.0))


def test_output_of_a_command_is_a_pane(tmp_path: Path) -> None:
    """Its last lines, without what would move the cursor."""
    file = tmp_path / "out"
    file.write_bytes(b"x" * 9000 + b"\nthe last but one\r\n\x1b[2Jlast\n")

    async def act(screen: Screen) -> None:
        assert screen.lines("output").endswith("the last but one\n\\x1b[2Jlast")

    on_screen(act, Told(), settings=told(output=file))


def test_an_output_that_cannot_be_read_is_no_end(tmp_path: Path) -> None:
    """The pane says why."""
    assert "No such file" in tail_of(tmp_path / "gone", 3)
