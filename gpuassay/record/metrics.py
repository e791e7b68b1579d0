"""Samples of Prometheus metrics in a recording."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from gpuassay.manifest import Manifest


class Samples:
    """The samples of one label (moment of scraping), such as "before" or "after".

    A selector is the metric's name and any of its labels; samples with more labels match too.
    """

    def __init__(self, rows: Iterable[Manifest], what: str = "samples") -> None:
        """Keep the last sample of every series; `what` names the set in messages."""
        latest: dict[tuple[str, str, tuple[tuple[str, str], ...]], Manifest] = {}
        for row in rows:
            labels = tuple(sorted((str(k), str(v)) for k, v in row["labels"].items()))
            latest[str(row["source"]), str(row["name"]), labels] = row
        self._rows = list(latest.values())
        self._what = what

    def __len__(self) -> int:
        """Number of series."""
        return len(self._rows)

    def select(self, name: str, **labels: str) -> list[Manifest]:
        """The matching rows `{"at", "source", "label", "name", "labels", "value"}`."""
        return [
            row
            for row in self._rows
            if row["name"] == name and all(row["labels"].get(key) == value for key, value in labels.items())
        ]

    def value(self, name: str, **labels: str) -> float:
        """The value of the one matching series.

        Raises:
            LookupError: none or several match.
        """
        rows = self.select(name, **labels)
        if len(rows) != 1:
            raise LookupError(f"{self._what}: {len(rows)} series match {name}{labels or ''}, wanted one")
        return float(rows[0]["value"])

    def sum(self, name: str, **labels: str) -> float:
        """The sum over all matching series; 0 where none matches (a counter that never moved is not exported)."""
        return math.fsum(float(row["value"]) for row in self.select(name, **labels))

    def buckets(self, name: str, **labels: str) -> list[tuple[float, float]]:
        """Cumulative histogram: (upper bound, count) in rising order, summed over the matching series."""
        counts: dict[float, float] = {}
        for row in self.select(f"{name.removesuffix('_bucket')}_bucket", **labels):
            bound = float(row["labels"]["le"])
            counts[bound] = counts.get(bound, 0.0) + float(row["value"])
        return sorted(counts.items())


def delta(before: Samples, after: Samples, name: str, labels: dict[str, str]) -> float:
    """How much a counter grew between two scrapes, summed over matching series."""
    return after.sum(name, **labels) - before.sum(name, **labels)


def labels_of(rows: Sequence[Manifest]) -> list[str]:
    """The labels under which samples were taken, in order of first use."""
    return list(dict.fromkeys(str(row["label"]) for row in rows))
