"""Whether what is ready stays ready: judged from several looks at the operator over a while.

One look cannot tell a state that flaps from one that stands, nor a rollout that gets on from one that hangs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import msgspec

from gpuassay.manifest import Manifest, dig
from gpuassay.record.notes import Note
from gpuassay.systems.gpu_operator.judge import moving
from gpuassay.systems.gpu_operator.judge.installed import policy_findings
from gpuassay.systems.gpu_operator.judge.moving import under_way
from gpuassay.systems.gpu_operator.judge.objects import Seen, facts, name_of, node_of, operand_of, pods_of
from gpuassay.systems.gpu_operator.judge.operands import operand_findings, revision_findings
from gpuassay.systems.gpu_operator.judge.pods import hard, ready, restarts, starting, why_not_ready

READY = "ready"


class Look(msgspec.Struct, frozen=True):
    """What one look has seen.

    Attributes:
        at: seconds since the first look.
        states: of each ClusterPolicy, GPUCluster and operand's pod: `ready`, or what it is instead.
        restarts: of each pod's containers together.
        moving: changes of nodes that are under way.
    """

    at: float
    states: dict[str, str]
    restarts: dict[str, int]
    moving: list[str] = []


LOOKS = Note("looks", list[Look], "looks at the operator, in turn", default=[])


def look(seen: Seen, at: float) -> Look:
    """What is seen at a moment, `at` seconds after the first one."""
    states = {
        f"{kind} {name_of(one)}": str(dig(one, "status", "state", default="") or "without state")
        for kind in ("ClusterPolicy", "GPUCluster") for one in facts(seen, kind)
        if dig(one, "status", "state") != "ignored"
    }  # fmt: skip
    times: dict[str, int] = {}
    for daemonset in facts(seen, "DaemonSet"):
        if operand_of(daemonset) is None:
            continue
        for pod in pods_of(seen, daemonset):
            name = f"pod {name_of(pod)} on node {node_of(pod) or '?'}"
            states[name] = READY if ready(pod) else why_not_ready(pod)
            times[name] = restarts(pod)
    return Look(at, states, times, under_way(seen))


def unsteady_findings(looks: Sequence[Look]) -> list[str]:
    """Nothing that was ready is not ready later, and no container starts anew, between the first look and the last.

    A pod that goes with its node's change is replaced by another of another name, which is no finding.
    """
    if len(looks) < 2:
        return ["only one look was taken: whether it is steady cannot be told"]
    return [*_left(looks), *_restarted(looks)]


def _left(looks: Sequence[Look]) -> Iterator[str]:
    quiet = not any(one.moving for one in looks) and len({frozenset(one.restarts) for one in looks}) == 1
    for name in dict.fromkeys(name for one in looks for name in one.states):
        if not quiet and not name.startswith("pod "):
            continue  # a policy is not ready while a node is being changed, or pods are replaced
        course = [(one.at, one.states[name]) for one in looks if name in one.states]
        for (_, before), (at, after) in pairwise(course):
            if before == READY and after != READY:
                yield f"{name} was ready, and {at:.0f} s after the first look it was not: {after}"
                break


def _restarted(looks: Sequence[Look]) -> Iterator[str]:
    for name, first in looks[0].restarts.items():
        last = next((one.restarts[name] for one in reversed(looks) if name in one.restarts), first)
        if last > first:
            yield f"containers of {name} started anew {last - first} times in {looks[-1].at - looks[0].at:.0f} s"


def lacks(seen: Seen) -> list[str]:
    """What is not ready yet, a line each: it may get so while one waits."""
    return [*policy_findings(seen), *operand_findings(seen), *revision_findings(seen)]


def hopeless(seen: Seen) -> bool:
    """Whether something is held up that does not pass by waiting: then waiting longer tells no more."""
    return any(hard(pod) for pod in _pods(seen))


def getting_on(seen: Seen) -> bool:
    """Whether pods are about to start, or nodes are being changed: then waiting may tell more."""
    return moving.getting_on(seen) or any(starting(pod) for pod in _pods(seen))


def _pods(seen: Seen) -> Iterator[Manifest]:
    return (pod for one in facts(seen, "DaemonSet") if operand_of(one) for pod in pods_of(seen, one))
