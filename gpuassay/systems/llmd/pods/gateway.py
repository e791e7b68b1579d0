"""Envoy in front of a pool, as a Deployment and a Service, with the same configuration as the process."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gpuassay.cluster.errors import ApiRefused
from gpuassay.cluster.program import http
from gpuassay.systems.llmd.component.images import ENVOY
from gpuassay.systems.llmd.component.spec import Arm
from gpuassay.systems.llmd.gateway import configuration
from gpuassay.systems.llmd.gateway.configuration import PICKER, Plan
from gpuassay.systems.llmd.gateway.envoy import Envoy, program
from gpuassay.systems.llmd.pods import manifests, names
from gpuassay.systems.llmd.pods.manifests import CHANGED, CONFIGURATION, PROGRAM, Program
from gpuassay.systems.llmd.pods.parts import GRPC, PodPicker
from gpuassay.systems.llmd.pods.program import Place, PodChild

NAME = "gateway"
LISTENER, ADMIN = 8081, 19000
MEMBERS = "members"
"""Name of the ConfigMap with the pool's members."""
MEMBERS_AT = "/etc/arm-members"
TAKEN_SECONDS = 30.0
"""How long a kubelet may take to bring changed members to Envoy's file."""


class PodEnvoy(Envoy):
    """One Envoy; the pool's members are a ConfigMap that a kubelet brings to the file that Envoy watches."""

    def __init__(self, place: Place, arm: Arm, picker: PodPicker | None, picker_address: str) -> None:
        """Nothing is started yet; `picker_address`: of the picker's Service."""
        _, self.version = program()
        self.place, self._versions, self._http = place, 0, http()
        file = Path(MEMBERS_AT) / "endpoints.json"
        inside = Plan(
            listener=LISTENER, admin=ADMIN, endpoints=file, picker=GRPC,
            body_mode=picker.implementation.body_mode if picker else Plan.body_mode,
            design=(arm.gateway or "no-picker") if picker else "no-picker", failure_mode=arm.failure_mode,
        )  # fmt: skip
        wanted = configuration.bootstrap(inside)
        _reachable(wanted, picker_address)
        if arm.change_gateway is not None:
            arm.change_gateway(wanted)
        options = [
            "-c", f"{CONFIGURATION}/envoy.json", "--use-dynamic-base-id", "--concurrency", "1",
            "--log-level", "warning",
        ]  # fmt: skip
        asked = Program(NAME, names.pulled(f"{ENVOY}{self.version}"), (LISTENER, ADMIN), mounts={MEMBERS: MEMBERS_AT})
        self.child = PodChild(
            place, asked, options, files={"envoy.json": json.dumps(wanted, indent=1)}, controlled=True
        )
        self.plan = inside
        self._listener, self._admin_port = map(self.child.reach, (LISTENER, ADMIN))

    @property
    def url(self) -> str:
        """Base URL for requests, by the way through the API server."""
        return f"http://127.0.0.1:{self._listener}"

    @property
    def _admin(self) -> str:
        return f"http://127.0.0.1:{self._admin_port}"

    def set_members(self, members: Sequence[str], timeout: float = TAKEN_SECONDS) -> None:
        """As of a process; its file is changed by a kubelet, which takes a moment."""
        super().set_members(members, timeout)

    def _write(self, members: Sequence[str]) -> None:
        self._versions += 1
        place, text = self.place, json.dumps(configuration.endpoints(members, self._versions))
        place.api.apply(manifests.files(MEMBERS, place.namespace, {"endpoints.json": text}, place.labels))
        for pod in place.api.list("Pod", place.namespace, f"{PROGRAM}={NAME}"):
            note = {"metadata": {"annotations": {CHANGED: str(time.time_ns())}}}
            try:
                place.api.patch("Pod", pod["metadata"]["name"], note, place.namespace)
            except ApiRefused as refused:
                if refused.status != 404:  # it has just gone
                    raise


def _reachable(bootstrap: dict[str, Any], picker: str) -> None:
    """Listen on the pod's address, and ask the picker at its Service."""
    resources = bootstrap["static_resources"]
    for listener in resources["listeners"]:
        listener["address"]["socket_address"]["address"] = "0.0.0.0"
    for cluster in resources["clusters"]:
        if cluster["name"] == PICKER:
            at = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]
            at["address"]["socket_address"]["address"] = picker
