"""make readme: runs the commands whose output README.md shows, and pastes it in anew, or its first lines.

<!-- output: nettrace run zerocopy --size 16384 | head -9 -->
...
<!-- /output -->
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"
WIDE = {**os.environ, "COLUMNS": "100"}
PASTED = re.compile(
    r"(<!-- output: nettrace (?P<arguments>[^|\n]+?)(?: \| head -(?P<lines>\d+))? -->\n)"
    r"(?P<output>.*?)<!-- /output -->",
    re.DOTALL,
)


def output_of(arguments: str, lines: str | None) -> str:
    """What the command prints, or its first lines, as a block.

    On a busy machine TCP sends some bytes twice, even over loopback. That is worth a sentence in the report, but not in
    a first example: five runs at most, until one goes without.
    """
    command = [sys.executable, "-m", "tracer", *arguments.split()]
    for _ in range(5):
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=README.parent, env=WIDE)
        if "sent them again" not in done.stdout:
            break
    # The suffix that a builder gives his kernel says nothing to the reader.
    shown = re.sub(r"(Linux \d+\.\d+\.\d+)\S*", r"\1", done.stdout)
    kept = shown.splitlines(keepends=True)[: int(lines) if lines else None]
    return f"```\n{''.join(kept)}```\n"


def main() -> None:
    argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0]).parse_args()
    text = README.read_text()
    README.write_text(PASTED.sub(_anew, text))


def _anew(found: re.Match[str]) -> str:
    return f"{found[1]}{output_of(found['arguments'], found['lines'])}<!-- /output -->"


if __name__ == "__main__":
    main()
