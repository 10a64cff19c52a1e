"""python -m tracer is nettrace, for a sudo that does not find the command on its path; and the command itself."""

from __future__ import annotations

import signal
import sys


def main() -> None:
    """Become the command line; until it can say that it was interrupted, Ctrl-C ends the process plainly."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        from tracer.cli import main as run
    except ImportError as error:
        # Without this the exit code would be 1, which means that an expectation failed.
        print(f"error: nettrace is not installed whole\n  why: {error}\n  fix: make demo", file=sys.stderr)
        sys.exit(4)
    run()


if __name__ == "__main__":
    main()
