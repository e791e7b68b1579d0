"""The fair split and the share that must be told."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gpuassay.labels import GPU
from gpuassay.systems.kueue.judge.fairness import consumed_by, fair_split, weighted_share
from gpuassay.systems.kueue.readings import KueueRecording


def test_known_splits() -> None:
    """Equal weights, two to one, unequal wants, weight 0."""
    assert fair_split(4, {"a": 4, "b": 4}, {}) == {"a": 2, "b": 2}
    assert fair_split(3, {"a": 3, "b": 3}, {"a": 2, "b": 1}) == {"a": 2, "b": 1}
    assert fair_split(6, {"a": 1, "b": 9}, {}) == {"a": 1, "b": 5}
    assert fair_split(3, {"a": 2, "b": 9}, {"b": 0}) == {"a": 2, "b": 1}


def test_a_tie_for_the_last_gpu_is_refused() -> None:
    """Where two splits are equally fair, the judge says so instead of choosing."""
    with pytest.raises(ValueError, match="compete"):
        fair_split(3, {"a": 3, "b": 3}, {})


@settings(deadline=None)
@given(
    gpus=st.integers(0, 12),
    wants=st.dictionaries(st.sampled_from("abc"), st.integers(0, 9), min_size=1),
    weights=st.dictionaries(st.sampled_from("abc"), st.integers(0, 4)),
)
def test_a_split_is_full_and_nobody_envies(gpus: int, wants: dict[str, int], weights: dict[str, int]) -> None:
    """All GPUs that are wanted are given; who wants more has no lower share than moving a GPU to it would leave."""
    try:
        got = fair_split(gpus, wants, weights)
    except ValueError:
        assume(False)
        return
    assert sum(got.values()) == min(gpus, sum(wants.values()))
    for poor in (name for name in wants if got[name] < wants[name]):
        for rich in (name for name in wants if name != poor and got[name]):
            weight, other = weights.get(poor, 1), weights.get(rich, 1)
            if weight:
                assert other and (got[poor] + 1) * other >= got[rich] * weight


def test_weighted_share_is_rounded_up() -> None:
    """Borrowed by lendable in thousandths, by weight, up to the next whole number."""
    assert [weighted_share(1, 3, 1), weighted_share(2, 3, 2), weighted_share(0, 3, 2)] == [334, 334, 0]


def test_told_use_is_read() -> None:
    """Statuses without fair sharing are no samples; one without the resource tells 0."""
    statuses: list[dict[str, Any]] = [{}, {"consumedResources": {}}, {"consumedResources": {GPU: "500m"}}]
    events: list[dict[str, Any]] = [
        {
            "at": at,
            "type": "MODIFIED",
            "object": {
                "kind": "LocalQueue",
                "metadata": {"name": "heavy", "uid": "u"},
                "status": {"fairSharing": {"admissionFairSharingStatus": status}} if at else {},
            },
        }
        for at, status in enumerate(statuses)
    ]
    seen = consumed_by(KueueRecording.of_parts(events=events), "heavy")
    assert [(at, float(amount)) for at, amount in seen] == [(1, 0.0), (2, 0.5)]
    assert consumed_by(KueueRecording.of_parts(), "heavy") == []
