"""Where somebody's cluster runs Kueue's manager, and where its configuration stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gpuassay.manifest import Manifest, dig, name_of
from gpuassay.provision.objects import Objects, Ref
from gpuassay.systems.kueue.component.pod_configuration import read


@dataclass(frozen=True)
class Deployed:
    """Where the manager runs, and where its configuration stands.

    Attributes:
        deployment: the Deployment.
        selector: labels of its pods.
        replicas: how many there are to be.
        config_map: holds its configuration.
        key: under which.
        text: the configuration as it is there.
    """

    deployment: Ref
    selector: str
    replicas: int
    config_map: Ref
    key: str
    text: str

    @property
    def namespace(self) -> str:
        """Of its pods."""
        return self.deployment.namespace

    @property
    def configuration(self) -> dict[str, Any]:
        """The configuration as it is there."""
        return read(self.text)


def find(objects: Objects) -> Deployed | None:
    """The manager's Deployment and its configuration; None where they are not ours to read, or of another shape."""
    for one in objects.list(objects.kinds[("apps/v1", "Deployment")]):
        marks: dict[str, str] = one["metadata"].get("labels") or {}
        called = str(marks.get("app.kubernetes.io/name", name_of(one)))
        if "kueue" not in called or not name_of(one).endswith("controller-manager"):
            continue
        where = _configuration_of(one)
        held = objects.get(where[0]) if where else None
        if where is None or held is None or where[1] not in (held.get("data") or {}):
            continue
        wanted: dict[str, str] = dig(one, "spec", "selector", "matchLabels", default={})
        return Deployed(
            Ref.of(one), ",".join(f"{key}={value}" for key, value in wanted.items()),
            int(dig(one, "spec", "replicas", default=1)), where[0], where[1], held["data"][where[1]],
        )  # fmt: skip
    return None


def _configuration_of(deployment: Manifest) -> tuple[Ref, str] | None:
    """ConfigMap and key of the file that the manager's `--config` names."""
    spec: Manifest = dig(deployment, "spec", "template", "spec", default={})
    containers: list[Manifest] = spec.get("containers") or []
    listed: list[Manifest] = spec.get("volumes") or []
    volumes = {str(one["name"]): one for one in listed}
    for container in containers:
        words: list[str] = [*(container.get("command") or []), *(container.get("args") or [])]
        file = next((word.partition("=")[2] for word in words if word.startswith("--config=")), "")
        mounts: list[dict[str, str]] = (container.get("volumeMounts") or []) if file else []
        for mount in mounts:
            name = dig(volumes.get(mount["name"], {}), "configMap", "name")
            if name and file.startswith(mount["mountPath"]):
                key = mount.get("subPath") or file.removeprefix(mount["mountPath"]).lstrip("/")
                return Ref("v1", "ConfigMap", str(deployment["metadata"]["namespace"]), str(name)), key
    return None
