"""Exact quota arithmetic: Kubernetes quantities and Kueue's tree of ClusterQueues and cohorts.

One tree describes one *flavor-resource* (say `nvidia.com/gpu` of flavor `a100`); Kueue treats each on its own.
The rules are those of Kueue v0.19.2, `pkg/cache/scheduler/resource_node.go`:

* a node's *subtree quota* is its nominal quota plus what its children lend (all, or their lending limit);
* its *local quota* is what it never lends: `max(0, subtree quota - lending limit)`;
* a cohort's usage is the sum of what its children use beyond their local quota.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

Amount = int | Fraction
"""An exact amount of one resource, in its base unit (GPUs, cores, bytes)."""

_BINARY: Final = {suffix: 1024**power for power, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), start=1)}
_DECIMAL: Final = {
    suffix: Fraction(1000) ** power
    for power, suffix in enumerate(("n", "u", "m", "", "k", "M", "G", "T", "P", "E"), start=-3)
}
_QUANTITY: Final = re.compile(
    r"(?P<number>[+-]?(?:\d+\.?\d*|\.\d+))(?:[eE](?P<exponent>[+-]?\d+)|(?P<suffix>Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE]?))",
    re.ASCII,
)
_MAX_EXPONENT: Final = 1000  # beyond any resource; keeps a hostile "1e999999999" from eating the memory


def parse_quantity(text: str | int) -> Amount:
    """The exact value of a Kubernetes quantity ("8", "500m", "5Ki", "1e3"); an int where it is whole.

    Grammar: k8s.io/apimachinery `pkg/api/resource/quantity.go`. Raises ValueError with one line that names the text.
    """
    match = _QUANTITY.fullmatch(str(text))
    if match is None:
        raise ValueError(f"not a Kubernetes quantity: {text!r}")
    exponent = int(match["exponent"] or 0)
    if abs(exponent) > _MAX_EXPONENT:
        raise ValueError(f"exponent out of range in quantity: {text!r}")
    suffix = match["suffix"] or ""
    scale = Fraction(10) ** exponent * (_BINARY[suffix] if suffix in _BINARY else _DECIMAL[suffix])
    value = Fraction(match["number"]) * scale
    return int(value) if value.denominator == 1 else value


@dataclass(frozen=True)
class Quota:
    """What a ClusterQueue or Cohort declares for one flavor-resource; a limit of None means unlimited."""

    nominal: Amount
    borrowing_limit: Amount | None = None
    lending_limit: Amount | None = None


@dataclass(eq=False)
class Node:
    """A ClusterQueue (leaf) or a cohort of a `QuotaTree`; made by the tree, read by its callers."""

    name: str
    quota: Quota
    parent: Node | None = None
    children: list[Node] = field(default_factory=list["Node"])
    own_usage: Amount = 0
    """Used by admitted workloads; always 0 for a cohort."""

    def subtree_quota(self) -> Amount:
        """Own nominal quota and what the children lend."""
        return self.quota.nominal + sum((c.subtree_quota() - c.local_quota() for c in self.children), 0)

    def local_quota(self) -> Amount:
        """Capacity that this node keeps for its own subtree because of its lending limit."""
        if self.quota.lending_limit is None:
            return 0
        return max(0, self.subtree_quota() - self.quota.lending_limit)

    def usage(self) -> Amount:
        """A leaf's own usage; a cohort's sum of what its children use beyond their local quota."""
        return self.own_usage + sum((max(0, c.usage() - c.local_quota()) for c in self.children), 0)

    def local_available(self) -> Amount:
        """Unused part of the local quota: free here, invisible to the parent."""
        return max(0, self.local_quota() - self.usage())

    def available(self) -> Amount:
        """What may still be used from here; negative after over-admission (a quota shrank, a queue moved)."""
        if self.parent is None:
            return self.subtree_quota() - self.usage()
        from_parent = self.parent.available()
        if self.quota.borrowing_limit is not None:
            local = self.local_quota()
            stored, used = self.subtree_quota() - local, max(0, self.usage() - local)
            from_parent = min(stored - used + self.quota.borrowing_limit, from_parent)
        return self.local_available() + from_parent

    def potential(self) -> Amount:
        """What could be used from here if the whole tree were empty."""
        if self.parent is None:
            return self.subtree_quota()
        most = self.local_quota() + self.parent.potential()
        if self.quota.borrowing_limit is not None:
            most = min(self.subtree_quota() + self.quota.borrowing_limit, most)
        return most

    def within_nominal(self) -> bool:
        """Whether usage does not exceed the subtree quota, so that nothing here is borrowed."""
        return self.usage() <= self.subtree_quota()

    def borrowing_with(self, extra: Amount) -> bool:
        """Whether this node would borrow if `extra` were added to its usage."""
        return self.usage() + extra > self.subtree_quota()

    def path(self) -> list[Node]:
        """The cohorts above this node, nearest first."""
        above: list[Node] = []
        node = self.parent
        while node is not None:
            above.append(node)
            node = node.parent
        return above


class QuotaTree:
    """The ClusterQueues and cohorts of one flavor-resource, with what is in use.

    `queues` and `cohorts` give declared quotas by name (a cohort that is only named has none); `parent_of_queue` and
    `parent_of_cohort` give the cohort above. The two kinds have separate name spaces, as in Kubernetes.
    Raises ValueError on a cohort cycle (Kueue deactivates such queues, `pkg/cache/hierarchy/cycle.go`) and on a
    parent given for an unknown queue.
    """

    def __init__(
        self,
        queues: Mapping[str, Quota],
        parent_of_queue: Mapping[str, str] | None = None,
        cohorts: Mapping[str, Quota] | None = None,
        parent_of_cohort: Mapping[str, str] | None = None,
    ) -> None:
        """See the class."""
        above_queue, above_cohort, declared = parent_of_queue or {}, parent_of_cohort or {}, cohorts or {}
        if strange := sorted(set(above_queue) - set(queues)):
            raise ValueError(f"a cohort is given for ClusterQueues that do not exist: {', '.join(strange)}")
        names = {*declared, *above_queue.values(), *above_cohort, *above_cohort.values()}
        self.cohorts: dict[str, Node] = {n: Node(n, declared.get(n, Quota(0))) for n in sorted(names)}
        self.queues: dict[str, Node] = {n: Node(n, q) for n, q in queues.items()}
        for name in sorted(names):
            _refuse_cycle(name, above_cohort)
        for nodes, above in ((self.cohorts, above_cohort), (self.queues, above_queue)):
            for child, parent in above.items():
                nodes[child].parent = self.cohorts[parent]
                self.cohorts[parent].children.append(nodes[child])

    def queue(self, name: str) -> Node:
        """The ClusterQueue `name`; ValueError if the tree has none."""
        if name not in self.queues:
            raise ValueError(f"no ClusterQueue {name!r} in the quota tree")
        return self.queues[name]

    def add(self, queue: str, amount: Amount) -> None:
        """Count `amount` as used in `queue`, whether or not it fits."""
        self.queue(queue).own_usage += amount

    def remove(self, queue: str, amount: Amount) -> None:
        """Give `amount` back; ValueError if the queue does not use that much."""
        node = self.queue(queue)
        if amount > node.own_usage:
            raise ValueError(f"ClusterQueue {queue} uses {node.own_usage}, cannot give back {amount}")
        node.own_usage -= amount

    def available(self, queue: str) -> Amount:
        """What a workload of `queue` may still take."""
        return self.queue(queue).available()

    def violations(self) -> list[str]:
        """One line per limit that is exceeded; empty when every quota holds.

        A queue or cohort with a parent may use at most its subtree quota plus its borrowing limit; a root at most its
        subtree quota, which counts only what its children lend, so lending limits are covered by it.
        """
        found: list[str] = []
        for kind, nodes in (("ClusterQueue", self.queues), ("cohort", self.cohorts)):
            for node in nodes.values():
                usage, quota, limit = node.usage(), node.subtree_quota(), node.quota.borrowing_limit
                if node.parent is None and usage > quota:
                    found.append(f"{kind} {node.name} uses {usage} of {quota} and has no cohort to borrow from")
                elif node.parent is not None and limit is not None and usage > quota + limit:
                    found.append(f"{kind} {node.name} uses {usage}: more than {quota} and the borrowing limit {limit}")
        return found


def over_quota(tree: QuotaTree, usage: Mapping[str, Amount]) -> list[str]:
    """Set the usage of every ClusterQueue of `tree` (0 where `usage` names none) and return the violations."""
    for name in usage:
        tree.queue(name)
    for name, node in tree.queues.items():
        node.own_usage = usage.get(name, 0)
    return tree.violations()


def _refuse_cycle(start: str, above: Mapping[str, str]) -> None:
    seen, here = [start], above.get(start)
    while here is not None:
        if here in seen:
            raise ValueError(f"cohort cycle: {' -> '.join([*seen, here])}")
        seen.append(here)
        here = above.get(here)
