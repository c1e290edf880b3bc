"""The configuration: a table of keys, the places each may be set in, and one frozen `Config` that comes of them.

Strongest first, key by key: flag, POS_ENGINE_<SECTION>_<KEY>, the file named by --config or POS_ENGINE_CONFIG,
./pos-engine.toml, $XDG_CONFIG_HOME/pos-engine/pos-engine.toml, /etc/pos-engine/pos-engine.toml, default. What is
unknown or out of range is an error that names the place, the key and what is allowed; it never repeats the value.
Secrets are not configured: the file holds paths to them.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal

from pos_engine.config.address import parse_addresses
from pos_engine.config.keys import BY_NAME, FILE_SCHEME, KEYS, PREFIX, SCHEMES, SECTIONS
from pos_engine.dialects.registry import DIALECTS
from pos_engine.errors import ConfigError, UsageError
from pos_engine.session.contingency import Act, Contingency

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pos_engine.config.address import Address
    from pos_engine.config.keys import Key, Value
    from pos_engine.values import Language

FILE_NAME: Final = "pos-engine.toml"
SYSTEM_FILE: Final = Path("/etc/pos-engine") / FILE_NAME
CONFIG_VARIABLE: Final = "POS_ENGINE_CONFIG"
FLAG: Final = "flag"
DEFAULT: Final = "default"

FILE_BYTES_MAX: Final = 65_536
"""A configuration is a page of text; a larger file is another file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A checked configuration.

    Paths are absolute, times are seconds; `tpdu` and `header` are digits, `None` where the dialect has none. Without a
    `mark` the journal's high-water mark lies beside it.
    """

    terminal_id: str
    merchant_id: str
    operator: str
    dialect: str
    production: bool
    address: str
    """One or more roads to the host, as `addresses` reads them."""
    key_scheme: str
    framing: str
    tpdu: str | None
    header: str | None
    ca: Path | None
    certificate: Path | None
    connect_timeout_s: float
    answer_timeout_s: float
    unsigned_decline: Literal["accept", "reverse"]
    unsigned_reversal: Literal["accept", "repeat"]
    sign_on_age_max_s: float
    sign_on_lead_s: float
    sign_on_host_day: bool
    sign_on_exchanges_max: float | None
    busy_hours: str | None
    contingency: str | None
    repeat_refused: str
    transaction_max: str | None
    day_max: str | None
    card_day_max: str | None
    journal: Path
    mark: Path | None
    keystore: Path
    wrapping_key: Path | str
    """A file, or "credential:NAME", "passphrase" or "passphrase:DESCRIPTOR"."""
    reader: Literal["console", "simulated"]
    pin_pad: Literal["console", "simulated", "none"]
    card: str | None
    origins: Mapping[str, str] = field(repr=False)
    """Where each key's value came from: "flag", an environment variable, a file's path or "default"."""

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The roads to the host, the one to be preferred first."""
        return parse_addresses(self.address)


@dataclass(frozen=True, slots=True)
class _Layer:
    """One place that sets keys: relative paths start from `base`; where it is `textual`, "5" is a number too."""

    origin: str | None
    base: Path
    values: Mapping[str, object]
    textual: bool

    def origin_of(self, key: Key) -> str:
        return self.origin or key.variable


