"""Cutting a node of somebody's cluster anew through the GPU Operator's MIG manager, and back.

It ends what runs on the node's GPUs. So it is done only with `--allow-cluster-mutation`, and only on a node that its
owner has marked: label `gpuassay.io/mig-trial`, whose value is the configuration to try.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuassay.manifest import dig
from gpuassay.systems.gpu_operator.acts.read import changed_by, read_operator
from gpuassay.systems.gpu_operator.judge.mig_config import applied_findings
from gpuassay.systems.gpu_operator.judge.mig_manager import CONFIG, DEPLOY, RECUT, STATE, Recut
from gpuassay.systems.gpu_operator.judge.offers import capacity_findings, stale_findings

if TYPE_CHECKING:  # cluster clients: not for replays
    from gpuassay.scenarios.lab import Lab

DISABLED = "all-disabled"
"""The configuration of a node that names none."""
SECONDS = 900.0
"""A GPU that needs a reset, or a node that reboots, takes minutes."""
SETTLE_SECONDS = 180.0
"""After it the device plugin starts anew, and GPU feature discovery labels the node within a minute."""


def recut(lab: Lab) -> None:
    """Choose the trial's configuration for the first marked node, then its former one; `RECUT` has both ways.

    The former configuration is chosen again whatever happens in between.

    Raises:
        ClusterError: the node has the trial's configuration already.
    """
    from gpuassay.cluster.base import MIG_TRIAL
    from gpuassay.cluster.errors import ClusterError

    marked = [one for one in lab.api.list("Node") if MIG_TRIAL in dig(one, "metadata", "labels", default={})]
    node: str = marked[0]["metadata"]["name"]
    labels: dict[str, str] = marked[0]["metadata"]["labels"]
    former, trial = labels.get(CONFIG, DISABLED), labels[MIG_TRIAL]
    if trial == former:
        raise ClusterError(f"node {node} is cut as {former} already: name another configuration in label {MIG_TRIAL}")
    there: list[dict[str, str]] = []
    back: list[dict[str, str]] = []
    offered: list[list[str]] = [[], []]
    try:
        _choose(lab, node, trial, there)
        offered[0] = _offered(lab, node)
    finally:
        _choose(lab, node, former, back)
        offered[1] = _offered(lab, node)
        lab.note(RECUT, Recut(node, former, trial, there, back, *offered))


def _choose(lab: Lab, node: str, config: str, seen: list[dict[str, str]]) -> None:
    """Set the node's label and keep every change of its labels in `seen`, until the manager is done."""
    seen.append(_labels(lab, node))
    lab.patch("Node", node, {"metadata": {"labels": {CONFIG: config}}})
    pending = False

    def done() -> bool:
        nonlocal pending
        now = _labels(lab, node)
        if now != seen[-1]:
            seen.append(now)
        pending = pending or now.get(STATE) in {"pending", "rebooting"}
        return pending and now.get(STATE) in {"success", "failed"} and _deployed(now) == _deployed(seen[0])

    lab.observe(done, f"{node} cut as {config}", timeout=SECONDS if lab.mutant is None else 5)


def _offered(lab: Lab, node: str) -> list[str]:
    """What is wrong with the node's labels and offers, once device plugin and GPU feature discovery had their time."""
    found: list[str] = []

    def right() -> bool:
        seen = read_operator(lab.api, changed_by(lab))
        every = (*applied_findings(seen), *stale_findings(seen), *capacity_findings(seen))
        found[:] = [text for text in every if text.startswith(f"node {node}: ")]
        return not found

    lab.observe(right, f"{node} offers what it is cut into", timeout=SETTLE_SECONDS if lab.mutant is None else 5)
    return found


def _deployed(labels: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in labels.items() if key.startswith(DEPLOY)}


def _labels(lab: Lab, node: str) -> dict[str, str]:
    found: dict[str, str] = dig(lab.api.get("Node", node) or {}, "metadata", "labels", default={})
    return {key: value for key, value in found.items() if key in {CONFIG, STATE} or key.startswith(DEPLOY)}
