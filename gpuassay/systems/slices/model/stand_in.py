"""Which slices of somebody's node take the place of those that a scenario is written for.

A scenario asks for profiles of an A100 with 40 GB. On another GPU, or where slices were cut otherwise, another profile
does as well, as long as there are enough: what is proved is who gets what, not how large it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

WHOLE = "gpu"
"""A GPU that is not cut."""


def stand_in(wanted: Mapping[str, int], offered: Mapping[str, int]) -> dict[str, str] | None:
    """For each profile that is wanted the one that takes its place; None where there are too few.

    The same name before one of as many compute slices, that before any other slice, and that before whole GPUs.

    Args:
        wanted: how many slices of each profile have to be free at once.
        offered: how many are.
    """
    return _chosen(sorted(wanted, key=_compute, reverse=True), wanted, Counter(offered))


def _chosen(left: list[str], wanted: Mapping[str, int], offered: Counter[str]) -> dict[str, str] | None:
    if not left:
        return {}
    first, *others = left
    for one in sorted(offered, key=lambda other: _distance(first, other)):
        if offered[one] >= wanted[first]:
            rest = _chosen(others, wanted, offered - Counter({one: wanted[first]}))
            if rest is not None:
                return {first: one, **rest}
    return None


def _compute(profile: str) -> int:
    """Compute slices, the number before the `g`; of a whole GPU more than of any slice."""
    number = profile.partition("g.")[0]
    return int(number) if number.isdigit() else 8


def _distance(wanted: str, other: str) -> tuple[bool, bool, bool, int, str]:
    return (
        wanted != other,
        other == WHOLE,
        wanted.partition("+")[2] != other.partition("+")[2],
        abs(_compute(wanted) - _compute(other)),
        other,
    )
