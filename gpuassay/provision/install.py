"""Puts one component onto a cluster, and waits until it works."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gpuassay import labels
from gpuassay.capabilities import DENIED
from gpuassay.cluster.access_review import Right
from gpuassay.cluster.api import Api
from gpuassay.cluster.base import Cluster, Component
from gpuassay.cluster.errors import ApiRefused, ClusterError
from gpuassay.cluster.parallel import side_by_side
from gpuassay.manifest import Manifest, dig
from gpuassay.provision import inventory, olm, pods, rights, rollout
from gpuassay.provision.component import Content, Installation, Provided, Wish
from gpuassay.provision.helm import Chart, Helm
from gpuassay.provision.inventory import Inventory
from gpuassay.provision.marks import image
from gpuassay.provision.objects import Objects, Ref
from gpuassay.provision.olm import Package
from gpuassay.provision.pull_secret import name_it, secret
from gpuassay.toolchain import Assets
from gpuassay.waiting import WaitTimeout, wait

USED_SECONDS = 60.0
"""How long what somebody else has installed may take until it works: it is not being installed."""
TELL_AFTER = 20.0
"""Seconds after which a person is told what a component still lacks."""
LATE = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration", "APIService")
"""Applied last: until their servers answer they stand in everybody's way."""
FIRST = ("Namespace", "CustomResourceDefinition")

Say = Callable[[str], None]


@dataclass(frozen=True)
class Target:
    """Where components are installed.

    Attributes:
        cluster: the cluster.
        run: whose label everything carries.
        folder: for files of this machine.
        assets: folders with programs that users bring.
        say: tells a person how far things are.
    """

    cluster: Cluster
    run: str
    folder: Path
    assets: Assets
    say: Say


def found(provided: Provided, objects: Objects) -> Installation | None:
    """What there is of a component, and whose it is."""
    ours = inventory.read(objects.api, provided.name)
    if ours is not None:
        return Installation(ours.version, ours.namespace, ours.how, ours.run)
    return provided.detect(objects)


def install(site: Target, provided: Provided, wish: Wish) -> Installation:
    """Install a component that is not there; what was begun is for `gpuassay.provision.remove`, whatever happens.

    Raises:
        ClusterError: it cannot be installed, or does not work in time; one line says why.
    """
    try:
        return _install(site, provided, wish)
    except ApiRefused as refused:
        said = " ".join(refused.message.split())
        raise ClusterError(f"{provided.title} cannot be installed: {said}{_who_stands_in_the_way(said)}") from None
    except ClusterError as error:
        raise ClusterError(f"{error}{_who_stands_in_the_way(str(error))}") from None


def _who_stands_in_the_way(said: str) -> str:
    if "failed calling webhook" not in said:
        return ""
    return "; that webhook is not ours, gpuassay doctor --cluster existing names those that do not answer"


def use(site: Target, provided: Provided) -> None:
    """Make sure that what is there works, whoever has installed it.

    Raises:
        ClusterError: it does not.
    """
    there = found(provided, Objects(site.cluster.api))
    await_working(site, provided, provided.seconds if there and there.run else USED_SECONDS)


def _install(site: Target, provided: Provided, wish: Wish) -> Installation:
    objects = Objects(site.cluster.api)
    refuse(provided, objects)
    content, helm, ours, wanted = content_of(site, provided, wish, objects)
    package = content.package
    if package and package.namespace != provided.namespace:
        provided = replace(provided, namespace=package.namespace)
        refuse(provided, objects)
    rights.refuse_without(site.cluster.api, provided, rights.needed(provided, content, wanted, objects))
    refs = [ref_of(one, provided, wanted, objects) for one in wanted]
    if package:
        refs.insert(len(ours), package.starts)
    _refuse_there(provided, objects, refs)
    applied = refs[: len(ours) + bool(package)]
    noted = _inventory(site, provided, content, refs, applied, wanted, objects)
    site.say(f"installing {provided.title} {noted.version} ({noted.how})")
    inventory.write(site.cluster.api, noted)
    if noted.namespace_is_ours:
        _make_namespace(site, provided)
    apply(site, ours, noted.applied[: len(ours)])
    if package:
        _start(site, provided, package)
    if helm and content.chart:
        helm.install(content.chart)
    mark(site, provided, refs, wish)
    await_working(site, on_newest_pods(provided, refs, objects) if wish.mirror or wish.pull_secret else provided)
    _tell(site, provided, noted, content)
    return Installation(noted.version, noted.namespace, noted.how, noted.run)


def content_of(
    site: Target, provided: Provided, wish: Wish, objects: Objects
) -> tuple[Content, Helm | None, list[Manifest], list[Manifest]]:
    """What is installed, by whom, what of it we apply, and all of it, each in order."""
    content = provided.content(site.assets, wish)
    if wish.pull_secret:
        namespace = content.package.namespace if content.package else provided.namespace
        content = replace(content, objects=[secret(wish.pull_secret, namespace), *content.objects])
    helm = Helm(site.cluster, site.assets, site.folder) if content.chart else None
    definitions = [one for one in content.definitions if objects.get(Ref.of(one)) is None]
    ours = _in_order([*definitions, *content.objects])
    return content, helm, ours, [*ours, *_in_order(helm.render(content.chart) if helm and content.chart else ())]


