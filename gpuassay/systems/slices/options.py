"""What the command line asks of scenarios of slices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpuassay.arguments import at_least, text
from gpuassay.settings import Settings

if TYPE_CHECKING:
    import pytest

SEED = 1
"""From which the default run's cases are made."""


@dataclass
class Chosen:
    """What was asked; `seed` is that of the allocator's cases."""

    seed: int = SEED


CHOSEN = Chosen()
"""Of this run; set once, before anything is acted out."""


def _seed(word: str) -> int:
    return at_least(0)(text(word))


def add_options(group: pytest.OptionGroup) -> None:
    """Options of slices."""
    group.addoption(
        "--slices-seed", metavar="SEED", type=_seed, help=f"make the allocator's cases from this seed (default: {SEED})"
    )


def take(settings: Settings) -> None:
    """Keep what was asked."""
    asked = settings.option("slices_seed")
    CHOSEN.seed = SEED if asked is None else asked
