from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpuassay import labels
from gpuassay.cluster import base
from gpuassay.cluster.errors import ApiRefused, ClusterError
from gpuassay.cluster.existing import existing
from gpuassay.cluster.leaks import leftovers, sweep
from gpuassay.manifest import Manifest, dig, is_true
from gpuassay.systems.kueue.component import PROFILES, Kueue, Profile, install, profile
from gpuassay.systems.kueue.detect import detect
from gpuassay.systems.kueue.objects import queues as objects
from gpuassay.waiting import wait
from gpuassay.workloads import core

RUN_ID = "tests-cluster"


def marked(manifest: Manifest) -> Manifest:
    manifest["metadata"].setdefault("labels", {})[labels.RUN] = RUN_ID
    return manifest


@pytest.fixture
def queue(queueing: Kueue) -> Iterator[str]:
    """A namespace with LocalQueue `lq` of ClusterQueue `cq` that preempts lower priorities; two GPUs."""
    queueing.reconfigure("default")
    api, space = queueing.cluster.api, f"ns-{time.time_ns()}"
    api.create(marked({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space}}))
    wait(lambda: api.get("ServiceAccount", "default", space), bool, what="the namespace's account", timeout=20)
    for manifest in (
        objects.resource_flavor("any"),
        objects.priority_class("low", 1),
        objects.priority_class("high", 2),
        objects.cluster_queue("cq", [objects.gpu_group("any", 2)], preemption={"withinClusterQueue": "LowerPriority"}),
        objects.local_queue("lq", space, "cq"),
    ):
        api.apply(marked(manifest))
    yield space
    assert sweep(api, RUN_ID) == []
    assert leftovers(api, RUN_ID) == []


def until(kueue: Kueue, name: str, space: str, what: str) -> Manifest:
    def look() -> Manifest:
        return kueue.cluster.api.get("Job", name, space) or {}

    return wait(look, lambda job: is_true(job, what), what=f"job {name} to be {what}", timeout=30)


def running(kueue: Kueue, name: str, space: str) -> None:
    def look() -> list[str]:
        pods = kueue.cluster.api.list("Pod", space, f"job-name={name}")
        return [dig(pod, "status", "phase") for pod in pods]

    wait(look, lambda phases: phases == ["Running"], what=f"the pod of {name} to run", timeout=30)


def test_a_gpu_job_is_admitted_runs_and_completes(queueing: Kueue, queue: str) -> None:
    api = queueing.cluster.api
    created = api.create(marked(core.job("j", queue, "lq", run_for=2)))
    assert created["spec"]["suspend"] is True
    done = until(queueing, "j", queue, "Complete")
    assert done["spec"]["suspend"] is False
    (workload,) = api.list("Workload", queue)
    assert is_true(workload, "Admitted")
    assert dig(workload, "status", "admission", "podSetAssignments", 0, "resourceUsage", labels.GPU) == "1"


def test_a_preempted_job_comes_back_and_completes(queueing: Kueue, queue: str) -> None:
    api = queueing.cluster.api
    api.create(marked(core.job("victim", queue, "lq", gpus=2, run_for=3, priority="low")))
    running(queueing, "victim", queue)
    api.create(marked(core.job("winner", queue, "lq", gpus=2, run_for=0.5, priority="high")))
    until(queueing, "winner", queue, "Complete")
    until(queueing, "victim", queue, "Complete")


def test_a_refusal_names_the_webhook(queueing: Kueue, queue: str) -> None:
    bad = objects.cluster_queue("bad", [objects.gpu_group("any", 2), objects.gpu_group("any", 2)])
    api = queueing.cluster.api

    def refusal() -> str:
        """Its words; an API server learns of a webhook up to a second after it is there."""
        try:
            api.create(marked(bad))
        except ApiRefused as refused:
            return str(refused)
        api.delete("ClusterQueue", "bad")
        return ""

    words = 'admission webhook "vclusterqueue.kb.io" denied the request'
    wait(refusal, lambda said: words in said, what="the webhook to refuse", timeout=20)


