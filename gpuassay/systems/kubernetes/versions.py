"""Kubernetes' API for groups of pods: what it is called in each minor release, and how it is switched on.

Alpha and beta releases rename freely. A release that is not here is not judged: nobody has read what it calls things.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PodGroups:
    """The API of one minor release.

    Attributes:
        version: of the API group `scheduling.k8s.io`.
        gates: feature gates that it needs.
        scheduled: the PodGroup's condition that says whether the group has been placed.
    """

    version: str
    gates: tuple[str, ...]
    scheduled: str

    @property
    def group_version(self) -> str:
        """As in `apiVersion`."""
        return f"scheduling.k8s.io/{self.version}"


POD_GROUPS = {
    "1.36": PodGroups("v1alpha2", ("GenericWorkload", "GangScheduling"), "PodGroupScheduled"),
    "1.37": PodGroups("v1beta1", ("GenericWorkload",), "PodGroupInitiallyScheduled"),
}
"""By minor release. Kubernetes 1.35 had another object (v1alpha1, `spec.workloadRef` of pods), which nothing uses."""


def pod_groups(kubernetes: str) -> PodGroups | None:
    """The API of a release such as v1.36.2; None where it is not known here."""
    return POD_GROUPS.get(".".join(kubernetes.removeprefix("v").split(".")[:2]))
