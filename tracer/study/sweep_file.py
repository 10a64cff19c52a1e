"""The directory of a sweep: manifest.json, runs.jsonl, and the tables made of them.

Every finished run is one line of runs.jsonl, written and flushed at once; so a sweep may be interrupted, killed or
run out of disk at any moment, and loses at most the run that was being written. Files are untrusted input.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import msgspec

from tracer.books.recording import MAX_FILE_BYTES
from tracer.books.untrusted import sound
from tracer.errors import MachineError, RecordingError, UsageError
from tracer.machine.files import write_file
from tracer.machine.users import give_to_invoking_user
from tracer.study.hosts import difference_of_hosts
from tracer.study.sweep_plan import SWEEP_SCHEMA, Manifest, Run, Sweep, jobs_left
from tracer.texts import counted

MANIFEST, RUNS = "manifest.json", "runs.jsonl"
_AGAIN = "give a directory that nettrace sweep wrote, or sweep again into a new one"


def load_sweep(directory: Path) -> Sweep:
    """Read a sweep, finished or not.

    Raises:
        RecordingError: no sweep, another schema, damaged, or nothing measured yet.
    """
    manifest = read_manifest(directory)
    runs, torn = _read_runs(directory / RUNS)
    if not runs:
        why = "the sweep was interrupted at its start"
        raise RecordingError(f"{directory} holds no finished run", why, f"go on with it: nettrace sweep {directory}")
    notes = ["the last run was cut off while it was written, and is left out"] if torn else []
    if left := len(jobs_left(manifest.plan, runs)):
        total = left + len({(run.cell, run.repetition) for run in runs})
        notes.append(f"this sweep is unfinished: {left} of {counted(total, 'run')} are missing")
    _check_runs(directory, manifest, runs)
    return Sweep(manifest=manifest, runs=runs, notes=notes)


def read_manifest(directory: Path) -> Manifest:
    """What the sweep in a directory is.

    Raises:
        RecordingError: there is none, it is damaged, or of another schema.
    """
    path = directory / MANIFEST
    data = _read(path)
    try:
        envelope = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RecordingError(f"{path} is damaged", str(error), _AGAIN) from error
    schema = envelope.get("schema") if isinstance(envelope, dict) else None
    if schema != SWEEP_SCHEMA:
        why = f"its schema is {schema!r}, not {SWEEP_SCHEMA!r}" if schema else "it has no schema"
        raise RecordingError(f"{directory} is not a sweep of this nettrace", why, _AGAIN)
    try:
        return msgspec.convert(sound(envelope), Manifest)
    except (msgspec.ValidationError, RecursionError) as error:
        raise RecordingError(f"{path} is damaged", str(error), _AGAIN) from error


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError as error:
        raise RecordingError(f"there is no sweep in {path.parent}", f"{path.name} is missing", _AGAIN) from error
    except OSError as error:
        raise RecordingError(f"cannot read {path}", error.strerror or str(error), "check the path") from error
    if len(data) > MAX_FILE_BYTES:
        raise RecordingError(f"{path} is not of a sweep", f"it is larger than {MAX_FILE_BYTES >> 20} MiB", _AGAIN)
    return data


def _read_runs(path: Path) -> tuple[list[Run], bool]:
    """All whole lines, and whether a torn one follows: only the last line can lack its newline."""
    *lines, rest = _read(path).split(b"\n")
    runs = []
    for number, line in enumerate(lines, start=1):
        try:
            runs.append(msgspec.convert(sound(msgspec.json.decode(line)), Run))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise RecordingError(f"{path} is damaged in line {number}", str(error), _AGAIN) from error
    return runs, bool(rest)


def _check_runs(directory: Path, manifest: Manifest, runs: list[Run]) -> None:
    """A run that is not of this plan, this mode or this host was put there by someone else."""
    labels, cells = manifest.plan.labels(), set(manifest.plan.cells())
    seen = set()
    for number, run in enumerate(runs, start=1):
        key = (run.cell, run.repetition)
        if run.cell not in cells or run.repetition >= manifest.plan.repetitions:
            why = f"line {number} is a run that its plan does not ask for: {run.label}, {run.cell.size} B"
        elif run.recording.experiment.mode != labels[run.label] or run.recording.experiment.link != manifest.plan.link:
            why = f"line {number} is labelled {run.label} and is of mode {run.recording.experiment.mode}"
        elif difference := difference_of_hosts(manifest.host, run.recording.host):
            why = f"line {number} was measured elsewhere: {difference}"
        elif key in seen:
            why = f"line {number} repeats a run"
        else:
            seen.add(key)
            continue
        raise RecordingError(f"{directory / RUNS} is not of one sweep", why, _AGAIN)


@contextlib.contextmanager
def open_sweep(directory: Path, manifest: Manifest) -> Iterator[tuple[list[Run], IO[bytes]]]:
    """The runs that a directory already has, and its file to append to; nobody else writes to it meanwhile.

    Raises:
        UsageError: it holds another plan's or another host's runs, or another sweep is writing to it.
        RecordingError: it is damaged.
        MachineError: it cannot be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        give_to_invoking_user(directory)
        file = (directory / RUNS).open("ab")
    except OSError as error:
        raise MachineError(f"cannot write to {directory}", error.strerror or str(error), "sweep elsewhere") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            what = f"another sweep is writing to {directory}"
            raise UsageError(what, "it is locked", "wait for it, or sweep elsewhere") from error
        yield _resumed(directory, manifest), file


