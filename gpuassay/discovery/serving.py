"""What a cluster offers to routing and measuring: Gateway classes, Prometheus."""

from __future__ import annotations

from gpuassay.discovery.distribution import OPENSHIFT
from gpuassay.discovery.facts import GatewayClass
from gpuassay.discovery.reading import Reading
from gpuassay.manifest import Manifest, dig, is_true

POD_LABELS = ("app.kubernetes.io/name=prometheus", "app=prometheus")
"""Of Prometheus' pods: by Helm charts, and by older manifests."""


def gateway_classes(reading: Reading) -> tuple[GatewayClass, ...] | None:
    """Classes of Gateways, by name; None where they may not be listed."""
    found = reading.all("gateway.networking.k8s.io", "gatewayclasses")
    if found is None:
        return None
    classes = [
        GatewayClass(str(one["metadata"]["name"]), str(dig(one, "spec", "controllerName", default="")),
                     is_true(one, "Accepted"))
        for one in found
    ]  # fmt: skip
    return tuple(sorted(classes, key=lambda one: one.name))


def prometheus(reading: Reading) -> tuple[str, ...] | None:
    """Every Prometheus that can be told, in words; empty: none; None: it cannot be told."""
    if reading.serves(OPENSHIFT):
        return _openshift(reading)
    managed = reading.all("monitoring.coreos.com", "prometheuses")
    found = [f"managed by the Prometheus operator ({_place(one)})" for one in managed or ()]
    if reading.serves("monitoring.googleapis.com"):
        found.append("Google Cloud Managed Service for Prometheus")
    if found:
        return tuple(found)
    pods = [reading.all("", "pods", label) for label in POD_LABELS]
    places = sorted({one["metadata"]["namespace"] for some in pods for one in some or ()})
    known = managed is not None and None not in pods
    return tuple(f"without an operator (namespace {one})" for one in places) if places or known else None


def _openshift(reading: Reading) -> tuple[str, ...] | None:
    config = reading.one("/api/v1/namespaces/openshift-monitoring/configmaps/cluster-monitoring-config")
    if config is None:
        return ("OpenShift monitoring; whether of user workloads is unknown",)
    text = str(dig(config, "data", "config.yaml", default=""))
    wanted = [line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("enableUserWorkload:")]
    return ("OpenShift monitoring, of user workloads as well" if wanted == ["true"] else
            "OpenShift monitoring, not of user workloads",)  # fmt: skip


def _place(one: Manifest) -> str:
    return f"{one['metadata'].get('namespace', '')}/{one['metadata']['name']}"
