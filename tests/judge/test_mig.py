"""What fits on A100 GPUs."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuassay.systems.kueue.judge.mig import COMPUTE, PLACEMENTS, most_placeable


@pytest.mark.parametrize(
    ("profiles", "gpus", "most"),
    [
        (["1g.5gb"] * 8, 1, 7),
        (["3g.20gb"] * 3, 1, 2),
        (["4g.20gb", "3g.20gb"], 1, 2),
        (["4g.20gb"] * 3, 2, 2),
        (["2g.10gb"] * 4, 1, 3),
        (["3g.20gb", "2g.10gb", "2g.10gb"], 1, 3),
        (["7g.40gb", "1g.5gb"], 1, 1),
        ([], 1, 0),
    ],
)
def test_known_mixes(profiles: list[str], gpus: int, most: int) -> None:
    """Mixes of the user guide's table of placements."""
    assert most_placeable(profiles, gpus) == most


def test_a_foreign_profile_is_refused() -> None:
    """A profile of another GPU is named."""
    with pytest.raises(ValueError, match=r"1g\.10gb"):
        most_placeable(["1g.10gb"], 1)


@settings(deadline=None)
@given(st.lists(st.sampled_from(sorted(PLACEMENTS)), max_size=4))
def test_more_gpus_never_hurt(profiles: list[str]) -> None:
    """What fits on one GPU fits on two; a GPU for each is always enough; nothing exceeds the compute slices."""
    one, two = most_placeable(profiles, 1), most_placeable(profiles, 2)
    assert one <= two <= len(profiles)
    assert most_placeable(profiles, max(1, len(profiles))) == len(profiles)
    if one == len(profiles):
        assert sum(COMPUTE[profile] for profile in profiles) <= 7
