"""Webhooks and aggregated APIs that ask a Service behind which nobody is ready: what they stand before stands still."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from gpuassay.manifest import Manifest, dig

Service = tuple[str, str]
"""Namespace and name."""
SERVICE = "kubernetes.io/service-name"


def services_of(one: Manifest) -> set[Service]:
    """The Services that a webhook configuration or an aggregated API asks."""
    hooks: list[Manifest] = dig(one, "webhooks", default=[])
    asked = [dig(hook, "clientConfig", "service", default={}) for hook in hooks]
    asked.append(dig(one, "spec", "service", default={}))
    return {(str(service["namespace"]), str(service["name"])) for service in asked if service}


def answering(slices: Iterable[Manifest]) -> set[Service]:
    """Services that have an endpoint that is ready, by all EndpointSlices.

    A missing condition `ready` means ready, as the API says ("nil should be interpreted as true").
    """
    return {
        (str(one["metadata"]["namespace"]), str(dig(one, "metadata", "labels", SERVICE, default="")))
        for one in slices
        if any(dig(end, "conditions", "ready", default=True) for end in dig(one, "endpoints", default=[]))
    }


def in_vain(one: Manifest, ready: Collection[Service]) -> set[Service]:
    """Those of its Services that do not answer."""
    return {service for service in services_of(one) if service not in ready}
