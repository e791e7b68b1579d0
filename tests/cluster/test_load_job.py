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
from gpuassay.load.spread_job import INDEX, LATEST_START, Harvest, Pods, objects
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
    told_of_pods = [spec[one] for one in ("completionMode", "completions", "parallelism", "backoffLimitPerIndex")]
    assert told_of_pods == ["Indexed", 3, 3, 0]
    assert (told["LOAD_SHARDS"], told["LOAD_START_AT"], container["image"]) == ("3", "1234.500", PODS.image)
    sources = spec["template"]["spec"]["volumes"][0]["projected"]["sources"]
    assert [one["configMap"]["name"] for one in sources] == [one["metadata"]["name"] for one in maps]
    assert all(one["metadata"]["labels"]["gpuassay.io/run"] == "load" for one in (*maps, job))
    assert "LOAD_LATEST" not in told
    alone = objects(PLAN, Pods("default", "x", 1, latest=60.0), 0.0)[-1]["spec"]["template"]["spec"]["containers"][0]
    assert {"name": "LOAD_LATEST", "value": "60"} in alone["env"]
    with pytest.raises(LoadError, match="5 load pods for 4 streams and 12 asks: each needs one"):
        objects(PLAN, Pods("default", "x", 5), 0.0)


class FakeApi:
    """Pods of a Job, as they are at each look, and their logs."""

    def __init__(self, logs: dict[str, str], **states: Manifest) -> None:
        """Pods without a state have succeeded."""
        self.logs, self.states = logs, states

    def list(self, kind: str, namespace: str, selector: str) -> list[Manifest]:
        assert selector == "batch.kubernetes.io/job-name=gpuassay-load"
        found: list[Manifest] = []
        for name in self.logs:
            number = name[-1]
            meta: Manifest = {"name": name, "annotations": {INDEX: number}}
            status: Manifest = {"phase": "Succeeded"} | self.states.get(f"state_{number}", {})
            if status.pop("deleted", False):
                meta["deletionTimestamp"] = "2026-01-01T00:00:00Z"
            found.append({"metadata": meta, "spec": {"nodeName": f"node-{number}"}, "status": status})
        return found

    def raw(self, path: str) -> str:
        return self.logs[path.split("/")[6]]


def harvest_of(started: float = 0.0, **states: Manifest) -> tuple[Harvest, FakeApi]:
    """Three pods, each with its whole log, `started` seconds after the common instant."""
    reports = reports_of([5 + i for i in range(12)], 3)
    api: Any = FakeApi({one.note.pod: "\n".join(log_lines(one)) for one in reports}, **states)
    return Harvest(api, PODS, time.time() - started), api


def test_logs_are_merged_although_a_pod_is_removed_once_it_has_ended() -> None:
    """Red when rows of pods that have ended are read only after the last of them, or one of them twice."""
    harvest, api = harvest_of(state_2={"phase": "Running"})
    assert harvest.look() == {"load-0": "Succeeded", "load-1": "Succeeded", "load-2": "Running"}
    assert not harvest.over
    api.states.clear()
    del api.logs["load-0"]
    harvest.look()
    assert harvest.over and harvest.merged().result.tail.asked == 12


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (
            {"phase": "Failed", "containerStatuses": [{"state": {"terminated": {"reason": "Error", "exitCode": 137}}}]},
            "Failed: Error with exit code 137",
        ),
        ({"phase": "Failed", "reason": "Evicted"}, "Failed: Evicted"),
        ({"phase": "Running", "deleted": True}, "deleted; it was Running"),
        (
            {"phase": "Pending", "containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff"}}}]},
            "it did not start; Pending: ImagePullBackOff",
        ),
        (
            {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "message": "0/2 nodes"}]},
            "it did not start; Pending: 0/2 nodes",
        ),
    ],
)  # fmt: skip
def test_a_pod_that_is_lost_ends_the_load_and_is_named_with_its_reason(state: Manifest, words: str) -> None:
    """Red when a lost pod makes the load smaller, is an anonymous failure, or is waited for."""
    harvest, api = harvest_of(LATEST_START + 1, state_0={"phase": "Running"}, state_1=state)
    if state["phase"] == "Failed":
        api.logs["load-1"] = ""
    harvest.look()
    assert harvest.over
    with pytest.raises(PodsLost) as refused:
        harvest.merged()
    assert str(refused.value).startswith("shards 0, 1 of 3 left no rows; ")
    assert f"load-1 (shard 1 on node-1): {words}" in str(refused.value)
    assert "load-0 (shard 0 on node-0): still Running when the load was given up" in str(refused.value)


def test_a_pod_that_has_vanished_between_two_looks_is_lost() -> None:
    """Red when a pod that is deleted at once, as of a node that goes, is waited for until time is up."""
    harvest, api = harvest_of(state_0={"phase": "Running"}, state_1={"phase": "Running"}, state_2={"phase": "Running"})
    harvest.look()
    del api.logs["load-1"]
    harvest.look()
    with pytest.raises(PodsLost, match=r"load-1 \(shard 1 on node-1\): deleted; it was Running"):
        harvest.merged()


def test_a_pod_that_ends_well_because_it_is_deleted_is_lost_as_what_it_was() -> None:
    """Red when a load cut short by a drain reads as one that completed."""
    harvest, api = harvest_of(state_0={"phase": "Running"}, state_1={"phase": "Running"}, state_2={"phase": "Running"})
    harvest.look()
    api.states["state_1"] = {"phase": "Succeeded", "deleted": True}
    harvest.look()
    with pytest.raises(PodsLost, match=r"load-1 \(shard 1 on node-1\): deleted; it was Running"):
        harvest.merged()


def test_a_pod_may_start_until_the_common_instant() -> None:
    """Red when a pod whose image is still pulled before the load begins counts as lost."""
    harvest, _ = harvest_of(-30.0, state_0={"phase": "Pending"})
    harvest.look()
    assert not harvest.over
