"""make study: the whole study three times on this machine, its claims settled with the lab's NIC.

Writes docs/study.md with all figures and pictures. What was measured stays in study/, and is not measured twice.
"""

from __future__ import annotations

import argparse
import platform
import re
import subprocess
import sys
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent
REPORT, MEASURED = HOME / "docs" / "study.md", HOME / "study"
# A verdict that does not stand over so many sweeps is none.
SWEEPS = 3


def nettrace(*arguments: str | Path) -> str:
    """What the command prints; its progress goes to the terminal."""
    command = [sys.executable, "-m", "tracer", *map(str, arguments)]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=HOME).stdout


def without_builders_suffix(directory: Path) -> None:
    """Drop what a builder appended to this kernel's release: it says nothing to the reader."""
    release = platform.release()
    plain = re.sub(r"^(\d+\.\d+\.\d+).*", r"\1", release)
    for path in directory.rglob("*.json*"):
        text = path.read_text()
        if release in text:
            path.write_text(text.replace(release, plain))


def main() -> None:
    argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0]).parse_args()
    REPORT.parent.mkdir(exist_ok=True)
    sweeps = ("--repeat", str(SWEEPS))
    nettrace("claims", MEASURED, *sweeps, "--json")
    without_builders_suffix(MEASURED)
    nettrace("claims", MEASURED, *sweeps, "--lab", "--lower-paranoid", "--markdown", REPORT, "--json")
    for picture in REPORT.with_name(f"{REPORT.stem}-plots").glob("*.png"):
        picture.unlink()  # the report shows the SVG


if __name__ == "__main__":
    main()
