"""No option is ignored in silence: each is honoured, or refused with its reason before anything is done."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.command import said
from tests.samples import looped
from tests.socket_samples import reader, recording, sender
from tracer.books.analysis import document_of
from tracer.books.socket_file import encode_sockets
from tracer.commands import conditions
from tracer.commands.conditions import CONDITIONS, check_conditions
from tracer.errors import UsageError
from tracer.machine.recordings import save
from tracer.model import Experiment, Link, ObserverChoice

PEER = ("--link", "nic", "--peer", "192.0.2.1:7700")


@pytest.fixture(autouse=True)
def usual_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was not booted with swiotlb=force."""
    monkeypatch.setattr(conditions, "_forces_bounce", lambda: False)


# --lab takes the next word for its kernel, so it stands last.
REFUSED = [
    (["--messages", "5", "--duration", "1"], "--messages and --duration exclude each other"),
    (["--no-sg"], "--link nic --no-sg"),
    (["--no-sg", "--link", "veth", "--lab"], "--link nic --no-sg"),
    (["--peer", "192.0.2.1:7700"], "--link nic --peer"),
    (["--peer", "192.0.2.1:7700", "--lab"], "--link nic --peer"),
    (["--link", "nic"], "--peer HOST:PORT"),
    (["--bounce"], "--link nic --bounce --lab"),
    (["--bounce", "--lab"], "--link nic --bounce --lab"),
    (["--bounce", *PEER], "swiotlb=force"),
    (["--port", "7", *PEER], "--port and --peer exclude each other"),
    (["--port", "7", "--lab"], "--port does not reach into the lab"),
    (["--verify", *PEER], "counts bytes, and compares none"),
    (["--verify", "--link", "nic", "--lab"], "counts bytes, and compares none"),
    (["--stacks", "--observer", "tracepoints"], "--stacks and --observer tracepoints exclude each other"),
    (["--copy-stacks", "f", "--observer", "tracepoints"], "--stacks and --observer tracepoints exclude each other"),
    (["--save", "f", "--folded", "f"], "--save and --folded name the same file"),
    (["--folded", "f", "--copy-stacks", "./f"], "--folded and --copy-stacks name the same file"),
    (["--lab", "5.4"], "6.12"),
    (["--setup", "ethtool -K lo tso off"], "--setup needs --lab"),
    (["--ipv6", "--link", "nic", "--lab"], "--ipv6 --link veth"),
    (["--rcvbuf", "64K", *PEER], "--rcvbuf needs a receiver of this run"),
    (["--receive", "splice", *PEER], "--receive needs a receiver of this run"),
    (["--receive", "peek", "--link", "nic", "--lab"], "leave out --receive, or --link veth"),
    (["--receive", "discard", "--verify"], "--verify and --receive discard exclude each other"),
    (["--receive", "splise"], "did you mean splice?"),
    (["--cpus", "0,1", *PEER], "--cpus S,R needs a receiver of this run"),
    (["--cpus", "0,1,2"], "not one CPU's number, or two"),
    (["--cpus", "all"], "not one CPU's number, or two"),
    (["--fields", "0"], "--fields"),
    (["--fields", "1025"], "--fields"),
    (["--sndbuf", "0"], "at least 1 byte"),
    (["--save", "f", "--lab", "all"], "--lab all makes one a kernel"),
]


