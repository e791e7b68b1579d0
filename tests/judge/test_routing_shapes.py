"""The judges of request shapes, on answers that are as the direct ones and on doctored ones."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gpuassay.systems.llmd.acts.shapes import MODEL, Shape, body_of, meaning
from gpuassay.systems.llmd.judge import shapes
from gpuassay.systems.llmd.rows import ShapeRow
from suites.llmd.shape_table import TABLE


def row(hop: str = "direct", **more: Any) -> ShapeRow:
    known: dict[str, Any] = {
        "group": "g", "label": "one", "hop": hop, "status": 200, "kind": "application/json", "meaning": '{"a": 1}',
    }  # fmt: skip
    return msgspec.convert(known | more, ShapeRow)


def refused(hop: str = "direct", status: int = 400) -> ShapeRow:
    return row(hop, status=status, meaning="", detail="no prompt")


def test_equal_answers_are_right() -> None:
    """Red when the judge blames a gateway that changes nothing, or refuses with another 4xx than the server."""
    assert shapes.findings([row(), row("gateway")], "g") == []
    assert shapes.findings([refused(), refused("gateway", 422)], "g") == []


@pytest.mark.parametrize(
    ("direct", "through", "said"),
    [
        (row(), row("gateway", meaning='{"a": 2}'), "another answer than directly"),
        (row(), row("gateway", status=201), "201 application/json, 200 application/json directly"),
        (row(), row("gateway", kind="text/plain"), "200 text/plain"),
        (row(), refused("gateway"), "400 application/json (no prompt), 200"),
        (refused(), refused("gateway", 500), "500 application/json (no prompt), 400"),
        (refused(), row("gateway"), "200 application/json, 400"),
        (row(), row("gateway", status=None, error="timeout"), "no answer (timeout), 200"),
        (row(), row("gateway", took_s=3.0), "answered after 3.0 s, after 0.0 s directly"),
        (row(status=None, error="timeout"), row("gateway"), "the model server itself gave no answer"),
    ],
)  # fmt: skip
def test_another_answer_is_found(direct: ShapeRow, through: ShapeRow, said: str) -> None:
    """Red when a change on the way passes, or a test without a direct answer counts as passed."""
    found = shapes.findings([direct, through], "g")
    assert len(found) == 1
    assert said in found[0]


@pytest.mark.parametrize("rows", [[], [row()], [row("gateway")], [row(), row("gateway", label="two")]])
def test_what_was_not_asked_both_ways_proves_nothing(rows: list[ShapeRow]) -> None:
    """Red when half an experiment passes."""
    assert "nothing is proved" in shapes.findings(rows, "g")[0]


def test_meaning_leaves_out_what_servers_make_up() -> None:
    """Red when an id or the state of a cache makes equal answers differ, or other text is lost."""
    first = b'{"id": "1", "created": 3, "usage": {"prompt_tokens": 4, "prompt_tokens_details": {"cached_tokens": 0}}}'
    other = b'{"created": 9, "usage": {"prompt_tokens_details": null, "prompt_tokens": 4}, "id": "x"}'
    assert meaning(first, "application/json") == meaning(other, "application/json") == '{"usage": {"prompt_tokens": 4}}'
    assert meaning(b"ok", "text/plain") == "ok"
    assert meaning(b'{"usage": 1}', "application/json") != meaning(b'{"usage": 2}', "application/json")


def test_a_stream_means_all_its_events() -> None:
    """Red when a lost, doubled or changed event does not change what a stream means."""
    stream = b'event: x\ndata: {"id": 1, "text": "a"}\n\ndata: {"text": "b"}\n\ndata: [DONE]\n\n'
    kind = "text/event-stream"
    assert meaning(stream, kind).splitlines() == ["event: x", 'data: {"text": "a"}', 'data: {"text": "b"}',
                                                  "data: [DONE]"]  # fmt: skip
    assert meaning(stream.replace(b'data: {"text": "b"}\n\n', b""), kind) != meaning(stream, kind)


def test_irrelevant_changes_must_stay_and_relevant_ones_must_be_able_to_go() -> None:
    """Red when a moved request passes, or a picker that does not look at the prompt."""
    here, there = row("gateway", served_by="a"), row("gateway", served_by="b", label="two")
    assert shapes.moved_findings([here, there], {"one": "a", "two": "b"}) == []
    assert shapes.moved_findings([here, there], {"one": "a", "two": "a"}) == ["two moved the request from a to b"]
    assert shapes.moved_findings([here], {"one": "a", "two": "a"}) == ["two: not asked"]
    assert shapes.moved_findings([], {}) == ["nothing was asked"]
    assert "has no place" in shapes.moved_findings([refused("gateway")], {"one": "a"})[0]
    assert shapes.deciding_findings([here, there], "a") == []
    assert "does not decide" in shapes.deciding_findings([here, here], "a")[0]
    assert shapes.deciding_findings([], "a") == ["not asked"]
    assert "has no place" in shapes.deciding_findings([refused("gateway")], "a")[0]


def test_headers_are_kept_with_all_their_values() -> None:
    """Red when a lost, merged or changed header passes, or one that nobody saw directly."""
    direct = [["x-a", "1"], ["x-a", "2"], ["x-b", ""]]
    assert shapes.kept_findings(direct, direct, ["x-a", "x-b"]) == []
    assert shapes.kept_findings(direct, [["x-a", "1, 2"], ["x-b", ""]], ["x-a"]) == []
    assert shapes.kept_findings(direct, [["x-a", "2"]], ["x-a"]) == ["x-a: '2' came, '1, 2' directly"]
    assert shapes.kept_findings(direct, [["x-a", "2"]], ["x-b"]) == ["x-b: it did not come, '' directly"]
    assert "nothing is proved" in shapes.kept_findings(direct, direct, ["x-c"])[0]


def test_the_table_names_every_request_once() -> None:
    """Red when two rows of the table have one name, so that one of them is judged by the other's answer."""
    names = [(shape.group, shape.label) for shape in TABLE]
    assert len(names) == len(set(names))


def test_the_model_is_filled_in() -> None:
    """Red when the table's placeholder reaches a server."""
    body = body_of(Shape("g", "l", body={"model": MODEL}), "a/b")
    assert body == b'{"model": "a/b"}'
    assert body_of(Shape("g", "l", body=b"{"), "a/b") == b"{"
    assert body_of(Shape("g", "l"), "a/b") is None
