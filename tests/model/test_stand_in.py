"""What takes the place of slices that a node of somebody's has not: as like as can be had, never too few."""

from __future__ import annotations

import pytest

from gpuassay.systems.slices.model.stand_in import stand_in


@pytest.mark.parametrize(
    ("wanted", "offered", "chosen"),
    [
        ({"1g.5gb": 1}, {"1g.5gb": 1, "gpu": 8}, {"1g.5gb": "1g.5gb"}),
        ({"1g.5gb": 1}, {"1g.10gb": 1, "2g.20gb": 3}, {"1g.5gb": "1g.10gb"}),
        ({"4g.20gb": 1, "1g.5gb": 1}, {"3g.20gb": 1, "1g.5gb": 1}, {"4g.20gb": "3g.20gb", "1g.5gb": "1g.5gb"}),
        ({"3g.20gb": 2}, {"3g.20gb": 1, "gpu": 2}, {"3g.20gb": "gpu"}),
        ({"3g.20gb": 1, "1g.5gb": 2}, {"gpu": 3}, {"3g.20gb": "gpu", "1g.5gb": "gpu"}),
        ({"3g.20gb": 1, "1g.5gb": 2}, {"gpu": 2}, None),
        ({"1g.5gb": 1}, {}, None),
        # the small ones must not be given what the large one alone can have
        ({"1g.5gb": 1, "7g.40gb": 1}, {"1g.5gb": 1, "7g.40gb": 1}, {"1g.5gb": "1g.5gb", "7g.40gb": "7g.40gb"}),
    ],
)
def test_what_takes_their_place(wanted: dict[str, int], offered: dict[str, int], chosen: dict[str, str] | None) -> None:
    assert stand_in(wanted, offered) == chosen
