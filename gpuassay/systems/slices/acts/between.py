"""Pods that are deleted between the allocation of their claim and their binding to a node, each with a successor.

An admission policy refuses their binding: the scheduler has written the allocation by then. No kubelet is asked.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gpuassay.gpus import gpu_model
from gpuassay.manifest import Manifest, dig
from gpuassay.systems.slices.acts import counters
from gpuassay.systems.slices.judge import counters as judged
from gpuassay.systems.slices.judge.observed import claimed_devices
from gpuassay.workloads import claims as resources
from gpuassay.workloads import core

if TYPE_CHECKING:  # cluster clients: not for replays
    from gpuassay.scenarios.lab import Lab
    from gpuassay.systems.slices.acts.counters import PublishedGpus

GPU, PROFILE = "a100-40gb", "4g.20gb"
"""A GPU has one place for a slice of that profile."""
DELETED, FORCED, WITH_CLAIM = "deleted", "forced", "forced-with-claim"
OWN = (DELETED, FORCED, WITH_CLAIM)
"""Pods whose claim is made from a template and goes with them, by the way in which they are deleted."""
ALONE, SHARED, PARTNER = "alone", "shared", "partner"
"""Pods whose claim somebody has made: the only user of one; and two users of another, of which one is deleted."""
GONE = (*OWN, ALONE, SHARED)
REFUSAL = "gpuassay refuses the binding"
API = "admissionregistration.k8s.io/v1"


def successor(name: str) -> str:
    """The pod that waits for the place of another."""
    return f"after-{name}"


class Between:
    """What is done with these pods."""

    def __init__(self, lab: Lab, site: PublishedGpus) -> None:
        """Used by `opened`."""
        self.lab, self.site = lab, site
        self._wish = [resources.request("device", site.device_class, resources.of_profile(PROFILE))]
        self._policy = lab.unique("unbound")

    def ask(self) -> None:
        """Create the claims and pods; note whether every claim is allocated while no pod is bound."""
        self.lab.create(resources.claim_template("own", self.lab.namespace, self._wish))
        for name in (ALONE, SHARED):
            self.lab.create(resources.claim(name, self.lab.namespace, self._wish))
        for name in OWN:
            self._pod(name, resources.uses(template="own"))
        for name, claim in ((ALONE, ALONE), (SHARED, SHARED), (PARTNER, SHARED)):
            self._pod(name, resources.uses(claim=claim))
        self.lab.observe(lambda: len(self.allocated()) == len(GONE), "claims are allocated")
        self.lab.observe(lambda: all(map(self._refused, GONE)), "bindings are refused")

    def _pod(self, name: str, use: Manifest) -> None:
        container = {"name": "main", "image": core.IMAGE, "resources": resources.resources()}
        where: Manifest = {"nodeSelector": {"kubernetes.io/hostname": self.site.node}}
        self.lab.create(core.pod(name, self.lab.namespace, None, gpus=None, containers=[container], **where, **use))

    def allocated(self) -> list[str]:
        """Names of the claims that hold a device."""
        return [one["metadata"]["name"] for one in self.lab.objects("ResourceClaim") if claimed_devices(one)]

    def _refused(self, name: str) -> bool:
        """Whether the scheduler has told that a pod could not be bound."""
        pod = self.lab.get("Pod", name) or {}
        conditions: list[Manifest] = dig(pod, "status", "conditions", default=[])
        return not judged.on_a_node(pod) and any(REFUSAL in str(one.get("message", "")) for one in conditions)

    def remove(self) -> None:
        """Delete all pods but the partner, each in its way; note whether they go."""
        for name in GONE:
            pod = self.lab.get("Pod", name) or {}
            statuses: list[Manifest] = dig(pod, "status", "resourceClaimStatuses", default=[])
            grace = None if name not in {FORCED, WITH_CLAIM} else 0
            self.lab.api.delete("Pod", name, self.lab.namespace, grace_seconds=grace)
            for one in statuses if name == WITH_CLAIM else ():
                self.lab.api.delete("ResourceClaim", one["resourceClaimName"], self.lab.namespace)
        self.lab.observe(lambda: not any(self.lab.get("Pod", name) for name in GONE), "pods are gone")

    def succeed(self) -> None:
        """Let pods be bound, create the successors, and note whether they and the partner are served."""
        self.allow()
        self.lab.observe(lambda: self.site.given_by(PARTNER, SHARED), "the partner is served")
        for name in GONE:
            self.site.ask(successor(name), PROFILE)
        self.site.observe_decided(*(successor(name) for name in GONE))
        self.lab.observe(lambda: self._served() >= len(GONE) - 1, "successors are served", timeout=10)
        self.lab.mark("settled")

    def _served(self) -> int:
        return sum(self.site.given(successor(name)) for name in GONE)

    def refuse(self) -> None:
        """Refuse every binding of the scenario's pods from now on; returns once it is known that they are."""
        rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods/binding"]}
        here = {"matchLabels": {"kubernetes.io/metadata.name": self.lab.namespace}}
        spec: Manifest = {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [rule], "namespaceSelector": here},
            "validations": [{"expression": "false", "message": REFUSAL}],
        }
        for kind, fields in (
            ("ValidatingAdmissionPolicy", spec),
            ("ValidatingAdmissionPolicyBinding", {"policyName": self._policy, "validationActions": ["Deny"]}),
        ):
            self.lab.api.create({"apiVersion": API, "kind": kind, "metadata": {"name": self._policy}, "spec": fields})
        self.lab.until(self._in_force, "bindings to be refused", timeout=20)

    def _in_force(self) -> bool:
        """Whether a pod without claims is not bound; those that are say that the policy is not known yet."""
        name = f"probe-{len(self.lab.objects('Pod'))}"
        container = {"name": "main", "image": core.IMAGE}
        where: Manifest = {"nodeSelector": {"kubernetes.io/hostname": self.site.node}}
        self.lab.create(core.pod(name, self.lab.namespace, None, gpus=None, containers=[container], **where))
        self.lab.until(lambda: self._refused(name) or self._bound(name), f"{name} to be decided", timeout=10)
        refused = self._refused(name)
        if refused:
            self.lab.delete("Pod", name)
        return refused

    def _bound(self, name: str) -> bool:
        return judged.on_a_node(self.lab.get("Pod", name) or {})

    def allow(self) -> None:
        """Refuse no binding any more."""
        for kind in ("ValidatingAdmissionPolicyBinding", "ValidatingAdmissionPolicy"):
            self.lab.api.delete(kind, self._policy)


@contextmanager
def opened(lab: Lab) -> Generator[Between]:
    """A GPU for each deleted pod on a fake node, for the length of a `with` block; the lab needs `counters.NEEDS`."""
    with counters.published(lab, [gpu_model(GPU)] * len(GONE)) as site:
        between = Between(lab, site)
        try:
            yield between
        finally:
            between.allow()
        site.finish()
