"""The Job of load pods: an API server accepts it as it is, and what its pods leave is read back or named."""

from __future__ import annotations

import time
from typing import Any

import pytest

from gpuassay.cluster.base import Cluster
from gpuassay.cluster.kinds import kind_of
from gpuassay.load.errors import LoadError
from gpuassay.load.plan import Ask, ClosedLoop, Plan, completion_body
from gpuassay.load.spread import PodsLost, log_lines
from gpuassay.load.spread_job import INDEX, Pods, collect, objects
from gpuassay.manifest import Manifest
from tests.load.test_spread import reports_of

PLAN = Plan(
    url="http://gateway.example", model="m", bodies={"p": completion_body("hello", 4)}, asks=(Ask("p"),) * 12,
    shape=ClosedLoop(4),
)  # fmt: skip
PODS = Pods("default", "registry.example/gpuassay:1", 3)


def test_an_api_server_accepts_every_object(cluster: Cluster) -> None:
    """Red when the API server refuses or drops a field of the manifest (dry run, strict field validation)."""
    for one in objects(PLAN, PODS, time.time() + 60):
        path = kind_of(one["kind"], one["apiVersion"]).path(namespace=PODS.namespace)
        cluster.api.request("post", path, one, query={"dryRun": "All", "fieldValidation": "Strict"})
    assert cluster.api.get("Job", PODS.name, PODS.namespace) is None


def test_the_job_says_how_many_and_when() -> None:
    """Red when pods would not know their number, the common instant, or the plan's parts."""
    *maps, job = objects(PLAN, PODS, 1234.5)
    spec: Manifest = job["spec"]
    [container] = spec["template"]["spec"]["containers"]
    told = {one["name"]: one.get("value") for one in container["env"]}
    assert (spec["completionMode"], spec["completions"], spec["parallelism"], spec["backoffLimit"]) == (
        "Indexed",
        3,
        3,
        0,
    )
    assert (told["LOAD_SHARDS"], told["LOAD_START_AT"], container["image"]) == ("3", "1234.500", PODS.image)
    sources = spec["template"]["spec"]["volumes"][0]["projected"]["sources"]
    assert [one["configMap"]["name"] for one in sources] == [one["metadata"]["name"] for one in maps]
    assert all(one["metadata"]["labels"]["gpuassay.io/run"] == "load" for one in (*maps, job))
    with pytest.raises(LoadError, match="5 load pods for 4 streams and 12 asks: each needs one"):
        objects(PLAN, Pods("default", "x", 5), 0.0)


class FakeApi:
    """Pods of a Job and their logs."""

    def __init__(self, logs: dict[str, str], states: dict[str, Manifest]) -> None:
        self.logs, self.states = logs, states

    def list(self, kind: str, namespace: str, selector: str) -> list[Manifest]:
        assert selector == "batch.kubernetes.io/job-name=gpuassay-load"
        return [
            {
                "metadata": {"name": name, "annotations": {INDEX: name.rpartition("-")[2]}},
                "spec": {"nodeName": f"node-{name[-1]}"},
                "status": self.states.get(name, {"phase": "Succeeded"}),
            }
            for name in self.logs
        ]

    def raw(self, path: str) -> str:
        return self.logs[path.split("/")[6]]


def test_logs_are_merged_and_a_lost_pod_is_named_with_its_end() -> None:
    """Red when a pod that was killed for memory makes the load smaller, or is an anonymous failure."""
    reports = reports_of([5 + i for i in range(12)], 3)
    logs = {one.note.pod: "\n".join(log_lines(one)) for one in reports}
    whole: Any = FakeApi(logs, {})
    assert collect(whole, PODS).result.tail.asked == 12
    ended = {"terminated": {"reason": "OOMKilled", "exitCode": 137}}
    killed = {"phase": "Failed", "containerStatuses": [{"state": ended}]}
    short: Any = FakeApi(logs | {"load-1": ""}, {"load-1": killed})
    with pytest.raises(
        PodsLost, match=r"shards 1 of 3 .*load-1 \(shard 1 on node-1\): Failed: OOMKilled with exit code 137"
    ):
        collect(short, PODS)
    waiting = {"phase": "Pending", "containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff"}}}]}
    pending: Any = FakeApi(logs | {"load-2": ""}, {"load-2": waiting})
    with pytest.raises(PodsLost, match="Pending: ImagePullBackOff"):
        collect(pending, PODS)
