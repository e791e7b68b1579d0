"""Run times of jobs like the paper's (arXiv 2602.04900): medium and large, drawn by seed, or those of its files."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


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

PAPERS_FILES = -1
"""The seed that means: no draw, the recordings that the paper transcribed."""

MEDIUM_AUDIO = (
    3057, 4385, 2104, 3293, 3649, 3556, 3281, 2724, 3772, 2643, 2644, 3391, 1682, 3660, 2656, 4321,
)  # fmt: skip
LARGE_AUDIO = (
    2703, 7407, 3738, 1743, 3819, 1627, 2048, 3961, 3543, 4696, 1259, 3632, 2189, 1695, 3545, 1490,
)  # fmt: skip
"""Seconds of audio of the paper's jobs in the order of their creation: files 0 to 15 and 50 to 65 of Earnings-22 by
name (lengths: metadata.csv of github.com/revdotcom/speech-datasets; indices: the paper's manifests). Their medians are
3,287 s and 3,123 s; Table 2 of the paper prints 3,287 s and 3,120 s."""

SETUP = 72.0
"""Seconds of image, audio and model download before a transcription."""
MEDIUM_MEDIAN, LARGE_MEDIAN = 6.6 * 60, 17.2 * 60
"""Median execution times of Table 3, s: with `SETUP` they give the speed of a transcription."""


def runtimes(seed: int, scale: float = 1.0, each: int = 16) -> tuple[list[float], list[float]]:
    """Run times in seconds of `each` medium and `each` large jobs, times `scale` (1/30: quick mode).

    The same seed gives the same times at every scale; `PAPERS_FILES` gives those of the paper's files. Raises
    ValueError unless scale > 0 and each >= 1, and for more jobs than the paper had files.
    """
    if not scale > 0 or each < 1:
        raise ValueError(f"run times need scale > 0 and each >= 1, not {scale} and {each}")
    if seed == PAPERS_FILES:
        if each > len(MEDIUM_AUDIO):
            raise ValueError(f"the paper had {len(MEDIUM_AUDIO)} files of a kind, not {each}")
        return (
            _transcribed(MEDIUM_AUDIO[:each], median(MEDIUM_AUDIO), MEDIUM_MEDIAN, scale),
            _transcribed(LARGE_AUDIO[:each], median(LARGE_AUDIO), LARGE_MEDIAN, scale),
        )
    source = random.Random(seed)
    return (
        [MEDIUM.draw(source) * scale for _ in range(each)],
        [LARGE.draw(source) * scale for _ in range(each)],
    )


def _transcribed(audio: Sequence[int], middle: float, takes: float, scale: float) -> list[float]:
    """Run times of jobs that transcribe so much audio, where `middle` seconds of it take `takes`."""
    speed = (takes - SETUP) / middle
    return [(SETUP + speed * seconds) * scale for seconds in audio]