def load(
    path: Path | str | None = None,
    *,
    overrides: Mapping[str, Value] | None = None,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Config:
    """Find, read and check the configuration; raises `ConfigError`.

    `path` is the file of `--config`, `overrides` the flags by key ("acquirer.address"); `environment` and `folder`
    stand for the process's own variables and working directory.
    """
    environment = os.environ if environment is None else environment
    folder = (folder or Path.cwd()).absolute()
    files = [_read(file) for file in _files(path, environment, folder)]
    flags = _Layer(FLAG, folder, _known(dict(overrides or {}), FLAG), textual=True)
    layers = [flags, _Layer(None, folder, _variables(environment), textual=True), *files]
    return _settled(layers, files[0].base if files else folder, searched=not files)


def settle(values: Mapping[str, Value], *, folder: Path) -> Config:
    """Check values by key ("terminal.id") as `load` does, without looking at any file or variable.

    Relative paths start from `folder`. Raises `ConfigError`.
    """
    given = _Layer(FLAG, folder, _known(dict(values), FLAG), textual=False)
    return _settled([given], folder, searched=False)


def _settled(layers: Iterable[_Layer], base: Path, *, searched: bool) -> Config:
    """Take every key from the strongest layer that sets it, and check them together."""
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for key in KEYS:
        values[key.attribute], origins[key.name] = _value(key, layers, base, searched=searched)
    _settle_framing(values, origins)
    _refuse_contradictions(values, origins)
    return Config(**values, origins=MappingProxyType(origins))


def template(values: Mapping[str, Value], *, language: Language = "en") -> str:
    """Write a configuration file: `values` (by key) are set, every other key is a comment. `load` reads it back.

    Raises `ConfigError` for a value that `load` would refuse.
    """
    known = _known(dict(values), FLAG)
    lines = []
    for section in SECTIONS:
        lines += ["", f"[{section}]"]
        for key in (each for each in KEYS if each.section == section):
            lines.append(f"# {key.help.say(language)}: {key.allowed}")
            name = key.name.partition(".")[2]
            if key.name in known:
                _checked(key, known[key.name], FLAG, textual=False)
                lines.append(f"{name} = {_toml(known[key.name])}")
            else:
                lines.append(f"# {name} = {'' if key.default is None else _toml(key.default)}".rstrip())
    return "\n".join(lines[1:]) + "\n"


def _toml(value: object) -> str:
    # JSON's strings, numbers and truth values are TOML's, for text without control characters.
    return json.dumps(value, ensure_ascii=False)


def _files(path: Path | str | None, environment: Mapping[str, str], folder: Path) -> Iterator[Path]:
    """Name the files to read, strongest first: the one that was asked for must be there, the others may."""
    asked = path if path is not None else environment.get(CONFIG_VARIABLE) or None
    if asked is not None:
        yield folder / asked
    user = environment.get("XDG_CONFIG_HOME") or (f"{environment['HOME']}/.config" if environment.get("HOME") else "")
    places = [folder / FILE_NAME, *([folder / user / "pos-engine" / FILE_NAME] if user else []), SYSTEM_FILE]
    for place in places:
        if _is_there(place) and (asked is None or place.resolve() != (folder / asked).resolve()):
            yield place


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        # A folder that this user may not enter holds nothing for this user.
        return False


def _read(path: Path) -> _Layer:
    """Read one file; whatever is wrong with it is a `ConfigError` that names it."""
    document: dict[str, Any] = {}
    reason = None
    try:
        document = tomllib.loads(_text(path))
    except OSError as error:
        hint = f"; {_ADVICE}" if isinstance(error, FileNotFoundError) else ""
        reason = f"{path}: cannot be read: {(error.strerror or 'not a file').lower()}{hint}"
    except UnicodeDecodeError:
        reason = f"{path}: is not UTF-8 text"
    except tomllib.TOMLDecodeError as error:
        reason = f"{path}: is not TOML: {error}"
    except (RecursionError, ValueError):
        reason = f"{path}: is not a configuration file"
    if reason is not None:
        raise ConfigError(reason)
    return _Layer(str(path), path.parent.absolute(), _known(dict(_flat(document, str(path))), str(path)), textual=False)


def _text(path: Path) -> str:
    # Opened without waiting, because a plain open would wait for ever on a named pipe.
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        data = file.read(FILE_BYTES_MAX + 1)
    if len(data) > FILE_BYTES_MAX:
        reason = "too large"
        raise ValueError(reason)
    return data.decode()


_ADVICE: Final = "`pos-engine init --simulated` writes a configuration to try things with"


def _flat(document: Mapping[str, object], origin: str) -> Iterator[tuple[str, object]]:
    """Turn sections of keys into "section.key"; anything else at the top is no configuration."""
    for section, content in document.items():
        if section not in SECTIONS:
            listed = ", ".join(f"[{name}]" for name in SECTIONS)
            reason = f"{origin}: unknown section or key {section!r}; sections are {listed}"
            raise ConfigError(reason)
        if not isinstance(content, dict):
            reason = f"{origin}: {section} is a section, written [{section}]"
            raise ConfigError(reason)
        yield from ((f"{section}.{name}", value) for name, value in content.items())


def _known(values: dict[str, object], origin: str) -> Mapping[str, object]:
    """Refuse keys that do not exist, and name the nearest that does."""
    for name in values:
        if name not in BY_NAME:
            reason = f"{origin}: unknown key {name!r}; {_nearest(name, BY_NAME)}"
            raise ConfigError(reason)
    return values


def _nearest(name: str, known: Iterable[str]) -> str:
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}?" if near else f"keys are {', '.join(known)}"


