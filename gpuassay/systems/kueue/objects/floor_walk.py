"""Draws random walks over a floor of nodes in racks and blocks: work with topology wishes, and nodes that come and go.

Pure; the steps are those of `objects.walks`.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from gpuassay.systems.kueue.objects.walks import Site, Step, Walk

ACTS: Mapping[str, int] = {
    "place": 12, "finish": 5, "delete": 2, "end-evictions": 4,
    "cordon": 2, "uncordon": 3, "taint": 2, "untaint": 3, "drop": 2, "restore": 3, "foreign": 3, "foreign-gone": 3,
}  # fmt: skip
"""What a step may be, and how often."""

RACKS = {"r1": "b1", "r10": "b1", "r1-2": "b10", "r2": "b10"}
"""Block of each rack; names begin with the names of others."""
PER_RACK = 2
EACH = 4
"""GPUs of a node."""
MODES = ("required", "preferred", "unconstrained")
LEVELS = ("host", "rack", "block")

_PAUSES = (0.0, 0.3, 0.3, 0.6, 1.2)


def walk(seed: int, length: int) -> Walk:
    """The walk of a seed; a longer one of the same seed begins with the same steps."""
    dice = random.Random(f"floor {seed}")
    steps: list[Step] = []
    for number in range(length):
        act = "place" if number < 3 else dice.choices([*ACTS], [*ACTS.values()])[0]
        steps.append(Step(act, "", dice.randrange(1000), _value(act, dice), dice.choice(_PAUSES)))
    return Walk(seed, Site({}, {}, {}, {}), steps)


def _value(act: str, dice: random.Random) -> Any:
    match act:
        case "place":
            mode = dice.choice(MODES)
            return {
                "pods": dice.choice([1, 1, 2, 3, 4, 6]),
                "gpus": dice.choice([1, 1, 2, 2, 3, 4]),
                "mode": mode,
                "level": "" if mode == "unconstrained" else dice.choice(LEVELS),
            }
        case "foreign":
            return dice.choice([1, 2, 4])
        case _:
            return None
