"""How the Kueue of a recording was configured to count, and what the scenario's namespaces add to pods."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gpuassay.manifest import Manifest, dig, name_of
from gpuassay.systems.kueue import notes
from gpuassay.systems.kueue.model.charge import Counting
from gpuassay.systems.kueue.objects.profiles import PROFILES
from gpuassay.systems.kueue.readings import KueueRecording


def counting(recording: KueueRecording, namespace: str) -> Counting | None:
    """What decides what a pod of `namespace` costs; None where nobody knows how Kueue is configured."""
    if not recording.note(notes.CONFIGURATION_KNOWN) or recording.profile not in PROFILES:
        return None
    resources: Manifest = PROFILES[recording.profile].configuration().get("resources") or {}
    mappings: list[Manifest] = resources.get("deviceClassMappings") or []
    counted = [one for one in mappings if not one.get("sources")]
    return Counting(
        transformations=tuple(resources.get("transformations") or ()),
        excluded=tuple(resources.get("excludeResourcePrefixes") or ()),
        claims={kind: str(one["name"]) for one in counted for kind in one["deviceClassNames"]},
        unknown_claims=frozenset(str(one["name"]) for one in mappings if one.get("sources")),
        limit_ranges=_of(recording, "LimitRange", namespace),
        overheads={
            name_of(one): dig(one, "overhead", "podFixed", default={}) for one in _of(recording, "RuntimeClass", None)
        },
        templates={
            name_of(one): dig(one, "spec", "spec", default={})
            for one in _of(recording, "ResourceClaimTemplate", namespace)
        },
    )


def _of(recording: KueueRecording, kind: str, namespace: str | None) -> list[Manifest]:
    def here(obj: Any) -> bool:
        return obj["kind"] == kind and namespace in (None, dig(obj, "metadata", "namespace"))

    found: Iterable[Manifest] = (obj for obj in recording.asked if here(obj))
    return list(found)
