"""Whatever nettrace reads, with any value in any place: `make fuzz`, and a short run of it among the tests.

Each try is one seed: the same seed does the same again. A try fails where nettrace ends with a code that it does not
document for what it read, says that it has a bug, lets an exception out, or sends a control character to the terminal.
"""

from __future__ import annotations

import argparse
import copy
import io
import json
import os
import random
import re
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec

from tests.entry_samples import over_peer, tapped_nic, with_drops
from tests.function_samples import looped as looped_by_functions
from tests.function_samples import on_nic
from tests.samples import changed, copied, looped
from tests.socket_samples import reader, recording, sender
from tests.sweep_samples import manifest, plan, profile, run, runs
from tracer import cli
from tracer.books.costs import costs_of
from tracer.errors import NettraceError
from tracer.machine import streams
from tracer.machine.perf_output import complete_counters, read_counters
from tracer.machine.perf_trial import read_attempt
from tracer.machine.users import invoking_user
from tracer.model import CpuTime

Document = dict[str, Any]

# What nothing that is read may end with: 1 is an expectation's, 70 a bug's.
_DOCUMENTED = {0, 2, 4, 5, 130}
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_ESCAPES = "\x1b[2J\x07\u202e\x9b1m\r\n"
_VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2**31, 2**32, 2**53, 2**63 - 1, 2**63, 2**64 - 1, -(2**63), 10**400, 0.0, -0.0,
    1e-320, 1e308, -1e308, 0.5, "", "0", "n/a", "lo", _ESCAPES, "µ$x_1^2$\\frac", "x" * 3000, "a b  c\td", "\ud800", [],
    [None], [0, 0], {}, {"": 0}, {_ESCAPES: _ESCAPES}, "nettrace.recording/2", "zerocopy", "copy_in", "nan",
)  # fmt: skip
# A try that takes longer hangs; what is slow is drawing.
_MOST_S = 60
_PERF = tuple(sorted((Path(__file__).parent / "data/perf").glob("*.json")))


def _builtins(value: object) -> Document:
    found: Document = json.loads(msgspec.json.encode(value))
    return found


def _recordings() -> list[Document]:
    costly = run(
        "zerocopy", 1024, 2, 0, profile=profile(copy_in=0.5, tcp_ip=0.5),
        counters={"cycles": 1.0, "LLC-load-misses": 0.1, "context-switches": 1e-6},
    )  # fmt: skip
    samples = (
        looped(retransmitted=5), copied("twocopy"), changed(looped(), observed=None, observations=[], complete=False),
        looped_by_functions(), on_nic(bounce=True), over_peer("bridge"), costly.recording, tapped_nic(), with_drops(),
    )  # fmt: skip
    return [_builtins(sample) for sample in samples]


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths to all values, the document itself left out."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, inner in items for found in ((*path, key), *_places(inner, (*path, key)))]


def damaged(document: Document, chance: random.Random) -> bytes:
    """A document with another value in one to three places, or a member fewer; now and then with its text torn."""
    found = json.loads(json.dumps(document))
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        *path, last = chance.choice(_places(found))
        parent = found
        for key in path:
            parent = parent[key]
        if chance.random() < 0.1 and isinstance(parent, dict):
            del parent[last]
        else:
            # A copy: the next change may be inside of it, and a try must not depend on those before it.
            parent[last] = copy.deepcopy(chance.choice(_VALUES))
    text = json.dumps(found).encode("utf-8", "surrogatepass")
    if chance.random() < 0.05:
        start = chance.randrange(len(text))
        text = text[:start] + chance.randbytes(chance.randrange(4)) + text[start + chance.randrange(9) :]
    return text


class Terminal(io.TextIOWrapper):
    """Any stream that there may be: of any encoding, a terminal or none."""

    def __init__(self, chance: random.Random) -> None:
        encoding = chance.choice(("utf-8", "utf-8", "nettrace-ascii", "latin-1", "cp437", "utf-16"))
        super().__init__(io.BytesIO(), encoding=encoding, errors="nettrace-stand-ins", newline="")
        self._is_terminal = chance.random() < 0.2

    def isatty(self) -> bool:
        return self._is_terminal

    def text(self) -> str:
        self.flush()
        assert isinstance(self.buffer, io.BytesIO)
        return self.buffer.getvalue().decode(self.encoding)


