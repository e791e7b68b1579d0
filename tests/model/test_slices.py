from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuassay.gpus import MODELS
from gpuassay.systems.slices.model.paper import CROWDED, LARGE, MEDIUM, TABLE_5, TABLE_6, slice_mix
from gpuassay.systems.slices.model.placement import Place
from gpuassay.systems.slices.model.predict import balanced, best_static, table_5, table_6
from gpuassay.systems.slices.model.slices import Dynamic, SliceJob, Slicer, Static, Whole, completion, simulate

A100 = MODELS["a100-40gb"]


def test_two_large_jobs_fill_a_gpu_and_the_others_wait_in_turn() -> None:
    """Red if the twin lets a job start without a slice, or keeps one waiting that has a place."""
    jobs = [SliceJob(f"large-{n}", LARGE, n, 100) for n in range(3)] + [SliceJob("medium", MEDIUM, 5, 10)]
    run = simulate(jobs, Dynamic([A100]))
    assert [(one.job.name, one.start, one.end) for one in run.runs] == [
        ("large-0", 0, 100), ("large-1", 1, 101), ("medium", 101, 111), ("large-2", 100, 200),
    ]  # fmt: skip
    assert run.peak == 2
    assert run.makespan == 200


def test_a_static_slice_serves_its_profile_alone() -> None:
    """Red if a job takes a slice of another profile, which a device plugin never gives it."""
    slicer = Static([A100], [Place(0, 0, "2g.10gb"), Place(0, 4, LARGE)])
    assert slicer.take(MEDIUM) is None
    with pytest.raises(ValueError, match=r"1 jobs never get a slice, first medium \(1g\.5gb\)"):
        simulate([SliceJob("medium", MEDIUM, 0, 1)], slicer)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 25), st.sampled_from(["dynamic", "static", "whole"]))
def test_every_job_runs_once_and_slices_never_overlap(seed: int, count: int, kind: str) -> None:
    """Red if a job is lost or runs twice, or two jobs hold one slot at one time."""
    source = random.Random(seed)
    jobs = [
        SliceJob(str(n), source.choice([MEDIUM, LARGE]), source.uniform(0, 30), source.uniform(1, 20))
        for n in range(count)
    ]
    makers: dict[str, Slicer] = {
        "dynamic": Dynamic([A100] * 2), "static": Static([A100] * 2, balanced(2)), "whole": Whole(2)
    }  # fmt: skip
    run = simulate(jobs, makers[kind], shuffle=source)
    assert Counter(one.job.name for one in run.runs) == Counter(job.name for job in jobs)
    assert all(one.start >= one.job.arrival for one in run.runs)
    size = {MEDIUM: 1, LARGE: 4, "gpu": 8}
    for one in run.runs:
        for other in run.runs:
            if (
                one is not other
                and one.place.gpu == other.place.gpu
                and one.start < other.end
                and other.start < one.end
            ):
                a, b = one.place, other.place
                assert a.start + size[a.profile] <= b.start or b.start + size[b.profile] <= a.start


def test_slices_on_demand_reach_25_at_once_on_the_papers_mix() -> None:
    """Red if jobs end or start in another order than the placement allows: the paper states exactly 25."""
    held = [SliceJob(job.name, job.profile, job.arrival, 10_000) for job in slice_mix(0)]
    run = simulate(held, Dynamic([A100] * 8))
    assert run.peak == TABLE_6[1].peak == 25
    first = [one for one in run.runs if one.start < 1_000]
    assert Counter(one.job.profile for one in first) == {MEDIUM: 13, LARGE: 12}


def test_the_best_static_cut_reaches_the_optimum_for_this_mix() -> None:
    """Red if the search over geometries stops at a worse one."""
    assert Counter(place.profile for place in best_static()) == {MEDIUM: 16, LARGE: 12}


def test_table_6_is_predicted_within_its_rounding_and_draws() -> None:
    """Red if the calibrated model loses the paper's result: mean -36 %, 95th percentile -29 %, 25 against 8 at once."""
    rows = {row.configuration: row for row in table_6()}
    whole, dynamic = rows["whole GPUs"], rows["dynamic slices"]
    assert whole.peak == 8
    assert dynamic.peak in (25, 26)  # short jobs end while others still come
    assert dynamic.mean / whole.mean == pytest.approx(TABLE_6[1].mean / TABLE_6[0].mean, abs=0.05)
    assert dynamic.p95 / whole.p95 == pytest.approx(TABLE_6[1].p95 / TABLE_6[0].p95, abs=0.08)
    for row, paper in ((whole, TABLE_6[0]), (dynamic, TABLE_6[1])):
        assert row.mean == pytest.approx(paper.mean, rel=0.1)
        assert row.median == pytest.approx(paper.median, rel=0.1)
    assert rows["static slices, best"].mean < rows["static slices, balanced"].mean < whole.mean
    assert rows["static slices, balanced"].peak == 24
    assert rows["static slices, best"].peak == 28


def test_table_5_is_predicted_as_slower_with_slices() -> None:
    """Red if the model would let slices speed up as many jobs as there are GPUs: the paper's mean grows by a fifth."""
    rows = {row.configuration: row for row in table_5()}
    ratio = rows["dynamic slices"].mean / rows["whole GPUs"].mean
    assert ratio == pytest.approx(TABLE_5[1].mean / TABLE_5[0].mean, abs=0.08)
    assert {row.peak for row in rows.values()} == {8}


def test_run_times_on_slices_are_longer_by_the_slowdown_only_beyond_the_setup() -> None:
    """Red if the slowdown is applied to downloads, or not at all."""
    for whole, sliced in zip(slice_mix(3), slice_mix(3, slowdown=CROWDED), strict=True):
        factor = CROWDED.medium if whole.profile == MEDIUM else CROWDED.large
        assert sliced.run - 72 == pytest.approx((whole.run - 72) * factor)


def test_figures_of_no_job_are_refused() -> None:
    """Red if an empty run gives figures."""
    with pytest.raises(ValueError, match="no job has completed"):
        completion([])
