"""Every way in which the directory of a sweep can be wrong."""

from __future__ import annotations

import msgspec
import pytest

from tests.sweep_samples import SMALL, manifest, plan, run
from tracer.errors import RecordingError
from tracer.study.sweep_file import MANIFEST, RUNS, load_sweep


def written(tmp_path, *lines: bytes, of=SMALL):
    (tmp_path / MANIFEST).write_bytes(msgspec.json.encode(manifest(of)))
    (tmp_path / RUNS).write_bytes(b"".join(line + b"\n" for line in lines))
    return tmp_path


GOOD = msgspec.json.encode(run("twocopy", 1024, 1, 0))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{}", "damaged in line 1"),
        (b"no json", "damaged in line 1"),
        (b"[" * 100_000, "damaged in line 1"),
        (b"\xff\xfe", "damaged in line 1"),
        (GOOD.replace(b'"throughput_bytes_per_s"', b'"throughput"'), "damaged in line 1"),
        (GOOD.replace(b'"repetition":0', b'"repetition":-1'), "damaged in line 1"),
        (GOOD.replace(b'"repetition":0', b'"repetition":NaN'), "damaged in line 1"),
        (GOOD.replace(b'"elapsed_s":', b'"elapsed_s":NaN,"x":'), "damaged in line 1"),
        (GOOD.replace(b'"repetition":0', b'"repetition":7'), "not of one sweep"),
        (GOOD.replace(b'"size":1024', b'"size":1025'), "not of one sweep"),
        (GOOD.replace(b'"mode":"twocopy"', b'"mode":"onecopy"'), "not of one sweep"),
        (GOOD.replace(b'"kernel":"6.18.44"', b'"kernel":"5.4"'), "not of one sweep"),
        (GOOD + b"\n" + GOOD, "not of one sweep"),
        (b"", "damaged in line 1"),
    ],
)
def test_a_damaged_run_is_a_clear_error(tmp_path, line, reason):
    """A missing field, NaN, another mode, another host, a run twice: exit code 2, never a figure."""
    with pytest.raises(RecordingError, match=reason) as caught:
        load_sweep(written(tmp_path, line))

    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "damaged"),
        (b"{", "damaged"),
        (b"[]", "not a sweep"),
        (b'{"schema": "nettrace.recording/1"}', "not a sweep"),
        (b'{"schema": "nettrace.sweep/99"}', "not a sweep"),
        (b'{"schema": "nettrace.sweep/1"}', "damaged"),
    ],
)
def test_a_directory_of_another_schema_is_a_clear_error(tmp_path, data, reason):
    """Exit code 2, and what to do."""
    (tmp_path / MANIFEST).write_bytes(data)

    with pytest.raises(RecordingError, match=reason) as caught:
        load_sweep(tmp_path)

    assert caught.value.exit_code == 2
    assert caught.value.fix


def test_a_directory_that_is_missing_or_empty_is_a_clear_error(tmp_path):
    """No traceback for a wrong path."""
    for directory in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(RecordingError, match="there is no sweep"):
            load_sweep(directory)


@pytest.mark.parametrize("field", ["repetitions"])
def test_a_plan_of_a_file_that_would_never_end_is_damaged(field, tmp_path):
    """Each of its runs is counted when it is read."""
    text = msgspec.json.encode(manifest(plan())).replace(b'"repetitions":11', b'"repetitions":9223372036854775807')
    (tmp_path / "manifest.json").write_bytes(text)

    with pytest.raises(RecordingError, match="damaged") as caught:
        load_sweep(tmp_path)
    assert field in caught.value.why