_EXPECTING = ["--expect", "send copies <= 1", "--expect", "laws hold", "--expect", "zerocopy real"]


def told(arguments: list[str], chance: random.Random) -> None:
    """A nettrace in this process, on any terminal."""
    out, errors = Terminal(chance), Terminal(chance)
    surroundings = {
        "COLUMNS": chance.choice(("", "0", "1", "20", "33", "80", "-1", "abc", "9" * 20, "²")),
        "TERM": chance.choice(("xterm", "dumb", "", "nonsense")),
        "NO_COLOR": chance.choice(("", "1")),
    }
    with mock.patch.dict(os.environ, surroundings), redirect_stdout(out), redirect_stderr(errors):
        code = cli.run(arguments)
    text = out.text() + errors.text()
    assert code in (_DOCUMENTED | {1} if "--expect" in arguments else _DOCUMENTED), f"exit code {code}: {text[-2000:]}"
    assert "Traceback" not in text, text[-2000:]
    # A terminal gets rich's own sequences.
    assert out.isatty() or not (found := _CONTROL.search(text)), f"sent {found[0]!r}: {text[-2000:]}"


class Fuzz:
    """All that is read, and where the files of a try go."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.recordings = _recordings()
        self.sockets = _builtins(recording(sender(), reader()))
        small = plan(sizes=[1024, 65536], threads=[1, 8], repetitions=2)
        self.manifest = _builtins(manifest(small))
        self.runs = [_builtins(one) for one in runs(of=small)]
        self.perf = [path.read_text() for path in _PERF]

    def a_recording(self, chance: random.Random) -> None:
        """`nettrace report` of a run, `nettrace diff` of two."""
        path = self.directory / "run.json"
        path.write_bytes(damaged(chance.choice(self.recordings), chance))
        told(["report", str(path), *chance.choice(([], [], ["--json"], ["--csv"], _EXPECTING, *self._files()))], chance)
        self._differ(path, chance)

    def a_recording_of_sockets(self, chance: random.Random) -> None:
        """`nettrace report` of a program's sockets, `nettrace diff` of two."""
        path = self.directory / "sockets.json"
        path.write_bytes(damaged(self.sockets, chance))
        by = ["--by", chance.choice(("program", "port", "peer", "link"))]
        told(["report", str(path), *chance.choice(([], ["--json"], ["--csv"], _EXPECTING, by, *self._files()))], chance)
        if chance.random() < 0.02:
            told(["plot", str(path)], chance)
        self._differ(path, chance)

    def _files(self) -> list[list[str]]:
        """Forms of a report that are written to a file."""
        page = ["--html", str(self.directory / "page.html")]
        return [page, [*page, "--redact"], ["--speedscope", str(self.directory / "stacks.json")], ["--redact"]]

    def _differ(self, path: Path, chance: random.Random) -> None:
        """From a sound one, of either kind."""
        if chance.random() < 0.3:
            sound = self.directory / "sound.json"
            sound.write_bytes(msgspec.json.encode(chance.choice((*self.recordings, self.sockets))))
            told(["diff", str(sound), str(path), *chance.choice(([], ["--json"]))], chance)

    def a_sweep(self, chance: random.Random) -> None:
        """`nettrace claims --no-run`, and now and then `nettrace plot`, which takes its time."""
        lines = [json.dumps(one).encode() for one in self.runs]
        if chance.random() < 0.5:
            at = chance.randrange(len(lines))
            lines[at] = damaged(self.runs[at], chance).replace(b"\n", b" ")
            head = json.dumps(self.manifest).encode()
        else:
            head = damaged(self.manifest, chance)
        (self.directory / "manifest.json").write_bytes(head)
        (self.directory / "runs.jsonl").write_bytes(b"\n".join(lines) + chance.choice((b"\n", b"", b"\n{")))
        verb = ["plot"] if chance.random() < 0.02 else ["claims", "--no-run", *chance.choice(([], ["--json"]))]
        told([*verb, str(self.directory)], chance)

    def perfs_answer(self, chance: random.Random) -> None:
        """What `perf stat -j` printed, read without an error whatever it is; NaN and infinity, too."""
        lines = chance.choice(self.perf).splitlines()
        for _ in range(chance.randrange(4)):
            at = chance.randrange(len(lines))
            row = json.loads(lines[at]) if lines[at].endswith("}") else {"event": lines[at]}
            row[chance.choice(list(row))] = chance.choice((*_VALUES, float("nan"), float("inf"), "1e400", "-1", "<x>"))
            lines[at] = chance.choice((json.dumps(row), json.dumps(row)[: chance.randrange(30)]))
        text = "\n".join(lines)
        scope = chance.choice(("sender", "receiver", "system"))
        cpu = chance.choice((None, CpuTime(), CpuTime(total=10**9, user=0, system=10**9)))
        found = complete_counters(read_counters(text, scope), scope, cpu, chance.choice((None, 0.0, 2.5e9)))
        read_attempt(2, "default", chance.choice((0, 1, 255)), text)
        sample = changed(looped(), counters=found)
        path = self.directory / "counted.json"
        path.write_bytes(msgspec.json.encode(sample))
        told(["report", str(path)], chance)
        costs_of(sample)

    def an_environment(self, chance: random.Random) -> None:
        """Who ran it, according to variables that anyone may set."""
        words = ("", "0", "1000", "-1", "abc", "9" * 5000, "²", "nobody", "root", _ESCAPES, "\udcff")
        names = ("SUDO_UID", "SUDO_GID", "PKEXEC_UID", "DOAS_USER")
        environment = {name: chance.choice(words) for name in names if chance.random() < 0.6}
        said = ""
        with mock.patch.object(os, "geteuid", return_value=0):
            try:
                invoking_user(environment)
            except NettraceError as error:
                said = str(error)
        assert not _CONTROL.search(said), said

    def a_command_line(self, chance: random.Random) -> None:
        """Words where options and files belong, of verbs that measure nothing."""
        words = (
            "--json", "--csv", "--by", "--top", "0", "-1", "1e3", "²", _ESCAPES, "\udcff", "", "--", "-", "--no-run",
            "/dev/null", "/", "/nowhere/x", str(self.directory), "--source", "--help", "x" * 300,
        )  # fmt: skip
        verb = chance.choice(("report", "schema", "probes", "claims", "plot", "nonsense", _ESCAPES, "run"))
        stop = ["--size", "0"] if verb == "run" else ["--no-run"] if verb == "claims" else []
        told([verb, *stop, *(chance.choice(words) for _ in range(chance.randrange(4)))], chance)

    def one(self, seed: int) -> str:
        """One try; what was tried.

        Raises:
            AssertionError: it fails. Any other exception is a failure as well.
        """
        chance = random.Random(seed)
        tries: tuple[Callable[[random.Random], None], ...] = (
            self.a_recording, self.a_recording, self.a_recording, self.a_recording_of_sockets,
            self.a_recording_of_sockets, self.a_sweep, self.perfs_answer, self.an_environment, self.a_command_line,
        )  # fmt: skip
        chosen = chance.choice(tries)
        signal.alarm(_MOST_S)
        try:
            chosen(chance)
        finally:
            signal.alarm(0)
        return chosen.__name__


class Hanging(BaseException):
    """Not an Exception: nettrace itself must not take it for one of the system's."""


def _too_long(_signal: int, _frame: object) -> None:
    raise Hanging(f"not done after {_MOST_S} s")


def main() -> int:
    """Try until the time is over; 1 if any try failed, with the seeds that do it again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=None, help="only this try")
    given = parser.parse_args()
    streams.make_fit()
    signal.signal(signal.SIGALRM, _too_long)
    with tempfile.TemporaryDirectory(prefix="nettrace-fuzz-") as name:
        fuzz, failed, end = Fuzz(Path(name)), 0, time.monotonic() + given.seconds
        if given.seed is not None:
            print(fuzz.one(given.seed))
            return 0
        first = seed = time.time_ns() % 10**12
        while time.monotonic() < end:
            try:
                fuzz.one(seed)
            except (Exception, Hanging) as error:
                failed += 1
                print(f"seed {seed}: {type(error).__name__}: {str(error)[:1500]!r}", flush=True)
            seed += 1
    print(f"{seed - first} tries, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
