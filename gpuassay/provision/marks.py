"""What objects on a cluster tell of the installation that they belong to."""

from __future__ import annotations

from gpuassay.manifest import Manifest


def how(one: Manifest) -> str:
    """How somebody has installed an object: `GPU Operator`, `Helm release NAME`, `OLM OWNER` or `manifests`."""
    meta = one["metadata"]
    owners: list[Manifest] = meta.get("ownerReferences") or []
    if any(owner["kind"] == "ClusterPolicy" for owner in owners):
        return "GPU Operator"
    notes: dict[str, str] = meta.get("annotations") or {}
    if release := notes.get("meta.helm.sh/release-name"):
        return f"Helm release {release}"
    labels: dict[str, str] = meta.get("labels") or {}
    if owner := labels.get("olm.owner"):
        return f"OLM {owner}"
    return "manifests"


def image(container: Manifest) -> tuple[str, str]:
    """Repository and tag of a container's image; the tag is "" where it has none, or a digest only."""
    name = str(container["image"]).partition("@")[0]
    place, slash, last = name.rpartition("/")
    repository, _, tag = last.partition(":")
    return f"{place}{slash}{repository}", tag
