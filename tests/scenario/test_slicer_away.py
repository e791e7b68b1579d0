"""A slicer that is kept from one node of somebody's cluster, and its DaemonSet as it was afterwards."""

from __future__ import annotations

import copy
from typing import Any, cast

import pytest

from gpuassay.cluster.errors import NotFromOutside
from gpuassay.manifest import Manifest
from gpuassay.systems.slices.outside.away import back, daemonset, without
from tests.scenario.test_slices_outside import Api

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PRESENT = {"matchExpressions": [{"key": "nvidia.com/gpu.present", "operator": "In", "values": ["true"]}]}
PREFERRED = {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "preference": PRESENT}]}
AFFINITIES: dict[str, Manifest] = {
    "none": {},
    "of pods alone": {"affinity": {"podAntiAffinity": {REQUIRED: []}}},
    "preferred": {"affinity": {"nodeAffinity": PREFERRED}},
    "required": {"affinity": {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": [PRESENT, {**PRESENT, "x": 1}]}}}},
}


def made(affinity: Manifest, image: str = "nvcr.io/nvidia/k8s-device-plugin:v0.18.0") -> Manifest:
    return {
        "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "plugin", "namespace": "there"},
        "spec": {
            "selector": {"matchLabels": {"app": "plugin"}},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}},
            "template": {"spec": {"containers": [{"name": "c", "image": image}], **affinity}},
        },
    }  # fmt: skip


def merged(target: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    found: dict[str, Any] = dict(cast("dict[str, Any]", target)) if isinstance(target, dict) else {}
    for key, value in cast("dict[str, Any]", patch).items():
        if value is None:
            found.pop(key, None)
        else:
            found[key] = merged(found.get(key), value)
    return found


@pytest.mark.parametrize("name", AFFINITIES)
def test_a_daemonset_is_as_before_to_the_last_field(name: str) -> None:
    """Red when it has another template afterwards: then the slicer restarts on every node, under others' pods."""
    before = made(copy.deepcopy(AFFINITIES[name]))
    changed = merged(before, without(before, "a"))
    assert changed["spec"]["updateStrategy"] == {"type": "OnDelete"}
    terms = changed["spec"]["template"]["spec"]["affinity"]["nodeAffinity"][REQUIRED]["nodeSelectorTerms"]
    assert all({"key": "metadata.name", "operator": "NotIn", "values": ["a"]} in one["matchFields"] for one in terms)
    assert sum("matchExpressions" in one for one in terms) == (2 if name == "required" else 0)
    assert merged(changed, back(before)) == before


def test_a_slicer_is_the_daemonset_that_has_a_pod_on_the_node() -> None:
    """Red when another program's DaemonSet, or that of other nodes, is taken away."""
    pod: Manifest = {"metadata": {"name": "p"}, "spec": {"nodeName": "a"}}
    there: Any = Api(DaemonSet=[made({}, "example.org/other:1"), made({})], Pod=[pod])
    assert daemonset(there, "device-plugin", "a") == made({})
    for slicer, node in (("device-plugin", "b"), ("dra", "a")):
        with pytest.raises(NotFromOutside, match=f"node {node}"):
            daemonset(there, slicer, node)  # pyright: ignore[reportArgumentType]
