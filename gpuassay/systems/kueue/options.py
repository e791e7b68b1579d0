"""What the command line asks of Kueue's scenarios."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gpuassay.arguments import at_least, path, text
from gpuassay.settings import Settings

if TYPE_CHECKING:
    import pytest

    from gpuassay.systems.kueue.objects.walks import Walk


FIRST_SEED = 1
"""Of the sample that every run takes."""


@dataclass
class Chosen:
    """What was asked.

    Attributes:
        restarts: Kueue is restarted at the end of every scenario.
        walk: seed of the first random walk, the others follow it.
        walk_again: a walk from a file, to be taken instead.
        walk_minutes: how long walks go on, from seed to seed; 0: one round.
        walks_asked: whether any of this was asked for; else there is the sample that every run takes.
        own_gpus: arms of Table 3 have the GPUs of the cluster's own nodes.
        job_command: what their jobs run on real nodes instead of sleeping, "" for nothing.
    """

    restarts: bool = False
    walk: int = FIRST_SEED
    walk_again: Walk | None = None
    walk_minutes: float = 0.0
    walks_asked: bool = False
    own_gpus: bool = False
    job_command: str = ""


WALKS = "random-walks"
"""Capability: Kueue is a process of the run's own, which random walks restart."""

CHOSEN = Chosen()
"""Of this run; set once, before anything is acted out."""


def _walk(word: str) -> str:
    """A seed or a file that holds a walk; it stays text: pytest-xdist hands the options to its workers."""
    given = path(word)
    if not given.isdecimal():
        _read(given)
    elif len(given) > 12:
        raise argparse.ArgumentTypeError(f"{given}: a seed has at most 12 digits")
    return given


def _minutes(word: str) -> int:
    return at_least(0, 7 * 24 * 60)(text(word))


def _read(given: str) -> Walk:
    from gpuassay.systems.kueue.objects.walks import read

    try:
        return read(Path(given))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"neither a seed nor a walk: {error}") from None


def add_options(group: pytest.OptionGroup) -> None:
    """Kueue's own options."""
    group.addoption(
        "--restart-kueue",
        action="store_true",
        help="restart Kueue at the end of every scenario of it, one at a time: all must be as before (a nightly run)",
    )
    group.addoption(
        "--kueue-walk",
        metavar="SEED|FILE",
        type=_walk,
        help="Kueue's random walks: the first from this seed, or the one in this file again",
    )
    group.addoption(
        "--kueue-walk-minutes",
        metavar="MINUTES",
        type=_minutes,
        default=0,
        help="go on with random walks of Kueue for so many minutes, from seed to seed (default: one round)",
    )
    group.addoption(
        "--own-gpus",
        action="store_true",
        help="existing cluster: Table 3 on its nodes that offer exactly eight nvidia.com/gpu, all free, an arm on each",
    )
    group.addoption(
        "--job-command",
        metavar="COMMAND",
        type=_command,
        help="existing cluster: what Table 3's jobs run in --gpuassay-image, with {seconds} for their time "
        "(default: sleep {seconds})",
    )


def _command(word: str) -> str:
    if "{seconds}" not in text(word):
        raise argparse.ArgumentTypeError("say by {seconds} where the time of a job goes, such as 'burn {seconds}'")
    return word


def take(settings: Settings) -> None:
    """Keep what was asked.

    Raises:
        pytest.UsageError: something is asked that only a cluster of somebody's has.
    """
    for name in ("own_gpus", "job_command"):
        if settings.option(name) and not settings.existing:
            from pytest import UsageError

            raise UsageError(
                f"gpuassay: --{name.replace('_', '-')}: only with --cluster existing, whose pods really run"
            )
    given = settings.option("kueue_walk")
    CHOSEN.restarts = bool(settings.option("restart_kueue"))
    CHOSEN.walk = int(given) if given is not None and given.isdecimal() else FIRST_SEED
    CHOSEN.walk_again = None if given is None or given.isdecimal() else _read(given)
    CHOSEN.walk_minutes = float(settings.option("kueue_walk_minutes") or 0)
    CHOSEN.walks_asked = given is not None or CHOSEN.walk_minutes > 0
    CHOSEN.own_gpus = bool(settings.option("own_gpus"))
    CHOSEN.job_command = settings.option("job_command") or ""