def _variables(environment: Mapping[str, str]) -> Mapping[str, object]:
    """Collect the environment's keys; a variable that begins like a section's but sets nothing is a mistake."""
    by_variable = {key.variable: key.name for key in KEYS}
    ours = tuple(f"{PREFIX}{section.upper()}_" for section in SECTIONS)
    values: dict[str, object] = {}
    for name, text in environment.items():
        if name in by_variable:
            values[by_variable[name]] = text
        elif name.startswith(ours):
            reason = f"environment: {name} sets no key; {_nearest(name, by_variable)}"
            raise ConfigError(reason)
    return values


def _value(key: Key, layers: Iterable[_Layer], base: Path, *, searched: bool) -> tuple[object, str]:
    """Take a key from the strongest layer that sets it. `searched` says that no file was found at all."""
    for layer in layers:
        if key.name in layer.values:
            origin = layer.origin_of(key)
            value = _checked(key, layer.values[key.name], origin, textual=layer.textual)
            return _placed(key, value, layer.base), origin
    if not key.required:
        is_path = key.type is Path and key.default is not None
        return (base / str(key.default) if is_path else key.default), DEFAULT
    if searched:
        reason = f"there is no {FILE_NAME} here, and {key.name} is not set otherwise; {_ADVICE}"
        raise ConfigError(reason)
    reason = f"{key.name} is not set: {key.help.en}; allowed: {key.allowed}; the configuration is in {base}"
    raise ConfigError(reason)


def _placed(key: Key, value: object, base: Path) -> object:
    """Make a path absolute, unless its text is none."""
    if key.type is not Path:
        return value
    text = str(value)
    if key.pattern is None:
        return base / text
    return text if re.fullmatch(key.pattern, text) else base / text.removeprefix(FILE_SCHEME)


def _checked(key: Key, value: object, origin: str, *, textual: bool) -> object:
    """Return the value in the key's type, or refuse it without repeating it."""
    given = _from_text(key, value) if textual and isinstance(value, str) else value
    fault = _fault(key, given)
    if fault is not None:
        raise _refused(key, origin, f"{fault}; allowed: {key.allowed}")
    if key.bounds is not None:
        if isinstance(given, int | float) and not isinstance(given, bool) and key.bounds[0] <= given <= key.bounds[1]:
            return float(given)
    elif isinstance(given, bool) if key.type is bool else isinstance(given, str) and _fits(key, given):
        return given
    raise _refused(key, origin, f"allowed: {key.allowed}")


def _fault(key: Key, given: object) -> str | None:
    """Say what is wrong with a text that is read to find that out."""
    if key.check is None or not isinstance(given, str):
        return None
    try:
        key.check(given)
    except UsageError as error:
        return str(error)
    return None


def _from_text(key: Key, text: str) -> object:
    """Read what an environment variable says; what it cannot be comes back as text, and is refused as such."""
    if key.type is bool:
        return {"true": True, "false": False}.get(text.lower(), text)
    if key.type is float:
        return float(text) if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text) else text
    return text


