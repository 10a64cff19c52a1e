"""nettrace claims and plot on directories as users have them; and what perf says to an ordinary user."""

from __future__ import annotations

import json
import os
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from tests.command import said
from tests.samples import looped
from tests.sweep_samples import manifest, plan, runs
from tracer.cli import cli
from tracer.errors import NettraceError
from tracer.machine.perf_trial import PARANOID, read_attempt, try_perf
from tracer.machine.recordings import save
from tracer.reports.claims import encode_claims, write_markdown
from tracer.study.claim_rules.findings import Evidence
from tracer.study.claims import judge

SMALL = plan(sizes=[1024, 65536], threads=[1])


def written(directory: Path, of=SMALL, found=None) -> Path:
    directory.mkdir(exist_ok=True)
    (directory / "manifest.json").write_bytes(msgspec.json.encode(manifest(of)))
    lines = [msgspec.json.encode(one) + b"\n" for one in (runs(of=of) if found is None else found)]
    (directory / "runs.jsonl").write_bytes(b"".join(lines))
    return directory


def run(*arguments: object):
    return CliRunner().invoke(cli, [str(one) for one in arguments])


def failure(*arguments: object) -> NettraceError:
    error = run(*arguments).exception
    assert isinstance(error, NettraceError), error
    return error


def test_a_sweep_on_disk_gives_a_verdict_on_every_claim(tmp_path):
    """--no-run judges what is there, and needs no root."""
    done = run("claims", written(tmp_path / "s"), "--no-run", "--json")
    document = json.loads(done.stdout)

    assert done.exit_code == 0, done.output
    assert document["schema"] == "nettrace.claims/1"
    claims = [*(f"S{number}" for number in range(1, 19)), "F1", "F2", "F3", "F4"]
    assert [one["id"] for one in document["claims"]] == claims
    assert all(one["rule"] and one["sentence"] for one in document["claims"])


def test_recordings_join_the_evidence(tmp_path):
    """Those given, and those that an earlier --lab left in the directory."""
    directory = written(tmp_path / "s")
    (directory / "recordings").mkdir()
    save(looped(), directory / "recordings" / "one.json")
    save(looped(), tmp_path / "two.json")
    document = json.loads(run("claims", directory, "--no-run", "--json", "--recording", tmp_path / "two.json").stdout)

    assert sum(case["where"]["size"] == 10007 for case in document["claims"][4]["cases"]) == 2


def test_an_unfinished_sweep_is_judged_and_said_to_be_so(tmp_path):
    """Interrupted after a few runs: UNDECIDED where it takes more, with a note."""
    done = run("claims", written(tmp_path / "s", found=runs(of=SMALL)[:4]), "--no-run")

    assert done.exit_code == 0
    told = " ".join(done.stdout.split())
    assert "unfinished: 62 of 66 runs are missing" in told
    assert "what is missing: the rest of this sweep: the same command without --no-run" in told


def test_repeats_are_judged_together(tmp_path):
    """Each from its own directory; a verdict that another sweep does not come to is none; a missing one is told."""
    directory = written(tmp_path / "s")
    written(directory / "repeat-2", found=runs(lambda _mode, size, _threads: 1e6 / size, of=SMALL))
    document = json.loads(run("claims", directory, "--no-run", "--repeat", 2, "--json").stdout)
    claims = {one["id"]: one for one in document["claims"]}

    assert (claims["S6"]["outcome"], claims["S6"]["repeats"]) == ("UNDECIDED", ["CONFIRMED", "REFUTED"])
    assert (claims["S1"]["outcome"], claims["S1"]["repeats"]) == ("CONFIRMED", ["CONFIRMED", "CONFIRMED"])
    assert "repeat-3" in str(failure("claims", directory, "--no-run", "--repeat", 3))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["claims", "--no-run", "--lab"], "--no-run and --lab exclude each other"),
        (["claims", "--no-run", "--lower-paranoid"], "--no-run and --lower-paranoid exclude each other"),
        (
            ["sweep", "--time-budget", "1", "--bytes-budget", "1M"],
            "--time-budget and --bytes-budget exclude each other",
        ),
        (["sweep", "--peer", "192.0.2.1:7"], "--peer needs a network device"),
        (["sweep", "--link", "veth", "--peer", "192.0.2.1:7"], "--peer needs a network device"),
        (["sweep", "--link", "nic"], "link nic needs a receiver"),
        (["compare", "--peer", "192.0.2.1:7"], "--peer needs a network device"),
        (["compare", "--link", "nic"], "link nic needs a receiver"),
    ],
)
def test_no_option_is_ignored_in_silence(tmp_path, monkeypatch, arguments, words):
    """What makes no sense together is refused, before anything is written."""
    monkeypatch.chdir(tmp_path)
    error = failure(*arguments)

    assert error.exit_code == 2
    assert words in str(error)
    assert list(tmp_path.iterdir()) == []


def test_the_markdown_report_links_its_pictures(tmp_path):
    """Every link leads to a file."""
    done = run("claims", written(tmp_path / "s"), "--no-run", "--markdown", tmp_path / "claims.md")
    text = (tmp_path / "claims.md").read_text()
    links = [line.partition("](")[2].rstrip(")") for line in text.splitlines() if line.startswith("![")]

    assert done.exit_code == 0, done.output
    assert links
    assert all((tmp_path / link).is_file() for link in links)
    assert text.count("| S") == 18


