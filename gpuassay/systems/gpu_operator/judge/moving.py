"""Nodes that the operator is changing right now, and those that it has left half changed.

Sources: NVIDIA/k8s-operator-libs `pkg/upgrade/consts.go` (states of a driver upgrade), NVIDIA/mig-parted (labels
`nvidia.com/mig.config*`, operands paused for a change).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gpuassay.manifest import Manifest, dig
from gpuassay.systems.gpu_operator.judge.objects import (
    DEPLOY,
    DRIVER,
    GPU,
    PREFIX,
    Seen,
    facts,
    gpu_nodes,
    labels_of,
    name_of,
    node_of,
    pods_of,
    sets_of,
    wants,
)
from gpuassay.systems.gpu_operator.judge.pods import hard, ready

UPGRADE = f"{GPU}-driver-upgrade-state"
MIG_CONFIG = f"{PREFIX}mig.config"
MIG_STATE = f"{PREFIX}mig.config.state"
UPGRADE_ENDS = frozenset({"", "upgrade-done", "upgrade-failed"})
"""States in which nothing more is done; any other is on the way."""
QUEUED = frozenset({"upgrade-required", "wait-for-jobs-required"})
"""States in which a node may be for hours: it waits for its turn, or for jobs of people."""
MIG_ENDS = frozenset({"success", "failed"})
PAUSED = "paused-"
"""Beginning of what a node's deploy labels say while operands are kept away, `paused-for-mig-change` for example."""
PAUSED_FOR_DRIVER = "paused-for-driver-upgrade"
"""By the driver's pod itself too, each time that it starts: after a reboot, say."""
STUCK_SECONDS = 3600.0
"""For which a node may stand in one state of a change: reboots and drains take minutes, their own limits are lower."""


def changing(seen: Seen, node: Manifest) -> str:
    """What is being done to a node now, in words; "" for one at rest."""
    return "; ".join(words for words, _ in _steps(seen, node))


def settled(seen: Seen, nodes: Sequence[Manifest] | None = None) -> list[Manifest]:
    """Of all GPU nodes, or of `nodes`, those that nobody is changing: labels and offers are judged of these."""
    return [one for one in (gpu_nodes(seen) if nodes is None else nodes) if not changing(seen, one)]


def under_way(seen: Seen) -> list[str]:
    """Changes that are under way, a line each; they end as they should, as far as can be told by now."""
    return [f"node {name_of(one)}: {words}" for one in gpu_nodes(seen) if (words := changing(seen, one))]


def getting_on(seen: Seen) -> bool:
    """Whether a change of a node is under way that does not merely wait for its turn."""
    return any(
        labels_of(node).get(label) not in QUEUED for node in gpu_nodes(seen) for _, label in _steps(seen, node)
    )  # fmt: skip


def stuck_findings(seen: Seen) -> list[str]:
    """No node is left in a failed or unfinished change of its driver or of its slices.

    How long a node has been in a state is known where the API tells when the label was last written (`Since`).
    """
    nodes = gpu_nodes(seen)
    if not nodes:
        return ["there is no GPU node"]
    found: list[str] = []
    for node in nodes:
        name, labels = name_of(node), labels_of(node)
        if labels.get(UPGRADE) == "upgrade-failed":
            found.append(f"node {name}: the upgrade of its driver has failed ({UPGRADE}=upgrade-failed)")
        if labels.get(MIG_STATE) == "failed":
            found.append(f"node {name}: MIG configuration {labels.get(MIG_CONFIG, '?')} could not be applied")
        found += [f"node {name}: {text}" for text in _wedged(seen, node)]
        found += [
            f"node {name}: {words} for {seconds / 60:.0f} min"
            for words, label in _steps(seen, node)
            if (seconds := _age(seen, node, label)) > STUCK_SECONDS and labels.get(label) not in QUEUED
        ]
        if labels.get(MIG_CONFIG) and MIG_STATE not in labels and _cuts(seen, node):
            found.append(f"node {name}: MIG configuration {labels[MIG_CONFIG]} is chosen, and nobody has taken it up")
    return found


def _cuts(seen: Seen, node: Manifest) -> bool:
    return wants(seen, "migManager") and labels_of(node).get(f"{DEPLOY}mig-manager") == "true"


def _paused(node: Manifest) -> dict[str, str]:
    return {
        key.removeprefix(DEPLOY): value for key, value in labels_of(node).items()
        if key.startswith(DEPLOY) and value.startswith(PAUSED)
    }  # fmt: skip


def _steps(seen: Seen, node: Manifest) -> Iterator[tuple[str, str]]:
    """What is under way in words, and the label that says it."""
    labels = labels_of(node)
    if (state := labels.get(UPGRADE, "")) not in UPGRADE_ENDS:
        yield f"its driver's upgrade is in state {state}", UPGRADE
    if MIG_STATE in labels and (state := labels[MIG_STATE]) not in MIG_ENDS:
        yield f"it is being cut as {labels.get(MIG_CONFIG, '?')} (state {state})", MIG_STATE
    for operand, value in sorted(_paused(node).items()):
        if value == PAUSED_FOR_DRIVER and _driver_starts(seen, node):
            yield f"its driver starts, {operand} is kept away meanwhile", f"{DEPLOY}{operand}"


def _driver_starts(seen: Seen, node: Manifest) -> bool:
    """Whether a driver pod that nothing holds up is about to be ready there."""
    pods = [pod for one in sets_of(seen, DRIVER) for pod in pods_of(seen, one) if node_of(pod) == name_of(node)]
    return bool(pods) and not any(ready(pod) or hard(pod) for pod in pods)


def _wedged(seen: Seen, node: Manifest) -> Iterator[str]:
    """Operands that are kept away although the change for which they were is over."""
    paused = _paused(node)
    if paused and not changing(seen, node):
        away = ", ".join(f"{operand} ({value})" for operand, value in sorted(paused.items()))
        yield f"operands are kept away although nothing is being changed: {away}"


def _age(seen: Seen, node: Manifest, label: str) -> float:
    """Seconds since a label was last written; 0 where that is not known."""
    for one in facts(seen, "Since"):
        if one.get("node") == name_of(node):
            return float(dig(one, "seconds", label, default=0))
    return 0.0
