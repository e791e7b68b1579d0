"""GPUs that are published as counters on somebody's cluster: on which node, and where they say nothing."""

from __future__ import annotations

from typing import Any

import pytest

from gpuassay.cluster.errors import NotFromOutside
from gpuassay.gpus import gpu_model
from gpuassay.manifest import Manifest
from gpuassay.systems.slices.acts.counters import keeps_counters, lendable
from gpuassay.workloads.claims import published

NODE: Manifest = {"metadata": {"name": "a", "labels": {"kubernetes.io/hostname": "a"}}, "spec": {}}


def test_a_node_is_lent_that_any_pod_may_use_and_that_its_host_name_tells() -> None:
    """Red when pods that name a node by its host name are never placed, for another reason than counters."""
    tainted = {"metadata": {"name": "b", "labels": {"kubernetes.io/hostname": "b"}}, "spec": {"taints": [{"key": "k"}]}}
    renamed = {"metadata": {"name": "c", "labels": {"kubernetes.io/hostname": "ip-10-0-0-1"}}, "spec": {}}
    assert lendable([tainted, NODE, renamed]) == ["a"]
    with pytest.raises(NotFromOutside, match="without taints"):
        lendable([tainted, renamed])


@pytest.mark.parametrize("dropped", ["", "sharedCounters", "consumesCounters"])
def test_an_api_server_that_drops_counters_is_noticed(dropped: str) -> None:
    """Red when a cluster without the feature gate is blamed for places that were given out twice."""
    stored: list[dict[str, Any]] = published("node", [gpu_model("a100-40gb")])
    for one in stored:
        one["spec"].pop(dropped, None)
        for device in one["spec"].get("devices", []):
            device.pop(dropped, None)
    assert keeps_counters(stored) is not bool(dropped)
    assert not keeps_counters([])
