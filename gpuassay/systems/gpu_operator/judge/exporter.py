"""Whether DCGM exporter tells what it should of every GPU and every slice of a node.

Sources: DCGM exporter's default list of counters (etc/default-counters.csv) and its labels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial

from gpuassay.discovery.gpus import gpus
from gpuassay.manifest import Manifest
from gpuassay.record.exposition import PageError, PageSample, parse_page
from gpuassay.systems.gpu_operator.judge.dcgm import PERCENT, gpu_of, instance_of, why_blank, why_no_percent
from gpuassay.systems.gpu_operator.judge.moving import PAUSED, settled
from gpuassay.systems.gpu_operator.judge.objects import (
    DEPLOY,
    GPU,
    PREFIX,
    Seen,
    by_dra,
    by_plugin,
    facts,
    gpu_nodes,
    labels_of,
    name_of,
    wants,
)

MEMORY = ("DCGM_FI_DEV_FB_FREE", "DCGM_FI_DEV_FB_USED")
"""What is told of slices and of virtual GPUs too."""
FIELDS = (*MEMORY, "DCGM_FI_DEV_GPU_TEMP", "DCGM_FI_DEV_SM_CLOCK")
"""What DCGM exporter tells of every GPU by NVIDIA's default list of counters."""
WHOLE_GPU_FIELDS = ("DCGM_FI_DEV_GPU_UTIL",)
"""What it tells besides of GPUs that are not cut: of slices there is no such number."""
LABELS = ("gpu", "UUID", "modelName")
"""Labels that every sample of a GPU must have: else nobody can tell whose it is."""
VIRTUAL = f"{PREFIX}vgpu.present"
"""Label of a node whose GPUs are a hypervisor's: temperature and clocks are not told there."""


def metric_findings(seen: Seen) -> list[str]:
    """On every node where DCGM exporter belongs it tells NVIDIA's fields, with labels that say of which GPU."""
    return _on_each_page(seen, _fields)


def _on_each_page(seen: Seen, judge: Callable[[Sequence[PageSample], Manifest], list[str]]) -> list[str]:
    """What `judge` finds on the page of each settled node where DCGM exporter belongs; that there is none, too."""
    nodes = exporting(seen)
    if not nodes:
        return ["DCGM exporter belongs on no node"]
    found: list[str] = []
    for node in settled(seen, nodes):
        try:
            page = page_of(seen, name_of(node))
        except PageError as error:
            found.append(f"DCGM exporter of node {name_of(node)} tells nothing: {error}")
            continue
        found += [f"node {name_of(node)}: {text}" for text in judge(page, node)]
    return found


def exporting(seen: Seen) -> list[Manifest]:
    """Nodes on which DCGM exporter belongs, whether or not it is kept away at the moment."""
    label = f"{DEPLOY}{'dcgm-exporter-dra' if by_dra(seen) else 'dcgm-exporter'}"
    return [one for one in gpu_nodes(seen) if labels_of(one).get(label, "").startswith(("true", PAUSED))]


def wanted(seen: Seen) -> bool:
    """Whether the operator was told to run exporters at all."""
    return wants(seen, "dcgmExporter")


def page_of(seen: Seen, node: str) -> tuple[PageSample, ...]:
    """What the exporter of a node tells.

    Raises:
        PageError: it does not answer, or with something else than metrics.
    """
    answers = [one for one in facts(seen, "Metrics") if one.get("node") == node]
    if not answers:
        raise PageError("no pod")
    if answers[0].get("error"):
        raise PageError(str(answers[0]["error"]))
    try:
        return _parsed(answers[0]["text"])
    except PageError as error:
        raise PageError(f"what it answers cannot be read: {error}") from None


@lru_cache(maxsize=64)
def _parsed(text: str) -> tuple[PageSample, ...]:
    return tuple(parse_page(text))


def models_told(seen: Seen, node: str) -> set[str]:
    """Models of a node's GPUs, as far as its exporter tells them."""
    try:
        return {one.labels["modelName"] for one in page_of(seen, node) if one.labels.get("modelName")}
    except PageError:
        return set()