def needed(site: Target, provided: Provided, wish: Wish) -> list[Right]:
    """The rights that an installation and its removal take; nothing is changed, and little is asked of the cluster.

    Raises:
        ClusterError: there is no such installation.
    """
    objects = Objects(site.cluster.api)
    content, _, _, wanted = content_of(site, provided, wish, objects)
    return rights.needed(provided, content, wanted, objects)


def refuse(provided: Provided, objects: Objects) -> None:
    """Raise ClusterError with what stands against an installation: its prerequisites, others, a namespace that ends."""
    if lacking := list(provided.lacking(objects)):
        raise ClusterError(f"{provided.title} cannot be installed: {'; '.join(lacking)}")
    namespace = objects.get(Ref("v1", "Namespace", "", provided.namespace))
    if namespace and dig(namespace, "metadata", "deletionTimestamp"):
        raise ClusterError(
            f"{provided.title} cannot be installed: namespace {provided.namespace} is being deleted; where that does "
            "not end, gpuassay doctor --cluster existing says why"
        )


def _refuse_there(provided: Provided, objects: Objects, refs: Sequence[Ref]) -> None:
    there = objects.there([ref for ref in refs if ref.kind != "Namespace"])
    if there:
        more = f" and {len(there) - 1} more" if len(there) > 1 else ""
        raise ClusterError(
            f"{provided.title} cannot be installed: its {there[0]}{more} is there already; what a broken installation "
            f"has left is cleared away by gpuassay remove --force {provided.name}"
        )


def ref_of(one: Manifest, provided: Provided, wanted: Sequence[Manifest], objects: Objects) -> Ref:
    """The object that a manifest stands for: what is namespaced and says no namespace goes into the component's."""
    key = (one["apiVersion"], one["kind"])
    served = objects.kinds.get(key)
    namespaced = served.namespaced if served else _scope(key, wanted) == "Namespaced"
    ref = Ref.of(one, provided.namespace if namespaced else "")
    return ref if namespaced else replace(ref, namespace="")  # charts write namespaces onto objects that have none


def _scope(key: tuple[str, str], wanted: Sequence[Manifest]) -> str:
    """Scope of a kind whose definition is installed along."""
    for one in wanted:
        if one["kind"] == "CustomResourceDefinition":
            spec = one["spec"]
            if (spec["group"], spec["names"]["kind"]) == (key[0].rpartition("/")[0], key[1]):
                return str(spec["scope"])
    return "Cluster"


def _in_order(wanted: Sequence[Manifest]) -> list[Manifest]:
    """Namespaces and definitions first, webhooks and aggregated APIs last."""
    flat = [part for one in wanted for part in (one["items"] if one["kind"] == "List" else (one,))]

    def rank(one: Manifest) -> int:
        return FIRST.index(one["kind"]) if one["kind"] in FIRST else 3 if one["kind"] in LATE else 2

    return sorted(flat, key=rank)


def _inventory(
    site: Target,
    provided: Provided,
    content: Content,
    refs: Sequence[Ref],
    applied: Sequence[Ref],
    wanted: Sequence[Manifest],
    objects: Objects,
) -> Inventory:
    snapshot = objects.snapshot()
    chart = content.chart
    return Inventory(
        component=provided.name,
        run=site.run,
        version=content.version or version_of(wanted, provided.name),
        namespace=provided.namespace,
        namespace_is_ours=objects.get(Ref("v1", "Namespace", "", provided.namespace)) is None,
        how=f"{olm.HOW}{content.package.name}" if content.package else _how(chart, applied),
        release=chart.release if chart else "",
        refs=refs,
        applied=applied,
        before=frozenset(snapshot),
        nodes={key[3]: one["labels"] for key, one in snapshot.items() if key[:2] == ("", "Node")},
    )


def _how(chart: Chart | None, applied: Sequence[Ref]) -> str:
    words = ([f"Helm release {chart.release}"] if chart else []) + (["manifests"] if applied or not chart else [])
    return " and ".join(words)


def version_of(wanted: Sequence[Manifest], name: str) -> str:
    """What the objects say of their version: the tag of the first image called after the component, or of the first."""
    found = [image(one) for each in wanted for one in dig(each, "spec", "template", "spec", "containers", default=[])]
    own = [(at, tag) for at, tag in found if name in at.rpartition("/")[2]]
    return next((tag for _, tag in (*own, *found) if tag), "unknown")


