"""GPUs that are cut as a person writes it: what fits stands where the hardware allows it, what does not is refused."""

from __future__ import annotations

import pytest

from gpuassay.gpus import MODELS, gpu_model
from gpuassay.systems.slices.model.cuts import cuts
from gpuassay.systems.slices.model.placement import Place, findings

A100 = gpu_model("a100-40gb")


@pytest.mark.parametrize("model", [one for one in MODELS.values() if one.memory_slices == 8], ids=lambda one: one.name)
def test_all_balanced_is_legal_and_full_on_every_gpu_that_has_it(model: object) -> None:
    gpu = next(one for one in MODELS.values() if one is model)
    cut = cuts(["all-balanced"], [gpu])[0]
    assert findings([Place(0, start, profile) for profile, start in cut], [gpu]) == []
    assert sorted(profile[:2] for profile, _ in cut) == ["1g", "1g", "2g", "3g"]


def test_the_last_word_is_of_all_further_gpus() -> None:
    cut = cuts(["none", "3g.20gb,3g.20gb", "7g.40gb"], [A100] * 4)
    assert {gpu: sorted(profile for profile, _ in one) for gpu, one in cut.items()} == {
        1: ["3g.20gb", "3g.20gb"], 2: ["7g.40gb"], 3: ["7g.40gb"],
    }  # fmt: skip


def test_slices_are_moved_until_all_fit() -> None:
    """A first fit would put the 1g where only the 4g may begin."""
    assert cuts(["1g.5gb,4g.20gb,2g.10gb"], [A100])[0] == [("4g.20gb", 0), ("2g.10gb", 4), ("1g.5gb", 6)]


@pytest.mark.parametrize(
    ("words", "gpus", "told"),
    [
        (["7g.40gb,1g.5gb"], [A100], "does not fit on one NVIDIA A100-SXM4-40GB"),
        (["9g.99gb"], [A100], "has no MIG profile '9g.99gb'; it has 1g.5gb"),
        (["all-balanced"], [gpu_model("a30-24gb")], "has no 3g slice"),
        (["none", "none"], [A100], "2 geometries for 1 GPUs"),
    ],
)
def test_what_cannot_be_is_one_line(words: list[str], gpus: list[object], told: str) -> None:
    chosen = [one for one in MODELS.values() if one in gpus]
    with pytest.raises(ValueError, match=told) as refused:
        cuts(words, chosen)
    assert "\n" not in str(refused.value)
