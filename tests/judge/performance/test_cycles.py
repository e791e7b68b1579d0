from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuassay.manifest import Manifest
from gpuassay.record.recording import RecordingMeta
from gpuassay.systems.kueue.judge import cycles
from gpuassay.systems.kueue.readings import KueueRecording


def _cycle(number: int, seconds: float, *namespaces: str, admits: bool = True) -> list[Manifest]:
    workloads = [
        {
            "msg": "Workload assumed in the cache" if admits else "Workload re-queued", "schedulingCycle": number,
            "workload": {"name": f"w-{number}", "namespace": namespace},
        }
        for namespace in namespaces
    ]  # fmt: skip
    heads: Manifest = {"msg": "Obtained heads", "schedulingCycle": number, "headCount": 1, "waitDuration": 2.0}
    end: Manifest = {"msg": "Scheduling cycle complete", "schedulingCycle": number, "duration": 2.0 + seconds}
    return [heads, *workloads, end]


def _recording(log: list[Manifest]) -> KueueRecording:
    return KueueRecording.of_parts(RecordingMeta("one", namespaces=["mine"]), log=log)


def test_cycles_shared_with_another_arm_belong_to_nobody() -> None:
    log = [*_cycle(1, 0.001, "mine"), *_cycle(2, 0.5, "mine", "theirs"), *_cycle(3, 0.2, "mine", admits=False)]
    scheduler = _recording([*log, *_cycle(4, 9.0, "theirs")])
    own, shared = cycles.own_cycles(scheduler, _recording([]))
    assert ([cycle.number for cycle in own], shared) == ([1, 3], 1)
    assert cycles.durations(own, "success") == [pytest.approx(0.001)]
    assert cycles.durations(own, "inadmissible") == [pytest.approx(0.2)]


def test_a_cycle_without_its_end_is_not_counted() -> None:
    assert cycles.complete(_cycle(1, 0.1, "mine")[:-1]) == []


def test_any_median_below_the_first_edge_becomes_the_papers() -> None:
    """94 of 100 attempts below 5 ms give 2.66 ms, however fast they really are."""
    for fast in (0.0001, 0.0049):
        values = [fast] * 94 + [0.02] * 6
        row = cycles.row("fifo", "success", values, cycles.bucketed(values))
        assert row is not None
        assert row.exact[0] == pytest.approx(1000 * fast)
        assert 1000 * row.histogram[0].interpolated == pytest.approx(2.66, abs=0.01)
        assert (row.histogram[0].lower, row.histogram[0].upper) == (0, 0.005)


@given(st.lists(st.floats(min_value=1e-6, max_value=20), min_size=1, max_size=60))
def test_the_exact_quantile_lies_in_the_histograms_bucket_or_at_its_neighbour(values: list[float]) -> None:
    """The two may differ by interpolation between two observations, never by more than one observation."""
    row = cycles.row("any", "success", values, cycles.bucketed(values))
    assert row is not None
    ordered = sorted(values)
    for q, found in zip(cycles.QUANTILES, row.histogram, strict=True):
        rank = max(1, math.ceil(q * len(ordered)))
        assert found.lower < ordered[rank - 1] <= found.upper or math.isclose(ordered[rank - 1], found.upper)


def test_no_cycle_no_row() -> None:
    assert cycles.row("fifo", "success", [], {}) is None


def test_histogram_growth_is_after_less_before() -> None:
    def sample(label: str, edge: str, value: float) -> Manifest:
        labels = {"le": edge, "result": "success"}
        return {"at": 1, "source": "kueue", "label": label, "name": f"{cycles.HISTOGRAM}_bucket", "labels": labels,
                "value": value}  # fmt: skip

    rows = [sample("before", "0.005", 3), sample("before", "+Inf", 4), sample("after", "0.005", 5)]
    recording = KueueRecording.of_parts(metrics=[*rows, sample("after", "+Inf", 9)])
    assert cycles.histogram_delta(recording, "success") == {0.005: 2, math.inf: 5}
