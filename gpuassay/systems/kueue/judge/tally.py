"""What one metric must tell, by labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Key = tuple[str, ...]


@dataclass(frozen=True)
class Tally:
    """The recount of one metric.

    Attributes:
        name: of the metric.
        by: labels that tell its series apart; others are summed over.
        expected: least and greatest value by these labels' values; what is not named must be 0 or absent.
        where: only series with these labels.
        leave_out: series of which nothing can be told.
    """

    name: str
    by: tuple[str, ...]
    expected: Mapping[Key, tuple[float, float]]
    where: Mapping[str, str] = field(default_factory=dict[str, str])
    leave_out: frozenset[Key] = frozenset()


def exactly(values: Mapping[Key, float]) -> dict[Key, tuple[float, float]]:
    """Each value and nothing else."""
    return {key: (float(value), float(value)) for key, value in values.items()}
