"""Pods that hold slices of somebody's node for us: what a scenario is not to find free, and looks at what there is.

They live in a namespace of their own, so that no judge takes them for pods of the scenario.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gpuassay.cluster.errors import ApiRefused, ClusterError
from gpuassay.manifest import Manifest, condition, dig
from gpuassay.systems.slices.judge.told import resource
from gpuassay.systems.slices.judge.words import computed, grants
from gpuassay.systems.slices.notes import Grant
from gpuassay.systems.slices.outside.evidence import WITNESS, asked_sum, sum_step
from gpuassay.waiting import WaitTimeout, wait
from gpuassay.workloads import containers

if TYPE_CHECKING:  # cluster clients: not for replays
    from gpuassay.scenarios.lab import Lab

SECONDS = 120.0
"""How long a pod may take to run or to go: on a cluster that was never used an image has to be pulled first."""
TOLERATED = [{"key": "nvidia.com/gpu", "operator": "Exists"}]
"""Of nodes that are kept for pods that ask for GPUs."""


class Holder:
    """Pods of ours on one node that hold slices or GPUs, and say which.

    Attributes:
        lab: the scenario's lab.
        node: name of the node.
        namespace: of the pods.
    """

    def __init__(self, lab: Lab, node: str) -> None:
        """Make the namespace."""
        self.lab, self.node, self.namespace = lab, node, f"{lab.namespace}-held"
        self._create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}})
        wait(
            lambda: lab.api.get("ServiceAccount", "default", self.namespace), lambda one: one is not None,
            what=f"ServiceAccount default in {self.namespace}", timeout=SECONDS,
        )  # fmt: skip

    def _create(self, manifest: Manifest) -> None:
        """Create an object that is neither the scenario's nor through its mutant."""
        meta = manifest["metadata"] | {"labels": dict(self.lab.marks)}
        self.lab.api.create(self.lab.really(manifest | {"metadata": meta}))

    def hold(self, name: str, profile: str, count: int) -> None:
        """Create a pod that asks for so many slices of a profile."""
        self._pod(name, {"limits": {resource(profile): str(count)}})

    def claim(self, name: str, requests: Sequence[Manifest]) -> None:
        """Create a pod whose claim makes these requests."""
        template: Manifest = {
            "apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaimTemplate",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {"spec": {"devices": {"requests": list(requests)}}},
        }  # fmt: skip
        self._create(template)
        claims = [{"name": "devices", "resourceClaimTemplateName": name}]
        self._pod(name, {"claims": [{"name": "devices"}]}, resourceClaims=claims)

    def _pod(self, name: str, resources: Mapping[str, Any], **spec: Any) -> None:
        steps = (*WITNESS[:-1], sum_step(), WITNESS[-1], ("wait",))
        main = containers.container("main", *steps, resources=dict(resources))
        spec["tolerations"] = TOLERATED
        self._create(containers.pod(name, self.namespace, node=self.node, containers=[main], spec=spec))

    def said(self, name: str) -> list[Grant]:
        """What a pod says it was given, once it runs.

        Raises:
            ClusterError: it does not run in time, or is not run at all; one line says why.
        """
        words = self._words(name)
        if words is None:
            raise ClusterError(
                f"pod {name}, which is to hold what is free on node {self.node}, does not run: {self._why(name)}"
            )
        return grants(words)

    def runs(self, name: str, seconds: float) -> bool:
        """Whether a pod comes to run within so many seconds."""
        return self._words(name, seconds) is not None

    def _words(self, name: str, seconds: float = SECONDS) -> str | None:
        path = f"/api/v1/namespaces/{self.namespace}/pods/{name}/log?container=main"

        def look() -> str:
            try:
                return "\n" + self.lab.api.raw(path)
            except ApiRefused:  # no container, no log
                return ""

        try:
            words = wait(look, lambda said: "\n.\n" in said, what=f"{name} to say what it was given", timeout=seconds)
        except WaitTimeout:
            return None
        expected = asked_sum(self._get(name) or {}, "main")
        if computed(words) != expected:
            raise ClusterError(
                f"pod {name} on node {self.node} is said to run, but computed nothing: a node that runs no containers"
            )
        return words

    def _get(self, name: str) -> Manifest | None:
        return self.lab.api.get("Pod", name, self.namespace)

    def books(self, name: str) -> dict[str, list[str]] | None:
        """Devices that the kubelet says it gave to the pod, by resource; None where it says nothing."""
        return allocated(self._get(name) or {})

    def _why(self, name: str) -> str:
        pod = self._get(name) or {}
        told = condition(pod, "PodScheduled")
        waiting = [
            str(dig(one, "state", "waiting", "message") or dig(one, "state", "waiting", "reason"))
            for one in dig(pod, "status", "containerStatuses", default=[])
            if dig(one, "state", "waiting")
        ]
        reasons = [dig(pod, "status", "message"), (told or {}).get("message"), *waiting]
        return next((" ".join(str(one).split())[:300] for one in reasons if one), "nobody says why")

    def release(self, names: Iterable[str]) -> None:
        """Delete pods and wait until they are gone.

        Raises:
            gpuassay.waiting.WaitTimeout: they stay.
        """
        wanted = list(names)
        for name in wanted:
            self.lab.api.delete("Pod", name, self.namespace)
        wait(
            lambda: [one for one in wanted if self._get(one)], lambda left: not left, what="pods to go", timeout=SECONDS
        )

    def close(self) -> None:
        """Delete all pods on the node that are of this scenario, and wait until they and their claims are gone."""
        for namespace in (self.namespace, self.lab.namespace):
            for path in (f"/apis/batch/v1/namespaces/{namespace}/jobs", f"/api/v1/namespaces/{namespace}/pods"):
                self.lab.api.request("delete", path, query={"propagationPolicy": "Background"})

        def left() -> int:
            return sum(len(self.lab.api.list("Pod", one)) for one in (self.namespace, self.lab.namespace))

        wait(left, lambda count: not count, what="the scenario's pods to go", timeout=SECONDS)
        self.lab.api.delete("Namespace", self.namespace)


def allocated(pod: Manifest) -> dict[str, list[str]] | None:
    """Devices that the kubelet says it gave to a pod, by resource; None where it says nothing (before 1.36)."""
    statuses: list[Manifest] = dig(pod, "status", "containerStatuses", default=[])
    told: list[Manifest] = []
    for status in statuses:
        told += dig(status, "allocatedResourcesStatus", default=None) or []
    found: dict[str, list[str]] = {}
    for one in told:
        found.setdefault(one["name"], []).extend(each["resourceID"] for each in one.get("resources", []))
    return found if told else None
