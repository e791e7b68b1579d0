"""GPUs as ResourceSlices: counters must allow exactly what the placement oracle allows."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from gpuassay.gpus import MODELS, GpuModel
from gpuassay.manifest import Manifest
from gpuassay.systems.slices.judge.counters import devices
from gpuassay.systems.slices.model.placement import Place, findings
from gpuassay.workloads import claims as resource_slices

ROUNDS = 300


def amounts(counters: dict[str, dict[str, str]]) -> Counter[str]:
    """Counters as numbers."""
    return Counter({name: int(one["value"]) for name, one in counters.items()})


def sets(published: list[Manifest]) -> dict[str, Counter[str]]:
    """What each counter set holds."""
    return {one["name"]: amounts(one["counters"]) for one in published[0]["spec"]["sharedCounters"]}


def consumption(published: list[Manifest]) -> dict[str, tuple[str, Counter[str]]]:
    """Counter set and counters that each device consumes."""
    every = [one for each in published[1:] for one in each["spec"]["devices"]]
    uses = {one["name"]: one["consumesCounters"][0] for one in every}
    return {name: (one["counterSet"], amounts(one["counters"])) for name, one in uses.items()}


@pytest.mark.parametrize("model", MODELS.values(), ids=list(MODELS))
def test_counters_allow_what_the_geometry_allows(model: GpuModel) -> None:
    """Red when some set of places fits the counters and not the hardware, or the other way round."""
    published = resource_slices.published("node", [model])
    there, uses = devices(published, [model]), consumption(published)
    ((name, left),) = sets(published).items()
    source = random.Random(7)
    seen = Counter[bool]()
    for _ in range(ROUNDS):
        chosen = source.sample(sorted(there), source.randint(1, 5))
        asked: Counter[str] = sum((uses[one][1] for one in chosen), Counter[str]())
        fits = all(left[counter] >= amount for counter, amount in asked.items())
        assert {uses[one][0] for one in chosen} == {name}
        assert fits == (findings([there[one] for one in chosen], [model]) == []), chosen
        seen[fits] += 1
    assert min(seen[True], seen[False]) > ROUNDS / 20, "the samples do not tell both"


def test_every_place_is_a_device_and_a_whole_gpu_is_one() -> None:
    """Red when a profile or a start is left out, or places are not listed by their table."""
    model = MODELS["a30-24gb"]
    there = devices(resource_slices.published("node", [model, model]), [model, model])
    places = [Place(gpu, start, one.name) for gpu in (0, 1) for one in model.profiles for start in one.starts]
    wholes = [there.pop("gpu-0"), there.pop("gpu-1")]
    assert list(there.values()) == places
    assert wholes == [Place(0, 0, "4g.24gb"), Place(1, 0, "4g.24gb")]


def test_a_pool_says_how_many_slices_it_has() -> None:
    """Red when the scheduler would take an incomplete pool for a complete one, or never use it."""
    published = resource_slices.published("node", [MODELS["a100-40gb"]] * 8)
    assert {one["spec"]["pool"]["resourceSliceCount"] for one in published} == {len(published)}
    names = [one["metadata"]["name"] for one in published]
    assert names[1:] == sorted(names[1:]), "the scheduler goes by their names"


def test_more_gpus_than_counter_sets_are_refused() -> None:
    """Red when a ResourceSlice is made that no API server takes."""
    with pytest.raises(ValueError, match="9 GPUs on a node"):
        resource_slices.published("node", [MODELS["a30-24gb"]] * 9)
