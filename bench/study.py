"""make study: the whole study three times on this machine, its claims settled with the lab's NIC, README.md told of it.

Writes docs/study.md with all figures and pictures, and replaces what stands between README.md's markers
<!-- claims --> and <!-- /claims -->. What was measured stays in study/, and is not measured twice.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import subprocess
import sys
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent
README, REPORT, MEASURED = HOME / "README.md", HOME / "docs" / "study.md", HOME / "study"
# A verdict that does not stand over so many sweeps is none.
SWEEPS = 3
BEGIN, END = "<!-- claims -->", "<!-- /claims -->"
SHOWN = {
    "copies-by-stage": "Copies of a payload byte, by stage and mode",
    "throughput-by-size": "Throughput by message size",
}


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


def table(claims: list[dict[str, str]]) -> str:
    """The claims, their verdicts and the reasons, as Markdown."""
    lines = ["| | claim | verdict | why |", "|---|---|---|---|"]
    lines += [f"| {one['id']} | {one['claim']} | {one['outcome']} | {one['sentence']} |" for one in claims]
    return "\n".join(lines) + "\n"


def pictures() -> str:
    """Links to the pictures that README.md shows."""
    directory = REPORT.with_name(f"{REPORT.stem}-plots").relative_to(HOME)
    return "".join(f"\n![{title}]({directory}/{name}.svg)\n" for name, title in SHOWN.items())


def main() -> None:
    argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0]).parse_args()
    REPORT.parent.mkdir(exist_ok=True)
    sweeps = ("--repeat", str(SWEEPS))
    nettrace("claims", MEASURED, *sweeps, "--json")
    without_builders_suffix(MEASURED)
    final = (*sweeps, "--lab", "--lower-paranoid", "--markdown", REPORT, "--json")
    answer = json.loads(nettrace("claims", MEASURED, *final))
    for picture in REPORT.with_name(f"{REPORT.stem}-plots").glob("*.png"):
        picture.unlink()  # the report shows the SVG
    before, _, rest = README.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    text = f"{table(answer['claims'])}{pictures()}"
    README.write_text(f"{before}{BEGIN}\n{text}{END}{after}")


if __name__ == "__main__":
    main()
