"""Prometheus metrics of the programs of an arm."""

from __future__ import annotations

from gpuassay.cluster.metrics import NoMetricsHere, Sample, parse, scrape

__all__ = ["NoMetricsHere", "Sample", "parse", "scrape", "total"]


def total(samples: list[Sample], metric: str, /, **labels: str) -> float:
    """Sum of the samples of a metric that carry `labels`; 0 where there are none."""
    return sum(
        sample["value"]
        for sample in samples
        if sample["name"] == metric and all(sample["labels"].get(key) == value for key, value in labels.items())
    )
