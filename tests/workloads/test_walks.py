"""Random walks: the same seed gives the same walk, and every site is one that Kueue accepts."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from gpuassay.labels import GPU
from gpuassay.systems.kueue.objects.walks import ACTS, TAINT, pod_of, walk

SEEDS = st.integers(0, 10_000)
QUIET = settings(derandomize=True, deadline=None, max_examples=150)


@QUIET
@given(SEEDS)
def test_a_seed_is_a_walk(seed: int) -> None:
    """Red when a walk cannot be replayed, or a longer one of the same seed begins otherwise."""
    short, long = walk(seed, 20), walk(seed, 60)
    assert short.site == long.site and short.steps == long.steps[:20] and walk(seed, 20) == short


@QUIET
@given(SEEDS)
def test_every_site_is_sound(seed: int) -> None:
    """Red when a cohort comes before its parent, a limit stands outside a cohort or is too high, or a flavor lacks."""
    site = walk(seed, 1).site
    seen: set[str] = set()
    for name, parent in site.cohorts.items():
        assert parent in {"", *seen}
        seen.add(name)
    for how in site.queues.values():
        assert how["cohort"] in {"", *site.cohorts} and set(how["group"]) <= set(site.flavors) and how["group"]
        for entries in how["group"].values():
            assert next(one["name"] for one in entries) == GPU
            for one in entries:
                assert how["cohort"] or not {"borrowingLimit", "lendingLimit"} & one.keys()
                assert int(one.get("lendingLimit", "0")) <= int(one["nominalQuota"])


def test_all_acts_come_up() -> None:
    """Red when walks never do what they say they may."""
    seen = Counter(step.act for seed in range(4) for step in walk(seed, 400).steps)
    assert seen.keys() == ACTS.keys()


def test_pods_of_steps() -> None:
    """Red when a created Workload does not get the shape that its step says."""
    value = {"distinct": True, "tolerates": True, "zone": "a"}
    pod = pod_of(value, "w1")
    assert pod["nodeSelector"] and len(pod["tolerations"]) == 2 and pod["tolerations"][1]["key"] == TAINT["key"]
    assert pod_of({"distinct": False, "tolerates": False, "zone": ""}, "w1") == {}
