"""Words of a command line: what they mean, and the line for those that mean nothing."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest

from gpuassay.arguments import at_least, path, positive, text


def test_a_home_folder_is_meant_wherever_the_shell_leaves_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Red when `--run-dir=~/x` makes a folder called `~`, or a file of that name cannot be named any more."""
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "~there").touch()
    cases = {"~/x": "/home/me/x", "~": "/home/me", "a/~/b": "a/~/b", "./~": "./~", "~there": "~there", " a b": " a b"}
    assert {word: path(word) for word in cases} == cases
    with pytest.raises(argparse.ArgumentTypeError, match="nobody's home folder"):
        path("~nosuchuser/x")


@pytest.mark.parametrize("word", ["", " ", "\t\n"])
def test_an_empty_value_is_told(word: str) -> None:
    """Red when an unset variable of the shell is taken for "not given", or for the current folder."""
    for kind in (path, text):
        with pytest.raises(argparse.ArgumentTypeError, match="the value is empty"):
            kind(word)


@pytest.mark.parametrize(
    ("kind", "word", "value"),
    [
        (at_least(1), "7", 7),
        (at_least(0, 5000), "5000", 5000),
        (at_least(1), "0", "must be at least 1"),
        (at_least(0), "-3", "must be at least 0"),
        (at_least(0, 5000), "5001", "must be at most 5000"),
        (at_least(0), "9" * 5000, "must be at most"),
        (positive, "0.5", 0.5),
        (positive, "1e3", 1000.0),
        *((positive, word, "no number above 0") for word in ("0", "-1", "nan", "inf", "1e300", "", "much", "1,5")),
    ],
)
def test_numbers_are_within_bounds(kind: Any, word: str, value: float | str) -> None:
    """Red when a number that no cluster can have, or no number at all, is taken."""
    if isinstance(value, str):
        with pytest.raises(argparse.ArgumentTypeError, match=value):
            kind(word)
    else:
        assert kind(word) == value
