"""make readme: runs the commands whose output README.md and docs/examples.md show, and pastes it in anew.

<!-- output: nettrace run zerocopy --size 16384 | head -9 ~1 -->
...
<!-- /output -->

"| head -9" is how many lines are pasted, "~1" how many of them are the same on any machine but for their numbers, by
which a test compares; all of them where it is not there. What is before may be any shell command that begins with
nettrace.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tracer.study.lessons.when_sendfile_wins import PROGRAM

ROOT = Path(__file__).parent.parent
README, EXAMPLES = ROOT / "README.md", ROOT / "docs" / "examples.md"
WIDE = {**os.environ, "COLUMNS": "100"}
PASTED = re.compile(
    r"(<!-- output: nettrace (?P<arguments>[^|\n]+?)(?: \| head -(?P<lines>\d+))?(?: ~(?P<alike>\d+))? -->\n)"
    r"(?P<output>.*?)<!-- /output -->",
    re.DOTALL,
)
# One connection, in use all the time, for attach: 64 KiB a millisecond.
_STEADY = """
import os, socket, time
ends = socket.create_server(("127.0.0.1", 0)), socket.socket()
ends[1].connect(ends[0].getsockname())
reader = ends[0].accept()[0]
while True:
    ends[1].sendall(bytes(65536))
    left = 65536
    while left:
        left -= len(reader.recv(left))
    time.sleep(0.001)
"""


class Stage(NamedTuple):
    """Where the commands are run: a directory for their files, and the environment that they see."""

    directory: Path
    environment: dict[str, str]


@contextlib.contextmanager
def stage() -> Iterator[Stage]:
    """With this tree's nettrace on the PATH, the lessons' program beside it, and a program that sends as $PID."""
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        directory = Path(name)
        directory.chmod(0o755)
        (directory / PROGRAM.name).symlink_to(PROGRAM)
        program = directory / "bin" / "nettrace"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m tracer "$@"\n')
        program.chmod(0o755)
        steady = stack.enter_context(subprocess.Popen([sys.executable, "-c", _STEADY]))
        stack.callback(steady.kill)
        path = f"{program.parent}:{os.environ['PATH']}"
        yield Stage(directory, {**WIDE, "PATH": path, "PID": str(steady.pid)})


def output_of(arguments: str, lines: str | None, at: Stage) -> str:
    """What the command prints, or its first lines, as a block.

    On a busy machine TCP sends some bytes twice, even over loopback. That is worth a sentence in the report, but not in
    a first example: five runs at most, until one goes without.
    """
    for _ in range(5):
        printed = printed_by(arguments, at)
        if "sent them again" not in printed:
            break
    # The suffix that a builder gives his kernel says nothing to the reader.
    shown = re.sub(r"(Linux\s+\d+\.\d+\.\d+)\S*", r"\1", printed)
    kept = shown.splitlines()[: int(lines) if lines else None]
    return "```\n" + "".join(f"{line.rstrip()}\n" for line in kept) + "```\n"


def printed_by(arguments: str, at: Stage) -> str:
    """All that the command prints on stdout."""
    done = subprocess.run(
        ["bash", "-c", f"nettrace {arguments}"], stdout=subprocess.PIPE, text=True, check=True, cwd=at.directory,
        env=at.environment,
    )  # fmt: skip
    return done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("pages", nargs="*", type=Path, default=[README, EXAMPLES], help="those to write [all]")
    for page in parser.parse_args().pages:
        with stage() as at:
            page.write_text(PASTED.sub(lambda found, at=at: _anew(found, at), page.read_text()))


def _anew(found: re.Match[str], at: Stage) -> str:
    return f"{found[1]}{output_of(found['arguments'], found['lines'], at)}<!-- /output -->"


if __name__ == "__main__":
    main()
