"""Fake pods and nodes do what their annotations say."""

from __future__ import annotations

import datetime
from typing import Any

from gpuassay.cluster.base import Cluster
from gpuassay.manifest import Manifest, dig, is_true
from gpuassay.waiting import wait


def run_pod(cluster: Cluster, name: str, **annotations: str) -> None:
    notes = {f"gpuassay.io/{key.replace('_', '-')}": value for key, value in annotations.items()}
    containers = [{"name": "a", "image": "i"}, {"name": "b", "image": "i"}]
    spec: dict[str, Any] = {"restartPolicy": "Never", "containers": containers}
    metadata = {"name": name, "namespace": "default", "annotations": notes}
    cluster.api.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})


def until(cluster: Cluster, name: str, phase: str) -> Manifest:
    def look() -> Manifest:
        return cluster.api.get("Pod", name, "default") or {}

    return wait(look, lambda pod: dig(pod, "status", "phase") == phase, what=f"pod {name} to be {phase}", timeout=20)


def until_gone(cluster: Cluster, name: str) -> None:
    wait(lambda: cluster.api.get("Pod", name, "default"), lambda pod: pod is None, what=f"pod {name} gone", timeout=20)


def moment(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text)


def test_a_pod_runs_for_its_time_and_keeps_its_start(cluster: Cluster) -> None:
    run_pod(cluster, "timed", run_for="2s")
    running = until(cluster, "timed", "Running")
    assert is_true(running, "Ready")
    started = dig(running, "status", "containerStatuses", 0, "state", "running", "startedAt")
    done = until(cluster, "timed", "Succeeded")
    for status in dig(done, "status", "containerStatuses"):
        ended = status["state"]["terminated"]
        assert (ended["exitCode"], ended["reason"], ended["startedAt"]) == (0, "Completed", started)
        # whole seconds are all that the API keeps
        assert 1 <= (moment(ended["finishedAt"]) - moment(started)).total_seconds() <= 10
    assert not is_true(done, "Ready")
    cluster.api.delete("Pod", "timed", "default")


def test_an_exit_code_fails_the_pod(cluster: Cluster) -> None:
    run_pod(cluster, "failing", run_for="10ms", exit_code="3")
    done = until(cluster, "failing", "Failed")
    assert [s["state"]["terminated"]["exitCode"] for s in dig(done, "status", "containerStatuses")] == [3, 3]
    cluster.api.delete("Pod", "failing", "default")


def test_a_start_can_be_delayed(cluster: Cluster) -> None:
    run_pod(cluster, "late", start_delay="2s")
    done = until(cluster, "late", "Running")
    bound = next(c for c in done["status"]["conditions"] if c["type"] == "PodScheduled")["lastTransitionTime"]
    assert (moment(done["status"]["startTime"]) - moment(bound)).total_seconds() >= 1
    cluster.api.delete("Pod", "late", "default")
    until_gone(cluster, "late")


def test_readiness_follows_the_annotation_while_the_pod_runs(cluster: Cluster) -> None:
    run_pod(cluster, "moody", not_ready="true")
    assert not is_true(until(cluster, "moody", "Running"), "Ready")
    for note, ready in ((None, True), ("true", False)):
        cluster.api.patch("Pod", "moody", {"metadata": {"annotations": {"gpuassay.io/not-ready": note}}}, "default")
        wait(
            lambda: is_true(cluster.api.get("Pod", "moody", "default") or {}, "Ready"),
            lambda is_ready, ready=ready: is_ready == ready, what=f"readiness {ready}", timeout=20,
        )  # fmt: skip
    cluster.api.delete("Pod", "moody", "default", grace_seconds=0)


def test_a_deleted_pod_ends_as_failed_before_it_goes(cluster: Cluster) -> None:
    run_pod(cluster, "held")
    until(cluster, "held", "Running")
    holder = "gpuassay.io/hold"
    cluster.api.patch("Pod", "held", {"metadata": {"finalizers": [holder]}}, "default")
    cluster.api.delete("Pod", "held", "default")
    ended = until(cluster, "held", "Failed")
    assert dig(ended, "status", "containerStatuses", 0, "state", "terminated", "exitCode") == 137
    cluster.api.patch("Pod", "held", {"metadata": {"finalizers": None}}, "default")
    until_gone(cluster, "held")


def test_a_node_can_be_made_unready_and_ready_again(cluster: Cluster) -> None:
    (name,) = cluster.add_nodes(1, prefix="moody")
    for note, ready in (("true", False), (None, True)):
        cluster.api.patch("Node", name, {"metadata": {"annotations": {"gpuassay.io/node-not-ready": note}}})
        wait(
            lambda: is_true(cluster.api.get("Node", name) or {}, "Ready"),
            lambda is_ready, ready=ready: is_ready == ready, what=f"readiness {ready}", timeout=20,
        )  # fmt: skip
    cluster.remove_nodes([name])
