"""What DAS, the Dynamic Accelerator Slicer, is known to do wrong in behaviours that it shares with other slicers.

Verified with commit 9f4fc07f; links are to upstream's sources where nobody has written it down elsewhere.
"""

from __future__ import annotations

from typing import NamedTuple

DAS = "https://github.com/openshift/instaslice-operator"
DAS_PROGRAM = "program:das"
"""Capability without which everything of DAS is skipped."""
SOURCE = f"{DAS}/blob/9f4fc07f2a5d40b0eefcdcd8169c44ffcc7bb9d6/pkg"


class DasDefect(NamedTuple):
    """Where it is written, what DAS does instead, what the failure shows, and whether it is a race: it may not show."""

    link: str
    reason: str
    shows: str
    racy: bool = False


ONE_OF_TWO = "expected a slice of each profile, seen one of them"
"""What the failure shows where a container that asks for slices of two profiles is told of one."""
NO_MEDIA = "expected a slice with media extensions, seen none"
"""What the failure shows where a pod that asks for one does not have it."""

_SERVER = f"{SOURCE}/daemonset/deviceplugins/server.go"
_PLUS_ME = DasDefect(
    f"{SOURCE}/scheduler/plugins/mig/mig.go",
    "a profile with media extensions is offered by another name than NVIDIA's, and is not told from the plain one",
    shows=NO_MEDIA,
)

DAS_KNOWN: dict[str, DasDefect] = {
    "slices.exclusive.identity": DasDefect(
        _SERVER, "a pod is given any claim of its profile that is waiting, not its own",
        shows=r"pod \S+ was given MIG-\S+, which is \S+'s", racy=True,
    ),
    "slices.faults.kubelet-restart-serves": DasDefect(
        f"{SOURCE}/daemonset/deviceplugins/registration.go",
        "the daemonset registers with the kubelet once; after a restart of the kubelet the node offers nothing",
        shows="'the node offers all slices': False",
    ),
    "slices.ends.container-restart": DasDefect(
        _SERVER, "a container's end removes its CDI file, slice and claim, and it is started again without them",
        shows="expected the container to be started again",
    ),
    "slices.shapes.mixed-profiles": DasDefect(
        _SERVER, "each profile is a CDI device that sets NVIDIA_VISIBLE_DEVICES, and the last one wins",
        shows=ONE_OF_TWO,
    ),
    "slices.shapes.media-extensions": _PLUS_ME,
    "slices.quota.by-resource": DasDefect(
        f"{DAS}/pull/958", "pods are renamed before quota is counted, so a quota by NVIDIA's name limits nothing",
        shows="expected the second pod to be refused, it was accepted",
    ),
    "slices.faults.reboot-returns": DasDefect(
        "https://github.com/kubernetes/kubernetes/issues/125579",
        "the kubelet refuses pods for good that it comes to before the daemonset has registered",
        shows="expected both pods to run again",
    ),
    "slices.faults.reboot-nothing-left": DasDefect(
        f"{DAS}/pull/920",
        "a reboot is looked for before the claims are known, so claims of slices that are gone may stay",
        shows=r"claim of \S+ is left", racy=True,
    ),
}  # fmt: skip
"""By behaviour id."""
