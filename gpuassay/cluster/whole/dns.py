"""CoreDNS as pods: Services have the names that clients in pods look up. Objects after Kubernetes' own add-on."""

from __future__ import annotations

from gpuassay import toolchain
from gpuassay.cluster.api import Api
from gpuassay.cluster.base import Component
from gpuassay.cluster.images import Source
from gpuassay.manifest import Manifest, dig
from gpuassay.waiting import wait

COMPONENT = "coredns"
NAMESPACE, NAME = "kube-system", "coredns"
ADDRESS = "10.0.0.10"
"""Of the Service; kubelets write it into the pods' resolv.conf."""
READY_SECONDS = 90.0

CORE_FILE = """\
.:53 {
    errors
    health {
        lameduck 5s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }
    prometheus :9153
    forward . /etc/resolv.conf
    cache 30
    loop
    reload
    loadbalance
}
"""


class Dns:
    """CoreDNS of a cluster.

    Raises:
        ToolchainError: it cannot be had.
    """

    def __init__(self, assets: toolchain.Assets | None) -> None:
        """Have the program."""
        self._programs = toolchain.programs(COMPONENT, assets)

    @property
    def image(self) -> str:
        """The image's name, as Kubernetes' own manifest has it."""
        return f"registry.k8s.io/coredns/coredns:{self._programs.version}"

    def component(self) -> Component:
        """For reports."""
        return Component.of(self._programs, COMPONENT)

    def source(self) -> Source:
        """What the image is made of."""
        program = self._programs.path(COMPONENT)
        return Source((self.image,), {"/coredns": program}, ("/coredns",), user="nonroot:nonroot")

    def install(self, api: Api) -> None:
        """Create its objects; `await_ready` tells when names are answered."""
        for one in _objects(self.image):
            api.create(one)

    def await_ready(self, api: Api) -> None:
        """Wait until it answers."""

        def ready() -> int:
            found = api.get("Deployment", NAME, NAMESPACE) or {}
            return int(dig(found, "status", "readyReplicas", default=0))

        wait(ready, bool, what="CoreDNS to be ready", timeout=READY_SECONDS, delay=0.1)


def _objects(image: str) -> list[Manifest]:
    labels = {"k8s-app": "kube-dns"}
    meta = {"name": NAME, "namespace": NAMESPACE}
    role = {"name": "system:coredns"}
    read = {"verbs": ["list", "watch"]}
    group = "rbac.authorization.k8s.io"
    probe = {"httpGet": {"path": "/health", "port": 8080}}
    container = {
        "name": "coredns",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": ["-conf", "/etc/coredns/Corefile"],
        "ports": [
            {"containerPort": 53, "name": "dns", "protocol": "UDP"},
            {"containerPort": 53, "name": "dns-tcp", "protocol": "TCP"},
            {"containerPort": 9153, "name": "metrics", "protocol": "TCP"},
        ],
        "resources": {"limits": {"memory": "170Mi"}, "requests": {"cpu": "100m", "memory": "70Mi"}},
        "livenessProbe": {**probe, "initialDelaySeconds": 60, "timeoutSeconds": 5, "failureThreshold": 5},
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}, "periodSeconds": 1},
        "volumeMounts": [{"name": "config", "mountPath": "/etc/coredns", "readOnly": True}],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
    }
    pod = {
        "serviceAccountName": NAME,
        "priorityClassName": "system-cluster-critical",
        "dnsPolicy": "Default",
        "tolerations": [{"key": "CriticalAddonsOnly", "operator": "Exists"}],
        "containers": [container],
        "volumes": [{"name": "config", "configMap": {"name": NAME}}],
    }
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta},
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRole",
            "metadata": role,
            "rules": [
                {"apiGroups": [""], "resources": ["endpoints", "services", "pods", "namespaces"], **read},
                {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], **read},
            ],
        },
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": role,
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role["name"]},
            "subjects": [{"kind": "ServiceAccount", **meta}],
        },
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"Corefile": CORE_FILE}},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {**meta, "labels": labels},
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pod},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "kube-dns", "namespace": NAMESPACE, "labels": labels},
            "spec": {
                "selector": labels,
                "clusterIP": ADDRESS,
                "ports": [
                    {"name": "dns", "port": 53, "protocol": "UDP"},
                    {"name": "dns-tcp", "port": 53, "protocol": "TCP"},
                ],
            },
        },
    ]
