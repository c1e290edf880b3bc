from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from pos_engine.errors import ConfigError
from simulators import scenario_files
from simulators.scenario_files import read_scenario, ready_made

if TYPE_CHECKING:
    from pathlib import Path

RULE = '[[rule]]\nname = "a"\naction = "drop"\n'


@pytest.mark.parametrize("name", ready_made())
def test_a_ready_made_scenario_is_read_by_its_name_or_its_path(name: str) -> None:
    assert read_scenario(name).rules
    assert read_scenario(name) == read_scenario(ready_made()[name])


def test_a_file_is_read_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "slow"
    path.write_text(RULE, encoding="utf-8")
    assert [rule.name for rule in read_scenario(path).rules] == ["a"]
    assert [rule.name for rule in read_scenario(str(path)).rules] == ["a"]


def test_an_error_in_a_file_names_its_path_and_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f"\n\n{RULE}times = 0\n", encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        read_scenario(path)
    assert str(refused.value) == f'{path}:6: rule "a": times: takes a whole number from 1 to 1000000'


def test_what_cannot_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe")
    os.mkfifo(tmp_path / "pipe.toml")
    monkeypatch.setattr(scenario_files, "FILE_BYTES_MAX", 10)
    (tmp_path / "long.toml").write_text("#" * 11, encoding="utf-8")
    for name, reason in (
        ("slov", f"slov: cannot be read: no such file or directory; ready-made are {', '.join(ready_made())}"),
        ("slov.toml", "slov.toml: cannot be read: no such file or directory"),
        (str(tmp_path), f"{tmp_path}: cannot be read: is a directory; ready-made are {', '.join(ready_made())}"),
        ("binary.toml", "binary.toml: is not text of a scenario's size"),
        ("long.toml", "long.toml: is not text of a scenario's size"),
    ):
        with pytest.raises(ConfigError) as refused:
            read_scenario(name)
        assert str(refused.value) == reason
    # Nobody writes into the pipe, so there is no rule in it; what counts is that nobody waits.
    assert read_scenario("pipe.toml").rules == ()
