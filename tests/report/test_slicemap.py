"""Slice maps and the matrix of slicers: what is drawn and told is what was recorded."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from pydantic import ValidationError

from gpuassay.report import slicemap
from gpuassay.report.exhibits import EXHIBIT, SliceMap
from gpuassay.report.matrix import conformance, slicer_of
from gpuassay.verdict import State, Verdict

BOXES = [
    {"gpu": 0, "slot": 0, "size": 1, "start": 0, "end": 10, "label": "medium-0", "class": "medium"},
    {"gpu": 1, "slot": 4, "size": 4, "start": 5, "end": 40, "label": "large-<0>", "class": "large"},
    {"gpu": 1, "slot": 3, "size": 1, "start": 5, "end": 40, "class": "padding"},
    {"gpu": 0, "slot": 6, "size": 1, "start": 20, "end": 40, "label": "medium-1", "class": "leak"},
]


def made(boxes: object) -> SliceMap:
    found = EXHIBIT.validate_python(
        {"id": "m", "title": "t", "kind": "slices", "gpus": ["GPU 0", "GPU 1"], "slots": 8, "boxes": boxes}
    )
    assert isinstance(found, SliceMap)
    return found


def test_every_box_is_drawn_as_high_as_its_memory_slices() -> None:
    """Red when a pod, a leak or padding is left out, or a large slice looks like a small one."""
    root = ElementTree.fromstring(slicemap.draw(made(BOXES)))
    boxes = [one for one in root.iter("rect") if one.find("title") is not None]
    told = {str(one.findtext("title")).split(":")[0]: float(one.attrib["height"]) for one in boxes}
    assert len(boxes) == len(BOXES)
    assert told["large-<0>"] + 1 == 4 * (told["medium-0"] + 1)
    assert any("leak" in one.attrib["class"] for one in boxes)
    assert any("padding" in one.attrib["class"] for one in boxes)


def test_maps_that_share_an_end_share_the_time_axis() -> None:
    """Red when a box of one map looks as long as one of another map that took twice the time."""

    def width(end: float) -> float:
        root = ElementTree.fromstring(slicemap.draw(made(BOXES[:1]), end))
        return next(float(one.attrib["width"]) for one in root.iter("rect") if one.find("title") is not None)

    assert width(20) + 1 == pytest.approx((width(10) + 1) / 2, abs=0.2)


def test_an_empty_map_is_drawn() -> None:
    """Red when a run without any slice breaks the report."""
    assert slicemap.draw(made([])).startswith("<svg")


@pytest.mark.parametrize(
    ("wrong", "word"),
    [({"gpu": 2}, "outside"), ({"slot": 6, "size": 4}, "outside"), ({"start": 11}, "ends before it starts")],
)
def test_boxes_that_cannot_be_are_refused(wrong: dict[str, int], word: str) -> None:
    """Red when a box outside the GPUs, or one that ends before it starts, is drawn."""
    with pytest.raises(ValidationError, match=word):
        made([BOXES[0] | wrong])


def verdict(behaviour: str, test: str, state: State, suite: str = "slices") -> Verdict:
    return Verdict(
        behaviour=behaviour, test=test, suite=suite, feature="life", title="t", level="MUST", spec="s", red_when="r",
        mutant="m", state=state.value,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("test", "slicer"),
    [
        ("a.py::b[dra]", "dra"),
        ("a.py::b[dra-example]", "dra-example"),
        ("a.py::b[kill-device-plugin]", "device-plugin"),
        ("a.py::b[das-1g.5gb]", "das"),
        ("a.py::b[dynamic]", None),
        ("a.py::dra", None),
    ],
)
def test_a_slicer_is_told_by_the_parameter(test: str, slicer: str | None) -> None:
    """Red when a test is counted for another slicer than it judges, or for one though it judges none."""
    assert slicer_of(test) == slicer


def test_the_worst_of_several_tests_counts() -> None:
    """Red when a failure hides behind a pass, or another suite's tests are counted."""
    table = conformance(
        [
            verdict("slices.life.freed[dra]", "t::a[dra]", State.PASS),
            verdict("slices.life.freed[dra]", "t::b[dra]", State.FAIL),
            verdict("slices.life.freed[device-plugin]", "t::a[device-plugin]", State.PASS),
            verdict("slices.life.granted[device-plugin]", "t::c[device-plugin]", State.PASS),
            verdict("kueue.dra.x[das]", "t::d[das]", State.PASS, suite="kueue"),
        ]
    )
    assert table is not None
    assert table.columns == ["behaviour", "NVIDIA device plugin", "NVIDIA DRA driver"]
    assert table.rows[0][1:] == ["2 of 2", "0 of 1; 1 FAIL"]
    assert table.rows[1:] == [["slices.life.freed", "PASS", "FAIL"], ["slices.life.granted", "PASS", None]]


def test_a_slicer_that_is_not_at_hand_is_told_as_not_run() -> None:
    """Red when a slicer of which every behaviour was skipped looks as if it had been tried."""
    skipped = [verdict(f"slices.life.{name}[das]", f"t::{name}[das]", State.SKIP) for name in ("freed", "granted")]
    table = conformance([*skipped, verdict("slices.life.freed[dra]", "t::freed[dra]", State.PASS)])
    assert table is not None
    assert table.rows[0] == ["passed, of those declared", "1 of 1", "not run (2 skipped)"]
    assert [row[2] for row in table.rows[1:]] == ["SKIP", "SKIP"]


def test_without_slicers_there_is_no_matrix() -> None:
    """Red when every report gets an empty matrix."""
    assert conformance([verdict("slices.performance.peak", "t::a", State.PASS)]) is None
