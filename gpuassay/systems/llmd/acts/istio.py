"""What scenarios do to a gateway of Istio: break one reference, wait for what istiod says, note it, mend it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gpuassay.systems.llmd import notes
from gpuassay.systems.llmd.gateway import istio_objects as objects
from gpuassay.systems.llmd.gateway.istio import OWN_ADDRESS, IstioGateway
from gpuassay.systems.llmd.judge import gateway_status
from gpuassay.waiting import WaitTimeout, wait

if TYPE_CHECKING:
    from gpuassay.manifest import Manifest
    from gpuassay.systems.llmd.acts.deployment import Deployment

NEEDS = frozenset({"program:istio", OWN_ADDRESS})
"""Capabilities that scenarios behind Istio need."""

_KINDS = ("Gateway", "HTTPRoute", "InferencePool")


@dataclass
class Mesh:
    """The Istio of a site, with a pen.

    Attributes:
        site: an arm with gateway "istio".
    """

    site: Deployment

    @property
    def gateway(self) -> IstioGateway:
        """The gateway of the arm."""
        return self.site.routing.istio

    @property
    def namespace(self) -> str:
        """Of the arm."""
        return self.site.routing.namespace

    def picture(self) -> dict[str, dict[str, Any]]:
        """`status` of all objects of the Gateway API by "Kind/name" now, and the names of the pools' Services."""
        api = self.site.lab.api
        found = [one for kind in _KINDS for one in api.list(kind, self.namespace)]
        if accepted := api.get("GatewayClass", objects.CLASS):
            found.append({"kind": "GatewayClass", **accepted})
        return {f"{one['kind']}/{one['metadata']['name']}": one.get("status", {}) for one in found}

    def observe(self, step: str, wanted: gateway_status.Wanted, timeout: float = 5.0) -> None:
        """Give istiod time to say what is expected; what it says in the end is noted as `pictures[step]`.

        With it goes `took_s[step]`, seconds until then.
        """
        began = time.monotonic()
        seen: dict[str, Any] = {}

        def look() -> list[str]:
            seen.clear()
            seen.update(self.picture())
            return gateway_status.status_findings(seen, wanted)

        with contextlib.suppress(WaitTimeout):  # the judge sees it
            wait(look, lambda findings: not findings, what=f"conditions of {step}", timeout=timeout, delay=0.03)
        lab = self.site.lab
        lab.note_under(notes.PICTURES, step, seen)
        lab.note_under(notes.TOOK, step, round(time.monotonic() - began, 3))

    def observe_picker(self, *, there: bool, timeout: float = 5.0) -> None:
        """Give the gateway time to have the picker's endpoint, or to have it no longer."""
        lab, gateway = self.site.lab, self.gateway
        lab.observe(lambda: bool(gateway.picker_members()) == there, "the picker's endpoint", timeout=timeout)

    def route(self, name: str, backends: Sequence[Mapping[str, Any]], headers: Mapping[str, str] | None = None) -> None:
        """Write an HTTPRoute with one rule: requests with these headers go to one of the backends."""
        self.gateway.write([objects.route(self.namespace, [objects.rule(backends, headers)], name)])

    def delete(self, kind: str, name: str) -> None:
        """Delete an object of the arm."""
        self.gateway.delete(kind, name)

    def mend(self) -> None:
        """Write all objects of the gateway as they were at the start."""
        self.gateway.write(self.gateway.manifests())

    def nudge(self, number: int = 0) -> None:
        """Add a rule to the route, so that istiod sends Envoy everything anew, by what it knows now."""
        backend = objects.pool_backend(self.site.routing.pool)
        rules = [objects.rule([backend]), objects.rule([backend], {"x-nudge": str(number)})]
        self.gateway.write([objects.route(self.namespace, rules)])

    def touch_pool(self, value: str) -> None:
        """Annotate the pool, so that istiod looks at it again."""
        body: Manifest = {"metadata": {"annotations": {"gpuassay.io/touched": value}}}
        self.site.lab.api.patch("InferencePool", self.site.routing.pool, body, self.namespace)

    def set_failure_mode(self, mode: str) -> None:
        """Patch the pool's failure mode."""
        body: Manifest = {"spec": {"endpointPickerRef": {"failureMode": mode}}}
        self.site.lab.api.patch("InferencePool", self.site.routing.pool, body, self.namespace)

    def note_refusals(self) -> None:
        """Note as `xds_refusals` what Envoy refused of istiod's configuration; there must be none."""
        self.site.lab.note(notes.XDS_REFUSALS, self.gateway.istiod.refusals())
