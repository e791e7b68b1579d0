"""Run times of jobs like the paper's (arXiv 2602.04900): medium and large ones, drawn by seed."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class RunTimes:
    """Normal run times in seconds at full scale, cut off at `least`."""

    mean: float
    deviation: float
    least: float

    def draw(self, source: random.Random) -> float:
        """One run time (s)."""
        return max(self.least, source.gauss(self.mean, self.deviation))


MEDIUM = RunTimes(400, 100, 90)
LARGE = RunTimes(1080, 500, 200)


def runtimes(seed: int, scale: float = 1.0, each: int = 16) -> tuple[list[float], list[float]]:
    """Run times in seconds of `each` medium and `each` large jobs, times `scale` (1/30: quick mode).

    The same seed gives the same times at every scale. Raises ValueError unless scale > 0 and each >= 1.
    """
    if not scale > 0 or each < 1:
        raise ValueError(f"run times need scale > 0 and each >= 1, not {scale} and {each}")
    source = random.Random(seed)
    return (
        [MEDIUM.draw(source) * scale for _ in range(each)],
        [LARGE.draw(source) * scale for _ in range(each)],
    )
