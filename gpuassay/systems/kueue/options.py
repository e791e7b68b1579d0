"""What the command line asks of Kueue's scenarios."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpuassay.arguments import at_least, text
from gpuassay.settings import Settings

if TYPE_CHECKING:
    import pytest


@dataclass
class Chosen:
    """What was asked.

    Attributes:
        restarts: Kueue is restarted at the end of every scenario.
        walk: seed of the first random walk, the others follow it; None: there are no walks.
    """

    restarts: bool = False
    walk: int | None = None


WALKS = "random-walks"
"""Capability: random walks were asked for."""

CHOSEN = Chosen()
"""Of this run; set once, before anything is acted out."""


def _seed(word: str) -> int:
    return at_least(0)(text(word))


def add_options(group: pytest.OptionGroup) -> None:
    """Kueue's own options."""
    group.addoption(
        "--restart-kueue",
        action="store_true",
        help="restart Kueue at the end of every scenario of it, one at a time: all must be as before (a nightly run)",
    )
    group.addoption(
        "--kueue-walk",
        metavar="SEED",
        type=_seed,
        help="act out Kueue's random walks, the first from this seed",
    )


def take(settings: Settings) -> None:
    """Keep what was asked."""
    CHOSEN.restarts = bool(settings.option("restart_kueue"))
    CHOSEN.walk = settings.option("kueue_walk")