def test_kueue_is_part_of_the_cluster(queueing: Kueue) -> None:
    cluster = queueing.cluster
    assert cluster.has(base.KUEUE)
    part = next(part for part in cluster.components if part.name == "kueue")
    assert part.version == queueing.version
    assert part.version.startswith("v0.")
    assert queueing.feature_gates()["VisibilityOnDemand"] is False
    rows = queueing.metrics()
    versions = [row["labels"]["git_version"] for row in rows if row["name"] == "kueue_build_info"]
    assert len(versions) == 1


def test_somebody_else_finds_kueue_on_the_cluster(queueing: Kueue, tmp_path: Path) -> None:
    with existing(directory=tmp_path, kubeconfig=queueing.cluster.kubeconfig, detectors=[detect]) as seen:
        assert seen.has(base.KUEUE)
        assert not seen.has(base.COMPONENT_LOGS)
        assert [part.name for part in seen.components] == ["kueue"]
        with pytest.raises(ClusterError, match="needs a control plane on this machine"), install(seen):
            pass


def test_jobsets_and_leader_worker_sets_are_queued_and_admitted(queueing: Kueue, queue: str) -> None:
    api = queueing.cluster.api
    job_set = api.create(marked(core.job_set("js", queue, "lq", {"a": {"gpus": 1}, "b": {"gpus": 1}})))
    assert job_set["spec"]["suspend"] is True

    def look() -> bool:
        return (api.get("JobSet", "js", queue) or {})["spec"]["suspend"]

    wait(look, lambda suspended: not suspended, what="the JobSet to be let go", timeout=30)
    wanted = marked(core.leader_worker_set("lws", queue, "lq", gpus=1))
    wanted["spec"]["rolloutStrategy"] = {"type": "RollingUpdate"}  # set by LeaderWorkerSet's own webhook elsewhere
    group = api.create(wanted)
    assert dig(group, "metadata", "labels", labels.QUEUE_NAME) == "lq"


def test_a_kill_is_survived_and_ordered_deaths_are_no_deaths(queueing: Kueue, queue: str) -> None:
    queueing.kill()
    assert queueing.cluster.component_died() is None
    with pytest.raises(ApiRefused, match="failed calling webhook"):
        queueing.cluster.api.create(marked(core.job("j", queue, "lq")))
    with pytest.raises(ClusterError, match="Kueue's metrics cannot be had"):
        queueing.metrics()
    offset = queueing.log_offset()
    queueing.start()
    lines, end = queueing.log_lines(offset)
    assert end > offset
    assert any(line.get("msg") == "Loaded feature gates" for line in lines)
    queueing.cluster.api.create(marked(core.job("j", queue, "lq", run_for=0.1)))
    until(queueing, "j", queue, "Complete")
    assert queueing.metrics()


def test_a_crash_is_told_with_the_last_lines_of_the_log(queueing: Kueue) -> None:
    assert queueing.process is not None
    queueing.process.kill(expected=False)
    death = wait(queueing.cluster.component_died, lambda found: found is not None, what="the death", timeout=5)
    assert death is not None
    assert death.component == "kueue"
    assert len(death.lines) == 30
    queueing.start()
    assert queueing.cluster.component_died() is None


def test_every_profile_is_accepted_by_kueue(queueing: Kueue) -> None:
    for name in PROFILES:
        queueing.reconfigure(name)
        assert queueing.profile is profile(name)
        assert queueing.process is not None
        assert queueing.process.alive


def test_a_bad_profile_is_refused_in_kueues_own_words(queueing: Kueue) -> None:
    try:
        with pytest.raises(ClusterError, match=r'(?s)refuses to start .profile .bad., exit code 1.: .*"nonsense"'):
            queueing.reconfigure(Profile("bad", "has an unknown field", {"nonsense": 1}))
        assert queueing.cluster.component_died() is None
    finally:
        queueing.reconfigure("default")


def test_webhooks_go_before_the_manager(queueing: Kueue) -> None:
    queueing.remove()
    api = queueing.cluster.api
    assert api.list("ValidatingWebhookConfiguration") == api.list("MutatingWebhookConfiguration") == []
    api.create(core.job("free", "default", None, run_for=0.1))
    until(queueing, "free", "default", "Complete")
    api.delete("Job", "free", "default")
