"""Stacks in the file format of speedscope, a viewer of flame graphs (the schema's address is in each file).

A profile of type "sampled" holds a list of stacks, outermost function first, as indices into the file's frames, and
what each stands for. Its weights are those of the kernel's samples, in ns of CPU time, or bytes that were copied.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from tracer.model import CpuProfile, Document
from tracer.model.socket_recording import SocketRecording
from tracer.reports.stacks import folded_copies

SCHEMA = "https://www.speedscope.app/file-format-schema.json"


def speedscope_of(recording: Document | SocketRecording, name: str) -> bytes:
    """CPU time of each context, and bytes copied where their stacks were collected; empty where there is neither."""
    file = _File()
    if recording.profile is not None:
        _add_cpu(file, recording.profile)
    if isinstance(recording, Document):
        lines = (line.rpartition(" ") for line in folded_copies(recording).splitlines())
        file.add("bytes copied", "bytes", {stack: int(size) for stack, _, size in lines})
    return file.encoded(name) if file.profiles else b""


def _add_cpu(file: _File, profile: CpuProfile) -> None:
    """One profile a context: the first word of a stack says whose it is."""
    contexts: dict[str, dict[str, int]] = {}
    for stack, samples in profile.folded.items():
        context, _, rest = stack.partition(";")
        contexts.setdefault(context, {})[rest or context] = samples * profile.period_ns
    for context, stacks in contexts.items():
        file.add(f"CPU, {context}", "nanoseconds", stacks)


class _File:
    """Frames are named once for all profiles."""

    def __init__(self) -> None:
        self.frames: dict[str, int] = {}
        self.profiles: list[dict[str, Any]] = []

    def add(self, name: str, unit: str, stacks: Mapping[str, int]) -> None:
        """A profile, unless it is empty."""
        if stacks:
            self.profiles.append({
                "type": "sampled", "name": name, "unit": unit, "startValue": 0, "endValue": sum(stacks.values()),
                "samples": [self._indices(stack) for stack in stacks], "weights": list(stacks.values()),
            })  # fmt: skip

    def _indices(self, stack: str) -> list[int]:
        return [self.frames.setdefault(frame, len(self.frames)) for frame in stack.split(";")]

    def encoded(self, name: str) -> bytes:
        """The whole file."""
        frames = [{"name": frame} for frame in self.frames]
        document = {
            "$schema": SCHEMA, "exporter": "nettrace", "name": name, "activeProfileIndex": 0,
            "shared": {"frames": frames}, "profiles": self.profiles,
        }  # fmt: skip
        return msgspec.json.encode(document) + b"\n"
