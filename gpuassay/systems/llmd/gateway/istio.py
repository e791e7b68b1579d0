"""A gateway of Istio: an Envoy that istiod configures, the objects that make it one, and the endpoints of both.

Rootless: all Pods have the machine's own address, each with a port of its own, since EndpointSlices take no loopback
addresses. What is played here is what a kubelet, the EndpointSlice controller and Istio's deployment controller would
do; what is decided from that is istiod's. An EnvoyFilter keeps the gateway's listener on loopback.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from gpuassay.cluster.base import Cluster
from gpuassay.cluster.parallel import side_by_side
from gpuassay.load.headers import ASKED
from gpuassay.manifest import Manifest, condition, dig, is_true
from gpuassay.systems.llmd.gateway import istio_objects as objects
from gpuassay.systems.llmd.gateway.configuration import Plan
from gpuassay.systems.llmd.gateway.envoy import Change, Envoy
from gpuassay.systems.llmd.gateway.istiod import MESH_LABEL, Istiod
from gpuassay.waiting import WaitTimeout, wait

OWN_ADDRESS = "own-address"
"""Capability of a machine with an IPv4 address besides loopback: `own_address` finds one."""

Edit = Callable[[list[Manifest]], None]
"""Alters the gateway's objects in place before they are written; may add some, or leave some out."""

START_SECONDS = 15.0
_BROKEN_SECONDS = 2.0
"""How long an arm that is broken on purpose is waited for."""


def own_address() -> str | None:
    """An IPv4 address of this machine that EndpointSlices take (neither loopback nor link-local), or None.

    Nothing is sent: the kernel only says which address it would use for a documentation address (RFC 5737).
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked, suppress(OSError):
        asked.connect(("198.51.100.1", 9))
        found = str(asked.getsockname()[0])
        return None if found.startswith(("127.", "169.254.", "0.")) else found
    return None


@dataclass(frozen=True)
class Setup:
    """What stands around the gateway.

    Attributes:
        namespace: of all objects.
        address: of all Pods.
        pool: name of the InferencePool.
        ports: its target ports, one per replica.
        picker: port of the picker, None without one: requests then go to a Service of the same endpoints.
        insist: whether the start fails when the gateway does not work; off for what is broken on purpose.
        labels: put on every object.
        edit: alters the objects.
    """

    namespace: str
    address: str
    pool: str
    ports: Sequence[int]
    picker: int | None
    insist: bool = True
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    edit: Edit | None = None

    @property
    def picker_service(self) -> str:
        """Name of the picker's Service, as the InferencePool names it."""
        return f"{self.pool}-picker"

    @property
    def plain_service(self) -> str:
        """Name of a Service of the same endpoints, for routes past the picker."""
        return f"{self.pool}-plain"


