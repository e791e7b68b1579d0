"""What pickers' own metrics say of a failed decisive test: each cause is named, and a sound picker is not accused."""

from __future__ import annotations

from typing import Any

import pytest

from gpuassay.record.metrics import Samples
from gpuassay.systems.llmd.judge.picker_word import causes

SOUND = {"requests": 16.0, "ready": 4.0, "admissions": 64.0, "lookup_requests": 16.0, "lookup_hits": 15.0}
PLUGIN = "precise-prefix-cache-scorer"


def page(
    told: dict[str, float], *, plugin: str = PLUGIN, pod: str = "picker-0", new: bool = False
) -> list[dict[str, Any]]:
    """A picker's metrics, under the names of llm-d v0.7.1, or those of v0.10."""
    ours = "llm_d_epp" if new else "inference_extension"
    names = {
        "requests": "llm_d_epp_request_total" if new else "inference_objective_request_total",
        "ready": "llm_d_epp_ready_endpoints" if new else "inference_pool_ready_pods",
    }
    rows: list[dict[str, Any]] = [
        {"source": pod, "at": 1, "name": names.get(name, f"kvcache_index_{name}_total"), "labels": {}, "value": value}
        for name, value in told.items()
    ]
    labels = {"plugin_type": plugin}
    return [
        *rows,
        {"source": pod, "at": 1, "name": f"{ours}_plugin_duration_seconds_count", "labels": labels, "value": 1},
    ]


def said(**after: float) -> list[str]:
    before = dict.fromkeys(SOUND, 0.0)
    return causes(Samples(page(before)), Samples(page(SOUND | after)), 16, 4)


@pytest.mark.parametrize("new", [False, True])
def test_a_sound_picker_is_not_accused(new: bool) -> None:
    """Red when a cause is named where there is none."""
    before = dict.fromkeys(SOUND, 0.0)
    assert causes(Samples(page(before, new=new)), Samples(page(SOUND, new=new)), 16, 4) == []


@pytest.mark.parametrize(
    ("after", "words"),
    [
        ({"requests": 0.0}, "16 requests were answered, the pickers (picker-0) have counted none"),
        ({"ready": 3.0}, "picker picker-0: counts 3 ready endpoints, the pool has 4"),
        ({"admissions": 0.0}, "no KV-cache event has reached its index"),
        ({"lookup_hits": 0.0}, "64 blocks came into its index and 16 lookups found none of them"),
    ],
)
def test_each_cause_is_named(after: dict[str, float], words: str) -> None:
    """Red when a picker that is not asked, blind, deaf, or hashes otherwise gets no name."""
    found = said(**after)
    assert len(found) == 1 and words in found[0]


def test_a_picker_that_runs_no_precise_plugin_is_named() -> None:
    """Red when a picker that guesses under the name of precise is not found by what it runs."""
    before, after = ({"requests": count, "ready": 4.0} for count in (0.0, 16.0))
    found = causes(Samples(page(before, plugin="random-picker")), Samples(page(after, plugin="random-picker")), 16, 4)
    assert found == [
        "picker picker-0: runs no plugin that knows the caches (precise-prefix-cache-scorer or "
        "precise-prefix-cache-producer); it runs random-picker"
    ]


def test_two_pickers_that_are_asked_in_turn_are_named() -> None:
    """Red when each of two active pickers hears of half the caches and nobody says so."""
    before = Samples([*page({"requests": 0.0, "ready": 4.0}), *page({"requests": 0.0, "ready": 4.0}, pod="picker-1")])
    after = Samples([*page({"requests": 8.0, "ready": 4.0}), *page({"requests": 8.0, "ready": 4.0}, pod="picker-1")])
    found = causes(before, after, 16, 4)
    assert "2 pickers were asked in turn (picker-0, picker-1)" in found[0]
    assert "does not tell of its index" in found[1]
