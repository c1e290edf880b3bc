"""The border of every command: the options they share, and the one place where errors become lines and exit codes.

`command` makes a click command of a function that takes an `Output` first and returns an `Exit`. Whatever the function
raises ends here as one line on standard error. An unforeseen error shows its type and, with -vv, the places it came
through, never its text: that may quote what must not be shown.
"""

from __future__ import annotations

import contextlib
import functools
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click

from pos_engine.cli.exits import Exit, exit_for
from pos_engine.cli.output import Output, default_language
from pos_engine.errors import KeyFault, LinkError, NotSent, NotSignedOn, PosError, UsageError

if TYPE_CHECKING:
    from pos_engine.config import Config
    from pos_engine.terminal import Terminal

Run = Callable[..., Exit]
Callback = Callable[..., Any]

_TRACEBACK_LEVEL: Final = 2
"""-vv."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Where a command finds its configuration: the file of --config, and the keys of --set."""

    path: str | None
    overrides: Mapping[str, str]

    def load(self) -> Config:
        """Read and check the configuration."""
        from pos_engine.config import load

        return load(self.path, overrides=self.overrides)


def command(name: str, *, example: str, configured: bool = False) -> Callable[[Run], click.Command]:
    """Make a command of a function.

    The function is called with an `Output`, then with `Settings` where it is `configured`, then with its own parameters
    by name. Its docstring is the help; `example` is shown below it, one command a line.
    """

    def decorate(run: Run) -> click.Command:
        return click.command(name, epilog=_epilog(example))(_bordered(run, configured=configured))

    return decorate


def group(name: str, *, example: str, configured: bool = False) -> Callable[[Run], click.Group]:
    """Make a command that does something by itself and has sub-commands too; otherwise as `command`."""

    def decorate(run: Run) -> click.Group:
        border = _bordered(run, configured=configured)
        return click.group(name, epilog=_epilog(example), invoke_without_command=True)(border)

    return decorate


def _epilog(example: str) -> str:
    lines = "\n".join(f"  {line}" for line in example.splitlines())
    title = "Examples:" if "\n" in example else "Example:"
    # \b keeps click from filling the lines into a paragraph.
    return f"\b\n{title}\n{lines}"


def _bordered(run: Run, *, configured: bool) -> Callback:
    @functools.wraps(run)
    def border(*, as_json: bool, verbose: int, quiet: int, lang: str | None, **parameters: object) -> None:
        context = click.get_current_context()
        if context.invoked_subcommand is not None:
            _refuse_misplaced(context)
            return
        output = Output(as_json, "zh" if (lang or default_language()) == "zh" else "en", verbose - quiet)
        code = Exit.INTERNAL
        with _borders(output) as ended:
            first = (output, _settings(parameters)) if configured else (output,)
            code = run(*first, **parameters)
        context.exit(ended.get("code", code))

    return _options(border, configured=configured)


def _refuse_misplaced(context: click.Context) -> None:
    """Refuse an option before the name of a sub-command: it would do nothing, and nobody would see why."""
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if source is not click.core.ParameterSource.DEFAULT:
            reason = f"{parameter.opts[0]} belongs behind the sub-command: {context.invoked_subcommand}"
            raise click.UsageError(reason)


def _options(callback: Callback, *, configured: bool) -> Callback:
    shared = [
        click.option("--json", "as_json", is_flag=True, help="Print JSON with a schema number instead of text."),
        click.option("-v", "--verbose", count=True, help="Tell more on standard error; twice for details."),
        click.option("-q", "--quiet", count=True, help="Tell only errors on standard error."),
        click.option("--lang", type=click.Choice(["en", "zh"]), help="Language of texts; default from LANG."),
    ]
    if configured:
        shared = [
            click.option("--config", "config", metavar="FILE", help="Configuration file; default ./pos-engine.toml."),
            click.option(
                "--set", "sets", metavar="KEY=VALUE", multiple=True, help="Set one key, as acquirer.address=…"
            ),
            *shared,
        ]
    for option in reversed(shared):
        callback = option(callback)
    return callback


def _settings(parameters: dict[str, Any]) -> Settings:
    """Take the options of the configuration out of a command's parameters."""
    overrides = {}
    for assignment in parameters.pop("sets"):
        name, equals, value = assignment.partition("=")
        if not equals:
            reason = "--set takes KEY=VALUE, such as --set acquirer.answer_timeout_s=5"
            raise UsageError(reason)
        overrides[name.strip()] = value
    return Settings(parameters.pop("config"), overrides)


@contextlib.contextmanager
def _borders(output: Output) -> Iterator[dict[str, Exit]]:
    """Let nothing through but an exit code."""
    ended: dict[str, Exit] = {}
    try:
        yield ended
    except PosError as error:
        output.error(str(error))
        for note in getattr(error, "__notes__", ()):
            output.note(f"  {note}")
        ended["code"] = exit_for(error)
    except (KeyboardInterrupt, click.exceptions.Abort):
        output.error("interrupted")
        ended["code"] = Exit.INTERRUPTED
    except EOFError:
        output.error("the input ended before it was complete")
        ended["code"] = Exit.USAGE
    except click.exceptions.ClickException:
        raise
    except BrokenPipeError:
        # Whoever read our output has gone; click ends that quietly.
        raise
    except Exception as error:  # noqa: BLE001 - the last border: a fault of ours must not show its values
        output.error(f"internal error: {type(error).__name__}; please report it (-vv tells where)")
        for line in "".join(traceback.format_tb(error.__traceback__)).splitlines():
            output.note(line, level=_TRACEBACK_LEVEL)
        ended["code"] = Exit.INTERNAL


@contextlib.contextmanager
def opened(settings: Settings, output: Output, *, overrides: Mapping[str, str] | None = None) -> Iterator[Terminal]:
    """Open the configured terminal for one command, and say what to start when its simulated host is not there."""
    from pos_engine.config import load
    from pos_engine.system import harden_process
    from pos_engine.terminal import Terminal
    from pos_engine.trace import NoTrace

    config = load(settings.path, overrides={**settings.overrides, **(overrides or {})})
    harden_process()
    trace: Any = NoTrace()
    if output.verbosity > 0:
        from pos_engine.cli.watch import Watch
        from pos_engine.dialects.registry import dialect_of

        trace = Watch(output, dialect_of(config.dialect, config.key_scheme))
    failure = None
    try:
        with Terminal.open(config, trace=trace) as terminal:
            with _advised(terminal, output):
                yield terminal
            _warn_of_certificates(terminal, output)
    except NotSent as error:
        hint = "; `pos-engine acquirer` starts one to try things with" if config.reader == "simulated" else ""
        failure = NotSent(f"{error}{hint}", trouble=error.trouble)
        for note in getattr(error, "__notes__", ()):
            failure.add_note(note)
    if failure is not None:
        raise failure


def _warn_of_certificates(terminal: Terminal, output: Output) -> None:
    """Say which certificates end soon, the host's too: now it has shown it."""
    from pos_engine.cli.output import ending_line

    for ending in terminal.status(recent=0).certificates:
        output.note(ending_line(ending, output))


@contextlib.contextmanager
def _advised(terminal: Terminal, output: Output) -> Iterator[None]:
    """Say beside an error what to do about it, where the session is why."""
    try:
        yield
    except (LinkError, NotSignedOn, KeyFault) as error:
        from pos_engine.cli.advice import advise

        advise(error, terminal.diagnosis(), output)
        raise
