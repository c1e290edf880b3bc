"""The configuration on the command line: every key with its value and where it came from, and whether it will do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from pos_engine.cli.border import command, group
from pos_engine.cli.exits import Exit
from pos_engine.cli.output import text_json
from pos_engine.values import Text

if TYPE_CHECKING:
    from pos_engine.cli.border import Settings
    from pos_engine.cli.output import Output
    from pos_engine.config import Config
    from pos_engine.config.keys import Key
    from pos_engine.dialects.base import KeyScheme

_KEY: Final = Text("key", "配置项")
_VALUE: Final = Text("value", "值")
_ORIGIN: Final = Text("from", "来源")
_ALLOWED: Final = Text("allowed", "允许范围")
_UNSET: Final = "-"
_SOUND: Final = Text("the configuration will do", "配置可用")
_HELD: Final = Text("the keystore opens", "密钥库可打开")
_SCHEME: Final = Text("key scheme", "密钥方案")
_CHECK_VALUE: Final = Text("check value", "校验值")

_origin = click.option("--origin", is_flag=True, help="Show where each value came from, too.")


@group("config", configured=True, example="pos-engine config show --origin\npos-engine config check")
def config(output: Output, settings: Settings) -> Exit:
    """Show the configuration in force, or check it.

    Without a sub-command, it is shown. A key comes from the strongest of: --set, POS_ENGINE_<SECTION>_<KEY>, the file
    of --config or POS_ENGINE_CONFIG, ./pos-engine.toml, $XDG_CONFIG_HOME/pos-engine/, /etc/pos-engine/, its default.
    """
    return _show(output, settings.load(), origin=False)


@command("show", configured=True, example="pos-engine config show --origin\npos-engine config show --json")
@_origin
def show(output: Output, settings: Settings, *, origin: bool) -> Exit:
    """Show every key with the value in force."""
    return _show(output, settings.load(), origin=origin)


def _show(output: Output, loaded: Config, *, origin: bool) -> Exit:
    if output.as_json:
        output.json({"keys": _keys_json(loaded)})
        return Exit.DONE
    from pos_engine.config.keys import KEYS

    heads = [output.say(head) for head in (_KEY, _VALUE, _ORIGIN)]
    rows = [(key.name, _written(loaded, key), loaded.origins[key.name]) for key in KEYS]
    width = len(heads) if origin else len(heads) - 1
    output.table(heads[:width], [row[:width] for row in rows])
    if not _scheme(loaded).verified:
        _tell_scheme(output, loaded)
    return Exit.DONE


@command("check", configured=True, example="pos-engine config check\npos-engine config check --config new.toml --json")
def check(output: Output, settings: Settings) -> Exit:
    """Check the configuration: every key, and what it names.

    Shows each key with its value, where that came from and what is allowed. Opens the keystore and makes the devices;
    the journal is left to `journal verify`, and the acquirer to `echo`. What is wrong is one line that names place, key
    and allowed range, and exit code 6.
    """
    from pos_engine.assembly import rehearse
    from pos_engine.config.keys import KEYS
    from pos_engine.system import harden_process

    loaded = settings.load()
    harden_process()
    held = rehearse(loaded)
    if output.as_json:
        scheme = _scheme(loaded)
        keystore = [{"name": name, "check_value": value} for name, value in held]
        named = {"name": scheme.name, "title": text_json(scheme.title), "verified": scheme.verified}
        output.json({"sound": True, "keys": _keys_json(loaded), "keystore": keystore, "key_scheme": named})
        return Exit.DONE
    output.table(
        [output.say(head) for head in (_KEY, _VALUE, _ORIGIN, _ALLOWED)],
        [(key.name, _written(loaded, key), loaded.origins[key.name], key.allowed) for key in KEYS],
    )
    values = "  ".join(f"{name} {output.say(_CHECK_VALUE)} {value}" for name, value in held)
    output.line(f"{output.say(_HELD)}: {values}")
    _tell_scheme(output, loaded)
    output.line(output.say(_SOUND))
    return Exit.DONE


def _scheme(loaded: Config) -> KeyScheme:
    from pos_engine.dialects.registry import DIALECTS

    return DIALECTS[loaded.dialect].schemes[loaded.key_scheme]


def _tell_scheme(output: Output, loaded: Config) -> None:
    """Tell what is done with keys, and whether any public source confirms that."""
    from pos_engine.dialects.base import UNVERIFIED

    scheme = _scheme(loaded)
    caveat = "" if scheme.verified else f" ({output.say(UNVERIFIED)})"
    output.line(f"{output.say(_SCHEME)}: {scheme.name}, {output.say(scheme.title)}{caveat}")


def _written(loaded: Config, key: Key) -> str:
    """Return a key's value as a person would write it."""
    value = getattr(loaded, key.attribute)
    if value is None:
        return _UNSET
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _keys_json(loaded: Config) -> list[dict[str, object]]:
    from pos_engine.config.keys import KEYS

    return [
        {
            "key": key.name,
            "value": str(value) if isinstance(value := getattr(loaded, key.attribute), Path) else value,
            "origin": loaded.origins[key.name],
            "default": key.default,
            "allowed": key.allowed,
            "required": key.required,
            "about": text_json(key.help),
        }
        for key in KEYS
    ]


config.add_command(show)
config.add_command(check)
