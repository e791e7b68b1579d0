"""Whether a node whose MIG manager tells success has the slices of its configuration, and no others.

Source: NVIDIA/mig-parted, `api/spec/v1` (what a configuration says) and its ConfigMaps in the GPU Operator.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gpuassay.manifest import Manifest, dig
from gpuassay.systems.gpu_operator.judge.moving import MIG_CONFIG, MIG_STATE
from gpuassay.systems.gpu_operator.judge.objects import (
    GPU,
    PREFIX,
    Seen,
    by_plugin,
    facts,
    labels_of,
    name_of,
    policies,
)
from gpuassay.systems.gpu_operator.judge.offers import MIG, SHARED, judged_nodes, resources

DEFAULT_CONFIG = "default-mig-parted-config"
"""ConfigMap that the operator brings; one of its owner's is named in ClusterPolicy."""


def config_name(policy: Manifest) -> str:
    """The ConfigMap from which the MIG manager of a ClusterPolicy takes configurations."""
    return str(dig(policy, "spec", "migManager", "config", "name", default="") or DEFAULT_CONFIG)


def node_config_name(node: str) -> str:
    """The ConfigMap that a MIG manager since v0.14 makes for its node, from what the GPUs there can do."""
    return f"{node}-mig-config"


def cut_nodes(seen: Seen) -> list[Manifest]:
    """Nodes at rest of which the MIG manager says that a configuration is applied, and whose slices a plugin offers."""
    return [
        one for one in judged_nodes(seen)
        if labels_of(one).get(MIG_STATE) == "success" and labels_of(one).get(MIG_CONFIG) and by_plugin(seen, one)
        and labels_of(one).get(f"{PREFIX}mig.strategy") in ("mixed", "single")
    ]  # fmt: skip


def readable(seen: Seen) -> bool:
    """Whether any configuration could be read at all."""
    return bool(facts(seen, "MigConfig"))


def applied_findings(seen: Seen) -> list[str]:
    """On each node that is cut the configuration, the labels and what is allocatable tell the same slices."""
    return [f"node {name_of(one)}: {text}" for one in cut_nodes(seen) for text in _of_node(seen, one)]


def _of_node(seen: Seen, node: Manifest) -> Iterator[str]:
    labels = labels_of(node)
    chosen = labels[MIG_CONFIG]
    entries = _entries(seen, node, chosen)
    if entries is None:
        yield f"MIG configuration {chosen} is said to be applied, and no ConfigMap of the MIG manager has it"
        return
    allocatable = resources(node, "allocatable")
    if labels[f"{PREFIX}mig.strategy"] == "single":
        yield from _single(chosen, entries, labels, allocatable)
        return
    gpus = int(labels[f"{GPU}.count"]) if labels.get(f"{GPU}.count", "").isdigit() else 0
    wanted = [_resources(one, gpus) for one in alternatives(entries)]
    counted = _told({
        key.removesuffix(".count"): int(value) for key, value in labels.items()
        if key.startswith(MIG) and key.endswith(".count") and value.isdigit()
    })  # fmt: skip
    shares = {key.removesuffix(SHARED): value for key, value in allocatable.items() if key.startswith(MIG)}
    offered = {key: value // _replicas(labels, key) for key, value in _told(shares).items()}
    for what, told in (("labels count", counted), ("allocatable are", offered)):
        if told not in wanted:
            apart = [_apart(one, told) for one in wanted]
            best = wanted[apart.index(min(apart))]
            yield f"MIG configuration {chosen} makes {_words(best)}, {what} {_words(told)}"


def _single(
    chosen: str, entries: Sequence[Mapping[str, Any]], labels: Mapping[str, str], allocatable: Mapping[str, int]
) -> Iterator[str]:
    """Under the strategy single slices are GPUs, and how many real ones there are nothing tells."""
    per_gpu = [sum(_of_entry(one).values()) for one in entries]
    cut = any(per_gpu)
    product, count = labels.get(f"{GPU}.product", ""), int(labels.get(f"{GPU}.count", "0") or 0)
    if cut != ("-MIG-" in product):
        yield f"MIG configuration {chosen} makes {'slices' if cut else 'none'}, the GPUs are labelled {product or '?'}"
    elif cut and not any(each and count and count % each == 0 for each in per_gpu):
        each = " or ".join(map(str, per_gpu))
        yield f"MIG configuration {chosen} makes {each} slices of each GPU, labels count {count}"
    total = (allocatable.get(GPU, 0) + allocatable.get(f"{GPU}{SHARED}", 0)) // _replicas(labels, GPU)
    if cut and total != count:
        yield f"MIG configuration {chosen} is applied, labels count {count} slices, allocatable are {total}"


def _entries(seen: Seen, node: Manifest, chosen: str) -> Sequence[Mapping[str, Any]] | None:
    """What the configuration of that name says: the node's own ConfigMap first."""
    names = [node_config_name(name_of(node)), *(config_name(one) for one in policies(seen))]
    maps: dict[str, Mapping[str, Any]] = {str(one["name"]): one["configs"] for one in facts(seen, "MigConfig")}
    return next((maps[name][chosen] for name in names if chosen in maps.get(name, {})), None)


def alternatives(entries: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """The entries that can hold on one node: those without a filter, with those of one filter of models."""
    plain = [one for one in entries if not one.get("device-filter")]
    filters = list(dict.fromkeys(str(one["device-filter"]) for one in entries if one.get("device-filter")))
    groups = [[*plain, *(one for one in entries if str(one.get("device-filter")) == each)] for each in filters]
    return groups or [plain]


def _resources(entries: Sequence[Mapping[str, Any]], gpus: int) -> dict[str, int]:
    """Slices of a whole node as resources; a later entry for the same GPU takes its place."""
    of: dict[int, dict[str, int]] = {}
    for entry in entries:
        devices = entry.get("devices", "all")
        which: Sequence[int] = range(gpus) if devices == "all" else [int(one) for one in devices]
        of |= {gpu: _of_entry(entry) for gpu in which}
    total: Counter[str] = Counter()
    for slices in of.values():
        total.update(slices)
    return _told({f"{MIG}{profile.replace('+', '.')}": count for profile, count in total.items()})


def _of_entry(entry: Mapping[str, Any]) -> dict[str, int]:
    slices: dict[str, Any] = entry.get("mig-devices") or {}
    return {str(profile): int(count) for profile, count in slices.items()} if entry.get("mig-enabled") else {}


def _told(counts: Mapping[str, int]) -> dict[str, int]:
    return {name: count for name, count in counts.items() if count}


def _apart(one: Mapping[str, int], other: Mapping[str, int]) -> int:
    return sum(abs(one.get(name, 0) - other.get(name, 0)) for name in {*one, *other})


def _replicas(labels: Mapping[str, str], resource: str) -> int:
    return max(1, int(labels.get(f"{resource}.replicas", "1") or 1))


def _words(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name.removeprefix(PREFIX)}" for name, count in sorted(counts.items())) or "no slice"
