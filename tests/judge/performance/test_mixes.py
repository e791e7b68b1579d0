from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gpuassay import labels
from gpuassay.cluster.api import Api
from gpuassay.manifest import Manifest, dig, name_of
from gpuassay.record.live import Listener, LiveView
from gpuassay.record.recording import RecordingMeta
from gpuassay.systems.kueue.acts.workload_driver import Mimic
from gpuassay.systems.kueue.judge import throughput
from gpuassay.systems.kueue.model.predict import CONFIGURATIONS, queues_of
from gpuassay.systems.kueue.objects import mixes
from gpuassay.systems.kueue.readings import KueueRecording

MANIFESTS = Path(__file__).parents[3] / "manifests" / "kueue" / "table3"

BASELINE: Manifest = {
    "cohorts": [
        {
            "className": "cohort", "count": 2,
            "queuesSets": [
                {
                    "className": "cq", "count": 3, "nominalQuota": 20, "borrowingLimit": 100,
                    "reclaimWithinCohort": "Any", "withinClusterQueue": "LowerPriority",
                    "workloadsSets": [
                        {"count": 4, "creationIntervalMs": 1, "workloads": [
                            {"className": "small", "runtimeMs": 2, "priority": 50, "request": 1}]},
                        {"count": 1, "creationIntervalMs": 2, "workloads": [
                            {"className": "large", "runtimeMs": 1, "priority": 200, "request": 20}]},
                    ],
                }
            ],
        }
    ]
}  # fmt: skip


def _documents(name: str) -> list[Manifest]:
    return list(yaml.safe_load_all((MANIFESTS / f"{name}.yaml").read_text()))


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_on_somebodys_nodes_places_stand_for_gpus(name: str) -> None:
    """Red when a Job, a quota or a flavor of an arm still means GPUs, or nodes of others."""
    places = mixes.Places({"gpuassay.io/floor-x1": "here"}, "gpuassay.io/racked-gpu-x1")
    made = mixes.configuration(_documents(name), "x1", "ga-x1", "pool-x1", places)
    assert labels.GPU not in str([made.queues, made.jobs]) and mixes.POOL not in str(made)
    gpus = mixes.configuration(_documents(name), "x1", "ga-x1", "pool-x1")
    for queue, same in zip(made.queues, gpus.queues, strict=True):
        if queue["kind"] == "ClusterQueue":
            [group], [asked] = queue["spec"]["resourceGroups"], same["spec"]["resourceGroups"]
            assert group["coveredResources"] == [places.resource]
            quotas = [[one | {"name": ""} for one in flavor["resources"]] for flavor in group["flavors"]]
            assert quotas == [[one | {"name": ""} for one in flavor["resources"]] for flavor in asked["flavors"]]
        if queue["kind"] == "ResourceFlavor":
            assert queue["spec"]["nodeLabels"] == places.labels
    for cls in ("medium", "large"):
        spec = made.job(cls, "one", 1.0)["spec"]["template"]["spec"]
        assert spec["containers"][0]["resources"]["limits"] == {places.resource: "1"}
        assert spec.get("nodeSelector", places.labels) == places.labels
        assert ("nodeSelector" in spec) == (name == "pure")
        assert "tolerations" not in spec
    own = mixes.Places({"kubernetes.io/hostname": "n1"}, labels.GPU, [{"key": labels.GPU, "operator": "Exists"}])
    made = mixes.configuration(_documents(name), "x1", "ga-x1", "pool-x1", own)
    spec = made.job("large", "one", 1.0)["spec"]["template"]["spec"]
    assert spec["containers"][0]["resources"]["limits"] == {labels.GPU: "1"}
    assert spec["tolerations"] == [{"key": labels.GPU, "operator": "Exists"}]


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_configuration_moves_out_of_the_way_of_others(name: str) -> None:
    made = mixes.configuration(_documents(name), "x1", "ga-x1", "pool-x1")
    known = {name_of(one) for one in made.queues if "namespace" not in one["metadata"]}
    assert all(one.endswith("-x1") for one in known)
    for queue in made.queues:
        if queue["kind"] == "ClusterQueue":
            assert {flavor["name"] for flavor in queue["spec"]["resourceGroups"][0]["flavors"]} <= known
        if queue["kind"] == "LocalQueue":
            assert queue["spec"]["clusterQueue"] in known and queue["metadata"]["namespace"] == "ga-x1"
        if queue["kind"] == "ResourceFlavor":
            assert queue["spec"]["nodeLabels"][mixes.POOL] == "pool-x1"
    job = made.job("large", "large-3", 12.5)
    assert (name_of(job), job["metadata"]["namespace"]) == ("large-3", "ga-x1")
    assert dig(job, "spec", "template", "metadata", "annotations", labels.RUN_FOR) == "12.500s"
    asked = job["metadata"].get("labels", {})
    assert asked.get(labels.PRIORITY_CLASS, "high-x1") in known | {"high-x1"}
    # outside of Kueue nothing but the node selector keeps a Job to its pool
    pinned = dig(job, "spec", "template", "spec", "nodeSelector", mixes.POOL) == "pool-x1"
    assert pinned == (name == "pure") == (labels.QUEUE_NAME not in asked)
    assert made.jobs["large"]["metadata"]["name"] == "large"  # patterns stay as they are