def test_markdown_cells_cannot_break_the_table(tmp_path):
    """A bar within a cell is escaped."""
    rulings = [msgspec.structs.replace(one, sentence="a|b\nc") for one in judge(Evidence([], []))]

    assert "a\\|b c" in write_markdown(rulings, [], [], tmp_path / "x.md")
    assert json.loads(encode_claims(rulings, []))["claims"][0]["sentence"] == "a|b\nc"


@pytest.mark.parametrize("verb", [["plot"], ["claims", "--no-run"]])
def test_a_directory_that_holds_no_sweep_is_a_usage_error(tmp_path, verb):
    """Missing, empty, of another schema, half-written: exit code 2, never a traceback."""
    foreign, torn = tmp_path / "foreign", written(tmp_path / "torn")
    foreign.mkdir()
    (foreign / "manifest.json").write_text('{"schema": "nettrace.sweep/99"}')
    (torn / "runs.jsonl").write_bytes(b'{"label": "twocopy", ')
    for directory in (tmp_path / "nowhere", tmp_path, foreign, torn):
        assert failure(*verb, directory).exit_code == 2


def test_an_a_a_check_settles_no_claim(tmp_path):
    """It compares a mode with itself."""
    same = plan(sizes=[1024], threads=[1], same_mode_twice=True)

    assert "settles no claim" in str(failure("claims", written(tmp_path / "s", same), "--no-run"))


def test_a_damaged_recording_is_a_usage_error(tmp_path):
    """And not left out in silence."""
    (tmp_path / "bad.json").write_text("{}")

    assert failure("claims", written(tmp_path / "s"), "--no-run", "--recording", tmp_path / "bad.json").exit_code == 2


def test_plot_prints_the_files_and_names_what_is_missing(tmp_path):
    """Files on stdout, notes on stderr."""
    done = run("plot", written(tmp_path / "s"), "--output", tmp_path / "p")
    files = done.stdout.splitlines()

    assert done.exit_code == 0, done.output
    assert all(Path(one).is_file() for one in files)
    assert "cpu-by-stage: n/a" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["--modes", "twocopy,tow"],
        ["--sizes", "1024,1024"],
        ["--sizes", "0"],
        ["--sizes", ""],
        ["--threads", "0"],
        ["--threads", "65"],
        ["--repetitions", "0"],
        ["--bytes-budget", "0"],
        ["--time-budget", "nan"],
        ["--time-budget", "0"],
        ["--seed", "x"],
    ],
)
def test_a_senseless_sweep_is_refused(tmp_path, arguments):
    """Before anything is measured or written."""
    code, _, _ = said("sweep", tmp_path / "s", *arguments)

    assert code == 2
    assert not (tmp_path / "s").exists()


REFUSED = """Error:
Access to performance monitoring and observability operations is limited.
Consider adjusting /proc/sys/kernel/perf_event_paranoid setting to open
"""
ROW = '{"counter-value" : "%s", "unit" : "msec", "event" : "%s", "event-runtime" : 1, "pcnt-running" : 100.00}'


@pytest.mark.parametrize(
    ("code", "output", "worked", "user_only"),
    [
        (0, ROW % ("1.06", "task-clock"), True, False),
        (0, ROW % ("1.06", "task-clock:u"), True, True),
        (0, ROW % ("<not supported>", "cycles:u"), False, False),
        (0, ROW % ("<not counted>", "task-clock"), False, False),
        (0, "", False, False),
        (0, "{broken", False, False),
        (255, REFUSED, False, False),
        (255, ROW % ("1.06", "task-clock"), False, False),
    ],
)
def test_perfs_answer_is_read_for_what_it_counted(code, output, worked, user_only):
    """An exit code of 0 with the kernel's share left out is told apart from a count."""
    attempt = read_attempt(2, "default", code, output)

    assert (attempt.worked, attempt.user_only) == (worked, user_only)


@pytest.mark.parametrize(
    ("code", "output", "absent", "words"),
    [
        (255, REFUSED, False, "Access to performance monitoring"),
        (
            2,
            "WARNING: perf not found for kernel 6.8.0-31\n\n  You may need to install",
            True,
            "WARNING: perf not found",
        ),
        (129, "Error: unknown switch `j'\n\n Usage: perf stat", True, "unknown switch `j'"),
        (127, "", True, ""),
        (0, ROW % ("<not supported>", "cycles:u"), True, ""),
    ],
)
def test_a_perf_that_cannot_try_was_not_refused(code, output, absent, words):
    """Ubuntu's wrapper without its program, a perf too old for -j, a machine without the counter: absent."""
    attempt = read_attempt(2, "kernel", code, output)

    assert (attempt.worked, attempt.absent) == (False, absent)
    assert attempt.message.startswith(words)


def test_a_refusal_is_quoted():
    """In perf's own words."""
    assert read_attempt(2, "kernel", 255, REFUSED).message.startswith("Access to performance monitoring")


@pytest.mark.live
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become an ordinary user")
def test_perf_is_tried_as_an_ordinary_user_and_the_sysctl_stays():
    """For real: what this kernel refuses; its setting is as before."""
    before = PARANOID.read_text()
    attempts, why = try_perf(lower=False)

    assert PARANOID.read_text() == before
    if attempts is None:
        pytest.skip(why)
    assert {one.counts for one in attempts} == {"default", "kernel", "system"}
    if int(before) > 1:
        assert not next(one for one in attempts if one.counts == "kernel").worked


def test_without_perf_the_try_is_given_up_with_a_reason(monkeypatch):
    """No traceback, and S18 says what is missing."""
    monkeypatch.setattr("tracer.machine.perf_trial.shutil.which", lambda _: None)
    attempts, why = try_perf(lower=False)

    assert attempts is None
    assert "perf is not installed" in why
