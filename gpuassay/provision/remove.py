"""Takes a component of ours away again, in the order in which nothing hangs, and shows what is left."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from gpuassay.cluster.errors import ApiRefused, ClusterError
from gpuassay.cluster.parallel import side_by_side
from gpuassay.manifest import dig
from gpuassay.provision import inventory, olm
from gpuassay.provision.component import Provided
from gpuassay.provision.helm import Helm
from gpuassay.provision.install import LATE, Target
from gpuassay.provision.inventory import Inventory
from gpuassay.provision.objects import Objects, Ref
from gpuassay.waiting import WaitTimeout, wait

SECONDS = 120.0
"""How long one kind of thing may take to be gone before it is helped along."""
DEFINITION = "CustomResourceDefinition"
SYSTEM_LABELS = ("kubernetes.io", "k8s.io", "gpuassay.io")
"""Domains of node labels that are not a component's doing."""


@dataclass
class Removal:
    """What came of a removal.

    Attributes:
        left_by_upstream: what the component's own uninstall left behind, before it was cleared away.
        helped: what had to be done by force, such as finalizers that nobody took off.
        differences: what is not as before; empty after a clean removal.
    """

    left_by_upstream: list[str] = field(default_factory=list[str])
    helped: list[str] = field(default_factory=list[str])
    differences: list[str] = field(default_factory=list[str])


def remove(site: Target, provided: Provided, *, force: bool = False) -> Removal:
    """Remove a component that is ours; returns when it is gone.

    Raises:
        ClusterError: it is not ours, somebody uses it (unless `force`), or something of it does not go.
    """
    noted = inventory.read(site.cluster.api, provided.name)
    if noted is None:
        raise ClusterError(f"{provided.title} was not installed by gpuassay: it is left alone")
    objects = Objects(site.cluster.api)
    used = [] if force else _used(objects, provided, noted)
    if used:
        more = f" and {len(used) - 1} more" if len(used) > 1 else ""
        raise ClusterError(
            f"{provided.title} is in use by {used[0]}{more}, which would go with it: delete them, or add --force"
        )
    site.say(f"removing {provided.title}")
    done = Removal()
    _remove_custom_objects(objects, noted, done)
    delete_all(objects, [ref for ref in noted.refs if ref.kind in LATE], done)  # before the servers that they ask
    if noted.release:
        Helm(site.cluster, site.assets, site.folder).uninstall(noted.release, noted.namespace)
    rest = [ref for ref in reversed(noted.applied) if ref.kind not in (*LATE, DEFINITION, "Namespace")]
    if noted.how.startswith(olm.HOW):  # first what the operator works on, while it lives
        delete_all(objects, rest[:1], done)
    delete_all(objects, rest, done)
    _await_pods(site, noted)
    _clear(objects, provided, noted, done)
    _restore_nodes(objects, noted, done)
    inventory.forget(site.cluster.api, provided.name)
    done.differences = differences(Objects(site.cluster.api), noted, provided.group)
    return done


def _used(objects: Objects, provided: Provided, noted: Inventory) -> list[Ref]:
    """What somebody has made since and the component is needed for; kinds that were defined before it stay."""
    return [
        ref for ref in provided.in_use(objects)
        if ref.key not in noted.before and not _defined_before(objects, ref, noted)
    ]  # fmt: skip


def _defined_before(objects: Objects, ref: Ref, noted: Inventory) -> bool:
    kind = objects.kinds[(ref.version, ref.kind)]
    name = f"{kind.plural}.{kind.version.rpartition('/')[0]}"
    return ("apiextensions.k8s.io", DEFINITION, "", name) in noted.before


def _definitions(noted: Inventory) -> list[Ref]:
    return [ref for ref in noted.refs if ref.kind == DEFINITION]


def custom_objects(objects: Objects, definitions: Iterable[Ref]) -> list[Ref]:
    """All objects of kinds that these definitions define."""
    names = {ref.name for ref in definitions}
    kinds = [
        one for (version, _), one in objects.kinds.items()
        if f"{one.plural}.{version.rpartition('/')[0]}" in names and one.listable and objects.chosen(one)
    ]  # fmt: skip
    return [Ref.of(one) for some in side_by_side(objects.list, kinds) for one in some]