def _fields(page: Sequence[PageSample], node: Manifest) -> list[str]:
    labels = labels_of(node)
    cut = labels.get(f"{GPU}.replicas") == "0" or any(label.startswith(f"{PREFIX}mig-") for label in labels)
    whole = () if cut or "-MIG-" in labels.get(f"{GPU}.product", "") else WHOLE_GPU_FIELDS
    wanted = MEMORY if labels.get(VIRTUAL) == "true" else (*FIELDS, *whole)
    found: list[str] = []
    for field in wanted:
        mine = [one for one in page if one.name == field]
        if not mine:
            found.append(f"no sample of {field}")
        missing = sorted({label for one in mine for label in LABELS if not one.labels.get(label)})
        if missing:
            found.append(f"samples of {field} without label {', '.join(missing)}")
        impossible = why_no_percent if field in PERCENT else why_blank
        found += [
            f"{field} of GPU {gpu_of(one.labels) or '?'} has no value: {why}"
            for one in mine
            if (why := impossible(one.value))
        ]
    return found


def coverage_findings(seen: Seen) -> list[str]:
    """Exporters tell of as many GPUs as labels count, and of every slice, by profile; who tells nothing is a finding.

    GPUs are counted by their UUIDs, for each field; slices by GPU and number of the instance.
    """
    return _on_each_page(seen, partial(_coverage, seen))


def _coverage(seen: Seen, page: Sequence[PageSample], node: Manifest) -> list[str]:
    """Slices that come and go with pods, as with DRA and DAS, are not counted: labels are older than they."""
    if by_dra(seen):
        return _by_dra(seen, page, node)
    return [*_gpus(page, node), *(_slices(page, node) if by_plugin(seen, node) else ())]


def _by_dra(seen: Seen, page: Sequence[PageSample], node: Manifest) -> list[str]:
    """GPUs against those in ResourceSlices: no label counts them there."""
    groups, _ = gpus(facts(seen, "Node"), facts(seen, "ResourceSlice"))
    count = next((dict(one.devices).get("gpu", 0) for one in groups if name_of(node) in one.nodes), 0)
    told = {gpu_of(one.labels).split("/")[0] for one in page if one.name in MEMORY}
    return [f"{len(told)} of {count} GPUs in ResourceSlices are told"] if len(told) < count else []


def _gpus(page: Sequence[PageSample], node: Manifest) -> list[str]:
    labels = labels_of(node)
    count = labels.get(f"{GPU}.count", "")
    if "-MIG-" in labels.get(f"{GPU}.product", "") or not count.isdigit():
        return []  # slices are counted there, or nothing is
    told = {field: {gpu_of(one.labels) for one in page if one.name == field} - {""} for field in MEMORY}
    cards = {field: {name.split("/")[0] for name in names} for field, names in told.items()}
    models = {one.labels.get("modelName") for one in page if one.labels.get("modelName")}
    return [
        f"{field} is told of {len(names)} of {count} GPUs"
        for field, names in cards.items()
        if len(names) < int(count) or (len(names) > int(count) and len(models) < 2)
    ]


def _slices(page: Sequence[PageSample], node: Manifest) -> list[str]:
    """Slices by profile under the strategy mixed, all together under single."""
    labels = labels_of(node)
    told: dict[str, str] = {
        gpu_of(one.labels): one.labels.get("GPU_I_PROFILE", "")
        for one in page if one.name in MEMORY and instance_of(one.labels)
    }  # fmt: skip
    expected = slices_counted(labels)
    if expected is None:
        return []
    if "" in expected or any("c." in profile for profile in expected):  # of shares of a slice only the slice is told
        least = expected.get("", 1 if expected else 0)
        return [f"{len(told)} slices are told, labels count {least}"] if len(told) < least else []
    seen = Counter(told.values())
    return [
        f"{seen[profile]} slices {profile} are told, labels count {expected.get(profile, 0)}"
        for profile in sorted({*seen, *expected}) if seen[profile] != expected.get(profile, 0)
    ]  # fmt: skip


def slices_counted(labels: Mapping[str, str]) -> dict[str, int] | None:
    """Slices by DCGM's name of their profile; under "" where labels do not tell profiles apart.

    None: nothing can be said, because the node's labels tell neither a strategy nor slices.
    """
    product, count = labels.get(f"{GPU}.product", ""), labels.get(f"{GPU}.count", "0")
    if "-MIG-" in product and "INVALID" not in product:
        return {"": int(count)}
    if labels.get(f"{PREFIX}mig.strategy") != "mixed":
        return None
    mig = f"{PREFIX}mig-"
    return {
        label.removeprefix(mig).removesuffix(".count").replace("gb.", "gb+"): int(value)  # attributes: +me, +gfx
        for label, value in labels.items()
        if label.startswith(mig) and label.endswith(".count") and value.isdigit() and value != "0"
    }
