"""Model servers as a Deployment: llm-d's simulator by default, or whatever image speaks as vLLM does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import yaml

from gpuassay.cluster.errors import ClusterError
from gpuassay.manifest import Manifest, dig
from gpuassay.systems.llmd.component.images import SIMULATOR
from gpuassay.toolchain import catalogue

NAME = "model-servers"
APP = {"app.kubernetes.io/name": NAME}
"""Label by which an InferencePool selects them."""
PORT = 8000
KEY = "modelServers"
"""In a file of values: the chart of the endpoint picker has no such key, and lets it be."""


def _simulator() -> str:
    return f"{SIMULATOR}:{catalogue.component('llmd-sim').version}"


class Servers(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What is served.

    Attributes:
        model: its name.
        replicas: how many servers.
        image: of the server; it takes `--model` and `--port` and answers GET /health.
        args: further arguments; by default the simulator's latencies, as durations.
        tolerations: of its pods, as in Kubernetes.
        resources: of its container, as in Kubernetes; GPUs for a real server.
    """

    model: str = "llama"
    replicas: Annotated[int, msgspec.Meta(ge=1)] = 3
    image: str = msgspec.field(default_factory=_simulator)
    args: Sequence[str] = ("--time-to-first-token", "10ms", "--inter-token-latency", "1ms")
    tolerations: Sequence[dict[str, Any]] = ()
    resources: dict[str, Any] = {}


def read(files: Sequence[Path]) -> Servers:
    """What files of values say under `modelServers`; the last file wins, key by key.

    Raises:
        ClusterError: a file is not to be read, or says something that there is not; one line says which.
    """
    found: dict[str, Any] = {}
    for file in files:
        try:
            loaded: Any = yaml.safe_load(file.read_text()) or {}
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ClusterError(f"values {file} cannot be read: {' '.join(str(error).split())}") from None
        if not isinstance(loaded, dict):
            raise ClusterError(f"values {file}: no mapping of names to values")
        said: Any = dig(loaded, KEY, default={}) or {}
        try:
            msgspec.convert(said, Servers)
        except msgspec.ValidationError as error:
            raise ClusterError(f"values {file}: {KEY}: {error}") from None
        found |= said
    return msgspec.convert(found, Servers)


def deployment(servers: Servers, namespace: str) -> Manifest:
    """The Deployment that serves."""
    container: Manifest = {
        "name": "server",
        "image": servers.image,
        "args": ["--model", servers.model, "--port", str(PORT), *servers.args],
        "env": [{"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
        "ports": [{"containerPort": PORT}],
        "readinessProbe": {"httpGet": {"path": "/health", "port": PORT}, "periodSeconds": 1},
        "resources": servers.resources,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    pod: Manifest = {
        "containers": [container],
        "tolerations": list(servers.tolerations),
        "terminationGracePeriodSeconds": 5,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME, "namespace": namespace, "labels": APP},
        "spec": {
            "replicas": servers.replicas,
            "selector": {"matchLabels": APP},
            "template": {"metadata": {"labels": APP}, "spec": pod},
        },
    }


def model_of(made: Manifest) -> str:
    """The model that a Deployment of ours serves."""
    args: list[str] = dig(made, "spec", "template", "spec", "containers")[0]["args"]
    return args[args.index("--model") + 1]
