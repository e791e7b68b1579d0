"""Random walks: the same seed gives the same walk, every site is one that Kueue accepts, and a file gives it back."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuassay.labels import GPU
from gpuassay.systems.kueue.acts import walker
from gpuassay.systems.kueue.objects import floor_walk
from gpuassay.systems.kueue.objects.walk_site import TAINT
from gpuassay.systems.kueue.objects.walk_steps import ACTS, pod_of, requests_of, walk
from gpuassay.systems.kueue.objects.walks import read

SEEDS = st.integers(0, 10_000)
QUIET = settings(derandomize=True, deadline=None, max_examples=150)


@QUIET
@given(SEEDS, st.booleans())
def test_a_seed_is_a_walk(seed: int, fair: bool) -> None:
    """Red when a walk cannot be drawn again, or a longer one of the same seed begins otherwise."""
    short, long = walk(seed, 20, fair=fair), walk(seed, 60, fair=fair)
    assert short.site == long.site and short.steps == long.steps[:20] and walk(seed, 20, fair=fair) == short
    assert floor_walk.walk(seed, 20).steps == floor_walk.walk(seed, 60).steps[:20]


@QUIET
@given(SEEDS, st.booleans())
def test_every_site_is_sound(seed: int, fair: bool) -> None:
    """Red when a cohort comes before its parent, a limit stands outside a cohort or is too high, or a flavor lacks."""
    site = walk(seed, 1, fair=fair).site
    seen: set[str] = set()
    for name, cohort in site.cohorts.items():
        assert cohort.parent in {"", *seen}
        seen.add(name)
    for how in [*site.queues.values(), *site.cohorts.values()]:
        assert set(how.quota) <= set(site.flavors)
        for entries in how.quota.values():
            assert next(one["name"] for one in entries) == GPU
            for one in entries:
                assert int(one.get("lendingLimit", "0")) <= int(one["nominalQuota"])
    for queue in site.queues.values():
        limits = {key for entries in queue.quota.values() for one in entries for key in one}
        assert queue.quota and queue.cohort in {"", *site.cohorts}
        assert queue.cohort or not {"borrowingLimit", "lendingLimit"} & limits
        assert not fair or "borrowWithinCohort" not in queue.spec["preemption"]


def test_all_acts_come_up() -> None:
    """Red when walks never do what they say they may, or what they draw cannot be acted out."""
    seen = Counter(step.act for seed in range(8) for step in walk(seed, 400).steps)
    assert seen.keys() == ACTS.keys() == walker.ACTS.keys()
    assert {step.act for seed in range(4) for step in floor_walk.walk(seed, 400).steps} == floor_walk.ACTS.keys()


def test_trees_are_of_every_depth() -> None:
    """Red when cohorts are never below each other, or never missing."""

    def depth(seed: int) -> int:
        cohorts = walk(seed, 0).site.cohorts
        below: dict[str, int] = {}
        for name, one in cohorts.items():
            below[name] = 1 + below.get(one.parent, 0)
        return max(below.values(), default=0)

    assert {depth(seed) for seed in range(60)} == {0, 1, 2, 3, 4}


def test_work_of_steps() -> None:
    """Red when created work does not get the shape that its step says."""
    value = {"distinct": True, "tolerates": True, "zone": "a", "gpus": 2, "cpu": 1}
    pod = pod_of(value, "w1")
    assert pod["nodeSelector"] and len(pod["tolerations"]) == 2 and pod["tolerations"][1]["key"] == TAINT["key"]
    assert pod_of({"distinct": False, "tolerates": False, "zone": ""}, "w1") == {}
    assert requests_of(value) == {GPU: 2, "cpu": 1} and requests_of(value | {"cpu": 0}) == {GPU: 2}


def test_a_file_gives_the_walk_back(tmp_path: Path) -> None:
    """Red when a walk loses something in its file, or a bad file is not one clear line."""
    way = walk(7, 30)
    way.save(tmp_path / "walks" / "seven.json")
    assert read(tmp_path / "walks" / "seven.json") == way
    assert way.of(way.steps[3:5]).steps == way.steps[3:5]
    (tmp_path / "bad.json").write_text('{"seed": 1, "site": {}, "steps": []}')
    for name, says in (("none.json", "No such file"), ("bad.json", "holds no walk: Object missing required field")):
        with pytest.raises(ValueError, match=says) as told:
            read(tmp_path / name)
        assert "\n" not in str(told.value)
