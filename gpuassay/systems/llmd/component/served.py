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


class Values(msgspec.Struct, frozen=True, rename="camel"):
    """What of a user's values is ours; the rest is the chart's.

    Attributes:
        model_servers: what is served.
        picker_profile: configuration of the endpoint picker in `manifests/llmd`; "" for the chart's own.
        gateway: `NAMESPACE/NAME` of a Gateway that is to lead to the pool as well; "" for none.
    """

    model_servers: Servers = msgspec.field(default_factory=Servers)
    picker_profile: str = ""
    gateway: str = ""


def read(files: Sequence[Path]) -> Values:
    """What files of values say under `modelServers`, `pickerProfile` and `gateway`; the last file wins, key by key.

    The chart of the endpoint picker has no such keys, and lets them be.

    Raises:
        ClusterError: a file is not to be read, or says something that there is not; one line says which.
    """
    servers: dict[str, Any] = {}
    profile = gateway = ""
    for file in files:
        try:
            loaded: Any = yaml.safe_load(file.read_text()) or {}
            said = msgspec.convert(loaded, Values)
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ClusterError(f"values {file} cannot be read: {' '.join(str(error).split())}") from None
        except msgspec.ValidationError as error:
            raise ClusterError(f"values {file}: {error}") from None
        servers |= loaded.get("modelServers", {})
        profile, gateway = said.picker_profile or profile, said.gateway or gateway
    return Values(msgspec.convert(servers, Servers), profile, gateway)


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
