"""A cluster as one table for people."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from gpuassay.discovery.facts import UNKNOWN, Discovered, GpuNodes, Limits

SHOWN = 6
"""Names that a row shows; the others are counted (all of them stand in run.json)."""
WIDTH, LINE = 18, 118


def table(found: Discovered) -> list[str]:
    """Lines of at most `LINE` characters: a row for each thing, its name first."""
    lines: list[str] = []
    for name, values in _rows(found):
        for value in values:
            wrapped = textwrap.wrap(value, LINE - WIDTH, break_long_words=False, break_on_hyphens=False)
            for part in wrapped:
                lines.append(f"{name:<{WIDTH}}{part}".rstrip())
                name = ""
    return lines


def _rows(found: Discovered) -> list[tuple[str, Sequence[str]]]:
    kind = found.distribution
    missing = found.missing_rights
    rows: list[tuple[str, Sequence[str]]] = [
        ("distribution", [f"{kind.name} {kind.version}".strip() + (f" ({kind.evidence})" if kind.evidence else "")]),
        ("Kubernetes", [found.kubernetes]),
        ("nodes", [_nodes(found)]),
        ("GPUs", _gpus(found.gpus)),
        ("Gateway classes", [_some([f"{one.name} ({one.controller}{'' if one.accepted else ', not accepted'})"
                                    for one in found.gateway_classes] if found.gateway_classes is not None else None)]),
        ("Prometheus", [_some(found.prometheus)]),
        *_limits(found.limits),
        ("missing rights", [UNKNOWN] if missing is None else missing or ["none"]),
    ]  # fmt: skip
    if found.unserved:
        rows.append(("not served", [f"{', '.join(found.unserved)}: rights there were not asked"]))
    rows.append(("WARNING", found.warnings))
    rows.append(("unreadable", found.unreadable))
    return rows


def _some(words: Iterable[str] | None, between: str = ", ") -> str:
    """Words in a row; `none` without any, `unknown` for None."""
    if words is None:
        return UNKNOWN
    known = list(words)
    more = f" and {len(known) - SHOWN} more" if len(known) > SHOWN else ""
    return (between.join(known[:SHOWN]) or "none") + more


def _nodes(found: Discovered) -> str:
    nodes = found.nodes
    if nodes is None:
        return UNKNOWN
    parts = [f"{nodes.count}, {nodes.ready} ready", *(_some(one) for one in (
        nodes.architectures, [f"kubelet {one}" for one in nodes.kubelets], nodes.runtimes) if one)]  # fmt: skip
    return "; ".join(parts)


def _gpus(groups: Sequence[GpuNodes] | None) -> Sequence[str]:
    return [UNKNOWN] if groups is None else [_gpu(one) for one in groups] or ["none that a node names"]


def _gpu(one: GpuNodes) -> str:
    memory = f", {one.memory_mib} MiB" if one.memory_mib is not None else ""
    count = f"{one.per_node} x" if one.per_node is not None else "an unknown number of"
    model = "GPUs of unknown model" if one.model == UNKNOWN else one.model
    how = " and ".join(one.offered_by) if one.offered_by else "nobody that could be seen"
    offered = [f"{name}={value}" for name, value in one.allocatable]
    offered += [f"{count} device{'s' * (count != 1)} of type {kind}" for kind, count in one.devices]
    what = f" ({_some(offered)})" if offered else ""
    plural = f"{len(one.nodes)} node{'s' * (len(one.nodes) != 1)}: {_some(one.nodes)}"
    return f"{count} {model}{memory} on each of {plural}; offered by {how}{what}; MIG: {one.mig}"


def _limits(found: Limits) -> list[tuple[str, Sequence[str]]]:
    makes = {None: f"{UNKNOWN} whether they may be made", "": "may be made"}.get(found.namespace, "refused")
    marks = found.pod_security
    level = UNKNOWN if marks is None else ", ".join(f"{key}={value}" for key, value in marks.items())
    default = "no level of their own; the API server's default cannot be seen"
    if found.scc:
        default += ", and OpenShift labels a namespace once it is there, by its SCCs"
    rows: list[tuple[str, Sequence[str]]] = [
        ("our namespaces", [f"{makes}; Pod Security: {level or default}"]),
        ("quotas", [_some(found.quotas)]),
        ("limit ranges", [_some(found.limit_ranges)]),
        ("denying policies", [_some(found.policies)]),
    ]
    if found.scc is None or found.scc:
        rows.append(("SCC", [_some(found.scc)]))
    return rows
