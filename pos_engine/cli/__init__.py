"""The command line: commands under seven headings, imported when they are used, so that each starts fast.

`main` is the entry point of `pos-engine` and of `python -m pos_engine`. A command's own errors end at its border; here
end those of the command line itself.
"""

from __future__ import annotations

import importlib
import io
import os
import re
import sys
from typing import TYPE_CHECKING, Final

import click

from pos_engine import __version__
from pos_engine.cli.exits import Exit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PROGRAM: Final = "pos-engine"

HEADINGS: Final[Mapping[str, Mapping[str, str]]] = {
    "Start": {
        "demo": "pos_engine.cli.demo:demo",
        "init": "pos_engine.cli.start:init",
        "config": "pos_engine.cli.configuration:config",
        "acquirer": "pos_engine.cli.host:acquirer",
    },
    "Trade": {
        "sale": "pos_engine.cli.trade:sale",
        "void": "pos_engine.cli.trade:void",
        "refund": "pos_engine.cli.trade:refund",
        "balance": "pos_engine.cli.trade:balance",
    },
    "Session": {
        "sign-on": "pos_engine.cli.session:sign_on",
        "sign-off": "pos_engine.cli.session:sign_off",
        "echo": "pos_engine.cli.session:echo",
        "session": "pos_engine.cli.session_tools:session",
    },
    "Look": {
        "status": "pos_engine.cli.look:status",
        "explain": "pos_engine.cli.explain:explain",
        "journal": "pos_engine.cli.journal:journal",
    },
    "Merchant": {},
    "Traffic": {
        "decode": "pos_engine.cli.traffic:decode",
        "doctor": "pos_engine.cli.doctor:doctor",
        "dialect": "pos_engine.cli.dialects:dialect",
    },
    "Run": {"prove": "pos_engine.cli.prove:prove"},
}
"""Every command as "module:function", under its heading, in the order of the help; empty headings are not shown."""

_HOMES: Final = {name: home for commands in HEADINGS.values() for name, home in commands.items()}


_TOO_MUCH: Final = re.compile(r"(?<=Got unexpected extra argument).*")


class Commands(click.Group):
    """The group of all commands: imported on demand, listed by heading."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the help."""
        del ctx
        return list(_HOMES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        del ctx
        home = _HOMES.get(cmd_name)
        if home is None:
            return None
        module, _, function = home.partition(":")
        found = getattr(importlib.import_module(module), function)
        return found if isinstance(found, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the headings that have commands."""
        for heading, names in HEADINGS.items():
            commands = [(name, command) for name in names if (command := self.get_command(ctx, name)) is not None]
            if commands:
                with formatter.section(heading):
                    formatter.write_dl([(name, command.get_short_help_str(limit=80)) for name, command in commands])


@click.command(
    PROGRAM,
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="\b\nExample:\n  pos-engine init --simulated && pos-engine acquirer",
    invoke_without_command=True,
)
@click.version_option(__version__, prog_name=PROGRAM)
@click.pass_context
def root(context: click.Context) -> None:
    """Speak ISO 8583 as a POS terminal that cannot lose or double a charge, and play the acquirer to try it against."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and leave the process with its exit code."""
    sys.exit(_flushed(_run(arguments)))


def _run(arguments: Sequence[str] | None) -> int:
    _survive_any_locale()
    problem = ""
    try:
        ended = root.main(arguments, prog_name=PROGRAM, standalone_mode=False)
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx is not None else PROGRAM
        # What is too much on a command line may be half of a pasted message, card number and all.
        text = _TOO_MUCH.sub("", _one_line(error.format_message()))
        problem = f"{text} (see {where} --help)"
    except click.ClickException as error:
        problem = _one_line(error.format_message())
    except click.Abort:
        return Exit.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - nothing may leave as a traceback, not even a broken installation
        click.echo(f"{PROGRAM}: internal error: {type(error).__name__}", err=True)
        return Exit.INTERNAL
    else:
        return ended if isinstance(ended, int) else Exit.DONE
    click.echo(f"{PROGRAM}: {problem}", err=True)
    return Exit.USAGE


def _flushed(code: int) -> int:
    """Write out what is still held; where that fails, keep the interpreter from failing at it again."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return code or Exit.INTERNAL
    return code


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _survive_any_locale() -> None:
    """Escape what the terminal's character set lacks, rather than fail after money has moved."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