def _remove_custom_objects(objects: Objects, noted: Inventory, done: Removal) -> None:
    """While the controllers live that take off their finalizers."""
    found = custom_objects(objects, _definitions(noted))
    delete_all(objects, found, done)


def delete_all(objects: Objects, refs: Sequence[Ref], done: Removal) -> None:
    """Delete and wait; what does not go for want of its controller loses its finalizers, and is named."""
    if not refs:
        return
    side_by_side(objects.delete, refs)
    if not _gone(objects, refs):
        for ref in objects.there(refs):
            free(objects, ref, done)
        if not _gone(objects, refs):
            left = objects.there(refs)
            raise ClusterError(f"{left[0]} does not go" + (f", nor do {len(left) - 1} more" if len(left) > 1 else ""))


def free(objects: Objects, ref: Ref, done: Removal) -> None:
    """Take off finalizers that nobody else will take off, and note it."""
    finalizers = dig(objects.get(ref) or {}, "metadata", "finalizers", default=[])
    if finalizers:
        done.helped.append(f"{ref}: finalizers taken off: {', '.join(finalizers)}")
        objects.patch(ref, {"metadata": {"finalizers": None}})


def _gone(objects: Objects, refs: Sequence[Ref]) -> bool:
    try:
        wait(lambda: objects.there(refs), lambda left: not left, what=str(refs[0]), timeout=SECONDS, delay=0.2)
    except WaitTimeout:
        return False
    return True


def _await_pods(site: Target, noted: Inventory) -> None:
    """Wait until the component's pods have ended: what they still write would count as left behind."""

    def running() -> list[str]:
        try:
            found = site.cluster.api.list("Pod", noted.namespace)
        except ApiRefused:
            return []
        keys = {ref.name for ref in noted.refs if ref.kind in ("Deployment", "DaemonSet", "StatefulSet", "Job")}
        return [name for one in found if not keys.isdisjoint(_owners(name := str(one["metadata"]["name"])))]

    wait(running, lambda names: not names, what=f"pods in {noted.namespace} to end", timeout=SECONDS, delay=0.2)


def _owners(pod: str) -> set[str]:
    """Names that the controller of a pod may have: one part is generated, or two."""
    return {pod.rsplit("-", parts)[0] for parts in (1, 2)}


def _clear(objects: Objects, provided: Provided, noted: Inventory, done: Removal) -> None:
    """Note what is left of the component, then delete that too."""
    now = Objects(objects.api)
    left = now.there([ref for ref in noted.refs if ref.kind != "Namespace"])
    brought = (*provided.made(now), *olm.left(now, noted.how, noted.namespace))
    made = [ref for ref in brought if ref.key not in noted.before]
    strangers = [ref for ref in dict.fromkeys((*_new(now, noted), *made)) if ref not in left]
    stays = [ref for ref in (*left, *strangers) if ref not in noted.applied and not _goes(now, ref)]
    done.left_by_upstream = [str(ref) for ref in stays]
    definitions = [ref for ref in left if ref.kind == DEFINITION]
    delete_all(now, [ref for ref in (*strangers, *reversed(left)) if ref not in definitions], done)
    delete_all(now, custom_objects(now, definitions), done)
    delete_all(now, definitions, done)
    if noted.namespace_is_ours:
        delete_all(now, [Ref("v1", "Namespace", "", noted.namespace)], done)


def _goes(objects: Objects, ref: Ref) -> bool:
    """Whether an object is being deleted already, and only waited for."""
    found = objects.get(ref)
    return found is None or bool(dig(found, "metadata", "deletionTimestamp"))


