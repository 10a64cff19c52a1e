"""The rules of the house: imports point one way, and each heavy dependency has one door."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# A module may import from its own tier and from those above it. Longest prefix wins.
TIERS = (
    ("tracer.units", "tracer.errors", "tracer.model", "tracer.facts", "tracer.tallies"),
    ("workloads",),
    (
        # what follows from measurements: pure
        "tracer.analysis", "tracer.claim_rules", "tracer.claims", "tracer.costs", "tracer.crossovers",
        "tracer.function_entries", "tracer.function_rows", "tracer.intervals", "tracer.laws", "tracer.ledger",
        "tracer.measurements", "tracer.perf_output", "tracer.probes", "tracer.recording", "tracer.stage_table",
        "tracer.stages", "tracer.sweep_file", "tracer.sweep_plan", "tracer.sweep_tables",
        "tracer.tracepoint_entries", "tracer.verdict",
        # what an experiment needs of the machine
        "tracer.cgroups", "tracer.kernel", "tracer.leftovers", "tracer.links", "tracer.namespaces", "tracer.nics",
        "tracer.processes",
    ),
    ("tracer.observers", "tracer.runner", "tracer.lab", "tracer.sweep", "tracer.perf_trial"),
    ("tracer.reports",),
    ("tracer.commands",),
    ("tracer.cli",),
    ("tracer.__main__",),
)  # fmt: skip

# Reports see the words, the books and the numbers, nothing that measures.
REPORTS_MAY_SEE = (
    "tracer.model", "tracer.ledger", "tracer.laws", "tracer.claims", "tracer.verdict", "tracer.units", "tracer.errors",
    "tracer.tallies", "tracer.facts", "tracer.reports", "tracer.intervals", "tracer.sweep_plan", "tracer.measurements",
    "tracer.crossovers", "tracer.claim_rules", "tracer.stages", "tracer.stage_table", "tracer.costs",
)  # fmt: skip

DOORS = {
    "click": ("tracer.cli", "tracer.commands"),
    "bcc": ("tracer.observers",),
    "rich": ("tracer.reports",),
    "matplotlib": ("tracer.reports.plots",),
    "pandas": ("tracer.sweep_tables",),
    "scipy": ("tracer.intervals",),
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


def imported_by(path: Path) -> set[str]:
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


def tier_of(name: str) -> int | None:
    return next((index for index, prefixes in enumerate(TIERS) if is_below(name, prefixes)), None)


@pytest.mark.parametrize(("name", "path"), modules(), ids=lambda value: value if isinstance(value, str) else "")
def test_imports_point_one_way(name: str, path: Path) -> None:
    """No module imports from a tier below its own."""
    own = tier_of(name)
    assert own is not None or name in ("tracer",), f"{name} has no tier: add it to TIERS"

    later = [
        used for used in imported_by(path) if (tier := tier_of(used)) is not None and own is not None and tier > own
    ]

    assert later == []


@pytest.mark.parametrize(("name", "path"), modules(), ids=lambda value: value if isinstance(value, str) else "")
def test_each_heavy_dependency_has_one_door(name: str, path: Path) -> None:
    """click is imported by the command line alone, bcc by the observers alone, and so on."""
    for library, doors in DOORS.items():
        uses = any(is_below(used, (library,)) for used in imported_by(path))

        assert not uses or is_below(name, doors), f"{name} imports {library}; only {doors} may"


@pytest.mark.parametrize(
    ("name", "path"), [(name, path) for name, path in modules() if name.startswith("tracer.reports.")]
)
def test_reports_see_only_results(name: str, path: Path) -> None:
    """A report is a function of a document: it imports nothing that measures."""
    inside = {used for used in imported_by(path) if is_below(used, ("tracer", "workloads"))}

    assert [used for used in inside if not is_below(used, REPORTS_MAY_SEE)] == [], name


def test_help_imports_nothing_heavy_but_click() -> None:
    """`nettrace --help` answers without waiting for BCC, pandas or rich."""
    program = (
        "import sys; from tracer.cli import cli\n"
        "try: cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'bcc', 'pandas', 'matplotlib', 'rich', 'pyroute2', 'numpy', 'scipy', 'msgspec', 'jsonschema'}\n"
        "print(heavy & set(sys.modules), file=sys.stderr)"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)

    assert done.stderr.strip() == "set()"
    assert "run " in done.stdout