@pytest.mark.parametrize("name", [one for one in CONFIGURATIONS if one != "pure"])
def test_the_twin_has_the_quota_that_the_manifests_have(name: str) -> None:
    """Model and YAML are written apart; they must say the same."""
    queues = {one["metadata"]["name"]: one["spec"] for one in _documents(name) if one["kind"] == "ClusterQueue"}
    modelled, cohort = queues_of(name)
    assert {one.name for one in modelled} == set(queues)
    for one in modelled:
        spec = queues[one.name]
        entry = spec["resourceGroups"][0]["flavors"][0]["resources"][0]
        assert spec.get("cohortName") == cohort
        assert int(entry["nominalQuota"]) == one.quota.nominal
        assert (int(entry["borrowingLimit"]) if "borrowingLimit" in entry else None) == one.quota.borrowing_limit
        assert dig(spec, "preemption", "withinClusterQueue", default="Never") == one.policy.within_queue


def test_a_stranger_in_a_configuration_is_refused() -> None:
    with pytest.raises(ValueError, match="holds no Pod"):
        mixes.configuration([{"kind": "Pod", "metadata": {"name": "p"}}], "x", "n", "p")


def test_the_generator_is_read_as_kueues_runner_does() -> None:
    found = mixes.generated(BASELINE)
    assert [queue.name for queue in found.queues][:2] == ["cq-0-0-cohort-0", "cq-0-1-cohort-0"]
    assert (len(found.queues), len(found.sets), found.total) == (6, 12, 30)
    assert found.sets[0].names == tuple(f"small-0-{number}-0" for number in range(4))
    assert found.sets[1].names == ("large-1-0-0",)
    made = mixes.generated_workload(found.sets[1], "large-1-0-0", "ns")
    assert (made["spec"]["priority"], made["spec"]["queueName"]) == (200, "cq-0-0-cohort-0")
    queue = mixes.generated_queue(found.queues[0], "rf", "x")
    assert queue["spec"]["cohortName"] == "cohort-0-x"


