"""make bench: every figure that nettrace promises, measured on this machine beside its budget.

Each part is a program of its own, which prints a table and exits with 1 if a budget is missed. On a machine that does
other work at the same time a missed budget says little: look at the interval beside the ratio, or run it again.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

PARTS = {
    "engine": ("engine_speed.py", "the engine's CPU time against a plain C loop's"),
    "engine-modes": ("engine_modes.py", "the same of each mode's loop"),
    "engine-peers": ("engine_peers.py", "beside iperf3 -Z, the kernel's zero-copy test and liburing's example"),
    "engine-instructions": ("engine_instructions.py", "in the lab: what the engine adds to a plain C loop"),
    "overhead": ("overhead.py", "the observed pass against the bare one, and a bpftrace script"),
    "instructions": ("instructions.py", "in the lab: instructions a message, with and without the function observer"),
    "startup": ("startup.py", "time to the result, time to --help, memory"),
    "page": ("page.py", "report --html: time to the page of a run, and its size"),
    "record-start": ("record_start.py", "record: time to the command's first instruction, thousands of sockets"),
    "record-cost": ("record_cost.py", "record: what watching costs iperf3 and redis, and a bpftrace script"),
    "attach-cost": ("attach_cost.py", "attach: what it costs iperf3 and redis, which are not watched"),
    "attach-times": ("attach_times.py", "attach: time to 10,000 sockets' rows, and to the end of its programs"),
    "live": ("live_cost.py", "live: time to its first screen, CPU time while it shows 500 sockets"),
    "exactness": ("exactness.py", "every byte located, run after run (all 20 runs: bench/exactness.py --runs 20)"),
    "ways-exact": (
        "ways_exact.py",
        "record is right to the byte, eight ways, IPv4 and IPv6, 20 times, on a busy machine",
    ),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("part", nargs="*", choices=[[], *PARTS], help="all of them by default")
    missed = []
    for part in parser.parse_args().part or PARTS:
        program, what = PARTS[part]
        print(f"\n{part}: {what}", flush=True)
        if subprocess.run([sys.executable, Path(__file__).with_name(program)], check=False).returncode:
            missed.append(part)
    print("\n" + (f"budget missed: {', '.join(missed)}" if missed else "every budget is kept"))
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
