"""Words of a command line as values: types of arguments for argparse, and so for pytest's options.

Each raises `argparse.ArgumentTypeError`, which both show as one line that names the option.
"""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable
from pathlib import Path


def text(word: str) -> str:
    """A value that is there: `--replay=$RUN` with an unset variable must not mean "no replay"."""
    if not word.strip():
        raise argparse.ArgumentTypeError("the value is empty; is a variable of the shell unset?")
    return word


def path(word: str) -> str:
    """A path, with `~` as the home folder: shells leave it alone behind `=` and inside quotes.

    It stays text: pytest-xdist hands the options to its workers, which take nothing else.
    """
    given = text(word)
    if "\0" in given:
        raise argparse.ArgumentTypeError("a path holds no NUL character")
    if not given.startswith("~"):
        return given
    expanded = os.path.expanduser(given)
    if expanded == given and not os.path.lexists(given):
        raise argparse.ArgumentTypeError(f"{given}: nobody's home folder is known by that name; write the path in full")
    return expanded


def place(word: str) -> Path:
    """As `path`, for commands of ours."""
    return Path(path(word))


def at_least(smallest: int, largest: int = 10**9) -> Callable[[str], int]:
    """A type of arguments for argparse: integers from `smallest` to `largest`."""

    def integer(word: str) -> int:  # argparse shows this name: "invalid integer value: 'x'"
        value = int(word) if len(word) <= 20 else largest + 1
        if value < smallest:
            raise argparse.ArgumentTypeError(f"must be at least {smallest}")
        if value > largest:
            raise argparse.ArgumentTypeError(f"must be at most {largest}")
        return value

    return integer


LONGEST = 365 * 86400.0
"""Seconds that somebody may mean to wait: longer than any run, and short enough for every clock."""


def positive(word: str) -> float:
    """A type of arguments for argparse: numbers above zero, at most `LONGEST`."""
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not 0 < value <= LONGEST:
        raise argparse.ArgumentTypeError(f"{word!r} is no number above 0 and up to {LONGEST:g}")
    return value
