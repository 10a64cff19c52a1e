"""The rules of the house: imports point one way, and each heavy dependency has one door."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# Each room, and the rooms below it that it may import from; all may use the words (tracer.model, units, errors, texts).
WORDS = ("tracer.model", "tracer.units", "tracer.errors", "tracer.texts")
ROOMS = {
    "workloads.engine": (),
    "workloads.child": ("workloads.engine",),
    "workloads": ("workloads.engine", "workloads.child", "tracer.books"),
    "tracer.books": (),
    "tracer.machine": ("workloads", "tracer.books"),
    "tracer.lab": ("tracer.machine",),
    "tracer.observers": ("tracer.books", "tracer.machine"),
    "tracer.runs": ("workloads", "tracer.books", "tracer.machine", "tracer.lab", "tracer.observers"),
    "tracer.study": ("tracer.books", "tracer.machine", "tracer.runs"),
    "tracer.reports": ("tracer.books", "tracer.study"),
    "tracer.commands": (
        "workloads",
        *(f"tracer.{room}" for room in ("books", "machine", "lab", "observers", "runs", "study", "reports")),
    ),
    "tracer.cli": ("tracer.machine", "tracer.commands"),
    "tracer.__main__": ("tracer.cli",),
}

# A worker process has to be there in some 60 ms: it loads nothing of tracer, not even the words.
WORDLESS = ("workloads.engine", "workloads.child")

DOORS = {
    "click": ("tracer.cli", "tracer.commands"),
    "bcc": ("tracer.observers",),
    "rich": ("tracer.reports",),
    "textual": ("tracer.reports.live",),
    "matplotlib": ("tracer.reports.plots", "tracer.reports.plots_of_sockets"),
    "pandas": ("tracer.study.sweep_tables",),
    "scipy": ("tracer.study.intervals",),
    "jinja2": ("tracer.reports",),
    "cffi": ("workloads.engine",),
}


def modules() -> list[tuple[str, Path]]:
    found = []
    for package in ("tracer", "workloads"):
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found.append((".".join(part for part in parts if part != "__init__"), path))
    return found


@functools.cache
def imported_by(path: Path) -> set[str]:
    """Names of modules, and of what is taken from them."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def is_below(name: str, prefixes: tuple[str, ...]) -> bool:
    return any(name == prefix or name.startswith(prefix + ".") for prefix in prefixes)


def room_of(name: str) -> str | None:
    return next((room for room in (*WORDS, *ROOMS) if is_below(name, (room,))), None)


@pytest.mark.parametrize(("name", "path"), modules(), ids=lambda value: value if isinstance(value, str) else "")
def test_imports_point_one_way(name: str, path: Path) -> None:
    """A module imports from its own room, and from the rooms below it that ROOMS names; the words from words alone."""
    own = room_of(name)
    assert own is not None or name == "tracer", f"{name} is in no room"
    words = () if own in WORDLESS else WORDS
    allowed = WORDS if own in WORDS else (*words, own, *ROOMS[own]) if own else ()

    inside = {used for used in imported_by(path) if room_of(used) is not None}

    assert {used for used in inside if not is_below(used, allowed)} == set(), name


# What follows from counts and from the link is the same whoever asked for it: these know Scene, and no Experiment.
UNASKED = (
    "causes", "drops", "function_entries", "function_laws", "law", "laws", "ledger", "silent_skips", "tallies",
    "tracepoint_entries", "tracepoint_laws",
)  # fmt: skip


@pytest.mark.parametrize("name", UNASKED)
def test_laws_entries_and_causes_never_see_an_experiment(name: str) -> None:
    """Neither the type nor the recording's member."""
    tree = ast.parse((ROOT / "tracer/books" / f"{name}.py").read_text())
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    members = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}

    assert not {"Experiment", "experiment"} & (names | members)


@pytest.mark.parametrize(("name", "path"), modules(), ids=lambda value: value if isinstance(value, str) else "")
def test_each_heavy_dependency_has_one_door(name: str, path: Path) -> None:
    """click is imported by the command line alone, bcc by the observers alone, and so on."""
    for library, doors in DOORS.items():
        uses = any(is_below(used, (library,)) for used in imported_by(path))

        assert not uses or is_below(name, doors), f"{name} imports {library}; only {doors} may"


def test_help_imports_nothing_heavy_but_click() -> None:
    """`nettrace --help` answers without waiting for BCC, pandas or rich."""
    program = (
        "import sys; from tracer.cli import cli\n"
        "try: cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'bcc', 'pandas', 'matplotlib', 'rich', 'textual', 'pyroute2', 'numpy', 'scipy', 'msgspec'}\n"
        "heavy |= {'jsonschema'}\n"
        "print(heavy & set(sys.modules), file=sys.stderr)"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)

    assert done.stderr.strip() == "set()"
    assert "run " in done.stdout
