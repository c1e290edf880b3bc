"""Nothing in the repository could be a secret: card numbers are test numbers, keys are published, no place is named."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from tests.quality.tree import ROOT, Source, texts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Cards made up for this project: no issuer has this range.
TEST_BIN = "622999"
# Numbers and hexadecimal values that were published by others, each with where; see the file's head.
PUBLISHED = {
    row["value"]: row["source"]
    for row in tomllib.loads((ROOT / "tests/quality/published.toml").read_text()).get("published", [])
}

# A card number as a person or a program writes it: alone, in groups of four, or as track 2 with separator and expiry.
_PLAIN = re.compile(r"(?<![0-9A-Za-z.])\d{13,19}(?![0-9A-Za-z]|\.\d)")
_GROUPED = re.compile(r"(?<![\d-])\d{4}([ -])\d{4}\1\d{4}\1\d{4}(?:\1\d{1,3})?(?![\d-])")
_TRACK_2 = re.compile(r"(?<!\d)(\d{13,19})[D=]\d\d(?:0[1-9]|1[0-2])", re.IGNORECASE)
# As a message carries it, packed: field 2 behind the bitmap or at the start, track 2 behind its length, EMV's tag 5A.
_HEX = re.compile(r"(?<![0-9A-Za-z])(?:[0-9A-Fa-f]{2}){8,}(?![0-9A-Za-z])")
# Each pattern finds a length and digits; the length is in the given base, and stands for so many digits each.
_PACKED = (
    (re.compile(r"(?:^|0[1-8]\d0(?:[4-7][0-9A-F]{15}|[C-F][0-9A-F]{31}))(1[3-9])(\d{13,19})", re.IGNORECASE), 10, 1),
    (re.compile(r"(?=([23]\d)(\d{13,19})[D=]\d\d(?:0[1-9]|1[0-2]))", re.IGNORECASE), 10, 1),
    (re.compile(r"(?=5A(0[789A])(\d{13,20}))", re.IGNORECASE), 16, 2),
)
# The first digits that some card scheme uses, those with a 2 from sixteen digits on (field 60 starts with 22 and is
# shorter); and not eight zeros in a row, which no customer's account has.
_ISSUED = re.compile(r"(?!\d*0{8})(?:[3-9]|2[2-7]\d{14})")
# Published messages hold numbers of every kind. There, a card number is looked for where it can stand: in the packed
# bytes, in track 2, and beside the name of a field that carries one.
_VECTORS = "tests/vectors/"
_NAMED = re.compile(r'"(?:F?0*2|pan|card)"\s*:\s*"(\d{13,19})"', re.IGNORECASE)

# Eight, sixteen or twenty-four bytes in hexadecimal: the size of a key.
_KEY = re.compile(r"(?<![0-9A-Za-z_+/=-])(?:[0-9A-Fa-f]{48}|[0-9A-Fa-f]{32}|[0-9A-Fa-f]{16})(?![0-9A-Za-z_+/=-])")
_KEY_FILES = (".py", ".md", ".toml")
_HALF = 16
# A value with so few different bytes, or with mostly the same step from one to the next, was typed and not drawn.
_TYPED_BYTES_MAX = 5

# One letter of each name is a class, so that these lines do not find themselves.
_PLACES = re.compile(
    r"/(?:work/(?:main|shared|\.)|ro[o]t/|home/[a-z])|://[^/\s]*(?:py[p]i|python[h]osted|npm[j]s|deb[i]an)\."
    r"|\b(?:py[p]i\.org|registry\.npm[j]s)",
)


def passes_luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of the others."""
    doubled = (int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits)))
    return sum(value // 10 + value % 10 for value in doubled) % 10 == 0


def _card_numbers(source: Source) -> Iterator[str]:
    """Every digit string that is written, packed or swiped like a card number."""
    text = source.text
    yield from (found[1] for found in _NAMED.finditer(text))
    yield from (found[1] for found in _TRACK_2.finditer(text))
    if not source.path.startswith(_VECTORS):
        yield from (found[0] for found in _PLAIN.finditer(text))
        yield from (re.sub(r"\D", "", found[0]) for found in _GROUPED.finditer(text))
    for run in _HEX.finditer(text):
        yield from _packed(run[0])


def _packed(run: str) -> Iterator[str]:
    """Card numbers inside the hexadecimal form of a message, in packed digits or in characters."""
    yield from (found[1] for found in _TRACK_2.finditer(bytes.fromhex(run).decode("latin-1")))
    for pattern, base, digits_each in _PACKED:
        yield from (found[2][: int(found[1], base) * digits_each] for found in pattern.finditer(run))


def cards(source: Source) -> Iterator[str]:
    """Card numbers that could be somebody's."""
    for number in sorted(set(_card_numbers(source))):
        could_be = passes_luhn(number) and _ISSUED.match(number) and not number.startswith(TEST_BIN)
        if could_be and number not in PUBLISHED:
            yield f"{source.path}: a card number, {number[:6]}...{number[-4:]}"


@cache
def _vector_values() -> frozenset[str]:
    """Values of a key's size in the published vectors, each of which names its source."""
    vectors = [source.text for source in texts() if source.path.startswith(_VECTORS) and source.path.endswith(".json")]
    return frozenset(found[0].upper() for text in vectors for found in _KEY.finditer(text))


def _was_typed(half: str) -> bool:
    octets = list(bytes.fromhex(half))
    digits = [int(digit, 16) for digit in half]
    return len(set(octets)) <= _TYPED_BYTES_MAX or _is_steady(octets, 256) or _is_steady(digits, 16)


def _is_steady(values: list[int], modulus: int) -> bool:
    """Whether more than half of the steps between neighbours are the same."""
    steps = Counter((after - before) % modulus for before, after in pairwise(values))
    return steps.most_common(1)[0][1] * 2 > steps.total()


def keys(source: Source) -> Iterator[str]:
    """Values of a key's size that are neither published nor visibly made up."""
    if not source.path.endswith(_KEY_FILES):
        return
    for value in sorted({found[0].upper() for found in _KEY.finditer(source.text)} - _vector_values()):
        halves = [value[place : place + _HALF] for place in range(0, len(value), _HALF)]
        is_known = value in PUBLISHED or all(half in PUBLISHED or _was_typed(half) for half in halves)
        if not is_known and TEST_BIN not in value:
            yield f"{source.path}: a value of a key's size, {value[:4]}...{value[-4:]}"


def places(source: Source) -> Iterator[str]:
    """Paths of one machine, and hosts that packages come from."""
    for number, line in enumerate(source.text.splitlines(), 1):
        if _PLACES.search(line):
            yield f"{source.path}:{number}: names a machine's path or a package host"


@pytest.mark.parametrize("check", [cards, keys, places])
def test_the_repository_holds_no_secret(check: Callable[[Source], Iterator[str]]) -> None:
    assert [fault for source in texts() for fault in check(source)] == []


def test_every_published_value_has_its_source_and_its_use() -> None:
    own = "tests/quality/published.toml"
    everything = "\n".join(source.text.upper() for source in texts() if source.path != own)
    assert [value for value, source in PUBLISHED.items() if not source.strip() or value not in everything] == []


# Numbers that only show the checker at work are put together here, so that the file itself stays clean.
REAL_LOOKING = "4" + "539148803436467"
KEY_LOOKING = "8F3A" + "19C2D47B60E5"


@pytest.mark.parametrize(
    ("check", "path", "text"),
    [
        (cards, "docs/a.md", f"card {REAL_LOOKING}."),
        (cards, "docs/a.md", f"{REAL_LOOKING[:4]} {REAL_LOOKING[4:8]} {REAL_LOOKING[8:12]} {REAL_LOOKING[12:]}"),
        (cards, "tests/vectors/a.json", f'"0200702406C020C0981016{REAL_LOOKING}000000"'),
        (cards, "tests/vectors/a.json", f'"60000100000200F02406C020C09810{"00" * 8}16{REAL_LOOKING}000000"'),
        (cards, "tests/vectors/a.json", f'"16{REAL_LOOKING}"'),
        (cards, "tests/vectors/a.json", f'"2": "{REAL_LOOKING}"'),
        (cards, "tests/vectors/a.json", f'"{REAL_LOOKING}D2512201"'),
        (cards, "tests/vectors/a.json", f'"00010634{REAL_LOOKING}D25122011234567890"'),
        (cards, "tests/vectors/a.json", f'"9F3602001A5A08{REAL_LOOKING}5F3401"'),
        (cards, "tests/a.py", (f"..{REAL_LOOKING}=2512").encode().hex()),
        (keys, "tests/a.py", f'KEY = "{KEY_LOOKING}"'),
        (keys, "README.md", f"`{KEY_LOOKING.lower()}0123456789ABCDEF`"),
        (keys, "a.toml", f'tmk = "{KEY_LOOKING * 3}"'),
        (places, "docs/a.md", "see /wo" + "rk/main/README.md"),
        (places, "constraints.txt", "--index-url https://py" + "pi.example/simple"),
    ],
)
def test_a_planted_secret_is_seen(check: Callable[[Source], Iterator[str]], path: str, text: str) -> None:
    assert len(list(check(Source(path, text)))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "6229990000000003",
        "0123456789ABCDEFFEDCBA9876543210",
        "1111111111111111",
        "a commit 0a1b2c3d4e5f60718293a4b5c6d7e8f901234567, a time 20260101120000",
    ],
)
def test_what_is_made_up_passes(text: str) -> None:
    assert [fault for check in (cards, keys, places) for fault in check(Source("tests/a.py", text))] == []
