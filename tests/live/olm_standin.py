"""A stand-in for the Operator Lifecycle Manager and for Red Hat's build of Kueue. No OLM and no operator runs.

What they do as far as our side of it goes: a Subscription becomes a version of the operator with definitions, which
makes a manager once the object is there that starts it.
"""

from __future__ import annotations

import json
from typing import Any

from gpuassay.cluster.api import Api
from gpuassay.manifest import Manifest, dig
from gpuassay.provision.objects import Objects, Ref
from gpuassay.provision.olm import GROUP, V1, V1ALPHA1

PACKAGE, PLACE, CSV = "kueue-operator", "openshift-kueue-operator", "kueue-operator.v1.3.0"
PLAN = Ref(V1ALPHA1, "InstallPlan", PLACE, "install-1")
VERSION = Ref(V1ALPHA1, "ClusterServiceVersion", PLACE, CSV)
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


def installed(api: Api, answers: Manifest, refusal: Manifest) -> None:
    """One look of OLM at its Subscription, a step at a time as OLM does: plan, version with definitions, success.

    Args:
        api: of the cluster.
        answers: the status that the Subscription gets in the place of a sound one.
        refusal: the status that the InstallPlan gets, and keeps.
    """
    objects = Objects(api)
    subscription = Ref(V1ALPHA1, "Subscription", PLACE, PACKAGE)
    found = objects.get(subscription)
    if found is None:
        return
    if answers:
        objects.patch(subscription, {"status": answers})
        return
    plan, version = objects.get(PLAN), objects.get(VERSION)
    if objects.get(Ref(V1, "OperatorGroup", PLACE, PACKAGE)) is None:
        return
    if plan is None:
        uid = found["metadata"]["uid"]
        owner = {"apiVersion": V1ALPHA1, "kind": subscription.kind, "name": PACKAGE, "uid": uid}
        objects.apply(PLAN, _made(PLAN, ownerReferences=[owner]))
        objects.patch(PLAN, {"status": refusal or {"phase": "Installing"}})
        objects.patch(subscription, {"status": {"currentCSV": CSV, "installPlanRef": {"name": PLAN.name}}})
    elif refusal:
        return
    elif version is None:
        for one in (_made(VERSION, annotations={"alm-examples": json.dumps(EXAMPLES)}), *BROUGHT):
            objects.apply(Ref.of(one), one)
        objects.patch(VERSION, {"status": {"phase": "Installing", "message": "waiting for its Deployment"}})
    elif dig(version, "status", "phase") == "Installing":
        objects.patch(VERSION, {"status": {"phase": "Succeeded"}})
        objects.patch(PLAN, {"status": {"phase": "Complete"}})


def _made(ref: Ref, **more: object) -> Manifest:
    """An object of OLM's own, with the label by which an Operator knows its parts."""
    meta: dict[str, Any] = {"name": ref.name, "namespace": ref.namespace, "labels": LABEL}
    return {"apiVersion": ref.version, "kind": ref.kind, "metadata": meta | more}


def started(api: Api) -> None:
    """One look of the operator: once the object is there that starts it, the manager runs, owned by its version."""
    objects = Objects(api)
    if not objects.get(Ref("kueue.openshift.io/v1", "Kueue", "", "cluster")):
        return
    owner = objects.get(VERSION)
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


def looked(api: Api, answers: Manifest | None = None, refusal: Manifest | None = None) -> None:
    """One look of both."""
    installed(api, answers or {}, refusal or {})
    started(api)
