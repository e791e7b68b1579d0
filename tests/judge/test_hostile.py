"""Hostile values are drawn from schemas, and each answer to them is judged."""

from __future__ import annotations

from typing import Any

import pytest

from gpuassay.hostile import answers as judge
from gpuassay.hostile import cases as generated
from gpuassay.hostile.answers import Tried
from gpuassay.hostile.cases import Case
from gpuassay.hostile.sending import sample
from gpuassay.systems.kueue.objects import hostile

SCHEMA: dict[str, Any] = {
    "properties": {
        "kind": {"type": "string"},
        "metadata": {"type": "object"},
        "value": {"type": "integer"},
        "spec": {
            "type": "object",
            "properties": {
                "policy": {"type": "string", "enum": ["Hold", "None"]},
                "groups": {
                    "type": "array",
                    "items": {"type": "object", "properties": {"quota": {"x-kubernetes-int-or-string": True}}},
                },
                "template": {"type": "object", "properties": {"name": {"type": "string"}}},
            },
        },
        "status": {"type": "object"},
    }
}
HEALTHY = {"kind": "K", "metadata": {"name": "x"}, "value": 1, "spec": {"policy": "None", "groups": [{"quota": "1"}]}}


def test_every_field_of_the_schema_gets_hostile_values() -> None:
    """Red when a field is not tried, or one that is not the user's is."""
    cases = list(generated.cases("K", SCHEMA, HEALTHY))
    fields = {one.field for one in cases}
    assert fields == {
        "value",
        "spec",
        "spec.policy",
        "spec.groups",
        "spec.groups.0",
        "spec.groups.0.quota",
        "spec.template",
    }
    assert {one.value for one in cases if one.field == "spec.policy"} == {"", "Nonsense", "Hold"}
    assert {one.value for one in cases if one.field == "spec.groups.0.quota"} == set(generated.QUANTITIES)


def test_a_case_changes_its_field_alone() -> None:
    """Red when something else changes, or the healthy object itself does."""
    case = Case("K", ("spec", "groups", 0, "quota"), "-1")
    assert case.put(HEALTHY) == HEALTHY | {"spec": {"policy": "None", "groups": [{"quota": "-1"}]}}
    assert HEALTHY["spec"] == {"policy": "None", "groups": [{"quota": "1"}]}
    assert Case("K", ("spec", "policy"), None).put(HEALTHY)["spec"] == {"groups": [{"quota": "1"}]}
    assert Case("K", ("spec", "new", "deep"), 1).put(HEALTHY)["spec"]["new"] == {"deep": 1}
    with pytest.raises(LookupError, match="plain value"):
        Case("K", ("value", "below"), 1).put(HEALTHY)


@pytest.mark.parametrize("kind", hostile.KINDS)
def test_there_is_a_healthy_object_of_every_kind(kind: str) -> None:
    """Red when a kind cannot be tried, or its names are not those of the scenario."""
    made = hostile.healthy(kind, "mine", "ns", lambda stem: f"{stem}-token")
    assert made["kind"] == kind and made["metadata"]["name"] == "mine"


def test_samples_are_the_same_each_time_and_of_every_kind() -> None:
    """Red when a run cannot be repeated, or a kind is left out."""
    cases = [Case(kind, ("spec",), number) for kind in hostile.KINDS for number in range(100)]
    one = sample(cases, 80, 1)
    assert one == sample(cases, 80, 1) != sample(cases, 80, 2)
    assert {case.kind for case in one} == set(hostile.KINDS) and len(one) == 80


def tried(status: int, message: str = "", field: str = "spec.groups.0.quota") -> Tried:
    """A request and its answer."""
    return Tried("create K", field, '"-1"', status, message)


def test_an_error_of_the_server_is_found() -> None:
    """Red when a 5xx, a missing answer or a panic passes, or a plain refusal does not."""
    fine = [tried(200), tried(422, "spec.groups[0].quota: must not be negative")]
    assert judge.unanswered(fine) == []
    for bad in (tried(500, "boom"), tried(0, "timed out"), tried(422, "admission webhook: runtime error: nil pointer")):
        assert len(judge.unanswered([*fine, bad])) == 1
    assert judge.panics([{"msg": "all well"}]) == []
    assert len(judge.panics([{"msg": "Observed a panic", "panic": "x"}])) == 1


def test_a_refusal_must_name_the_field() -> None:
    """Red when a refusal without the field passes, or one that names it, or what it lies in, does not."""
    assert (
        judge.unnamed([tried(200), tried(500), tried(422, "spec.groups[0].quota: bad"), tried(422, "groups are bad")])
        == []
    )
    assert len(judge.unnamed([tried(422, "the object is invalid")])) == 1
    assert judge.unnamed([tried(422, "spec: must be an object", field="spec")]) == []
    assert judge.unnamed([tried(422, "the object is invalid", field="")]) == []


def test_healthy_requests_must_be_taken() -> None:
    """Red when the refusal of a healthy object passes."""
    assert judge.broken([tried(422, "x"), tried(200, field="")]) == []
    assert len(judge.broken([tried(404, "gone", field="")])) == 1
