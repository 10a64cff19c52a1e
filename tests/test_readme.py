"""The README does not lie: its commands exist, its pasted output is what is printed today."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from pathlib import Path

import click
import pytest

from bench import lab_matrix, readme, study
from tests.command import LAB_DEADLINE_S, ROOT, nettrace
from tracer import cli

README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
PASTED = {found["arguments"]: (found["lines"], found["output"]) for found in readme.PASTED.finditer(README)}
COMMANDS = re.findall(
    r"^nettrace ([^|>&\n]+)", "\n".join(re.findall(r"```sh\n(.*?)```", README, re.DOTALL)), re.MULTILINE
)


def words_of(output: str) -> list[str]:
    """The words of an output, whatever the machine, the numbers, their units and the breaks of its lines.

    A busy machine makes TCP send something twice, even over loopback; the sentence then says so.
    """
    words = re.sub(r"\s+", " ", re.sub(r"Linux .*", "", output, count=1))
    words = re.sub(r"\([\d,]+ B twice, as TCP sent them again\) ", "", words)
    # Told only where the threads ran for long enough, which depends on the machine.
    words = re.sub(r"(n/a|[\d.]+ %) in the kernel", "# in the kernel", words)
    words = words.replace(" (below 1: within the noise of two passes)", "")
    return re.sub(r"(?<![\w-])\d[\d.,]*( (ns|µs|ms|s|Gb/s)\b)?", "#", words).split()


@pytest.mark.parametrize(
    "arguments", [pytest.param(one, marks=pytest.mark.lab if "--lab" in one else pytest.mark.live) for one in PASTED]
)
@pytest.mark.timeout(900)
def test_the_pasted_output_is_what_is_printed(arguments: str) -> None:
    """The same lines but for their numbers; `make readme` pastes them anew.

    The observer is named, because `auto` takes another one where the kernel allows it.
    """
    lines, output = PASTED[arguments]
    observer = () if "--lab" in arguments else ("--observer", "tracepoints")
    done = nettrace(*arguments.split(), *observer, env=readme.WIDE, timeout=LAB_DEADLINE_S)
    # Advice repeats what was asked for.
    printed = words_of(done.stdout.replace(" --observer tracepoints", ""))
    pasted = words_of(output.removeprefix("```\n").removesuffix("```\n"))

    # As many words as were pasted, not as many lines: a sentence that says one thing more takes a line more.
    # Their order depends on where the cells of a table are broken.
    assert Counter(printed[: len(pasted)] if lines else printed) == Counter(pasted)


def test_what_is_promised_is_pasted() -> None:
    """A README without the first screen, or without the two over the NIC, would pass all the rest."""
    assert list(PASTED) == [
        "run zerocopy --size 16384",
        "run zerocopy --link nic --lab",
        "run zerocopy --link nic --no-sg --lab",
    ]


def links_of(page: Path) -> list[tuple[Path, str]]:
    """Where the links of a page lead, each with the heading that it names; what is pasted in holds none."""
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(), flags=re.DOTALL)
    targets = (target.partition("#") for target in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in target)
    return [(page.parent / path if path else page, heading) for path, _, heading in targets]


def headings_of(page: Path) -> set[str]:
    """As they are linked to: in small letters, with hyphens for blanks."""
    found = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_page(page: Path) -> None:
    """Into this repository, to a file and a heading that are there."""
    links = links_of(page)

    assert [str(path) for path, _ in links if not path.is_file()] == []
    assert [heading for path, heading in links if heading and heading not in headings_of(path)] == []


def test_every_page_can_be_found() -> None:
    """From the README, or from a page that it links to."""
    found, new = set(), {ROOT / "README.md"}
    while new:
        found |= new
        new = {path.resolve() for page in new if page.suffix == ".md" for path, _ in links_of(page)} - found

    assert [page.name for page in PAGES if page not in found] == []


EXAMPLES = list(readme.PASTED.finditer(readme.EXAMPLES.read_text()))


def test_there_is_an_example_of_every_verb() -> None:
    """One at least."""
    assert {found["arguments"].split()[0] for found in EXAMPLES} == set(cli._VERBS)


@pytest.mark.live
@pytest.mark.timeout(600)
def test_the_examples_print_what_is_pasted() -> None:
    """As many lines as are the same on any machine, but for their numbers; one after the other: some leave files."""
    differing = {}
    with readme.stage() as at:
        for found in EXAMPLES:
            lines = int(found["alike"] or 0) or None
            printed, pasted = readme.printed_by(observed(found["arguments"]), at), found["output"].split("\n")[1:-2]
            kept = pasted[:lines]
            printed = printed.replace(" --observer tracepoints", "")
            if not is_alike(printed, "\n".join(kept)):
                differing[found["arguments"]] = (printed[:2000], kept)

    assert differing == {}


def observed(arguments: str) -> str:
    """With the observer that the page was made with: `auto` takes another one where the kernel allows it."""
    verb, _, rest = arguments.partition(" ")
    if verb == "compare":  # of which only the title is compared; its plural is pasted
        return f"{arguments} --repetitions 2"
    return f"{verb} --observer tracepoints {rest}" if verb in ("run", "sweep") else arguments


def is_alike(printed: str, pasted: str) -> bool:
    """Whether all words of what was pasted come first in what is printed now, in whatever order."""
    words = words_of(pasted)
    return Counter(words_of(printed)[: len(words)]) == Counter(words)


def test_pages_that_programs_write_are_written() -> None:
    """Tables, not markers or headings alone."""
    assert "\n| kernels | mode | link |" in lab_matrix.PAGE.read_text().partition(lab_matrix.BEGIN)[2]
    verdicts = [line for line in study.REPORT.read_text().splitlines() if line.startswith("| S") and "| **" in line]
    assert len(verdicts) == 18


@pytest.mark.parametrize("text", COMMANDS)
def test_every_command_exists_with_its_options(text: str) -> None:
    """What a newcomer copies from the README is understood."""
    verb, *arguments = shlex.split(text)
    command = cli.cli.get_command(click.Context(cli.cli), verb)
    assert command is not None
    if isinstance(command, click.Group):
        assert set(arguments[:1]) <= set(command.list_commands(click.Context(command)))
        return
    known = {option for parameter in command.params for option in parameter.opts}

    # Behind "--" stands another program's command line.
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments

    assert {word for word in own if word.startswith("--")} <= known


# Every Debian has them, or it could not have come to the README's second line.
_EVERYWHERE = {"alias", "cd", "echo", "git", "make", "pgrep", "pidof", "python3", "sleep", "wait"}


def programs_of(block: str) -> set[str]:
    """What its lines start, also behind nettrace's "--"."""
    text = re.sub(r"#.*|\$\([^)]*\)", "", block)
    starts = re.split(r"\n|&&|\|\|?|;|&| -- ", text)
    return {words[0] for start in starts if (words := shlex.split(start.replace("<", "").replace(">", "")))}


def test_what_the_readme_runs_is_installed_by_its_first_command() -> None:
    """make demo's packages are all that a newcomer is told to install."""
    makefile = (ROOT / "Makefile").read_text()
    installed = set(re.findall(r"^PACKAGES += (.*)$", makefile, re.MULTILINE)[0].split())
    blocks = re.findall(r"^```sh\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    started = set().union(*map(programs_of, blocks))

    assert {"curl", "ethtool", "nettrace"} <= started
    assert started - {"nettrace"} - _EVERYWHERE <= installed


def test_the_exit_codes_are_those_of_the_program() -> None:
    """One row for each, no more."""
    rows = re.findall(r"^\| (\d+) \| ", README, re.MULTILINE)

    assert rows == ["0", "1", "2", "3", "4", "5", "70", "130"]
