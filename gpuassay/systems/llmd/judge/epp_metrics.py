"""What an endpoint picker's histograms add up to, under the metric names of both generations."""

from __future__ import annotations

from collections.abc import Mapping

from gpuassay.record.metrics import Samples, delta
from gpuassay.systems.llmd.judge.metrics import PICKER, name_in

TABLE: Mapping[str, tuple[str, ...]] = {
    **PICKER,
    "cached_tokens": ("llm_d_epp_request_cached_tokens", "inference_objective_prompt_cached_tokens"),
}
"""Metrics of an endpoint picker, and those that only its own profile looks at."""


def grown_sum(before: Samples, after: Samples, metric: str, labels: Mapping[str, str] | None = None) -> float:
    """How much the sum of all observations of a picker's histogram grew; a series that was not there counts from 0.

    Raises:
        LookupError: it is not in `after`.
        ValueError: the picker restarted in between.
    """
    name = f"{name_in(after, metric, TABLE)}_sum"
    return delta(before, after, name, dict(labels or {}))


def sum_findings(
    before: Samples, after: Samples, expected: Mapping[str, float], labels: Mapping[str, str] | None = None
) -> list[str]:
    """Histograms whose observations do not add up to exactly what is expected, such as the tokens of all responses."""
    found: list[str] = []
    for metric, wanted in expected.items():
        try:
            seen = grown_sum(before, after, metric, labels)
        except (LookupError, ValueError) as error:
            found.append(f"{metric}: expected observations of {wanted:g} in sum; {error}")
            continue
        if seen != wanted:
            found.append(f"{metric}: expected observations of {wanted:g} in sum, seen {seen:g}")
    return found
