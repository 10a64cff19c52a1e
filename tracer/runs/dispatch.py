"""Where an experiment is done: on this machine's own kernel, or in the lab. The one place that decides it."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator

from tracer.model import Experiment, Recording

Progress = Callable[[str], None]

_CONNECT_DEADLINE_S = 5.0


def record(experiment: Experiment, progress: Progress, *, port: int = 0, observed: bool = True) -> Recording:
    """Do the experiment where it says.

    Args:
        port: Port of the receiver; 0 takes any free one.
        observed: Whether there is an observed pass.

    Raises:
        NettraceError: something is missing, refused, or broke on the way; all is undone.
    """
    # In the lab the peer is reached from the guest, or not at all.
    with _held(None if experiment.lab is not None else experiment.peer):
        if experiment.lab is not None:
            from tracer.runs.in_lab import record as record_in_lab

            return record_in_lab(experiment, progress, port=port, observed=observed)
        from tracer.runs.runner import record as record_here

        return record_here(experiment, progress, port=port, observed=observed)


def record_run(experiment: Experiment, observed: bool) -> Recording:
    """One run of a sweep; nobody listens to its progress."""
    return record(experiment, lambda _: None, observed=observed)


@contextlib.contextmanager
def _held(peer: str | None) -> Iterator[None]:
    """An idle connection to the receiver on another machine until all passes are over.

    So `serve --once` knows the end of a run from the pause between two of its passes. One that cannot be made says
    nothing: whoever needs the receiver tells why it is not there.
    """
    with contextlib.ExitStack() as stack:
        if peer is not None:
            host, _, port = peer.rpartition(":")
            with contextlib.suppress(OSError, ValueError):
                address = (host.strip("[]"), int(port))
                stack.enter_context(socket.create_connection(address, timeout=_CONNECT_DEADLINE_S))
        yield
