"""Load pods on a cluster: the Job and its plan are created, waited for, read and removed.

The pods' image is the user's: it holds Python and gpuassay, nothing else is asked of it.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

import yaml

from gpuassay import labels, resources
from gpuassay.cluster.api import Api
from gpuassay.cluster.errors import ApiRefused, ClusterError
from gpuassay.load.errors import LoadError
from gpuassay.load.plan import ClosedLoop, Plan
from gpuassay.load.runner import longest
from gpuassay.load.spread import PodReport, Spread, merge_pods, plan_parts, read_log
from gpuassay.manifest import Manifest, dig
from gpuassay.waiting import wait

MANIFEST = resources.MANIFESTS / "load" / "load-job.yaml"

INDEX = "batch.kubernetes.io/job-completion-index"
JOB_NAME = "batch.kubernetes.io/job-name"

CONTROL_SECONDS = 90.0
"""For the pods to measure their own error after the load, and to end."""

LATEST_START = 10.0
"""s after the common instant at which a pod that still has no container is lost; kubelets report with a delay."""

GONE = 60.0
"""s for pods that are told to end, and then their Job, to go."""


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
        latest: s after the common instant from which on a pod does not begin; None: as a load pod has it.
    """

    namespace: str
    image: str
    count: int
    start_in: float = 60.0
    name: str = "gpuassay-load"
    run: str = "load"
    latest: float | None = None


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
    deadline = round(_lasts(plan, pods) + GONE)  # for pods that nobody waits for any more
    job["spec"] |= {"completions": pods.count, "parallelism": pods.count, "activeDeadlineSeconds": deadline}
    template: Manifest = job["spec"]["template"]
    template["metadata"]["labels"] |= marks
    [container] = template["spec"]["containers"]
    container["image"] = pods.image
    given = {"LOAD_SHARDS": str(pods.count), "LOAD_START_AT": f"{start_at:.3f}"}
    for variable in container["env"]:
        if variable["name"] in given:
            variable["value"] = given[variable["name"]]
    if pods.latest is not None:
        container["env"].append({"name": "LOAD_LATEST", "value": f"{pods.latest:g}"})
    template["spec"]["volumes"][0]["projected"]["sources"] = [
        {"configMap": {"name": one["metadata"]["name"]}} for one in maps
    ]
    return [*maps, job]


def spread(api: Api, plan: Plan, pods: Pods) -> Spread:
    """Put the load on the server from pods; nothing of it stays on the cluster.

    Raises:
        LoadError: pods are lost, or the plan cannot be carried out; all pods concerned are named. The first loss ends
            the load.
        ClusterError: the cluster refuses the Job.
        gpuassay.waiting.WaitTimeout: the pods do not end although every request's time is up.
    """
    start_at = time.time() + pods.start_in
    with _created(api, objects(plan, pods, start_at)):
        harvest = Harvest(api, pods, start_at)
        wait(
            harvest.look,
            lambda _: harvest.over,
            what=f"{pods.count} load pods of Job {pods.namespace}/{pods.name} to end",
            timeout=_lasts(plan, pods),
            delay=1.0,
        )
        return harvest.merged()


def _lasts(plan: Plan, pods: Pods) -> float:
    """Seconds after which every pod has ended."""
    return pods.start_in + longest(plan) + CONTROL_SECONDS


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
            where = (one["kind"], one["metadata"]["name"], one["metadata"]["namespace"])
            api.delete(*where, propagation="Foreground")
            wait(lambda where=where: api.get(*where), lambda left: left is None, what=" ".join(where), timeout=GONE)


class Harvest:
    """What has come of the Job's pods so far. A pod's log is read as soon as it ends: it may be deleted then.

    Attributes:
        reports: by pod, of those that left their rows.
        lost: why by pod, of those that will not.
    """

    def __init__(self, api: Api, pods: Pods, start_at: float) -> None:
        """Nothing is looked at yet; `start_at` is the common instant, s since the epoch."""
        self._api, self._pods, self._start_at = api, pods, start_at
        self._last: dict[str, Manifest] = {}
        self.reports: dict[str, PodReport] = {}
        self.lost: dict[str, str] = {}

    @property
    def over(self) -> bool:
        """Whether all rows are there, or never will be."""
        return bool(self.lost) or len(self.reports) == self._pods.count

    def look(self) -> dict[str, str]:
        """Look at all pods once; how each is, by name."""
        there = {
            str(pod["metadata"]["name"]): pod
            for pod in self._api.list("Pod", self._pods.namespace, f"{JOB_NAME}={self._pods.name}")
        }
        before = self._last
        self._last = before | there
        for name, pod in self._last.items():
            if name in self.reports or name in self.lost:
                continue
            if name not in there or dig(pod, "metadata", "deletionTimestamp"):
                # how it was until then: a container that is told to end may do so with exit code 0
                self.lost[name] = f"deleted; it was {_state(before.get(name, pod))}"
            elif _phase(pod) in ("Succeeded", "Failed"):
                self._read(name, pod)
            elif _phase(pod) == "Pending" and time.time() > self._start_at + max(LATEST_START, self._pods.latest or 0):
                self.lost[name] = f"it did not start; {_state(pod)}"
        return {name: _state(pod) for name, pod in self._last.items()}

    def _read(self, name: str, pod: Manifest) -> None:
        try:
            log = self._api.raw(f"/api/v1/namespaces/{self._pods.namespace}/pods/{name}/log?container=load")
            self.reports[name] = read_log(name, log)
        except (LoadError, ApiRefused, ClusterError) as error:
            self.lost[name] = f"{_state(pod)}; {error}"

    def merged(self) -> Spread:
        """The rows of all pods. Raises as `gpuassay.load.spread.merge_pods`."""
        lost: dict[str, str] = {}
        for name, pod in self._last.items():
            if name not in self.reports:
                where = f"{name} (shard {_index(pod)} on {dig(pod, 'spec', 'nodeName', default='no node')})"
                lost[where] = self.lost.get(name, f"still {_phase(pod)} when the load was given up")
        return merge_pods(self.reports.values(), self._pods.count, lost)


def _phase(pod: Manifest) -> str:
    return str(dig(pod, "status", "phase", default="Pending"))


def _index(pod: Manifest) -> str:
    return str(dig(pod, "metadata", "annotations", INDEX, default="?"))


def _state(pod: Manifest) -> str:
    """Phase, and why its container ended or does not start."""
    for one in dig(pod, "status", "containerStatuses", default=[]):
        for state in ("terminated", "waiting"):
            if told := dig(one, "state", state):
                code = f" with exit code {told['exitCode']}" if "exitCode" in told else ""
                return f"{_phase(pod)}: {told.get('reason', state)}{code}"
    refused = [one for one in dig(pod, "status", "conditions", default=[]) if one.get("status") == "False"]
    said = dig(pod, "status", "reason") or next((one["message"] for one in refused if one.get("message")), "")
    return f"{_phase(pod)}: {said}" if said else _phase(pod)
