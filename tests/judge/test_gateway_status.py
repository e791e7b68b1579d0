"""Judge of a gateway's conditions: it tells a condition that is wrong, missing, or of an object that is not there."""

from __future__ import annotations

from typing import Any

import pytest

from gpuassay.systems.llmd.judge.gateway_status import NO_PARENT, conditions, status_findings


def entry(kind: str, status: str = "True", reason: str = "Fine") -> dict[str, str]:
    """One condition."""
    return {"type": kind, "status": status, "reason": reason}


PICTURE: dict[str, dict[str, Any]] = {
    "Gateway/g": {"conditions": [entry("Accepted"), entry("Programmed", "False", "AddressNotUsable")]},
    "HTTPRoute/r": {"parents": [{"conditions": [entry("Accepted"), entry("ResolvedRefs")]}]},
    "InferencePool/free": {},
}


def test_conditions_are_read_from_the_object_or_its_parent() -> None:
    """Red when a reason is lost, or the conditions below a parent are not found."""
    assert conditions(PICTURE["Gateway/g"]) == {"Accepted": "True", "Programmed": "False/AddressNotUsable"}
    assert conditions(PICTURE["HTTPRoute/r"]) == {"Accepted": "True", "ResolvedRefs": "True"}
    assert conditions({}) == {}
    assert conditions({"conditions": [entry("Accepted", "Unknown", "Pending")]}) == {"Accepted": "Unknown/Pending"}


def test_a_picture_as_expected_has_no_findings() -> None:
    """Red when what is as expected is accused."""
    wanted = {
        "Gateway/g": {"Programmed": "False/AddressNotUsable"},
        "HTTPRoute/r": {"Accepted": "True", "ResolvedRefs": "True"},
        "InferencePool/free": NO_PARENT,
    }
    assert status_findings(PICTURE, wanted) == []


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"Gateway/g": {"Programmed": "True"}}, "expected Programmed=True, seen False/AddressNotUsable"),
        ({"Gateway/g": {"Programmed": "False/AddressNotAssigned"}}, "seen False/AddressNotUsable"),
        ({"Gateway/g": {"Ready": "True"}}, "seen no such condition"),
        ({"HTTPRoute/other": {"Accepted": "True"}}, "HTTPRoute/other was not there"),
        ({"HTTPRoute/r": NO_PARENT}, "expected no parent"),
        ({"InferencePool/free": {"Accepted": "True"}}, "seen no such condition"),
        ({}, "nothing was expected"),
    ],
)
def test_what_differs_is_told(wanted: dict[str, dict[str, str]], said: str) -> None:
    """Red when a wrong status, reason or object passes, or when an empty expectation proves something."""
    [finding] = status_findings(PICTURE, wanted)
    assert said in finding
