"""istiod as a process: Istio's control plane, which writes status and tells Envoys by ADS what to do.

Unmodified, of Istio's main branch of 2026-08-27 (not a release). Each arm has an istiod of its own that sees only the
namespaces labelled for it, so that arms side by side know nothing of each other. Flags and variables are those under
which an Envoy that is not Istio's own build takes the configuration: without the two that are marked it refuses it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from gpuassay.cluster.base import Cluster
from gpuassay.cluster.program import Child, http
from gpuassay.toolchain import Programs

MESH_LABEL = "gpuassay.io/mesh"
"""Label of the namespaces that an istiod sees; its value is the name of the arm's namespace."""

REFUSED = "ACK ERROR"
"""In istiod's log when an Envoy refused what it was sent."""

ENVIRONMENT: Mapping[str, str] = {
    "ENABLE_GATEWAY_API_INFERENCE_EXTENSION": "true",  # else an InferencePool is an invalid kind of backend
    "PILOT_ENABLE_METADATA_EXCHANGE": "false",  # a filter that only Istio's build of Envoy has
    "PILOT_ENABLE_ALPN_FILTER": "false",  # likewise
    "PILOT_ENABLE_GATEWAY_API_DEPLOYMENT_CONTROLLER": "false",  # it would need a container image
    # no certificates, webhooks or other clusters
    "ENABLE_CA_SERVER": "false", "PILOT_CERT_PROVIDER": "none", "INJECTION_WEBHOOK_CONFIG_NAME": "",
    "VALIDATION_WEBHOOK_CONFIG_NAME": "", "INJECT_ENABLED": "false", "XDS_AUTH": "false",
    "PILOT_ENABLE_XDS_IDENTITY_CHECK": "false", "PILOT_ENABLE_AMBIENT": "false", "ENABLE_LEADER_ELECTION": "false",
    "ENABLE_DEBUG_ENDPOINT_AUTH": "false", "PILOT_STATUS_MAX_WORKERS": "10",
    "PILOT_ENABLE_TELEMETRY_LABEL": "false", "PILOT_ENDPOINT_TELEMETRY_LABEL": "false",
    "CLUSTER_ID": "Kubernetes", "REVISION": "default",
}  # fmt: skip


@dataclass(frozen=True)
class Ports:
    """Where istiod listens, on loopback only: HTTP (readiness, debug), xDS, monitoring, introspection (`ctrlz`)."""

    http: int
    xds: int
    monitoring: int
    introspection: int


class Istiod:
    """One istiod.

    Attributes:
        programs: where it came from.
        ports: where it listens.
        child: the process.
    """

    def __init__(
        self, cluster: Cluster, programs: Programs, folder: Path, namespace: str, ports: Ports, env: Mapping[str, str]
    ) -> None:
        """Nothing is started yet.

        Args:
            cluster: whose API it reads and whose supervisor owns the process.
            programs: of the component `istio`.
            folder: for configuration and log.
            namespace: of the arm; its root namespace as well.
            ports: where it is to listen.
            env: further environment, over `ENVIRONMENT`.
        """
        self.programs, self.ports = programs, ports
        self._http = http()
        self._mesh = folder / "mesh.json"
        self._settings = _mesh(namespace, ports.xds)
        command: list[str | Path] = [
            programs.path("pilot-discovery"), "discovery",
            "--kubeconfig", cluster.kubeconfig, "--meshConfig", self._mesh,
            "--networksConfig", folder / "no-networks.yaml", "--httpAddr", f"127.0.0.1:{ports.http}",
            "--grpcAddr", f"127.0.0.1:{ports.xds}", "--secureGRPCAddr", "", "--httpsAddr", "",
            "--monitoringAddr", f"127.0.0.1:{ports.monitoring}", "--ctrlz_port", str(ports.introspection),
            "--ctrlz_address", "127.0.0.1", "--shutdownDuration", "0s",
            "--kubernetesApiQPS", "200", "--kubernetesApiBurst", "400",
        ]  # fmt: skip
        environment = {**ENVIRONMENT, "POD_NAMESPACE": namespace, "POD_NAME": "istiod-0", **env}
        self.child = Child(cluster, f"{namespace}-istiod", folder / "logs" / "istiod.log", command, environment)

    def launch(self) -> None:
        """Start it without waiting."""
        self._mesh.parent.mkdir(parents=True, exist_ok=True)
        self._mesh.write_text(json.dumps(self._settings, indent=1))  # JSON is YAML
        self.child.launch()

    def await_ready(self) -> None:
        """Wait until it has read the cluster.

        Raises:
            PortLostError: a port was taken.
            ClusterError: it refuses its configuration; its own last message is shown.
            gpuassay.waiting.WaitTimeout: it is not ready in time.
        """
        self.child.await_ready(self._ready, what="istiod to be ready", timeout=60)

    def _ready(self) -> bool:
        try:
            return self._http.get(f"http://127.0.0.1:{self.ports.http}/ready", timeout=1).status_code == 200
        except requests.RequestException:
            return False

    def refusals(self) -> list[str]:
        """Lines of its log that say that an Envoy refused what it was sent; there must be none."""
        return [line for line in self.child.log_text().splitlines() if REFUSED in line]


def _mesh(namespace: str, xds: int) -> dict[str, Any]:
    return {
        "accessLogFile": "", "enableTracing": False, "enableAutoMtls": False, "trustDomain": "cluster.local",
        "defaultProviders": {}, "rootNamespace": namespace,
        "defaultConfig": {"discoveryAddress": f"127.0.0.1:{xds}"},
        "discoverySelectors": [{"matchLabels": {MESH_LABEL: namespace}}],
    }  # fmt: skip
