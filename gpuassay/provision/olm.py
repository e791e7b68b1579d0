"""Operators that a cluster's Operator Lifecycle Manager installs: what is asked of it, and how far it is.

Source: https://olm.operatorframework.io/docs/concepts/crds/ (Subscription, OperatorGroup, InstallPlan,
ClusterServiceVersion) and the labels by which an Operator adopts its parts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gpuassay.cluster.api import Api
from gpuassay.cluster.errors import ClusterError
from gpuassay.manifest import Manifest, dig
from gpuassay.provision.objects import Objects, Ref

GROUP = "operators.coreos.com"
V1ALPHA1, V1 = f"{GROUP}/v1alpha1", f"{GROUP}/v1"
SOURCE = "olm"
HOW = "OLM subscription "
"""Beginning of `Inventory.how`."""
UNHEALTHY = ("CatalogSourcesUnhealthy", "ResolutionFailed", "BundleUnpackFailed", "InstallPlanFailed")
"""Conditions of a Subscription that say why nothing comes of it."""


@dataclass(frozen=True)
class Package:
    """An operator in a catalog.

    Attributes:
        name: of the package.
        namespace: where it goes.
        starts: the object that starts its work; what it says is the operator's own example.
        channel: "" for the package's default.
        catalog: CatalogSource in namespace `openshift-marketplace`.
        own_namespace: whether it watches its own namespace only.
        overlay: laid over the example's `spec`.
    """

    name: str
    namespace: str
    starts: Ref
    channel: str = ""
    catalog: str = "redhat-operators"
    own_namespace: bool = False
    overlay: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def objects(self) -> tuple[Manifest, Manifest]:
        """OperatorGroup and Subscription."""
        meta = {"name": self.name, "namespace": self.namespace}
        group = {"targetNamespaces": [self.namespace]} if self.own_namespace else {}
        spec = {
            "name": self.name, "source": self.catalog, "sourceNamespace": "openshift-marketplace",
            "installPlanApproval": "Automatic",
        } | ({"channel": self.channel} if self.channel else {})  # fmt: skip
        return (
            {"apiVersion": V1, "kind": "OperatorGroup", "metadata": dict(meta), "spec": group},
            {"apiVersion": V1ALPHA1, "kind": "Subscription", "metadata": dict(meta), "spec": spec},
        )


def channel_and_catalog(source: str) -> tuple[str, str] | None:
    """What a source `olm[:CHANNEL][@CATALOG]` names, "" for what is left out; None where it is something else."""
    if source.partition(":")[0].partition("@")[0] != SOURCE:
        return None
    rest, _, catalog = source.removeprefix(SOURCE).partition("@")
    return rest.removeprefix(":"), catalog


def refuse_without(package: Package, groups: frozenset[str]) -> None:
    """Raise ClusterError on a cluster without the Operator Lifecycle Manager."""
    if GROUP not in groups:
        raise ClusterError(f"package {package.name} cannot be had: this cluster serves no {GROUP}, so it has no OLM")


def problem(api: Api, package: Package) -> str:
    """Why the operator is not installed yet, "" once its version has succeeded."""
    objects, place = Objects(api), package.namespace
    subscription = objects.get(Ref(V1ALPHA1, "Subscription", place, package.name))
    if subscription is None:
        return f"Subscription {place}/{package.name} is gone"
    told: list[Manifest] = dig(subscription, "status", "conditions", default=[])
    for one in told:
        if one.get("type") in UNHEALTHY and one.get("status") == "True":
            return f"Subscription {package.name}: {one['type']}: {_said(one)}"
    version = str(dig(subscription, "status", "currentCSV", default=""))
    if not version:
        return f"Subscription {package.name} has chosen no version: is {package.name} in catalog {package.catalog}?"
    plan = objects.get(Ref(V1ALPHA1, "InstallPlan", place, str(dig(subscription, "status", "installPlanRef", "name"))))
    if plan and dig(plan, "status", "phase") in ("Failed", "RequiresApproval"):
        conditions: list[Manifest] = dig(plan, "status", "conditions", default=[])
        why = "; ".join(_said(one) for one in conditions if one.get("status") == "False") or "it does not say why"
        return f"InstallPlan {plan['metadata']['name']} is {plan['status']['phase']}: {why}"
    found = objects.get(Ref(V1ALPHA1, "ClusterServiceVersion", place, version))
    if found is None:
        return f"ClusterServiceVersion {version} is not there yet"
    phase = dig(found, "status", "phase", default="not begun")
    return "" if phase == "Succeeded" else f"ClusterServiceVersion {version} is {phase}: {_said(found['status'])}"


def example(api: Api, package: Package) -> Manifest:
    """The object that starts the operator's work, as its installed version has it for an example.

    Raises:
        ClusterError: there is no such example.
    """
    objects, place = Objects(api), package.namespace
    subscription = objects.get(Ref(V1ALPHA1, "Subscription", place, package.name)) or {}
    version = str(dig(subscription, "status", "currentCSV", default=""))
    found = objects.get(Ref(V1ALPHA1, "ClusterServiceVersion", place, version)) or {}
    text = str(dig(found, "metadata", "annotations", "alm-examples", default="[]"))
    try:
        examples: list[Manifest] = json.loads(text)
        (one,) = [one for one in examples if one["kind"] == package.starts.kind]
    except (ValueError, KeyError, TypeError):
        raise ClusterError(f"ClusterServiceVersion {version} has no example of a {package.starts.kind}") from None
    spec = _laid_over(one.get("spec") or {}, package.overlay)
    return {"apiVersion": package.starts.version, "kind": package.starts.kind,
            "metadata": {"name": package.starts.name}, "spec": spec}  # fmt: skip


def left(objects: Objects, how: str, namespace: str) -> Sequence[Ref]:
    """What a Subscription has brought, and what stays when that goes: versions, definitions, rights."""
    if not how.startswith(HOW):
        return ()
    return objects.labelled(f"{GROUP}/{how.removeprefix(HOW)}.{namespace}")


def _laid_over(below: Any, above: Any) -> Any:
    if not isinstance(below, Mapping) or not isinstance(above, Mapping):
        return above
    merged: dict[str, Any] = dict(below)  # pyright: ignore[reportUnknownArgumentType]
    for key, value in above.items():  # pyright: ignore[reportUnknownVariableType]
        merged[str(key)] = _laid_over(merged[str(key)], value) if key in merged else value  # pyright: ignore[reportUnknownArgumentType]
    return merged


def _said(one: Manifest) -> str:
    return " ".join(str(one.get("message") or one.get("reason") or "it does not say why").split())
