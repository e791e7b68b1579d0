"""The judges of faulty neighbours, on pickers that bear them and on pickers that do not."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gpuassay.systems.llmd.acts.neighbours import BLOCK, as_map, batch, stored
from gpuassay.systems.llmd.component.serve.forwarder import described
from gpuassay.systems.llmd.judge import neighbours as judge
from gpuassay.systems.llmd.objects.prompts import synthetic
from gpuassay.systems.llmd.rows import NeighbourRow


def row(**more: Any) -> NeighbourRow:
    known = {"neighbour": "metrics", "fault": "NaN", "asked": 3, "answered": 3, "slowest_s": 0.2, "alive": True}
    return msgspec.convert(known | more, NeighbourRow)


def test_a_picker_that_bears_it_is_right() -> None:
    """Red when a picker that lives, serves at once and follows is blamed."""
    assert judge.borne_findings([row()]) == []
    assert judge.followed_findings([row(followed=True)]) == []
    assert judge.said_findings([row(said=["cannot read"]), row(counted=["errors"])]) == []


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (row(alive=False), "NaN: the picker ended"),
        (row(answered=2, detail="503"), "NaN: 1 of 3 others got nothing (503)"),
        (row(slowest_s=1.4), "NaN: another request was answered after 1.4 s"),
    ],
)
def test_a_fault_that_hurts_others_is_found(bad: NeighbourRow, said: str) -> None:
    """Red when a dead, refusing or slow picker passes."""
    assert judge.borne_findings([row(), bad]) == [said]


def test_a_prompt_that_is_not_followed_is_found() -> None:
    """Red when a deaf picker passes, or a row that did not look."""
    assert "does not go where it is cached" in judge.followed_findings([row(followed=False)])[0]
    assert "nobody looked" in judge.followed_findings([row()])[0]


def test_silence_about_a_fault_is_found() -> None:
    """Red when a fault of which nothing tells passes."""
    assert judge.said_findings([row()]) == ["NaN: neither log nor metrics tell"]


def test_what_was_not_tried_is_no_pass() -> None:
    """Red when a scenario that left a fault out passes its test."""
    assert judge.of([row()], "metrics", "NaN") == [row()]
    with pytest.raises(LookupError, match="not tried: empty"):
        judge.of([row()], "metrics", "NaN", "empty")
    with pytest.raises(LookupError, match="not tried: all"):
        judge.of([row()], "events")


@pytest.mark.parametrize("form", [list, as_map])
def test_an_event_announces_every_whole_block(form: Any) -> None:
    """Red when the events that the scenario sends are not those of a model server that has the prompt."""
    prompt = synthetic("p", 4 * BLOCK + 3, 1)
    told = described([b"kv@1.2.3.4:5@m", (7).to_bytes(8, "big"), batch(form(stored(prompt)))], 0)
    assert (told["kinds"], told["blocks"], told["sequence"]) == ({"BlockStored": 1}, 4, 7)
    assert len(stored(prompt)[3]) == 4 * BLOCK


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"followed": True}, []),
        ({"followed": True, "alive": False}, ["NaN: the picker ended"]),
        ({"detail": "no model"}, ["NaN: the picker does not heed a rewrite that is made then (no model)"]),
        ({"followed": False}, ["NaN: the picker does not heed a rewrite that is made then (unchanged)"]),
    ],
)
def test_an_object_after_which_nothing_is_heeded_is_named(more: dict[str, object], told: list[str]) -> None:
    """Red when a picker that has ended, or gone deaf, passes."""
    assert judge.heeded_findings([row(**more)]) == told
