"""What click finds wrong with a command line, told as all other errors are: what, why, and what to do about it."""

from __future__ import annotations

import click

from tracer.errors import UsageError
from tracer.texts import did_you_mean


class Verbs(click.Group):
    """A group that names the near miss of a verb."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, for the verbs that there are."""
        known = self.list_commands(ctx)
        if args and not args[0].startswith("-") and args[0] not in known:
            fix = did_you_mean(args[0], known) or f"{ctx.command_path} --help says what each does"
            raise UsageError(
                f"{ctx.command_path} has no command '{args[0]}'", f"the commands are {', '.join(known)}", fix
            )
        return super().resolve_command(ctx, args)


class OneOf(click.Choice):  # type: ignore[type-arg]
    """One of several words; the near miss is named."""

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ARG002
        """The word, if it is one of them."""
        word, known = str(value), [str(choice) for choice in self.choices]
        if word not in known:
            option = param.opts[0] if param else "value"
            raise UsageError(
                f"unknown {option} '{word}'",
                f"it is one of {', '.join(known)}",
                did_you_mean(word, known) or f"for example {option} {known[0]}",
            )
        return word


def usage_error(error: click.ClickException, path: str) -> UsageError:
    """An error of click's.

    Args:
        path: The command that is meant where click does not know it.
    """
    context = getattr(error, "ctx", None)
    path = context.command_path if context else path
    if isinstance(error, click.NoSuchOption):
        near = did_you_mean(error.option_name, error.possibilities or ())
        what, why = f"there is no option '{error.option_name}'", f"{path} has none of that name"
        return UsageError(what, why, f"{near} {path} --help lists all".lstrip())
    usage = context.get_usage().removeprefix("Usage: ") if context else f"{path} [OPTIONS] ..."
    what, why = _told(error)
    return UsageError(what, why or f"it is used as: {' '.join(usage.split())}", f"{path} --help says what it takes")


def _told(error: click.ClickException) -> tuple[str, str]:
    """What, and why where click says it: "Invalid value for '--threads': 0 is not in the range 1<=x<=64."."""
    what, why = error.format_message().rstrip("."), ""
    if isinstance(error, click.BadParameter) and not isinstance(error, click.MissingParameter):
        what, _, why = what.partition(": ")
    return what[:1].lower() + what[1:], why
