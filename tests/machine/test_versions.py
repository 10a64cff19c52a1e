"""What goes into a bug report: versions of this very installation, and nothing of anybody's."""

from __future__ import annotations

import os
import platform
import pwd
import re
import subprocess
from pathlib import Path

import pytest

from tests.command import ROOT, nettrace, said
from tracer.books.facts import Diagnosis, Fact, Purpose, State
from tracer.machine import versions as module
from tracer.machine.kernel.installation import find_bcc, version_of
from tracer.machine.users import User
from tracer.machine.versions import git_commit, operating_system, secrets, versions
from tracer.reports.doctor import issue_text, redacted


def diagnosis(detail: str) -> Diagnosis:
    fact = Fact(name="engine", purpose=Purpose.RUN, state=State.OK, detail=detail, why_it_matters="it does")
    return Diagnosis(facts=[fact], can_run=True, observer="tracepoints", functions=[], sentence="nettrace runs here.")


def test_the_versions_are_those_of_this_installation() -> None:
    """Of nettrace, Python, BCC and the kernel."""
    code, output, errors = said("--version")

    assert (code, errors) == (0, "")
    assert output.splitlines() == versions()
    assert f"Python {platform.python_version()}," in output
    assert f"Linux {platform.release()} {platform.machine()}" in output
    assert f"BCC {version_of(find_bcc())}" in output


def test_versions_are_told_where_there_is_neither_bcc_nor_git(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug may be that it is not there."""
    monkeypatch.setattr(module, "find_bcc", lambda: None)
    monkeypatch.setenv("PATH", "/nonexistent")

    assert "BCC none" in versions()
    assert git_commit() is None
    assert "git" not in versions()[0]


@pytest.mark.system
def test_the_commit_is_the_one_that_is_checked_out() -> None:
    """In a checkout; elsewhere nothing is said of git."""
    done = subprocess.run(["git", "-C", ROOT, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    if done.returncode:
        assert git_commit() is None
        return

    assert done.stdout.startswith(git_commit() or "none")


@pytest.mark.system
def test_a_repository_cannot_make_git_run_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever owns the checkout does not get root by its configuration."""
    marker = tmp_path / "ran"
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    subprocess.run(["git", "-C", tmp_path, "config", "core.fsmonitor", f"touch {marker}"], check=True)
    monkeypatch.setattr(module, "_HOME", tmp_path)
    git_commit()

    assert not marker.exists()


def test_the_system_is_told_in_two_lines() -> None:
    """The distribution, and how large the machine is."""
    name, size = operating_system()

    assert name
    assert size.startswith(f"{os.cpu_count()} CPUs, ")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/home/alice/.venv/bin/python", "~/.venv/bin/python"),
        ("alice's, alicent's", "USER's, alicent's"),
        ("on box7: box70", "on HOST: box70"),
        ("eth0 has 192.168.1.7, 10.0.0.1.", "eth0 has ADDRESS, ADDRESS."),
        ("[fe80::1] and 2001:db8::7f", "[ADDRESS] and ADDRESS"),
        ("52:54:00:12:34:56", "ADDRESS"),
        ("Linux 6.18.44, BCC 0.26.0, 5515236 B", "Linux 6.18.44, BCC 0.26.0, 5515236 B"),
        ("file.c:12: at 12:30:59; a: b", "file.c:12: at 12:30:59; a: b"),
        ("/proc/sys/net: EPERM: Operation not permitted", "/proc/sys/net: EPERM: Operation not permitted"),
    ],
)
def test_names_and_addresses_are_left_out(text: str, shown: str) -> None:
    """And nothing else: releases, times and places stay."""
    assert redacted(text, {"/home/alice": "~", "alice": "USER", "box7": "HOST"}) == shown


def test_an_issue_is_one_block_whatever_is_in_it() -> None:
    """A detail cannot end it."""
    text = issue_text(["nettrace 1"], diagnosis("/home/alice/x``` # heading"), {"/home/alice": "~"})

    assert text.startswith("```\nnettrace 1\n")
    assert text.endswith("\n```\n")
    assert text.count("```") == 2
    assert "~/x" in text
    assert "nettrace runs here." in text


def test_the_users_of_this_machine_are_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """But for root, whose name is in every text about privileges."""
    somebody = next(user for user in pwd.getpwall() if user.pw_uid and user.pw_dir not in ("/", ""))
    monkeypatch.setattr(module, "invoking_user", lambda: User(somebody.pw_uid, somebody.pw_gid))
    monkeypatch.setattr(module.os, "getuid", lambda: 0)
    monkeypatch.setenv("HOME", "/root")
    found = secrets()

    assert found[somebody.pw_name] == "USER"
    assert found[somebody.pw_dir] == "~"
    assert found["/root"] == "~"
    assert "root" not in found


@pytest.mark.system
def test_doctor_prints_a_report_for_an_issue() -> None:
    """All facts, and no name of this machine."""
    done = nettrace("doctor", "--report")

    assert done.returncode in (0, 4)
    assert done.stdout.startswith("```\nnettrace ")
    assert "to run here" in done.stdout
    assert [word for word in secrets() if re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", done.stdout)] == []


def test_a_report_is_no_json() -> None:
    """One of the two."""
    code, _, errors = said("doctor", "--json", "--report")

    assert code == 2
    assert "exclude each other" in errors
