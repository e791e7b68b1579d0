"""Mends a cluster on which a component's programs are gone while its webhooks, APIs and finalizers still stand.

Each of these stops others: a webhook without a server refuses every Job, an aggregated API without one keeps every
namespace from being deleted, a finalizer without a controller keeps its object for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gpuassay.cluster.errors import ClusterError
from gpuassay.provision.component import Provided
from gpuassay.provision.dead_ends import answering, in_vain, services_of
from gpuassay.provision.install import LATE
from gpuassay.provision.objects import Objects, Ref
from gpuassay.provision.remove import DEFINITION, Removal, custom_objects, delete_all, free

Say = Callable[[str], None]


def dead_ends(objects: Objects, group: str, namespace: str, *, empty: bool = False) -> list[Ref]:
    """Webhook configurations and aggregated APIs of a component, of whose Services none has a ready pod.

    Where its namespace is `empty` of pods no Service there has one, whatever EndpointSlices still say.
    """
    ready = answering(objects.list(objects.kinds[("discovery.k8s.io/v1", "EndpointSlice")]))
    ready = {service for service in ready if not (empty and service[0] == namespace)}
    found: list[Ref] = []
    for (version, kind), served in objects.kinds.items():
        if kind not in LATE or version not in objects.preferred:
            continue
        for one in objects.list(served):
            services = services_of(one)
            mine = any(place == namespace for place, _ in services) or bool(group and group in one["metadata"]["name"])
            if mine and services and in_vain(one, ready) == services:
                found.append(Ref.of(one))
    return found


def cure(provided: Provided, objects: Objects, say: Say) -> Removal:
    """Clear away what is left of a component that nobody runs any more.

    Raises:
        ClusterError: it runs, so it is not ours to touch; or there is nothing of it.
    """
    there = provided.detect(objects)
    running = provided.runs(objects, there)
    dead = dead_ends(objects, provided.group, provided.namespace, empty=not running)
    if there is None and not dead:
        raise ClusterError(f"there is nothing of {provided.title} on this cluster")
    if there is not None and running:
        raise ClusterError(f"{provided.title} was not installed by gpuassay, and it runs ({there}): it is left alone")
    done = Removal()
    say(f"clearing away what is left of {provided.title}")
    delete_all(objects, dead, done)
    definitions = _definitions(objects, provided.group)
    now = Objects(objects.api)  # without the APIs that nobody served
    for ref in custom_objects(now, definitions):  # whose controller is gone
        free(now, ref, done)
        now.delete(ref)
    delete_all(now, definitions, done)
    namespace = Ref("v1", "Namespace", "", provided.namespace)
    if now.get(namespace):
        delete_all(now, [namespace], done)
    done.helped += [f"{ref} was deleted: nothing stood behind it" for ref in (*dead, *definitions)]
    return done


def _definitions(objects: Objects, group: str) -> Sequence[Ref]:
    kind = objects.kinds[("apiextensions.k8s.io/v1", DEFINITION)]
    return [Ref.of(one) for one in objects.list(kind) if one["spec"]["group"] == group]