class IstioGateway(Envoy):
    """An Envoy with everything from istiod.

    Attributes:
        istiod: its control plane.
        setup: what stands around it.
    """

    def __init__(
        self,
        cluster: Cluster,
        folder: Path,
        name: str,
        plan: Plan,
        istiod: Istiod,
        setup: Setup,
        change: Change | None = None,
    ) -> None:
        """Nothing is started and nothing written yet; arguments as of `Envoy`."""
        super().__init__(cluster, folder, name, plan, change)
        self.istiod, self.setup = istiod, setup
        self._api = cluster.api
        self._written: list[Manifest] = []

    def start(self, members: Sequence[str]) -> None:
        """Write the objects and start istiod and Envoy; members are told by `set_members`, once there is a pool.

        Raises:
            PortLostError: a port was taken.
            ClusterError: istiod or Envoy refuses its configuration; its own last message is shown.
        """
        self.istiod.launch()
        self._api.patch("Namespace", self.setup.namespace, self._label(self.setup.namespace))
        self.write(self.manifests())
        self.istiod.await_ready()
        self.child.launch()
        self.child.await_ready(self._ready, what="Envoy to be ready")

    def _label(self, value: str | None) -> Manifest:
        return {"metadata": {"labels": {MESH_LABEL: value}}}

    def manifests(self) -> list[Manifest]:
        """The objects as they are to be written."""
        setup, space, port = self.setup, self.setup.namespace, self.plan.listener
        backend = (
            objects.service_backend(setup.plain_service, port)
            if setup.picker is None
            else objects.pool_backend(setup.pool)
        )
        front = objects.FRONT
        found = [
            objects.gateway_pod(space),
            objects.service(front, space, port),
            objects.endpoint_slice(front, front, space, [setup.address], port, pod=objects.GATEWAY),
            objects.gateway(space, port),
            objects.route(space, [objects.rule([backend])]),
            objects.on_loopback(space, port),
            objects.service(setup.plain_service, space, port),
        ]
        if setup.picker is not None:
            name = setup.picker_service
            found += [
                objects.service(name, space, setup.picker, "grpc"),
                objects.endpoint_slice(name, name, space, [setup.address], setup.picker, "grpc"),
            ]
        if setup.edit is not None:
            setup.edit(found)
        return found

    def write(self, manifests: Sequence[Manifest]) -> None:
        """Write objects, which are removed with the gateway; a Pod is made Ready."""

        def one(manifest: Manifest) -> None:
            meta = manifest["metadata"]
            self._api.apply(
                {**manifest, "metadata": {**meta, "labels": {**meta.get("labels", {}), **self.setup.labels}}}
            )
            if manifest["kind"] == "Pod":
                status = objects.pod_status(self.setup.address)
                self._api.patch("Pod", meta["name"], status, meta["namespace"], subresource="status")

        self._written += manifests
        side_by_side(one, manifests)

    def delete(self, kind: str, name: str, namespace: str | None = None) -> None:
        """Delete an object at once."""
        self._api.delete(kind, name, namespace or self.setup.namespace, grace_seconds=0)

    def picker_endpoint(self, *, ready: bool) -> None:
        """Put the picker's endpoint into its Service, or take it out, as when its Pod is not Ready."""
        name, space = self.setup.picker_service, self.setup.namespace
        addresses = [self.setup.address] if ready else []
        self.write([objects.endpoint_slice(name, name, space, addresses, self.setup.picker or 1, "grpc")])

    def shadow(self, pool: str | None = None, namespace: str | None = None) -> str | None:
        """Name of the headless Service that istiod made for a pool, or None while there is none."""
        selector = f"{objects.POOL_LABEL}={pool or self.setup.pool}"
        found = self._api.list("Service", namespace or self.setup.namespace, selector)
        return str(found[0]["metadata"]["name"]) if found else None

    def await_programmed(self) -> None:
        """Wait until the Gateway is programmed, accepts connections, and the pool has its Service.

        Raises:
            gpuassay.waiting.WaitTimeout: it does not come about; not raised where the set-up does not insist.
        """

        def missing() -> str:
            there = self._api.get("Gateway", objects.GATEWAY, self.setup.namespace)
            if there is None or not is_true(there, "Programmed"):
                said = condition(there, "Programmed") if there else None
                return f"not programmed: {said}"
            if self.setup.picker is not None and self.shadow() is None:
                return "no Service of the pool"
            return "" if self._accepts() else f"port {self.plan.listener} refuses connections; {self.istiod.refusals()}"

        self._insist(missing, lambda said: not said, "Istio's gateway to be programmed")

    def _insist(self, look: Callable[[], Any], good: Callable[[Any], bool], what: str) -> None:
        insist = self.setup.insist
        try:
            wait(look, good, what=what, timeout=START_SECONDS if insist else _BROKEN_SECONDS, delay=0.02)
        except WaitTimeout:
            if insist:
                raise

    def _accepts(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.plan.listener), 1).close()
        except OSError:
            return False
        return True

    def await_asking(self) -> None:
        """Wait until an answer has gone through the picker, if there is one: conditions and status 200 do not tell.

        Raises:
            gpuassay.waiting.WaitTimeout: none has; not raised where the set-up does not insist.
        """
        wanted = "200" if self.setup.picker is None else "200 true"

        def mark() -> str:
            try:
                answer = self._http.get(f"{self.url}/v1/models", timeout=2)
            except requests.RequestException as error:
                return f"no answer: {error}"
            return f"{answer.status_code} {answer.headers.get(ASKED, '')}".strip()

        self._insist(mark, wanted.__eq__, "an answer through Istio's gateway, with the mark of its endpoint picker")

    def set_members(self, members: Sequence[str], timeout: float = 5) -> None:
        """Write the EndpointSlices of the pool as they would be with these members, and wait until Envoy has them.

        Raises:
            gpuassay.waiting.WaitTimeout: it has not; not raised where the set-up does not insist.
        """
        self.set_pool_members(self.setup.pool, self.setup.namespace, self.setup.ports, members)
        self._slices(self.setup.namespace, self.setup.ports, members, self.setup.plain_service, lambda _: "http")
        if self.child.alive and self.setup.picker is not None:
            wanted = sorted(members)
            self._insist(self.members, wanted.__eq__, f"Envoy to have {len(wanted)} members in its pool")

    def set_pool_members(self, pool: str, namespace: str, ports: Sequence[int], members: Sequence[str]) -> None:
        """Write the EndpointSlices of a pool's headless Service, without waiting for Envoy."""
        if name := self.shadow(pool, namespace):
            self._slices(namespace, ports, members, name, lambda number: f"http-{number}")

    def _slices(
        self, namespace: str, ports: Sequence[int], members: Sequence[str], name: str, port_name: Callable[[int], str]
    ) -> None:
        def of_port(number: int) -> Manifest:
            addresses = [one.rpartition(":")[0] for one in members if one.endswith(f":{ports[number]}")]
            return objects.endpoint_slice(
                f"{name}-{number}", name, namespace, addresses, ports[number], port_name(number)
            )

        self.write([of_port(number) for number in range(len(ports))])

    def members(self) -> list[str]:
        """`address:port` of the pool's members as Envoy has them now."""
        return self._hosts(f"outbound|54321||{self.setup.pool}-ip-")

    def picker_members(self) -> list[str]:
        """`address:port` of the picker as Envoy has it now; empty while the picker's Pod counts as not Ready."""
        return self._hosts(f"outbound|{self.setup.picker}||{self.setup.picker_service}.")

    def _hosts(self, begins: str) -> list[str]:
        known: list[dict[str, Any]] = json.loads(self.admin("/clusters?format=json")).get("cluster_statuses", [])
        found: list[str] = []
        for one in known:
            if str(one["name"]).startswith(begins) and f".{self.setup.namespace}." in str(one["name"]):
                addresses = [dig(host, "address", "socket_address") for host in one.get("host_statuses", [])]
                found += [f"{address['address']}:{address['port_value']}" for address in addresses if address]
        return sorted(set(found))

    def join(self, namespace: str) -> None:
        """Let istiod see another namespace."""
        self._api.patch("Namespace", namespace, self._label(self.setup.namespace))

    def remove(self) -> None:
        """Delete all objects that were written."""
        unique = {(one["kind"], one["metadata"]["namespace"], one["metadata"]["name"]) for one in self._written}
        side_by_side(lambda one: self.delete(one[0], one[2], one[1]), sorted(unique))
