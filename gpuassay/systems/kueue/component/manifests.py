"""Kueue's own manifests, changed only where a process outside the cluster needs it.

They are rendered from the module's files by `kustomize build config/default`, once, and kept as JSON. Changed: the
webhook Service becomes a name for localhost, webhooks and conversions name our port and carry our authority, and the
descriptions in CRD schemas are dropped (documentation, half of 1.7 MB, which the API server parses many times).
Left out: what only a Deployment needs (RBAC of the manager, its ConfigMap, aggregation of the visibility API).
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, cast

import yaml

from gpuassay.cluster.errors import ClusterError
from gpuassay.manifest import Manifest
from gpuassay.systems.kueue.component.certificates import WebhookCertificates
from gpuassay.systems.kueue.component.profiles import NAMESPACE

SERVICE = "kueue-webhook-service"
SECRET = "kueue-webhook-server-cert"
METRICS_READER = "kueue-metrics-reader"
METRICS_ACCOUNT = "gpuassay-metrics"

WEBHOOKS = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
_KEPT = ("Namespace", "CustomResourceDefinition", *WEBHOOKS)


def _without_descriptions(node: Any, properties: bool = False) -> Any:
    """A schema without its `description` texts; a property that is called description stays."""
    if isinstance(node, dict):
        fields = cast("dict[str, Any]", node)
        return {
            key: _without_descriptions(value, key == "properties" and not properties)
            for key, value in fields.items()
            if properties or key != "description" or not isinstance(value, str)
        }
    if isinstance(node, list):
        return [_without_descriptions(item) for item in cast("list[Any]", node)]
    return node


def slim(manifest: Manifest) -> Manifest:
    """A CRD without the descriptions in its schemas; anything else as it is."""
    if manifest["kind"] != "CustomResourceDefinition":
        return manifest
    result = copy.deepcopy(manifest)
    for version in result["spec"]["versions"]:
        version["schema"] = _without_descriptions(version["schema"])
    result.pop("status", None)
    return result


def documents(text: str) -> list[Manifest]:
    """The objects in a YAML text."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return [document for document in yaml.load_all(text, Loader=loader) if document]


def _fingerprint(files: Iterable[Path]) -> str:
    digest = hashlib.sha256(b"1")
    for file in sorted(files):
        stat = file.stat()
        digest.update(f"{file}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:20]


def _kept(cache: Path, name: str, files: list[Path], make: Callable[[], list[Manifest]]) -> list[Manifest]:
    """What `make` gave for these files the last time, else what it gives now."""
    at = cache / "manifests" / f"{name}-{_fingerprint(files)}.json"
    try:
        return json.loads(at.read_text())
    except (OSError, ValueError):
        made = make()
    try:
        at.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=at.parent)
        with os.fdopen(handle, "w") as file:
            json.dump(made, file)
        os.replace(temporary, at)
    except OSError:
        pass  # a cache that cannot be written costs two seconds at the next start, nothing else
    return made


def rendered(module: Path, kustomize: Path, cache: Path) -> list[Manifest]:
    """Kueue's objects as upstream's default overlay has them, less what is left out here.

    Raises:
        ClusterError: kustomize refuses the module's files.
    """

    def make() -> list[Manifest]:
        command = [kustomize, "build", module / "config" / "default"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode:
            raise ClusterError(f"Kueue's manifests in {module} cannot be rendered: {done.stderr.strip()}")
        objects = documents(done.stdout)
        return [slim(o) for o in objects if o["kind"] in _KEPT or o["metadata"]["name"] == METRICS_READER]

    return _kept(cache, "kueue", list((module / "config").rglob("*.yaml")), make)


def custom_resources(files: Iterable[Path], cache: Path) -> list[Manifest]:
    """CRDs of projects whose objects Kueue queues, from files of their modules."""

    def read(file: Path) -> list[Manifest]:
        return _kept(cache, file.stem, [file], lambda: [slim(document) for document in documents(file.read_text())])

    return [crd for file in files for crd in read(file)]


def _point_to_us(client: Manifest, port: int, bundle: str) -> None:
    client["service"]["port"] = port
    client["caBundle"] = bundle


def localized(objects: Iterable[Manifest], port: int, certificates: WebhookCertificates) -> list[Manifest]:
    """The objects with webhooks and conversions pointing to `port` on this machine, plus what the manager needs."""
    result = [copy.deepcopy(o) for o in objects]
    for manifest in result:
        if manifest["kind"] in WEBHOOKS:
            for hook in manifest["webhooks"]:
                _point_to_us(hook["clientConfig"], port, certificates.bundle)
        elif manifest["kind"] == "CustomResourceDefinition":
            conversion: Manifest = manifest["spec"].get("conversion") or {}
            if conversion.get("strategy") == "Webhook":
                _point_to_us(conversion["webhook"]["clientConfig"], port, certificates.bundle)
    return result + _extras(certificates)


def _extras(certificates: WebhookCertificates) -> list[Manifest]:
    def named(version: str, kind: str, name: str, namespace: str | None = NAMESPACE, **rest: Any) -> Manifest:
        metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
        return {"apiVersion": version, "kind": kind, "metadata": metadata} | rest

    return [
        named("v1", "Service", SERVICE, spec={"type": "ExternalName", "externalName": "localhost"}),
        named("v1", "Secret", SECRET, data=certificates.secret_data()),
        named("v1", "ServiceAccount", METRICS_ACCOUNT),
        named(
            "rbac.authorization.k8s.io/v1", "ClusterRoleBinding", METRICS_ACCOUNT, None,
            roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": METRICS_READER},
            subjects=[{"kind": "ServiceAccount", "name": METRICS_ACCOUNT, "namespace": NAMESPACE}],
        ),
    ]  # fmt: skip