def _resumed(directory: Path, manifest: Manifest) -> list[Run]:
    if not (directory / MANIFEST).exists():
        if (directory / RUNS).stat().st_size:
            raise RecordingError(f"{directory} is not a sweep", f"it has {RUNS} and no {MANIFEST}", _AGAIN)
        return _begun(directory, manifest)
    earlier = read_manifest(directory)
    if not has_runs(directory):
        # Its first run failed or was interrupted: the command that mends what was wrong with it is another plan.
        return _begun(directory, manifest)
    for field in earlier.plan.__struct_fields__:
        old, new = getattr(earlier.plan, field), getattr(manifest.plan, field)
        if old != new:
            raise _other(directory, f"its plan says {field} {_plain(old)}, this one {_plain(new)}")
    if difference := difference_of_hosts(earlier.host, manifest.host):
        raise _other(directory, difference)
    runs, torn = _read_runs(directory / RUNS)
    if torn:
        _cut_off_torn_line(directory / RUNS)
    _check_runs(directory, earlier, runs)
    return runs


def _begun(directory: Path, manifest: Manifest) -> list[Run]:
    os.truncate(directory / RUNS, 0)
    write_file(directory / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
    give_to_invoking_user(directory / RUNS)
    return []


def has_runs(directory: Path) -> bool:
    """Whether any run of the sweep in a directory came to its end."""
    runs = directory / RUNS
    return runs.exists() and b"\n" in _read(runs)


def is_finished(directory: Path) -> bool:
    """Whether a directory holds a sweep that lacks no run.

    Raises:
        RecordingError: what it holds is damaged.
    """
    return has_runs(directory) and (directory / MANIFEST).exists() and load_sweep(directory).complete


def _plain(value: object) -> str:
    return ",".join(str(one) for one in value) if isinstance(value, list) else "none" if value is None else str(value)


def _other(directory: Path, why: str) -> UsageError:
    fix = "repeat the command as it was, or sweep into a new directory"
    return UsageError(f"{directory} holds another sweep, and two are never mixed", why, fix)


def _cut_off_torn_line(path: Path) -> None:
    data = path.read_bytes()
    os.truncate(path, data.rfind(b"\n") + 1)


def append_run(file: IO[bytes], run: Run) -> None:
    """One line, on the disk when this returns.

    Raises:
        MachineError: the disk is full; the runs before are safe.
    """
    try:
        file.write(msgspec.json.encode(run) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    except OSError as error:
        raise MachineError("cannot save the run", error.strerror or str(error), "free some space and go on") from error
