"""Whether pods are as their templates say: those of an older revision work on while the newest cannot start."""

from __future__ import annotations

from collections.abc import Sequence

from gpuassay.manifest import Manifest, dig
from gpuassay.provision.objects import Objects, Ref

KINDS = ("Deployment", "StatefulSet", "DaemonSet")


def unfinished(objects: Objects, refs: Sequence[Ref]) -> str:
    """The first of these objects whose pods are not all ready and of its newest revision, "" where there is none."""
    for ref in refs:
        found = objects.get(ref) if ref.kind in KINDS else None
        if found is None:
            continue
        wanted, new, ready, older = _counts(found)
        if new < wanted or ready < wanted or older:
            still = f", {older} of an older one run still" if older else ""
            return f"{ref}: of {wanted} pods {new} are of the newest revision and {ready} ready{still}"
    return ""


def _counts(one: Manifest) -> tuple[int, int, int, int]:
    """Pods that are wanted, of the newest revision, ready, and of older ones, as its controller has counted them."""

    def count(name: str) -> int:
        return int(dig(one, "status", name, default=0))

    if int(dig(one, "metadata", "generation", default=0)) > count("observedGeneration"):
        return int(dig(one, "spec", "replicas", default=1)), 0, 0, 0
    if one["kind"] == "DaemonSet":
        wanted, new = count("desiredNumberScheduled"), count("updatedNumberScheduled")
        return wanted, new, count("numberReady"), count("currentNumberScheduled") - new
    new = count("updatedReplicas")
    return int(dig(one, "spec", "replicas", default=1)), new, count("readyReplicas"), count("replicas") - new
