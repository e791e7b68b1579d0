"""What an identity must be allowed for a component to be installed, looked after and removed: as a ClusterRole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from gpuassay.cluster.access_review import Right, lacking
from gpuassay.cluster.api import Api
from gpuassay.cluster.errors import ClusterError
from gpuassay.manifest import Manifest
from gpuassay.provision import olm
from gpuassay.provision.component import Content, Provided
from gpuassay.provision.objects import Objects

RBAC = "rbac.authorization.k8s.io"
KEPT = ("create", "delete", "patch", "update")
"""What is done to what an installation brings; helm updates what we would patch."""
READ = ("get", "list")
OPERATOR_VERSIONS = "clusterserviceversions"
OURS = (
    *(Right("", "namespaces", verb) for verb in ("create", "delete", "patch")),
    *(Right("", "configmaps", verb) for verb in KEPT),
    Right("coordination.k8s.io", "leases", "delete"),
    Right("", "nodes", "patch"),
)
"""For the inventory, the component's namespace and what its programs leave there, and nodes' labels, given back."""
HANDED_OUT = {
    "roles": (Right(RBAC, "roles", "escalate"),),
    "clusterroles": (Right(RBAC, "clusterroles", "escalate"),),
    "rolebindings": (Right(RBAC, "roles", "bind"), Right(RBAC, "clusterroles", "bind")),
    "clusterrolebindings": (Right(RBAC, "clusterroles", "bind"),),
}
"""Who hands out rights without having them must be allowed just that."""


def needed(provided: Provided, content: Content, wanted: Iterable[Manifest], objects: Objects) -> list[Right]:
    """Everything but reading, which is needed of all resources: the cluster is compared with what it was.

    Args:
        provided: the component.
        content: what it consists of.
        wanted: its objects, those of the chart too.
        objects: the cluster.
    """
    known = {(kind.version, kind.name): kind.plural for kind in objects.kinds.values()}
    defined = [one for one in wanted if one["kind"] == "CustomResourceDefinition"]
    for one in defined:
        names, group = one["spec"]["names"], one["spec"]["group"]
        known |= {(f"{group}/{each['name']}", names["kind"]): names["plural"] for each in one["spec"]["versions"]}
    found = {(str(one["spec"]["group"]), str(one["spec"]["names"]["plural"])) for one in defined}
    for one in wanted:
        key = (one["apiVersion"], one["kind"])
        if key in known:
            found.add((_group(key[0]), known[key]))
    if content.chart:
        found.add(("", "secrets"))  # helm's own inventory
    if content.package:
        found |= {(olm.GROUP, one) for one in ("subscriptions", "operatorgroups", "installplans", OPERATOR_VERSIONS)}
        found |= {(_group(content.package.starts.version), "*"), ("apiextensions.k8s.io", "customresourcedefinitions")}
    rights = {Right(group, resource, verb) for group, resource in found for verb in KEPT} | set(OURS)
    for group, resource in found:
        rights |= set(HANDED_OUT.get(resource, ()) if group == RBAC else ())
    return sorted(rights | set(provided.rights))


def _group(version: str) -> str:
    return version.rpartition("/")[0]


def refuse_without(api: Api, provided: Provided, rights: Sequence[Right]) -> None:
    """Before anything is made.

    Raises:
        ClusterError: the caller lacks some of them; one line names the first ones.
    """
    missing = lacking(api, rights)
    if missing:
        first = ", ".join(str(one) for one in missing[:3])
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise ClusterError(
            f"{provided.title} cannot be installed: this identity may not {first}{more}; "
            f"gpuassay provision {provided.name} --rights prints the role that suffices"
        )


def role(name: str, rights: Iterable[Right]) -> Manifest:
    """A ClusterRole with these rights, and with reading everything."""
    verbs: dict[tuple[str, str], list[str]] = {}
    for one in sorted(set(rights)):
        verbs.setdefault((one.group, one.resource), []).append(one.verb)
    alike: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (group, resource), some in verbs.items():
        alike.setdefault((group, tuple(some)), []).append(resource)
    everything: Mapping[str, Sequence[str]] = {"apiGroups": ["*"], "resources": ["*"], "verbs": [*READ]}
    rules: list[Manifest] = [dict(everything)]
    rules += [
        {"apiGroups": [group], "resources": resources, "verbs": list(some)}
        for (group, some), resources in alike.items()
    ]
    return {"apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules}