@given(st.integers(min_value=1, max_value=1000))
def test_dividing_leaves_at_least_one_of_each(divisor: int) -> None:
    found = mixes.generated(mixes.divided(BASELINE, divisor))
    assert all(
        one.count == max(1, whole.count // divisor)
        for one, whole in zip(found.sets, mixes.generated(BASELINE).sets, strict=True)
    )


@pytest.mark.parametrize(("document", "divisor", "why"), [({}, 1, "no cohorts"), (BASELINE, 0, "at least 1")])
def test_bad_generators_are_refused(document: Manifest, divisor: int, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        mixes.divided(document, divisor)


class _Kueue:
    """Admits what is created at once, evicts one of them once, and shows every change to the driver."""

    def __init__(self) -> None:
        self.listeners: list[Listener] = []
        self.objects: dict[tuple[str, str], Manifest] = {}
        self.finished: list[str] = []
        self.returned: list[str] = []
        self.lock = threading.RLock()
        self.evict: set[tuple[str, str]] = set()

    def show(self, key: tuple[str, str], **states: str) -> None:
        workload = self.objects[key]
        workload["status"] = {"admission": {}, "conditions": [{"type": k, "status": v} for k, v in states.items()]}
        for listener in self.listeners:
            listener("MODIFIED", workload)

    def create(self, manifest: Manifest) -> None:
        key = (str(manifest["metadata"]["namespace"]), name_of(manifest))
        with self.lock:
            self.objects[key] = manifest
            self.show(key, QuotaReserved="True", Admitted="True")
            if key in self.evict:
                self.show(key, QuotaReserved="True", Admitted="True", Evicted="True")

    # what the driver uses of `Api` and `LiveView`
    def patch(self, kind: str, name: str, body: list[Manifest], namespace: str, **_: object) -> None:
        assert (kind, body[0]["value"]["type"]) == ("Workload", "Finished")
        with self.lock:
            self.finished.append(name)
            self.show((namespace, name), Finished="True")

    def get(self, kind: str, name: str, namespace: str) -> Manifest:
        del kind
        return self.objects[namespace, name]

    def replace(self, manifest: Manifest, **_: object) -> None:
        key = (str(manifest["metadata"]["namespace"]), name_of(manifest))
        with self.lock:
            self.returned.append(key[1])
            assert "admission" not in manifest["status"]
            self.show(key, QuotaReserved="False", Admitted="False", Evicted="True")
            self.show(key, QuotaReserved="True", Admitted="True")

    def listen(self, kind: str, listener: Callable[[str, Manifest], None]) -> None:
        del kind
        self.listeners.append(listener)

    def check(self) -> None: ...


def _driver(kueue: _Kueue) -> Mimic:
    api, view = cast("Api", cast("Any", kueue)), cast("LiveView", cast("Any", kueue))
    return Mimic(api, view, mixes.generated(BASELINE), lambda queue: queue, kueue.create)


def test_the_driver_finishes_every_workload_once() -> None:
    kueue = _Kueue()
    driver = _driver(kueue)
    assert driver.run(timeout=30)
    assert (len(kueue.finished), len(kueue.objects), driver.problems) == (30, 30, [])
    assert len(driver.lags) == 30 and min(driver.lags) >= 0


def test_an_evicted_workload_gives_back_and_runs_again() -> None:
    kueue = _Kueue()
    kueue.evict = {("cq-0-0-cohort-0", "small-0-0-0")}
    driver = _driver(kueue)
    assert driver.run(timeout=30)
    assert (kueue.returned, driver.evictions, driver.problems) == (["small-0-0-0"], 1, [])
    assert len(kueue.finished) == 30


def test_a_refused_creation_is_told_and_time_runs_out() -> None:
    kueue = _Kueue()

    def refuse(manifest: Manifest) -> None:
        if name_of(manifest).startswith("large"):
            raise ValueError("no")
        kueue.create(manifest)

    driver = _driver(kueue)
    driver.create = refuse
    assert not driver.run(timeout=0.5)
    assert len(driver.problems) == 6 and "create large-1-0-0: ValueError: no" in driver.problems


def _workload(name: str, at: float, cls: str, **states: str) -> Manifest:
    entries = [{"type": kind, "status": status} for kind, status in states.items()]
    metadata: Manifest = {"name": name, "namespace": "n", "uid": name, "resourceVersion": "1"}
    metadata["labels"] = {throughput.CLASS: cls}
    body: Manifest = {"kind": "Workload", "metadata": metadata, "status": {"conditions": entries}}
    return {"at": round(at * 1e9), "type": "MODIFIED", "object": body}


def test_throughput_counts_who_was_never_admitted() -> None:
    events = [
        _workload("a", 10, "small"), _workload("a", 12, "small", QuotaReserved="True", Admitted="True"),
        _workload("a", 13, "small", QuotaReserved="False"),
        _workload("a", 14, "small", QuotaReserved="True", Admitted="True"),
        _workload("a", 15, "small", QuotaReserved="True", Admitted="True", Finished="True"),
        _workload("b", 11, "large"),
    ]  # fmt: skip
    found = throughput.throughput(
        KueueRecording.of_parts(RecordingMeta("t", notes={"total": 3, "lags": []}), events=events)
    )
    assert (found.asked, found.created, found.finished, found.evictions) == (3, 2, 1, 1)
    assert (found.admission["small"], found.admission["large"]) == ([pytest.approx(2)], [])
    assert found.never_admitted == {"small": 0, "large": 1}
    assert found.rate == pytest.approx(1 / 5)
    assert throughput.rows("k", found)[0] == ["k", "large", 1, None, None, None, 1]
