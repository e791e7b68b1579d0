"""Images for the conformance tests, made from programs of this machine under the names that the tests' pods ask for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from gpuassay import resources, toolchain
from gpuassay.cluster.base import Cluster, Component, Emulated
from gpuassay.cluster.errors import ClusterError
from gpuassay.cluster.node.image import Image
from gpuassay.cluster.node.real import Node
from gpuassay.cluster.shared_libraries import shared_libraries
from gpuassay.manifest import Manifest, dig
from gpuassay.systems.llmd.gateway import envoy

COMPONENT = "gaie-conformance"
MODULE = "sigs.k8s.io/gateway-api-inference-extension/conformance"
CONFIGURATION = resources.MANIFESTS / "conformance" / "endpoint-picker.yaml"
"""What the endpoint pickers are configured by; a user could put it into a ConfigMap."""

ISTIOD, ENVOY = "localhost/gpuassay/istiod:1", "localhost/gpuassay/envoy:1"
KUBECONFIG, MESH, _PICKS = "/kubeconfig", "/mesh.json", "/endpoint-picker.yaml"
"""Files in the images."""

_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"

EMULATED: tuple[Emulated, ...] = (
    {
        "what": "images of the conformance tests' pods",
        "by": "archives made by gpuassay, under the names that upstream's manifests ask for",
        "means": "echo-basic is upstream's program; under the light endpoint picker's name runs llm-d's, since the "
        "light one answers no request with a body",
    },
    {
        "what": "the deployment of gateways by Istio, and their load balancer",
        "by": "a Service, a Pod with a stock Envoy, and an address, all written by gpuassay",
        "means": "configuration, status and routing are Istio's; that it makes Deployments and Services is not tried",
    },
)


@dataclass(frozen=True)
class Parts:
    """The programs.

    Attributes:
        istio: Istio's control plane.
        picker: llm-d's endpoint picker.
        tests: upstream's conformance tests and the back end that they ask.
        envoy: the gateways.
        envoy_version: such as `v1.40.0`.
        base: upstream's base manifests.
    """

    istio: toolchain.Programs
    picker: toolchain.Programs
    tests: toolchain.Programs
    envoy: Path
    envoy_version: str
    base: Path

    @classmethod
    def get(cls, assets: toolchain.Assets | None) -> Parts:
        """Have them all: from the user, from the cache, or built now.

        Raises:
            ToolchainError: one cannot be had.
            ClusterError: Envoy is not installed.
        """
        binary, version = envoy.program()
        got = {name: toolchain.programs(name, assets) for name in ("istio", "llmd-epp", COMPONENT)}
        base = toolchain.module_dir(COMPONENT, MODULE, assets) / "resources" / "base.yaml"
        return cls(got["istio"], got["llmd-epp"], got[COMPONENT], binary, version, base)

    def components(self) -> list[Component]:
        """For reports."""
        files = (
            (self.istio, "pilot-discovery"),
            (self.picker, "epp"),
            (self.tests, COMPONENT),
            (self.tests, "echo-basic"),
        )
        told = [Component.of(programs, name) for programs, name in files]
        return [*told, Component("envoy", self.envoy_version, f"Python package {envoy.PACKAGE}")]


def write(cluster: Cluster, node: Node, parts: Parts, configuration: Manifest) -> Iterator[Image]:
    """The images, one after the other, since each is held in memory while it is written.

    Args:
        cluster: whose API their programs ask.
        node: where they will run.
        parts: what they are made of.
        configuration: of the endpoint pickers.

    Raises:
        ClusterError: upstream's manifests ask for an image that is not known here.
    """
    folder = cluster.directory / "conformance"
    folder.mkdir(exist_ok=True)

    def file(name: str, content: Any) -> Path:
        at = folder / Path(name).name
        at.write_text(json.dumps(content, indent=1))  # JSON is YAML
        return at

    access = (KUBECONFIG, file(KUBECONFIG, _kubeconfig(cluster, node)))
    picker = (("/epp", parts.picker.path("epp")), access, (_PICKS, file(_PICKS, configuration)))
    flags = ("--secure-serving=false", "--metrics-endpoint-auth=false", "--tracing=false", "--enable-pprof=false")
    for name in asked(parts.base):
        known = name.rpartition("/")[2].partition(":")[0]
        if known == "echo-basic":
            yield Image((name,), (("/echo-basic", parts.tests.path("echo-basic")),), ("/echo-basic",))
        elif known == "lwepp":
            yield Image((name,), picker, ("/epp", "--config-file", _PICKS, *flags), env=(f"KUBECONFIG={KUBECONFIG}",))
        else:
            raise ClusterError(f"{parts.base} asks for the image {name}, for which gpuassay has no program")
    mesh: Manifest = {"accessLogFile": "", "enableTracing": False, "enableAutoMtls": False, "defaultProviders": {}}
    control_plane = (("/pilot-discovery", parts.istio.path("pilot-discovery")), access, (MESH, file(MESH, mesh)))
    yield Image((ISTIOD,), control_plane, ("/pilot-discovery",))
    libraries = tuple((str(one), one) for one in shared_libraries(parts.envoy))
    yield Image((ENVOY,), (("/envoy", parts.envoy), *libraries), ("/envoy",))


def asked(base: Path) -> list[str]:
    """Every image that the pods of upstream's base manifests ask for."""
    documents: list[Manifest] = [one for one in yaml.safe_load_all(base.read_text()) if one]
    containers: list[Manifest] = [
        one for document in documents for one in dig(document, "spec", "template", "spec", "containers", default=[])
    ]
    return sorted({str(one["image"]) for one in containers})


def _kubeconfig(cluster: Cluster, node: Node) -> Manifest:
    """A pod's own rights at the API server, which pods reach at the node's address: there are no Service addresses."""
    told = json.loads(cluster.kubeconfig.read_text())
    port = str(told["clusters"][0]["cluster"]["server"]).rpartition(":")[2]
    server = {
        "server": f"https://{node.addresses.node}:{port}",
        "tls-server-name": "kubernetes",
        "certificate-authority": f"{_ACCOUNT}/ca.crt",
    }
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "pod",
        "clusters": [{"name": "pod", "cluster": server}],
        "users": [{"name": "pod", "user": {"tokenFile": f"{_ACCOUNT}/token"}}],
        "contexts": [{"name": "pod", "context": {"cluster": "pod", "user": "pod"}}],
    }
