"""Load pods on a cluster: the Job and its plan are created, waited for, read and removed.

The pods' image is the user's: it holds Python and gpuassay, nothing else is asked of it.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from gpuassay import labels
from gpuassay.cluster.api import Api
from gpuassay.cluster.errors import ApiRefused, ClusterError
from gpuassay.load.errors import LoadError
from gpuassay.load.plan import ClosedLoop, Plan
from gpuassay.load.runner import longest
from gpuassay.load.spread import PodReport, Spread, merge_pods, plan_parts, read_log
from gpuassay.manifest import Manifest, dig
from gpuassay.wait import wait

MANIFEST = Path(__file__).parents[2] / "manifests" / "llmd" / "load-job.yaml"

INDEX = "batch.kubernetes.io/job-completion-index"
JOB_NAME = "batch.kubernetes.io/job-name"

CONTROL_SECONDS = 90.0
"""For the pods to measure their own error after the load, and to end."""


@dataclass(frozen=True)
class Pods:
    """How a load is spread.

    Attributes:
        namespace: where the Job is made; exists.
        image: of the pods.
        count: how many; each is a shard.
        start_in: s from now to the common instant; pods must be pulled and running by then.
        name: of the Job.
        run: value of the label by which everything is removed.
    """

    namespace: str
    image: str
    count: int
    start_in: float = 60.0
    name: str = "gpuassay-load"
    run: str = "load"


def objects(plan: Plan, pods: Pods, start_at: float) -> list[Manifest]:
    """The ConfigMaps of the plan, and the Job.

    Args:
        plan: what is asked.
        pods: who asks.
        start_at: the common instant, s since the epoch.

    Raises:
        LoadError: more pods than streams or asks.
    """
    streams = plan.shape.concurrency if isinstance(plan.shape, ClosedLoop) else len(plan.asks)
    if not 1 <= pods.count <= min(streams, len(plan.asks)):
        raise LoadError(f"{pods.count} load pods for {streams} streams and {len(plan.asks)} asks: each needs one")
    marks = {labels.RUN: pods.run}
    maps: list[Manifest] = [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": f"{pods.name}-plan-{number:03d}", "namespace": pods.namespace, "labels": marks},
            "binaryData": {f"plan-{number:03d}": base64.b64encode(part).decode()},
        }
        for number, part in enumerate(plan_parts(plan))
    ]
    job: Manifest = yaml.safe_load(MANIFEST.read_text())
    job["metadata"] |= {"name": pods.name, "namespace": pods.namespace, "labels": marks}
    lasts = longest(plan) + pods.start_in + CONTROL_SECONDS
    job["spec"] |= {"completions": pods.count, "parallelism": pods.count, "activeDeadlineSeconds": round(lasts)}
    template: Manifest = job["spec"]["template"]
    template["metadata"]["labels"] |= marks
    [container] = template["spec"]["containers"]
    container["image"] = pods.image
    given = {"LOAD_SHARDS": str(pods.count), "LOAD_START_AT": f"{start_at:.3f}"}
    for variable in container["env"]:
        if variable["name"] in given:
            variable["value"] = given[variable["name"]]
    template["spec"]["volumes"][0]["projected"]["sources"] = [
        {"configMap": {"name": one["metadata"]["name"]}} for one in maps
    ]
    return [*maps, job]


def spread(api: Api, plan: Plan, pods: Pods) -> Spread:
    """Put the load on the server from pods; nothing of it stays on the cluster.

    Raises:
        LoadError: pods are lost, or the plan cannot be carried out; all pods concerned are named.
        ClusterError: the cluster refuses the Job.
        gpuassay.wait.WaitTimeout: the pods do not end although every request's time is up.
    """
    start_at = time.time() + pods.start_in
    with _created(api, objects(plan, pods, start_at)):
        timeout = pods.start_in + longest(plan) + CONTROL_SECONDS
        wait(
            lambda: _pods(api, pods),
            lambda found: len(found) >= pods.count and all(_phase(one) in ("Succeeded", "Failed") for one in found),
            what=f"{pods.count} load pods of Job {pods.namespace}/{pods.name} to end",
            timeout=timeout,
            delay=1.0,
        )
        return collect(api, pods)


@contextmanager
def _created(api: Api, made: list[Manifest]) -> Generator[None]:
    done: list[Manifest] = []
    try:
        for one in made:
            api.create(one)
            done.append(one)
        yield
    finally:
        for one in reversed(done):
            meta = one["metadata"]
            api.delete(one["kind"], meta["name"], meta["namespace"], propagation="Foreground")


def collect(api: Api, pods: Pods) -> Spread:
    """Read and merge the logs of the Job's pods. Raises as `gpuassay.load.spread.merge_pods`."""
    reports: list[PodReport] = []
    lost: dict[str, str] = {}
    for pod in _pods(api, pods):
        name = str(pod["metadata"]["name"])
        try:
            log = api.raw(f"/api/v1/namespaces/{pods.namespace}/pods/{name}/log?container=load")
            reports.append(read_log(name, log))
        except (LoadError, ApiRefused, ClusterError) as error:
            lost[f"{name} (shard {_index(pod)} on {dig(pod, 'spec', 'nodeName', default='no node')})"] = (
                f"{_ended(pod)}; {error}"
            )
    return merge_pods(reports, pods.count, lost)


def _pods(api: Api, pods: Pods) -> list[Manifest]:
    return api.list("Pod", pods.namespace, f"{JOB_NAME}={pods.name}")


def _phase(pod: Manifest) -> str:
    return str(dig(pod, "status", "phase", default="Pending"))


def _index(pod: Manifest) -> str:
    return str(dig(pod, "metadata", "annotations", INDEX, default="?"))


def _ended(pod: Manifest) -> str:
    """Phase, and why its container ended or does not start."""
    for one in dig(pod, "status", "containerStatuses", default=[]):
        for state in ("terminated", "waiting"):
            if told := dig(one, "state", state):
                code = f" with exit code {told['exitCode']}" if "exitCode" in told else ""
                return f"{_phase(pod)}: {told.get('reason', state)}{code}"
    return f"{_phase(pod)}: {dig(pod, 'status', 'reason', default='no container state')}"
