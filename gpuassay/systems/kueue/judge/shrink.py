"""Which steps of a walk a finding needs: delta debugging over the list of steps.

Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", IEEE TSE 28 (2002): what is left out are
ever smaller pieces; the attempts of one round are independent, so that they can be made side by side.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

T = TypeVar("T")

_TOKEN = re.compile(r"-[a-z]+\d*-x[0-9a-f]{6}\b")
_NAMES = re.compile(
    r"\b(job|pod)-w\d{3}-\w+|\bw\d{3}\b|\bq\d\b|\b(red|green|blue|grey|plain|tainted|zoned)\b|\b\d+(\.\d+)?\b"
)
_LENGTH = 90
"""Characters of a sentence that tell its kind."""


def kinds(findings: Iterable[str]) -> set[str]:
    """The findings without their names and numbers: two of the same kind are taken for the same defect."""
    return {_NAMES.sub("_", _TOKEN.sub("", one.splitlines()[0]))[:_LENGTH] for one in findings if one}


def shrink(
    steps: Sequence[T], reproduces: Callable[[Sequence[Sequence[T]]], int | None], *, over: Callable[[], bool]
) -> list[T]:
    """The fewest steps found that still show the finding.

    Args:
        steps: that show it.
        reproduces: makes attempts, some side by side; the index of the first that shows the finding, or None.
        over: whether the time is up.
    """
    left, pieces = list(steps), 3
    while len(left) > 1 and not over():
        pieces = min(pieces, len(left))
        cuts = [len(left) * number // pieces for number in range(pieces + 1)]
        parts = [(start, end) for start, end in itertools.pairwise(cuts)]
        alone = [left[start:end] for start, end in parts] if pieces > 2 else []
        without = [left[:start] + left[end:] for start, end in parts]
        attempts = [*alone, *without]
        found = reproduces(attempts)
        if found is not None:
            left, pieces = attempts[found], 3 if found < len(alone) else max(2, pieces - 1)
        elif pieces == len(left):
            return left
        else:
            pieces *= 2
    return left
