"""nettrace explain: the way of a byte through the kernel, with the counts of a run; a word; a lesson."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from tracer.commands.completing import complete_subjects
from tracer.commands.conditions import check_conditions
from tracer.commands.experiments import experiment_of, experiment_options
from tracer.commands.output import books_code, exit_code, note, trust_code
from tracer.errors import EXIT_OK, UsageError
from tracer.study.lessons.all_lessons import NUMBERS


class WithCommand(click.Command):
    """Keeps what stands behind "--" apart: it is another program's command line."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does, for what stands before it."""
        at = args.index("--") if "--" in args else len(args)
        ctx.meta[__name__] = args[at + 1 :] if at < len(args) else None
        return super().parse_args(ctx, args[:at])


@click.command(cls=WithCommand)
@click.argument("subject", metavar="[MODE|FILE|WORD|-- CMD]", required=False, shell_complete=complete_subjects)
@click.option("--list", "lists", is_flag=True, help="Name the words that can be explained.")
@click.option(
    "--lesson", type=click.IntRange(NUMBERS.start, NUMBERS[-1]), help="Teach: predict, see it measured, compare."
)
@experiment_options(every=False)
@click.pass_context
def command(ctx: click.Context, /, subject: str | None, lists: bool, lesson: int | None, **given: Any) -> None:
    """Explain the way of a byte through the kernel, step by step, with what was counted at each.

    MODE is run as `nettrace run MODE` does, with the same options; FILE is a recording of run, record or attach; CMD is
    recorded as `nettrace record -- CMD` does, but its exit code is told and not passed on. A WORD (deferred-copy, pin,
    completion, ...) is explained by itself. Without any of them the way is shown without counts.
    """
    from tracer.books.modes import NAMES

    argv = ctx.meta[__name__]
    asked = _only_one({"-- CMD": argv is not None, "--list": lists, "--lesson": lesson, subject or "": subject})
    if asked not in NAMES:
        _check_unused(ctx, given, asked, keep="lab" if argv is not None else "")
    if argv is not None:
        ctx.exit(_of_command(argv, given["lab"]))
    ctx.exit(_list() if lists else _taught(lesson) if lesson else _of_subject(subject, given))


def _only_one(asked: dict[str, object]) -> str:
    """What is to be explained; the whole way where nothing is named."""
    names = [name for name, given in asked.items() if given]
    if len(names) > 1:
        raise UsageError(f"{names[0]} and {names[1]} exclude each other", "one thing is explained", f"drop {names[1]}")
    return names[0] if names else "the whole way"


def _taught(lesson: int) -> int:
    from tracer.commands.lessons import teach

    return teach(lesson)


def _check_unused(ctx: click.Context, given: dict[str, Any], subject: str, keep: str = "") -> None:
    """Options of a run, where none is made."""
    for parameter in ctx.command.params:
        is_given = ctx.get_parameter_source(parameter.name or "") is not ParameterSource.DEFAULT
        if parameter.name in given and parameter.name != keep and is_given:
            option = parameter.opts[0]
            raise UsageError(f"{option} is no option for {subject}", "it says how a MODE is run", f"drop {option}")


def _console() -> Any:
    from tracer.reports.tables import make_console

    return make_console(sys.stdout)


def _list() -> int:
    from tracer.reports.explain import print_words

    print_words(_console())
    return EXIT_OK


def _of_subject(subject: str | None, given: dict[str, Any]) -> int:
    """A mode comes first, then a word; what is neither is a file."""
    from tracer.books.glossary import spelled, terms
    from tracer.books.modes import NAMES

    if subject is None:
        return _of_nothing()
    if subject in NAMES:
        return _of_mode(subject, given)
    if spelled(subject) in terms():
        return _of_word(subject)
    if _may_be_a_file(subject):
        return _of_file(Path(subject))
    raise _unknown(subject)


def _may_be_a_file(subject: str) -> bool:
    return "/" in subject or "." in subject or Path(subject).exists()


def _unknown(subject: str) -> UsageError:
    from tracer.books.glossary import spelled, terms
    from tracer.books.modes import NAMES
    from tracer.texts import did_you_mean

    why = f"it is no mode ({', '.join(NAMES)}), no recording, and none of the {len(terms())} words"
    fix = did_you_mean(spelled(subject), (*NAMES, *terms())) or "nettrace explain --list names the words"
    return UsageError(f"'{subject}' cannot be explained", why, fix)


def _of_nothing() -> int:
    from tracer.books.walk import unwalked
    from tracer.reports.explain import print_walk

    print_walk(unwalked(), "all steps that a byte can take through TCP", [], _console())
    return EXIT_OK


def _of_word(word: str) -> int:
    from tracer.books.glossary import term_of
    from tracer.reports.explain import print_term

    print_term(term_of(word), _console())
    return EXIT_OK


def _of_mode(mode: str, given: dict[str, Any]) -> int:
    from tracer.books.analysis import document_of
    from tracer.reports.explain import print_document_walk
    from tracer.runs.dispatch import record

    experiment = experiment_of(mode, given)
    check_conditions(experiment)
    document = document_of(record(experiment, note))
    print_document_walk(document, _console())
    return exit_code(document, [])


def _of_file(file: Path) -> int:
    from tracer.books.analysis import document_of
    from tracer.books.recording import decode
    from tracer.books.socket_file import decode_sockets, is_of_sockets
    from tracer.machine.recordings import read
    from tracer.reports.explain import print_document_walk, print_sockets_walk

    data = read(file)
    if is_of_sockets(data):
        recording = decode_sockets(data, str(file))
        print_sockets_walk(recording, _console())
        return books_code(recording)
    document = document_of(decode(data, str(file)))
    print_document_walk(document, _console())
    return trust_code(document)


def _of_command(argv: list[str], lab: str | None) -> int:
    """Its own exit code would say nothing of the explanation."""
    from tracer.commands.record import recorded
    from tracer.reports.explain import print_sockets_walk
    from tracer.runs.subjects.command import Order

    if not argv:
        raise UsageError("there is no command behind --", "its sockets would be watched", "nettrace explain -- CMD")
    recording = recorded(Order(argv), None, lab)
    print_sockets_walk(recording, _console())
    return books_code(recording)
