"""python -m tracer is nettrace, for a sudo that does not find the command on its path; and the command itself."""

from __future__ import annotations

import signal


def main() -> None:
    """Become the command line; until it can say that it was interrupted, Ctrl-C ends the process plainly."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from tracer.cli import main as run

    run()


if __name__ == "__main__":
    main()