@pytest.mark.parametrize(
    ("options", "words"), REFUSED, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_what_does_not_go_together_is_a_usage_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, options: list[str], words: str
) -> None:
    """Exit code 2 before anything is done, with what to write instead."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tracer.runs.dispatch.record", never)
    code, output, errors = said("run", "onecopy", *options)

    assert (code, output) == (2, "")
    assert words in " ".join(errors.split())


@pytest.mark.parametrize(
    ("mode", "options", "words"),
    [
        ("udp", ["--congestion", "cubic"], "--congestion needs TCP"),
        ("udp-gso", ["--nodelay"], "--nodelay needs TCP"),
        ("udp", ["--size", "65508"], "a message of this --size is no datagram"),
        ("udp", ["--size", "65528", "--ipv6"], "a message of this --size is no datagram"),
        ("udp-zerocopy", ["--size", "32785"], "cannot be pinned as one datagram"),
        ("udp-zerocopy", ["--fields", "18"], "cannot be pinned as one datagram"),
    ],
)
def test_what_a_datagram_cannot_be_is_a_usage_error(
    monkeypatch: pytest.MonkeyPatch, mode: str, options: list[str], words: str
) -> None:
    """Before anything is sent: the kernel would refuse it in the middle (EMSGSIZE)."""
    monkeypatch.setattr("tracer.runs.dispatch.record", never)
    code, output, errors = said("run", mode, *options)

    assert (code, output) == (2, "")
    assert words in " ".join(errors.split())


def test_what_kernel_tls_decrypts_is_read_by_recv() -> None:
    """TCP has records alone to hand out."""
    code, output, errors = said("run", "ktls", "--receive", "splice")

    assert (code, output) == (2, "")
    assert "--receive needs bytes that TCP itself hands out" in " ".join(errors.split())


@pytest.mark.parametrize(
    "experiment",
    [
        Experiment(mode="udp", size=65507),
        Experiment(mode="udp-gso", size=65527, ipv6=True),
        Experiment(mode="udp-zerocopy", size=32768),
        Experiment(mode="udp-zerocopy", size=65507, fields=1),
    ],
)
def test_the_longest_datagrams_are_let_through(experiment: Experiment) -> None:
    """To the byte."""
    check_conditions(experiment)


def test_a_comparison_refuses_what_one_of_its_modes_cannot_do() -> None:
    """Not after half of its runs."""
    code, output, errors = said("compare", "--modes", "onecopy,udp", "--size", "128K")

    assert (code, output) == (2, "")
    assert "a message of this --size is no datagram" in " ".join(errors.split())


def never(*_: object, **__: object) -> None:
    raise AssertionError("something was done")


HONOURED = [
    Experiment(mode="zerocopy", size=1, link=Link.NIC, peer="192.0.2.1:7700", scatter_gather=False),
    Experiment(mode="zerocopy", size=1, link=Link.NIC, lab="6.12", bounce=True, scatter_gather=False, stacks=True),
    Experiment(mode="zerocopy", size=1, link=Link.NIC, lab="6.12", peer="192.0.2.1:7700"),
    Experiment(mode="zerocopy", size=1, link=Link.VETH, verify=True, duration_s=1.0, counters=True, profile=True),
    Experiment(mode="zerocopy", size=1, lab="6.12", verify=True, duration_s=1.0, counters=True, profile=True),
    Experiment(mode="zerocopy", size=1, observer=ObserverChoice.ALL, stacks=True, threads=8, messages=3),
]


@pytest.mark.parametrize("experiment", HONOURED)
def test_what_goes_together_is_let_through(experiment: Experiment) -> None:
    """The table refuses no more than it must."""
    check_conditions(experiment)


def test_a_port_is_honoured_where_the_receiver_is_ours() -> None:
    """On this machine, and at the host's end of the lab's device."""
    check_conditions(Experiment(mode="onecopy", size=1), port=7)
    check_conditions(Experiment(mode="onecopy", size=1, link=Link.NIC, lab="6.12"), port=7)


def test_each_condition_says_what_why_and_what_instead() -> None:
    """Three lines for each row of the table, and no row twice."""
    assert [row for row in CONDITIONS if not (row.what and row.why and row.fix)] == []
    assert len({row.what for row in CONDITIONS}) == len(CONDITIONS)


@pytest.mark.parametrize("path", ["/dev/null", "/dev/stdout"])
def test_two_results_may_go_to_one_device(path: str) -> None:
    """Nothing is lost there that was to be kept."""
    check_conditions(Experiment(mode="onecopy", size=1), files={"--save": Path(path), "--folded": Path(path)})


def test_one_file_for_two_results_is_refused_through_links_too(tmp_path: Path) -> None:
    """The second would replace the first."""
    (tmp_path / "link").symlink_to("file")

    with pytest.raises(UsageError, match="name the same file"):
        check_conditions(
            Experiment(mode="onecopy", size=1),
            files={"--save": tmp_path / "file", "--folded": tmp_path / "link"},
        )


def test_a_list_of_probes_and_its_source_exclude_each_other() -> None:
    """--json would be ignored."""
    code, _, errors = said("probes", "--source", "--json")

    assert code == 2
    assert "--source and --json exclude each other" in errors


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """A recording of a run, and one of sockets."""
    run, sockets = tmp_path / "run.json", tmp_path / "sockets.json"
    save(document_of(looped()), run)
    sockets.write_bytes(encode_sockets(recording(sender(), reader())))
    return {"run": run, "sockets": sockets}


@pytest.mark.parametrize(
    ("of", "options", "words"),
    [
        ("sockets", ["--json", "--csv"], "--json and --csv exclude each other"),
        ("sockets", ["--parquet", "x", "--csv"], "--csv and --parquet exclude each other"),
        ("sockets", ["--csv", "--by", "port"], "--by and --csv exclude each other"),
        ("run", ["--csv"], "holds no sockets"),
        ("run", ["--by", "port"], "is of a run"),
        ("run", ["--top", "3"], "is of a run"),
    ],
)
def test_a_report_ignores_no_option_either(files: dict[str, Path], of: str, options: list[str], words: str) -> None:
    """Nothing is printed in another form than all that was asked for."""
    code, output, errors = said("report", files[of], *options)

    assert (code, output) == (2, "")
    assert words in errors