def _make_namespace(site: Target, provided: Provided) -> None:
    """In it pods may be privileged, as components of nodes must be."""
    marks = _marks(site, provided) | {"pod-security.kubernetes.io/enforce": "privileged"}
    body: Manifest = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": provided.namespace, "labels": marks},
    }
    try:
        site.cluster.api.create(body)
    except ApiRefused as refused:
        if refused.status != 409:
            raise


def apply(site: Target, wanted: Sequence[Manifest], refs: Sequence[Ref]) -> None:
    """Apply what we make ourselves, in order, and wait until the kinds that it defines are served."""
    objects = Objects(site.cluster.api)
    for one, ref in zip(wanted, refs, strict=True):
        if objects.kind(ref) is None:  # its definition has just been made
            objects = _served(site, (ref.version, ref.kind))
        objects.apply(ref, one)
    for one in wanted:
        if one["kind"] == "CustomResourceDefinition":  # helm looks up kinds once, and does not wait for them
            spec = one["spec"]
            version = next(str(version["name"]) for version in spec["versions"] if version["served"])
            _served(site, (f"{spec['group']}/{version}", str(spec["names"]["kind"])))


def _served(site: Target, kind: tuple[str, str]) -> Objects:
    """Wait until the cluster serves a kind."""
    return wait(
        lambda: Objects(site.cluster.api), lambda new: kind in new.kinds,
        what=f"kind {kind[1]} to be served", timeout=60, delay=0.2,
    )  # fmt: skip


def _start(site: Target, provided: Provided, package: Package) -> None:
    """Wait until an operator is installed, and give it the object that starts its work."""

    def problem(api: Api) -> str:
        return olm.problem(api, package)

    await_working(site, replace(provided, problem=problem))
    apply(site, [olm.example(site.cluster.api, package)], [package.starts])


def _marks(site: Target, provided: Provided) -> dict[str, str]:
    return {labels.RUN: site.run, labels.COMPONENT: provided.name}


def mark(site: Target, provided: Provided, refs: Sequence[Ref], wish: Wish) -> None:
    """Put the run's label on everything, the mirror into the names of images, and credentials beside them."""
    objects = Objects(site.cluster.api)
    side_by_side(lambda ref: objects.patch(ref, {"metadata": {"labels": _marks(site, provided)}}), refs)
    for ref in refs:
        if wish.mirror:
            _mirror(objects, ref, wish.mirror)
        if wish.pull_secret:
            name_it(objects, ref)


def on_newest_pods(provided: Provided, refs: Sequence[Ref], objects: Objects) -> Provided:
    """The component, which works once all its pods are as their templates say now."""

    def problem(api: Api) -> str:
        return provided.problem(api) or rollout.unfinished(objects, refs)

    return replace(provided, problem=problem)


def _mirror(objects: Objects, ref: Ref, mirror: str) -> None:
    found = objects.get(ref) or {}
    for field in ("initContainers", "containers"):
        containers: list[Manifest] = dig(found, "spec", "template", "spec", field, default=[])
        changes = [{"op": "replace", "path": f"/spec/template/spec/{field}/{number}/image",
                    "value": mirrored(str(one["image"]), mirror)} for number, one in enumerate(containers)]  # fmt: skip
        if changes:
            objects.patch_json(ref, changes)


def mirrored(image: str, mirror: str) -> str:
    """The name of an image in a mirror: the registry is replaced, the repository stays."""
    first, slash, rest = image.partition("/")
    named = slash and ("." in first or ":" in first or first == "localhost")
    return f"{mirror.rstrip('/')}/{rest if named else image}"


def await_working(site: Target, provided: Provided, seconds: float | None = None) -> None:
    """Wait until a component works, and tell early what keeps it from that.

    Raises:
        ClusterError: it does not in time; each of its pods that is not ready says why.
    """
    api, patience = site.cluster.api, seconds or provided.seconds
    began, told = time.monotonic(), set[str]()

    def look() -> str:
        problem = provided.problem(api)
        if DENIED in problem:  # waiting gives nobody a right
            raise ClusterError(f"{provided.title}: {problem}")
        if problem and time.monotonic() - began > TELL_AFTER:
            for line in pods.troubles(api, provided.namespace) or pods.refusals(api, provided.namespace):
                if line not in told:
                    told.add(line)
                    site.say(f"{provided.title}: {line}")
        return problem

    try:
        wait(look, lambda problem: not problem, what=provided.title, timeout=patience, delay=0.5)
    except WaitTimeout as late:
        why = pods.troubles(api, provided.namespace) or pods.refusals(api, provided.namespace)
        raise ClusterError(
            f"{provided.title} does not work, {patience:g} s were waited for it: {late.last}"
            + "".join(f"; {line}" for line in why[:5])
        ) from None


def _tell(site: Target, provided: Provided, noted: Inventory, content: Content) -> None:
    settings = f"; {content.settings}" if content.settings else ""
    site.cluster.tell([Component(provided.name, noted.version, f"installed by us, {noted.how}{settings}")])
