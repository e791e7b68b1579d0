"""A stand-in for the Operator Lifecycle Manager and for Red Hat's build of Kueue. No OLM and no operator runs.

What they do as far as our side of it goes: a Subscription becomes a version of the operator with definitions, which
makes a manager once the object is there that starts it.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any

from gpuassay.cluster.api import Api
from gpuassay.cluster.errors import ClusterError
from gpuassay.manifest import Manifest
from gpuassay.provision.objects import Objects, Ref
from gpuassay.provision.olm import GROUP, V1, V1ALPHA1

PACKAGE, PLACE, CSV = "kueue-operator", "openshift-kueue-operator", "kueue-operator.v1.3.0"
LABEL = {f"{GROUP}/{PACKAGE}.{PLACE}": ""}
EXAMPLES = [{
    "apiVersion": "kueue.openshift.io/v1", "kind": "Kueue", "metadata": {"name": "example"},
    "spec": {"config": {"integrations": {"frameworks": ["BatchJob"]}}},
}]  # fmt: skip


def definition(group: str, version: str, kind: str, scope: str = "Cluster", **labels: str) -> Manifest:
    """A CustomResourceDefinition under which anything can be stored."""
    plural = f"{kind.lower()}s"
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    notes = {"api-approved.kubernetes.io": "unapproved, of a test"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}", "labels": labels, "annotations": notes},
        "spec": {"group": group, "scope": scope, "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
                 "versions": [{"name": version, "served": True, "storage": True, "schema": schema}]},
    }  # fmt: skip


OLM = (
    definition(GROUP, "v1", "OperatorGroup", "Namespaced"),
    *(definition(GROUP, "v1alpha1", kind, "Namespaced")
      for kind in ("Subscription", "InstallPlan", "ClusterServiceVersion")),
)  # fmt: skip
BROUGHT = (
    definition("kueue.openshift.io", "v1", "Kueue", **LABEL),
    definition("kueue.x-k8s.io", "v1beta2", "ResourceFlavor", **LABEL),
)


def installed(api: Api, answers: Manifest) -> None:
    """One look of OLM at its Subscription; `answers`: the status that it gets in the place of a sound one."""
    objects = Objects(api)
    subscription = Ref(V1ALPHA1, "Subscription", PLACE, PACKAGE)
    found = objects.get(subscription)
    if found is None:
        return
    if answers:
        objects.patch(subscription, {"status": answers})
        return
    group = objects.get(Ref(V1, "OperatorGroup", PLACE, PACKAGE))
    if group is None or found.get("status"):
        return
    meta: dict[str, Any] = {"name": CSV, "namespace": PLACE, "labels": LABEL}
    notes = {"annotations": {"alm-examples": json.dumps(EXAMPLES)}}
    version: Manifest = {"apiVersion": V1ALPHA1, "kind": "ClusterServiceVersion", "metadata": meta | notes}
    for one in (version, *BROUGHT):
        objects.apply(Ref.of(one), one)
    objects.patch(subscription, {"status": {"currentCSV": CSV, "installPlanRef": {"name": "install-1"}}})
    objects.patch(Ref.of(version), {"status": {"phase": "Succeeded"}})


def started(api: Api) -> None:
    """One look of the operator: once the object is there that starts it, the manager runs, owned by its version."""
    objects = Objects(api)
    if not objects.get(Ref("kueue.openshift.io/v1", "Kueue", "", "cluster")):
        return
    owner = objects.get(Ref(V1ALPHA1, "ClusterServiceVersion", PLACE, CSV))
    name, image = "kueue-controller-manager", "registry.example/kueue/kueue-rhel9:v0.16.2"
    if owner is None or api.get("Deployment", name, PLACE):
        return
    labels = {"app": name, "olm.owner": CSV}
    owners = [{"apiVersion": V1ALPHA1, "kind": "ClusterServiceVersion", "name": CSV, "uid": owner["metadata"]["uid"]}]
    api.create({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": PLACE, "labels": labels, "ownerReferences": owners},
        "spec": {"selector": {"matchLabels": {"app": name}}, "template": {
            "metadata": {"labels": {"app": name}},
            "spec": {"containers": [{"name": "manager", "image": image}], "tolerations": [{"operator": "Exists"}]}}},
    })  # fmt: skip


@contextmanager
def playing(api: Api, answers: Manifest | None = None) -> Generator[None]:
    """Both, for the length of a `with` block."""
    ended = threading.Event()

    def play() -> None:
        while not ended.wait(0.3):
            with suppress(ClusterError, KeyError):  # what is just going or coming is looked at again
                installed(api, answers or {})
                started(api)

    thread = threading.Thread(target=play)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
