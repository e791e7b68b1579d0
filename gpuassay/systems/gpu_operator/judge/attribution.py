"""Whether DCGM exporter says of each GPU and slice whose it is: by the pods that hold them, as the API knows them.

Source: DCGM exporter's labels `namespace` and `pod` (`exported_*` where a collector has put its own there).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gpuassay.manifest import Manifest
from gpuassay.record.exposition import PageError, PageSample
from gpuassay.systems.gpu_operator.judge.dcgm import gpu_of, pod_of
from gpuassay.systems.gpu_operator.judge.exporter import exporting, page_of
from gpuassay.systems.gpu_operator.judge.moving import settled
from gpuassay.systems.gpu_operator.judge.objects import PREFIX, Seen, by_plugin, facts, labels_of, name_of

FIELD = "DCGM_FI_DEV_FB_USED"
"""Told once of each GPU and of each slice."""
STEADY_SECONDS = 120.0
"""For which a pod must have run: exporters collect every half a minute."""


def steady_holders(seen: Seen) -> list[Manifest]:
    """Pods that held GPUs before and after exporters were asked, and for long enough, on nodes that can be judged."""
    names = {name_of(one) for one in _nodes(seen) if _answers(seen, name_of(one))}
    return [
        one for one in facts(seen, "Holder")
        if one["node"] in names and one["steady"] and one["seconds"] >= STEADY_SECONDS
    ]  # fmt: skip


def attribution_findings(seen: Seen) -> list[str]:
    """Exporters name each pod on as many GPUs or slices as it holds, no two on one, and none that holds nothing.

    GPUs that are shared, and parts of one slice, are several pods' by right: nodes with such are left out.
    """
    found: list[str] = []
    for node in _nodes(seen):
        name = name_of(node)
        try:
            named = _named(page_of(seen, name))
        except PageError:
            continue  # for other behaviours to say
        mine = [one for one in facts(seen, "Holder") if one["node"] == name]
        found += [f"node {name}: {text}" for text in _wrong(named, mine, steady_holders(seen))]
    return found


def _nodes(seen: Seen) -> list[Manifest]:
    return [one for one in settled(seen, exporting(seen)) if by_plugin(seen, one) and not _shared(labels_of(one))]


def _answers(seen: Seen, node: str) -> bool:
    try:
        return bool(page_of(seen, node))
    except PageError:
        return False


def _shared(labels: Mapping[str, str]) -> bool:
    return any(
        key.startswith(PREFIX) and ((key.endswith(".replicas") and value not in ("", "0", "1")) or "mig-1c." in key
                                    or "mig-2c." in key or "mig-3c." in key)
        for key, value in labels.items()
    )  # fmt: skip


def _named(page: Sequence[PageSample]) -> dict[str, set[str]]:
    """Pods, as `NAMESPACE/NAME`, by GPU or slice."""
    found: dict[str, set[str]] = {}
    for one in page:
        if one.name == FIELD and pod_of(one.labels):
            space = one.labels.get("exported_namespace") or one.labels.get("namespace") or ""
            found.setdefault(gpu_of(one.labels), set()).add(f"{space}/{pod_of(one.labels)}")
    return found


def _wrong(named: Mapping[str, set[str]], here: Sequence[Manifest], steady: Sequence[Manifest]) -> list[str]:
    found: list[str] = []
    for one in here:
        count = sum(pods == {one["pod"]} for pods in named.values())
        if one in steady and count != one["devices"]:
            found.append(f"pod {one['pod']} holds {one['devices']} GPUs or slices, the exporter names it on {count}")
    known = {one["pod"] for one in here}
    for device, pods in sorted(named.items()):
        if len(pods) > 1:
            found.append(f"{device} is told to be of {len(pods)} pods: {', '.join(sorted(pods))}")
        found += [f"{device} is told to be of pod {pod}, which holds nothing there" for pod in sorted(pods - known)]
    return found
