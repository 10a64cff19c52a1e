"""Whether every byte is located, run after run: 8 connections x 20011 messages x 65536 B, each mode, lo and veth.

A run counts if all laws hold, nothing was lost, and the stages add up to the payload. All 20 runs of all six
combinations take about an hour (10 GB a pass, two passes a run), so that by default one run of a tenth of the messages
is done. With --log FILE each result is written down at once, and what FILE has already is not done again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

SIZE, MESSAGES, THREADS = 65536, 20011, 8
QUICK_MESSAGES = 2003
MODES, LINKS = ("twocopy", "onecopy", "zerocopy"), ("lo", "veth")
Result = dict[str, Any]


def run(mode: str, link: str, messages: int) -> Result:
    """One run, and what is wrong with it, if anything."""
    work = ["--size", str(SIZE), "--messages", str(messages), "--threads", str(THREADS), "--link", link]
    command = [sys.executable, "-m", "tracer", "run", mode, *work, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wrong = faults(json.loads(done.stdout), mode, messages) if done.stdout else [done.stderr.strip()]
    return {"mode": mode, "link": link, "messages": messages, "exit_code": done.returncode, "wrong": wrong}


def faults(document: Result, mode: str, messages: int) -> list[str]:
    """Laws that do not hold, events lost, stages that do not add up."""
    ledger, payload = document["ledger"], SIZE * messages * THREADS
    stages = {entry["stage"]: entry["bytes"] for entry in ledger["entries"]}
    found = [
        f"{law['id']} {law['state']}: {law['left']} {law['right']}" for law in ledger["laws"] if law["state"] != "holds"
    ]
    found += [f"lost {seen['lost']}" for seen in document["observations"] if seen["lost"] != 0]
    way_in = "pin" if mode == "zerocopy" else "copy_in"
    found += [
        f"{stage}: {stages.get(stage)} of {payload}" for stage in (way_in, "copy_out") if stages.get(stage) != payload
    ]
    return found


def read_log(path: Path | None) -> list[Result]:
    if path is None or not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines()]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, help="of the full size, each combination; default: one short run each")
    parser.add_argument("--log", type=Path, help="JSON lines: results so far, continued")
    arguments = parser.parse_args()
    runs, messages = (arguments.runs, MESSAGES) if arguments.runs else (1, QUICK_MESSAGES)
    results = [result for result in read_log(arguments.log) if result["messages"] == messages]
    for number in range(runs):
        for mode, link in ((mode, link) for mode in MODES for link in LINKS):
            if Counter((one["mode"], one["link"]) for one in results)[mode, link] > number:
                continue
            results.append(run(mode, link, messages))
            if arguments.log:
                with arguments.log.open("a") as log:
                    log.write(json.dumps(results[-1]) + "\n")
    print_table(results, messages)
    return 1 if any(result["wrong"] for result in results) else 0


def print_table(results: list[Result], messages: int) -> None:
    table = Table(title=f"{THREADS} connections x {messages:,} messages x {SIZE:,} B")
    for heading in ("mode", "link", "runs", "exact", "what was wrong"):
        table.add_column(heading, justify="right" if heading in ("runs", "exact") else "left")
    for mode, link in ((mode, link) for mode in MODES for link in LINKS):
        mine = [result for result in results if (result["mode"], result["link"]) == (mode, link)]
        wrong = [fault for result in mine for fault in result["wrong"]]
        exact = sum(not result["wrong"] for result in mine)
        table.add_row(mode, link, str(len(mine)), str(exact), "; ".join(wrong[:3]))
    Console(width=100).print(table)


if __name__ == "__main__":
    raise SystemExit(main())
