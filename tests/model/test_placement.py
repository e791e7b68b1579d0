from __future__ import annotations

import random
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuassay.gpus import MODELS, gpu_model
from gpuassay.systems.slices.model.paper import LARGE, MEDIUM
from gpuassay.systems.slices.model.placement import Board, Place, findings, first_fit
from gpuassay.systems.slices.model.placement_fit import maximal_geometries, optimum

A100 = MODELS["a100-40gb"]
NODE = [A100] * 8


def _placed(order: list[str]) -> int:
    return sum(place is not None for place in first_fit(order, NODE))


def test_the_order_of_the_paper_gives_25_and_the_layout_seen_on_das_and_on_dra() -> None:
    """Red if first fit, the table of starts or its order differs from the slicers'."""
    places = [place for place in first_fit([MEDIUM, LARGE] * 16, NODE) if place is not None]
    assert len(places) == 25
    by_gpu = ["".join(sorted(p.profile[0] for p in places if p.gpu == gpu)) for gpu in range(8)]
    assert by_gpu == ["11113", "33", "1113", "33", "1113", "33", "1113", "33"]
    assert Board(NODE, places).unplaceable_slots([MEDIUM, LARGE]) == 3
    assert Board(NODE, places).free_slots() == 3


@pytest.mark.parametrize(
    ("order", "fits"),
    [
        ([LARGE, MEDIUM] * 16, 24),
        ([MEDIUM] * 16 + [LARGE] * 16, 27),
        ([LARGE] * 16 + [MEDIUM] * 16, 16),
    ],
    ids=["large first", "all medium first", "all large first"],
)
def test_other_orders(order: list[str], fits: int) -> None:
    """Red if the order in which jobs come stops to matter as it does on hardware."""
    assert _placed(order) == fits


def test_a_random_order_fits_between_19_and_28_about_25() -> None:
    """Red if first fit packs better than the optimum or worse than it was seen to."""
    source, order, seen = random.Random(0), [MEDIUM, LARGE] * 16, list[int]()
    for _ in range(300):
        source.shuffle(order)
        seen.append(_placed(order))
    assert min(seen) >= 19
    assert max(seen) <= 28
    assert 25 < sum(seen) / len(seen) < 26


def test_the_optimum_of_the_paper_mix_is_28() -> None:
    """Red if the search misses a packing or invents one."""
    assert optimum({MEDIUM: 16, LARGE: 16}, NODE).total == 28
    assert set(maximal_geometries(A100, [MEDIUM, LARGE])) == {(7, 0), (4, 1), (0, 2)}


def test_the_published_configurations_of_an_a100_are_what_the_search_finds() -> None:
    """Red if a profile's placements are wrong: NVIDIA's guide shows these as full configurations of an A100."""
    plain = ["1g.5gb", "2g.10gb", "3g.20gb", "4g.20gb", "7g.40gb"]
    assert set(maximal_geometries(A100, plain)) == {
        (0, 0, 0, 0, 1), (0, 0, 1, 1, 0), (1, 1, 0, 1, 0), (3, 0, 0, 1, 0), (0, 0, 2, 0, 0), (0, 2, 1, 0, 0),
        (2, 1, 1, 0, 0), (4, 0, 1, 0, 0), (1, 3, 0, 0, 0), (3, 2, 0, 0, 0), (5, 1, 0, 0, 0), (7, 0, 0, 0, 0),
    }  # fmt: skip


def _most_by_trying(wanted: list[str], gpus: int) -> int:
    """The most of `wanted` at once, by trying every subset at every place: only for a few."""
    if gpus == 0 or not wanted:
        return 0
    best = 0
    for size in range(len(wanted), -1, -1):
        for chosen in set(combinations(sorted(wanted), size)):
            if _fits_on_one(list(chosen), []):
                rest = list(wanted)
                for name in chosen:
                    rest.remove(name)
                best = max(best, size + _most_by_trying(rest, gpus - 1))
    return best


