"""Names of llm-d's endpoint picker by version."""

from __future__ import annotations

import pytest

from gpuassay.systems.llmd.provision import RENAMED
from gpuassay.systems.llmd.versions import NAMES, gates_taken, picker_names


@pytest.mark.parametrize(
    ("version", "group", "header"),
    [
        ("v0.7.1", "inference.networking.x-k8s.io", "x-gateway-inference-objective"),
        ("0.10.0", "llm-d.ai", "x-llm-d-inference-objective"),
    ],
)
def test_a_known_version_has_its_own_names(version: str, group: str, header: str) -> None:
    """Red when a release is judged by the names of another."""
    names = picker_names(version)
    assert (names.group, names.objective) == (group, header)
    assert "flowControl" in names.gates


def test_the_gate_that_the_router_refuses_is_not_among_its_gates() -> None:
    assert "prepareDataPlugins" in picker_names("0.7.1").gates
    assert "prepareDataPlugins" not in picker_names("0.10.0").gates


@pytest.mark.parametrize(
    ("version", "taken"),
    [
        ("v0.7.1", ["prepareDataPlugins", "flowControl", "somebodysOwn"]),
        ("v0.10.0", ["flowControl", "somebodysOwn"]),
        ("v0.11.0", ["prepareDataPlugins", "flowControl", "somebodysOwn"]),
        ("unknown", ["prepareDataPlugins", "flowControl", "somebodysOwn"]),
    ],
)
def test_only_a_gate_that_a_known_version_refuses_is_left_out(version: str, taken: list[str]) -> None:
    """Red when a picker refuses to start for a gate of another release, or loses one that somebody asked for."""
    assert gates_taken(version, ["prepareDataPlugins", "flowControl", "somebodysOwn"]) == taken


def test_an_unknown_version_is_refused_in_one_line() -> None:
    """Red when a version is guessed from its neighbours."""
    with pytest.raises(
        LookupError, match=r"picker v0\.11\.0 calls .* is not known here, only that of 0\.7, 0\.10: "
    ) as said:
        picker_names("v0.11.0")
    assert "\n" not in str(said.value)


def test_each_renamed_kind_leads_from_one_group_to_another() -> None:
    assert all(one.old != one.new and one.source.startswith("https://") for one in RENAMED)
    assert {one.new for one in RENAMED if one.plural == "inferenceobjectives"} == {NAMES["0.10"].group}
