"""The pool of an arm on somebody's cluster: its Pods are the model servers, and a kubelet writes their status."""

from __future__ import annotations

from collections.abc import Callable
from typing import Never

from gpuassay.cluster.errors import NotFromOutside
from gpuassay.manifest import is_true
from gpuassay.systems.llmd.component import crds
from gpuassay.systems.llmd.component.endpoints import Endpoints, pool
from gpuassay.systems.llmd.pods.manifests import IN_POOL
from gpuassay.systems.llmd.pods.parts import NAME
from gpuassay.waiting import wait

READY_SECONDS = 15.0


class PodEndpoints(Endpoints):
    """Pods and pool, and what tests do to them."""

    def create(self, picker_port: int, failure_mode: str) -> None:
        """Make the pool; its Pods come with the model servers."""
        ports = [replica.port for replica in self._replicas]
        wanted = pool(self.pool, self.namespace, ports, self.selector, picker_port, failure_mode)
        wanted["metadata"]["labels"] = self._labels
        wanted["spec"]["endpointPickerRef"]["name"] = NAME
        self._api.apply(wanted)

    def set_ready(self, name: str, ready: bool) -> None:
        """Say by the Pod's readiness gate whether it is ready, and wait until its kubelet has written it."""
        condition = {"type": IN_POOL, "status": "True" if ready else "False"}
        self._api.patch(
            "Pod", name, {"status": {"conditions": [condition]}}, self.namespace, subresource="status",
            content_type="application/strategic-merge-patch+json",
        )  # fmt: skip
        wait(
            self._is_ready(name), ready.__eq__, what=f"Pod {name} to be {'' if ready else 'not '}ready",
            timeout=READY_SECONDS, delay=0.02,
        )  # fmt: skip
        self.sync()

    def _is_ready(self, name: str) -> Callable[[], bool]:
        def look() -> bool:
            pod = self._api.get("Pod", name, self.namespace)
            return pod is not None and is_true(pod, "Ready")

        return look

    def set_address(self, name: str, address: str) -> Never:
        """Never: a Pod's address is its network's to give."""
        raise NotFromOutside(f"{name} cannot be given another address: the cluster's network gives it")

    def restore(self, name: str) -> None:
        """Put the Pod back into the pool; one that was deleted is started anew, without its cache."""
        replica = self._replica(name)
        if self._api.get("Pod", name, self.namespace) is None:
            replica.launch()
            replica.await_ready()
        else:
            labels = {"metadata": {"labels": dict(self.selector)}}
            self._api.patch("Pod", name, labels, self.namespace)
        self.set_ready(name, True)

    def remove(self) -> None:
        """Delete the pool; Pods go with their programs."""
        self._api.delete(crds.INFERENCE_POOL.name, self.pool, self.namespace)