def _new(objects: Objects, noted: Inventory) -> list[Ref]:
    """What the component has made by itself: objects in its namespace, if that is ours, and of its API groups."""
    groups = {ref.name.partition(".")[2] for ref in _definitions(noted)}

    def of_it(ref: Ref) -> bool:
        inside = noted.namespace_is_ours and ref.namespace == noted.namespace
        return inside or ref.version.rpartition("/")[0] in groups

    found = [Ref.of(one) for one in _all(objects, of_it_kinds(objects, noted, groups))]
    made_by_kubernetes = {("ConfigMap", "kube-root-ca.crt"), ("ServiceAccount", "default")}
    made_by_openshift = {("ConfigMap", "openshift-service-ca.crt")}
    usual = made_by_kubernetes | made_by_openshift
    return [ref for ref in found if of_it(ref) and ref.key not in noted.before and (ref.kind, ref.name) not in usual]


def of_it_kinds(objects: Objects, noted: Inventory, groups: set[str]) -> list[tuple[str, str]]:
    """Kinds of which the component may have made objects."""
    return [
        key for key, one in objects.kinds.items()
        if one.listable and objects.chosen(one) and one.name not in ("Event", "Pod", "ReplicaSet")
        and (one.namespaced or one.version.rpartition("/")[0] in groups)
    ]  # fmt: skip


def _all(objects: Objects, keys: Sequence[tuple[str, str]]) -> list[dict[str, object]]:
    return [one for some in side_by_side(lambda key: objects.list(objects.kinds[key]), keys) for one in some]


def _restore_nodes(objects: Objects, noted: Inventory, done: Removal) -> None:
    """Note which labels of nodes came since, and take them off; those that went or changed are given back."""
    for node in objects.list(objects.kinds[("v1", "Node")]):
        before = noted.nodes.get(node["metadata"]["name"])
        if before is None:
            continue
        now: dict[str, str] = node["metadata"].get("labels") or {}
        new = {key: None for key in now if key not in before and not _of_system(key)}
        lost = {key: value for key, value in before.items() if now.get(key) != value and not _of_system(key)}
        if new or lost:
            words = [f"{len(new)} new: {_some(new)}"] if new else []
            words += [f"{len(lost)} lost or changed: {_some(lost)}"] if lost else []
            done.left_by_upstream.append(f"labels of Node {node['metadata']['name']}, {'; '.join(words)}")
            objects.patch(Ref.of(node), {"metadata": {"labels": new | lost}})


def _some(names: Iterable[str]) -> str:
    first, *others = sorted(names)
    return f"{first} and {len(others)} more" if others else first


def _of_system(label: str) -> bool:
    domain = label.partition("/")[0]
    return domain.endswith(SYSTEM_LABELS) and not domain.startswith("feature.node")


def differences(objects: Objects, noted: Inventory, group: str = "") -> list[str]:
    """What is not as it was before the installation, as far as it can be its doing.

    Definitions of the component's API group count too, whoever has made them: an operator makes its own.
    """
    snapshot = objects.snapshot()
    # what is gone from a namespace is more likely its owner's doing
    gone = [key for key in noted.before if key not in snapshot and not key[2]]
    groups = {ref.name.partition(".")[2] for ref in _definitions(noted)}
    known = {ref.key for ref in noted.refs}
    if noted.how.startswith(olm.HOW):
        groups.add(group)
    new = [
        key for key in snapshot
        if key not in noted.before
        and (key in known or key[0] in groups or (key[1] == DEFINITION and key[3].partition(".")[2] in groups))
    ]  # fmt: skip
    said = [f"{_text(key)} was there before and is gone" for key in gone if _still_served(objects, key)]
    return said + [f"{_text(key)} is still there" for key in new]


def _still_served(objects: Objects, key: tuple[str, str, str, str]) -> bool:
    """Whether its kind can still be listed: what we cannot list now says nothing."""
    return any(one.version.rpartition("/")[0] == key[0] and one.name == key[1] for one in objects.kinds.values())


def _text(key: tuple[str, str, str, str]) -> str:
    return f"{key[1]} {key[2]}/{key[3]}" if key[2] else f"{key[1]} {key[3]}"
