"""What the command line asks of Kueue's scenarios."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


@dataclass
class Chosen:
    """What was asked.

    Attributes:
        restarts: Kueue is restarted at the end of every scenario.
    """

    restarts: bool = False


CHOSEN = Chosen()
"""Of this run; set once, before anything is acted out."""


def add_options(group: pytest.OptionGroup) -> None:
    """Kueue's own options."""
    group.addoption(
        "--restart-kueue",
        action="store_true",
        help="restart Kueue at the end of every scenario of it, one at a time: all must be as before (a nightly run)",
    )


def take(option: argparse.Namespace) -> None:
    """Keep what was asked."""
    CHOSEN.restarts = bool(vars(option).get("restart_kueue"))
