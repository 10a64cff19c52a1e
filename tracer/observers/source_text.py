"""The text of a program of bpf/ with its parts in the place of its #includes.

BCC translates the use of maps in the main file alone.
"""

from __future__ import annotations

import importlib.resources
import re

_INCLUDE = re.compile(r'^#include "(.+)"$', re.MULTILINE)


def whole_text(file_name: str) -> str:
    """A file of bpf/, and whatever it includes of bpf/."""
    directory = importlib.resources.files("bpf")
    text = directory.joinpath(file_name).read_text()
    return _INCLUDE.sub(lambda found: directory.joinpath(found[1]).read_text(), text)
