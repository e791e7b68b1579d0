"""Objects that a scenario creates on a cluster with kubelets."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any, cast

from gpuassay.manifest import Manifest
from gpuassay.scenarios.lab import Lab
from gpuassay.workloads import core


def test_an_object_that_is_created_twice_is_the_same_both_times() -> None:
    """Red when the first creation adds to what the scenario holds, so that the second asks for a volume twice."""
    sent: list[Manifest] = []

    def create(one: Manifest) -> Manifest:
        sent.append(copy.deepcopy(one))
        return one

    cluster: Any = SimpleNamespace(api=SimpleNamespace(create=create))
    lab = Lab(token="t-x000001", run_id="r", cluster=cluster, view=cast("Any", None), image="busybox:1")
    job = core.job("twice", lab.namespace, None)
    lab.create(job)
    lab.create(job)
    assert sent[0] == sent[1]
    assert len(sent[1]["spec"]["template"]["spec"]["volumes"]) == 1
