"""Who asked: sudo, pkexec and doas say so in the environment."""

from __future__ import annotations

import os
import pwd

import pytest

from tracer.errors import UsageError
from tracer.machine.commands import User as CommandUser
from tracer.machine.users import User, invoking_user, user_name

NOBODY = pwd.getpwnam("nobody")


@pytest.fixture(autouse=True)
def root(monkeypatch):
    """Only root can become somebody else."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)


@pytest.mark.parametrize(
    ("environment", "user"),
    [
        ({}, None),
        ({"SUDO_UID": "1234", "SUDO_GID": "1235"}, User(1234, 1235)),
        ({"SUDO_UID": str(NOBODY.pw_uid)}, User(NOBODY.pw_uid, NOBODY.pw_gid)),
        ({"PKEXEC_UID": str(NOBODY.pw_uid)}, User(NOBODY.pw_uid, NOBODY.pw_gid)),
        ({"DOAS_USER": "nobody"}, User(NOBODY.pw_uid, NOBODY.pw_gid)),
        ({"SUDO_UID": "0", "SUDO_GID": "0"}, User(0, 0)),
        ({"SUDO_UID": ""}, None),
    ],
)
def test_the_user_behind_root_is_found(environment, user):
    """Number and group; without a group the account's."""
    assert invoking_user(environment) == user


@pytest.mark.parametrize(
    ("environment", "quoted"),
    [
        ({"SUDO_UID": "abc", "SUDO_GID": "0"}, "SUDO_UID is 'abc'"),
        ({"SUDO_UID": "1234", "SUDO_GID": "x"}, "SUDO_GID is 'x'"),
        ({"SUDO_UID": "-1", "SUDO_GID": "0"}, "SUDO_UID is '-1'"),
        ({"SUDO_UID": "4294967295", "SUDO_GID": "0"}, "SUDO_UID is '4294967295'"),
        ({"SUDO_UID": "9" * 5000, "SUDO_GID": "0"}, "SUDO_UID is '99"),
        ({"SUDO_UID": "²", "SUDO_GID": "0"}, "SUDO_UID is '²'"),
        ({"SUDO_UID": "3999999999"}, "SUDO_UID is '3999999999'"),
        ({"PKEXEC_UID": "root"}, "PKEXEC_UID is 'root'"),
        ({"DOAS_USER": "no such account"}, "DOAS_USER is 'no such account'"),
    ],
)
def test_nonsense_is_quoted_and_nothing_runs_as_root_instead(environment, quoted):
    """A usage error, never a traceback or root in silence."""
    with pytest.raises(UsageError, match="names nobody") as caught:
        invoking_user(environment)

    assert quoted in caught.value.what


def test_who_is_not_root_stays_what_he_is(monkeypatch):
    """A user who exports SUDO_UID becomes nobody else."""
    monkeypatch.setattr(os, "geteuid", lambda: 1234)

    assert invoking_user({"SUDO_UID": "abc"}) is None


def test_a_user_is_named_with_the_number():
    """Accounts are renamed; numbers are what the kernel knows."""
    assert user_name(0) == "root (uid 0)"
    assert user_name(3999999999) == "uid 3999999999"


@pytest.mark.parametrize("environment", [{"PKEXEC_UID": "abc"}, {"SUDO_UID": "1234", "SUDO_GID": "x"}])
def test_a_recorded_command_does_not_run_as_root_for_want_of_a_name(environment, monkeypatch):
    """`record` asks as `run` does."""
    monkeypatch.setattr("tracer.machine.users.os.environ", environment)
    with pytest.raises(UsageError, match="names nobody"):
        CommandUser.invoking()


def test_a_recorded_command_runs_as_who_called_doas(monkeypatch):
    """All of the account's groups come with it."""
    monkeypatch.setattr("tracer.machine.users.os.environ", {"DOAS_USER": "nobody"})

    assert CommandUser.invoking() == CommandUser(NOBODY.pw_uid, NOBODY.pw_gid, "nobody")


@pytest.mark.parametrize("name", ["²", "9" * 30, "\udcff", "no such account", ""])
def test_a_user_who_is_not_there_is_quoted(name):
    """--user takes a name or a number."""
    with pytest.raises(UsageError, match="there is no user"):
        CommandUser.named(name)
