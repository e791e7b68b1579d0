"""What is asked of the Operator Lifecycle Manager, and how far it says that it is. No cluster is needed."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from gpuassay.cluster.api import Api
from gpuassay.cluster.errors import ClusterError
from gpuassay.manifest import Manifest
from gpuassay.provision import olm
from gpuassay.provision.component import Wish
from gpuassay.provision.objects import Objects, Ref
from gpuassay.provision.olm import V1ALPHA1, Package, channel_and_catalog, example, problem
from gpuassay.provision.registry import component
from gpuassay.toolchain import Assets
from tests.cluster.served import made

STARTS = Ref("example.org/v1", "Thing", "", "cluster")
PACKAGE = Package("it", "there", STARTS, channel="fast", overlay={"a": {"b": 2}})
CHOSEN = {"currentCSV": "it.v1", "installPlanRef": {"name": "plan"}}


def subscription(**status: Any) -> Manifest:
    return made(V1ALPHA1, "Subscription", "it", "there", status=status)


def version(phase: str, examples: str = "[]") -> Manifest:
    one = made(V1ALPHA1, "ClusterServiceVersion", "it.v1", "there", status={"phase": phase, "message": "no image"})
    one["metadata"]["annotations"] = {"alm-examples": examples}
    return one


def plan(phase: str) -> Manifest:
    conditions = [{"type": "Installed", "status": "False", "message": "forbidden"}]
    return made(V1ALPHA1, "InstallPlan", "plan", "there", status={"phase": phase, "conditions": conditions})


@pytest.fixture
def holding(monkeypatch: pytest.MonkeyPatch) -> list[Manifest]:
    """Objects of a cluster."""
    found: list[Manifest] = []

    def get(_: Objects, ref: Ref) -> Manifest | None:
        return next((one for one in found if Ref.of(one) == ref), None)

    monkeypatch.setattr(olm.Objects, "get", get)
    return found


CASES: list[tuple[list[Manifest], str]] = [
    ([], "Subscription there/it is gone"),
    ([subscription()], "has chosen no version: is it in catalog redhat-operators?"),
    ([subscription(conditions=[{"type": "ResolutionFailed", "status": "True", "message": "no x"}])], "Failed: no x"),
    ([subscription(conditions=[{"type": "ResolutionFailed", "status": "False"}], **CHOSEN), version("Succeeded")], ""),
    ([subscription(**CHOSEN), plan("RequiresApproval")], "InstallPlan plan is RequiresApproval: forbidden"),
    ([subscription(**CHOSEN), plan("Failed"), version("Succeeded")], "InstallPlan plan is Failed: forbidden"),
    ([subscription(**CHOSEN), plan("Complete")], "ClusterServiceVersion it.v1 is not there yet"),
    ([subscription(**CHOSEN), version("Failed")], "ClusterServiceVersion it.v1 is Failed: no image"),
    ([subscription(**CHOSEN), plan("Complete"), version("Succeeded")], ""),
]


@pytest.mark.parametrize(("objects", "words"), CASES)
def test_an_operator_is_installed_once_its_version_has_succeeded(
    objects: list[Manifest], words: str, holding: list[Manifest]
) -> None:
    """Red when something that hangs passes for installed, or OLM's own reason gets lost."""
    holding += objects
    said = problem(cast("Api", None), PACKAGE)
    assert words in said and bool(words) == bool(said)


def test_what_starts_it_is_its_own_example(holding: list[Manifest]) -> None:
    """Red when the object has another name, or what we lay over it displaces the rest."""
    one = {"apiVersion": "example.org/v1", "kind": "Thing", "spec": {"a": {"b": 1, "c": 1}, "d": 1}}
    holding += [subscription(**CHOSEN), version("Succeeded", json.dumps([one, {"kind": "Other"}]))]
    found = example(cast("Api", None), PACKAGE)
    assert found["metadata"] == {"name": "cluster"} and found["spec"] == {"a": {"b": 2, "c": 1}, "d": 1}
    holding[1] = version("Succeeded", "no JSON")
    with pytest.raises(ClusterError, match=r"ClusterServiceVersion it\.v1 has no example of a Thing"):
        example(cast("Api", None), PACKAGE)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("olm", ("", "")), ("olm:fast", ("fast", "")), ("olm@mine", ("", "mine")), ("olm:fast@mine", ("fast", "mine")),
        ("olmish", None), ("", None), ("./olm", None), ("oci://olm", None),
    ],
)  # fmt: skip
def test_a_source_names_channel_and_catalog(source: str, expected: tuple[str, str] | None) -> None:
    """Red when a chart is taken for a channel, or a channel for a catalog."""
    assert channel_and_catalog(source) == expected


@pytest.mark.parametrize(
    ("name", "package", "catalog"),
    [
        ("kueue", "kueue-operator", "redhat-operators"), ("das", "das-operator", "redhat-operators"),
        ("gpu-operator", "gpu-operator-certified", "certified-operators"),
    ],
)  # fmt: skip
def test_each_component_has_its_package(name: str, package: str, catalog: str) -> None:
    """Red when another package is subscribed to, or a cluster without OLM gets objects that nobody reads."""
    wish = Wish("olm:fast", groups=frozenset({olm.GROUP}))
    group, asked = component(name).content(Assets(), wish).objects
    assert group["metadata"] == asked["metadata"] and asked["spec"]["channel"] == "fast"
    assert (asked["spec"]["name"], asked["spec"]["source"]) == (package, catalog)
    with pytest.raises(ClusterError, match=f"package {package} cannot be had: .* so it has no OLM"):
        component(name).content(Assets(), Wish("olm"))