def _fits(key: Key, text: str) -> bool:
    if key.choices:
        return text in key.choices
    if key.type is Path:
        return _fits_path(key, text)
    return key.check is not None or (key.pattern is not None and re.fullmatch(key.pattern, text) is not None)


def _fits_path(key: Key, text: str) -> bool:
    if key.pattern is not None:
        if text.startswith(SCHEMES):
            return re.fullmatch(key.pattern, text) is not None
        text = text.removeprefix(FILE_SCHEME)
    return bool(text) and text.isprintable()


def _refused(key: Key, origin: str, why: str) -> ConfigError:
    return ConfigError(f"{origin}: {key.name}: {why}")


def _settle_framing(values: dict[str, Any], origins: Mapping[str, str]) -> None:
    """Fill in the dialect's TPDU and header, and refuse ones that it cannot have."""
    dialect = DIALECTS[values["dialect"]]
    digits = sum(column.width for column in dialect.header.columns) if dialect.header is not None else 0
    widths = {"tpdu": 10 if dialect.tpdu_default is not None else 0, "header": digits}
    usual = {"tpdu": dialect.tpdu_default, "header": dialect.header_default or None}
    for name, width in widths.items():
        given = values[name]
        if given is None:
            values[name] = usual[name]
        elif len(given) != width:
            key = BY_NAME[f"acquirer.{name}"]
            why = f"dialect {dialect.name} has {f'one of {width} digits' if width else 'none'}"
            raise _refused(key, origins[key.name], why)


def _refuse_contradictions(values: Mapping[str, Any], origins: Mapping[str, str]) -> None:
    """Refuse keys that make no sense together."""
    reader, card = values["reader"], values["card"]
    schemes = DIALECTS[values["dialect"]].schemes
    longest_s = max((each.answer_s or 0.0 for each in parse_addresses(values["address"])), default=0.0)
    faults = {
        "acquirer.address": "answer_s of an address is at most acquirer.answer_timeout_s"
        if longest_s > values["answer_timeout_s"]
        else "",
        "acquirer.key_scheme": f"dialect {values['dialect']} has {' or '.join(schemes)}"
        if values["key_scheme"] not in schemes
        else "",
        "peripherals.card": 'goes with peripherals.reader = "simulated", and only with it'
        if (reader == "simulated") != (card is not None)
        else "",
        "peripherals.pin_pad": 'a simulated one needs peripherals.reader = "simulated", because the PIN is the card\'s'
        if values["pin_pad"] == "simulated" and reader != "simulated"
        else "",
        "terminal.production": f"true is refused: {'; '.join(_not_for_production(values))}"
        if values["production"]
        else "",
    }
    for name, fault in faults.items():
        if fault:
            # What is missing stands nowhere; then the place that makes it necessary is named.
            place = origins[name] if origins[name] != DEFAULT else origins["peripherals.reader"]
            raise _refused(BY_NAME[name], place, fault)


def _is_protected(text: str) -> bool:
    try:
        return all(each.is_protected for each in parse_addresses(text))
    except UsageError:
        # What is no address leads nowhere; that is said elsewhere.
        return True


def _not_for_production(values: Mapping[str, Any]) -> Iterator[str]:
    """Say what keeps this configuration from real money. While the keystore is software's, something always does."""
    plan = Contingency.parse(values["contingency"] or Act.REFUSE.value)
    roads = [step.address for step in plan.steps if step.act is Act.ROUTE] if plan is not None else []
    if not all(_is_protected(text) for text in (values["address"], *roads)):
        yield "a link has no verified TLS, which a linear MAC cannot do without"
    yield "the terminal master key is in a software keystore"
    if not DIALECTS[values["dialect"]].schemes[values["key_scheme"]].verified:
        yield f"the key scheme {values['key_scheme']} is unverified"
    if values["reader"] == "console":
        yield "card numbers would be keyed on the console"
    if values["reader"] == "simulated":
        yield "the card reader is simulated"
    if values["pin_pad"] != "none":
        yield f"the PIN pad is {'the console' if values['pin_pad'] == 'console' else 'simulated'}"
