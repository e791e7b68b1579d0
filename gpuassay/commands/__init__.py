"""Sub-commands of `gpuassay`, one module each: `add(subparsers)` declares it and names the function that runs it."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import TypeAlias

SubParsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # pyright: ignore[reportPrivateUsage]
"""What `ArgumentParser.add_subparsers` returns. It has no public name, and only type checkers may subscript it."""


def at_least(smallest: int) -> Callable[[str], int]:
    """A type of arguments for argparse: integers from `smallest` on."""

    def integer(text: str) -> int:  # argparse shows this name: "invalid integer value: 'x'"
        value = int(text)
        if value < smallest:
            raise argparse.ArgumentTypeError(f"must be at least {smallest}")
        return value

    return integer


def positive(text: str) -> float:
    """A type of arguments for argparse: finite numbers above zero."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return value