def _fits_on_one(names: list[str], standing: list[Place]) -> bool:
    if not names:
        return True
    places = [Place(0, start, names[0]) for start in A100.profile(names[0]).starts]
    return any(not findings([*standing, p], [A100]) and _fits_on_one(names[1:], [*standing, p]) for p in places)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.sampled_from(["1g.5gb", "1g.5gb+me", "1g.10gb", "2g.10gb", "3g.20gb", "4g.20gb", "7g.40gb"]), max_size=6
    ),
    st.integers(1, 2),
)
def test_the_optimum_is_what_trying_everything_finds(wanted: list[str], gpus: int) -> None:
    """Red if the exact search is not exact."""
    counts = {name: wanted.count(name) for name in set(wanted)}
    assert optimum(counts, [A100] * gpus).total == _most_by_trying(wanted, gpus)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(MODELS)), st.integers(1, 4), st.integers(0, 2**32), st.integers(1, 40))
def test_first_fit_is_legal_never_beats_the_optimum_and_never_refuses_what_fits(
    name: str, gpus: int, seed: int, steps: int
) -> None:
    """Red if a step of makes and removals leaves an illegal board, or a profile waits although a place is free."""
    source, model = random.Random(seed), gpu_model(name)
    board = Board([model] * gpus)
    for _ in range(steps):
        if board.places and source.random() < 0.3:
            board.remove(source.choice(board.places))
            continue
        profile = source.choice(model.profiles).name
        free = board.free_places(profile)
        place = board.first_fit(profile)
        assert place == (free[0] if free else None)
    assert findings(board.places, board.gpus) == []
    counts = {profile: sum(p.profile == profile for p in board.places) for profile in {p.profile for p in board.places}}
    assert not counts or optimum(counts, board.gpus).total == len(board.places)
    assert 0 <= board.unplaceable_slots([model.profiles[0].name]) <= board.free_slots()


@pytest.mark.parametrize(
    ("places", "words"),
    [
        ([Place(0, 1, "3g.20gb")], "may begin at 0, 4"),
        ([Place(0, 0, "7g.40gb"), Place(0, 4, "3g.20gb")], "overlaps"),
        ([Place(0, 0, "1g.5gb+me"), Place(0, 1, "1g.5gb+me")], "already holds 1"),
        ([Place(0, 0, "9g.99gb")], "has no MIG profile '9g.99gb'; it has 1g.5gb"),
        ([Place(8, 0, "1g.5gb")], "there is no such GPU"),
    ],
)
def test_what_is_illegal_is_named(places: list[Place], words: str) -> None:
    """Red if an illegal set passes, or is refused without its reason."""
    assert any(words in finding for finding in findings(places, NODE))
    with pytest.raises(ValueError, match=words.replace(".", r"\.")):
        Board(NODE, places)


def test_unknown_profiles_and_slices_are_refused() -> None:
    """Red if a profile that no GPU has waits for ever instead of being named."""
    with pytest.raises(ValueError, match=r"none of the GPUs has a MIG profile '1g\.6gb'"):
        first_fit(["1g.6gb"], NODE)
    with pytest.raises(ValueError, match="there is no such slice"):
        Board(NODE).remove(Place(0, 0, "1g.5gb"))
    with pytest.raises(ValueError, match="no GPU model is called"):
        gpu_model("v100")


@pytest.mark.parametrize("name", MODELS)
def test_names_follow_from_memory_as_nvidias_library_computes_them(name: str) -> None:
    """Red if a profile's memory would make the device plugin call it something else (go-nvlib: eighths, rounded)."""
    model = MODELS[name]
    whole = -(-model.memory_mib // 1024)
    for profile in model.profiles:
        eighths = -(-profile.memory_mib * 8 // model.memory_mib)
        gigabytes = int(eighths / 8 * whole + 0.5)
        assert profile.name.removesuffix("+me") == f"{profile.compute_slices}g.{gigabytes}gb"
