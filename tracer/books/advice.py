"""What to try next: commands that answer more than the one just run, and that this machine can run. Pure.

A command of ours is made from an experiment by changing it, so that one which repeats the run just made, or which
needs what is not here, is left out in one place.
"""

from __future__ import annotations

import shlex
from typing import Any, NamedTuple

import msgspec

from tracer.books.modes import ETHERNET_MTU, known, udp_headers
from tracer.books.receiving import USUAL_RECEIVE
from tracer.model import Experiment, Link, Nic, ObserverChoice, Recording, Settings

# The lab with the kernel that it takes by itself.
LAB = ""


class Advice(NamedTuple):
    """A step that the reader can take.

    Args:
        command: What to type; empty where there is nothing to type.
        run: The experiment that the command makes; None where it is no run of ours.
    """

    words: str
    command: str = ""
    run: Experiment | None = None

    def __str__(self) -> str:
        """As a report prints it: what for, then the command."""
        return f"{self.words}: {self.command}" if self.command else self.words


def another_run(recording: Recording, words: str, **changes: Any) -> list[Advice]:
    """The run just made with something changed; nothing where that is the same run, or cannot be made here."""
    wanted = _changed(recording.experiment, changes)
    command = command_line(wanted)
    if command == command_line(recording.experiment) or not _is_possible(wanted, recording):
        return []
    return [Advice(words, command, wanted)]


def _changed(asked: Experiment, changes: dict[str, Any]) -> Experiment:
    """The experiment with these fields; what its link or its place then has no use for is taken off."""
    wanted = msgspec.structs.replace(asked, **changes)
    if asked.lab and wanted.lab == LAB:
        wanted = msgspec.structs.replace(wanted, lab=asked.lab)
    if wanted.lab is not None:
        wanted = msgspec.structs.replace(wanted, peer=None)
    if wanted.lab is None:
        wanted = msgspec.structs.replace(wanted, setup=())
    if wanted.link is Link.NIC:
        wanted = msgspec.structs.replace(
            wanted,
            ipv6=wanted.ipv6 and wanted.lab is None,
            receive=USUAL_RECEIVE.name,
            rcvbuf=None,
            cpus=wanted.cpus[:1],
        )
    return wanted if wanted.link is Link.NIC else msgspec.structs.replace(wanted, peer=None, scatter_gather=True)


def _is_possible(wanted: Experiment, recording: Recording) -> bool:
    """Whether the machine of this recording can do it: no lab inside the lab, no NIC without a receiver behind it."""
    if wanted.lab is not None:
        return recording.experiment.lab is not None or recording.host.where != "lab"
    return wanted.link is not Link.NIC or wanted.peer is not None


def command_line(experiment: Experiment) -> str:
    """The `nettrace run` that asks for this, as far as it decides where bytes are copied."""
    words = ["nettrace run", experiment.mode]
    words += [f"--size {experiment.size}"] if experiment.size != 16384 else []
    words += [f"--threads {experiment.threads}"] if experiment.threads > 1 else []
    words += settings_of(experiment)
    words += [f"--link {experiment.link}"] if experiment.link is not Link.LO else []
    words += [f"--peer {experiment.peer}"] if experiment.peer else []
    words += [f"--observer {experiment.observer}"] if experiment.observer is not ObserverChoice.AUTO else []
    flags = {"--no-sg": not experiment.scatter_gather, "--bounce": experiment.bounce, "--stacks": experiment.stacks}
    words += [flag for flag, given in flags.items() if given]
    words += [f"--setup {shlex.quote(command)}" for command in experiment.setup]
    # Last: a word behind --lab would be taken for its kernel.
    words += [f"--lab {experiment.lab}".rstrip()] if experiment.lab is not None else []
    return " ".join(words)


def settings_of(experiment: Experiment | Settings) -> list[str]:
    """The options that set what is usually left as it is."""
    words = [f"--fields {experiment.fields}"] if experiment.fields != 8 else []
    words += ["--ipv6"] if experiment.ipv6 else []
    words += [f"--congestion {shlex.quote(experiment.congestion)}"] if experiment.congestion else []
    words += ["--nodelay"] if experiment.nodelay else []
    words += [f"--sndbuf {experiment.sndbuf}"] if experiment.sndbuf else []
    words += [f"--rcvbuf {experiment.rcvbuf}"] if experiment.rcvbuf else []
    words += [f"--receive {experiment.receive}"] if experiment.receive != USUAL_RECEIVE.name else []
    words += [f"--cpus {','.join(map(str, experiment.cpus))}"] if experiment.cpus else []
    return words


def look_at_the_machine(recording: Recording, command: str) -> str:
    """A command for the machine that was watched: the lab's guest, as it was set up, if it was that."""
    asked = recording.experiment
    if asked.lab is None:
        return command
    words = shlex.join(["sh", "-c", "; ".join((*asked.setup, command))]) if asked.setup else command
    return f"nettrace lab exec --kernel {asked.lab} -- {words}"


def change_the_machine(recording: Recording, words: str, command: str) -> list[Advice]:
    """A command that changes it; in the lab, where each run has a fresh guest, the run with it."""
    asked = recording.experiment
    if asked.lab is None:
        return [Advice(words, command)]
    if command in asked.setup:  # it did not help
        return []
    return another_run(recording, words, setup=(*asked.setup, command))


def leads_away(link: Link, nic: Nic | None) -> bool:
    """Whether packets leave this machine, as far as anybody knows: a bridge or a tun device leads to itself."""
    return link is Link.NIC and (nic is None or nic.kind in (None, "ethernet"))


def with_function_probes(recording: Recording, observer: str | None) -> list[Advice]:
    """How to see the functions themselves run."""
    if observer == "functions":
        return [Advice("the ledger says which probe point was not there, and why")]
    if recording.host.where == "lab":
        return another_run(recording, "see it with function probes", observer=ObserverChoice.FUNCTIONS)
    link = recording.experiment.link
    if link is not Link.NIC or leads_away(link, recording.host.nic):
        words = f"see it with function probes, in the lab{', on its NIC' if link is Link.NIC else ''}"
        return another_run(recording, words, lab=LAB, observer=ObserverChoice.AUTO)
    words = "see it with function probes, on the lab's veth pair, which does not leave the machine either"
    return another_run(recording, words, lab=LAB, link=Link.VETH, observer=ObserverChoice.AUTO)


def by_copying(recording: Recording, words: str) -> list[Advice]:
    """The same calls without zero-copy; words follow the mode's name."""
    now = known(recording.experiment.mode)
    mode = "udp" if now is not None and now.is_datagrams else "onecopy"
    return another_run(recording, f"{mode} {words}", mode=mode)


def on_a_nic(recording: Recording, words: str) -> list[Advice]:
    """Zero-copy, in this mode if it asks for that, over a NIC with scatter-gather: this one or the lab's."""
    changes = _asking_for_it(recording.experiment)
    if leads_away(recording.experiment.link, recording.host.nic):
        return another_run(recording, words, **changes)
    changes |= {"scatter_gather": True, "bounce": False, "observer": ObserverChoice.AUTO}
    return another_run(recording, words, link=Link.NIC, lab=LAB, **changes)


def _asking_for_it(asked: Experiment) -> dict[str, Any]:
    """What has the pages pinned; of datagrams, those that fit into a packet."""
    now = known(asked.mode)
    if now is not None and now.is_datagrams:
        most = ETHERNET_MTU - udp_headers(ipv6=asked.ipv6)
        return {"mode": "udp-zerocopy", "size": min(asked.size, most)}
    return {"mode": now.name if now is not None and now.asks_zerocopy else "zerocopy"}
