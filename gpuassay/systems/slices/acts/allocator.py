"""Cases of the allocator, acted out by the real scheduler on fake nodes: each has a node and pools to itself.

    with allocator.opened(lab) as site:
        site.play(pools.cases(seed=1, count=24))

All cases take their first claim at once, then their second, and so on. No kubelet prepares a claim: KWOK plays pods.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gpuassay.manifest import condition, name_of
from gpuassay.systems.slices.acts.counters import NEEDS
from gpuassay.systems.slices.judge import counters as judged
from gpuassay.systems.slices.judge.allocator import CASES, PLAYED, SHRUNK
from gpuassay.systems.slices.model import allocator as oracle
from gpuassay.systems.slices.model.pools import Ask, Case, smaller
from gpuassay.systems.slices.objects import pools as objects
from gpuassay.workloads import claims as resources

if TYPE_CHECKING:  # cluster clients: not for replays
    from gpuassay.cluster.base import Emulated
    from gpuassay.scenarios.lab import Lab

__all__ = ["NEEDS", "Allocator", "opened"]

PATIENCE, SMALL_PATIENCE = 15.0, 5.0
"""Seconds that a round has to come to what the oracle expects, at first and where a wrong case is made smaller; a sound
round needs one or two."""
ROUNDS, TRIES = 4, 12
"""At most so many times is a wrong case made smaller, by one of so many ways that are tried side by side."""

EMULATED: Emulated = {
    "what": "pools of devices",
    "by": "ResourceSlices that gpuassay writes",
    "means": "the scheduler gives them out; no driver is there, and no kubelet prepares a claim",
}


class Allocator:
    """What is done with cases.

    Attributes:
        device_class: name of the class of all devices.
    """

    def __init__(self, lab: Lab, device_class: str) -> None:
        """Used by `opened`."""
        self.lab, self.device_class = lab, device_class
        self._nodes: list[str] = []
        self._slices: list[str] = []
        self._serial = 0

    def play(self, cases: Sequence[Case], *, shrink: bool = True) -> None:
        """Act out cases and note them; if `shrink`, one that is wrong is made smaller for as long as it stays wrong."""
        wrong = self._round(cases)
        if not shrink:
            return
        for prefix in wrong[:1]:  # one is what a reader reads
            case = self.lab.noted(CASES)[prefix]
            for _ in range(ROUNDS):
                tries = list(smaller(case))[:TRIES]
                still = self._round(tries, SMALL_PATIENCE) if tries else []
                if not still:
                    break
                prefix, case = still[0], self.lab.noted(CASES)[still[0]]
            self.lab.note_under(SHRUNK, prefix, case)

    def _round(self, cases: Sequence[Case], patience: float = PATIENCE) -> list[str]:
        """Act out cases side by side; prefixes of those that came out otherwise than the oracle says."""
        named: dict[str, Case] = {}
        for case in cases:
            prefix = f"{self.lab.unique('case')}-{self._serial}"
            self._serial += 1
            named[prefix] = case
            self.lab.note_under(CASES, prefix, case)
        nodes = self.lab.cluster.add_nodes(len(named), gpus=0, prefix=self.lab.unique(f"pool{self._serial}"))
        self._nodes += nodes
        at = dict(zip(named, nodes, strict=True))
        for prefix, case in named.items():
            # a node of that name need not be there: nobody may be given what is elsewhere
            for one in objects.slices(case, prefix, at[prefix], f"{at[prefix]}-elsewhere"):
                self._slices.append(name_of(one))
                self.lab.create(one)
        for number in range(max(len(case.asks) for case in named.values())):
            asking = {prefix: case for prefix, case in named.items() if number < len(case.asks)}
            for prefix, case in asking.items():
                name = objects.names(prefix, case.asks)[number]
                self.lab.create(objects.claim(case.asks[number], name, self.lab.namespace, self.device_class))
                self.lab.create(resources.pod(name, self.lab.namespace, name, at[prefix]))

            def settled(asking: dict[str, Case] = asking, number: int = number) -> bool:
                return all(self._as_expected(prefix, case, number) for prefix, case in asking.items())

            self.lab.observe(settled, f"claims {number} of cases up to {self._serial} decided", timeout=patience)
        return [prefix for prefix, case in named.items() if oracle.findings(case, self._outcomes(prefix, case.asks))]

    def _as_expected(self, prefix: str, case: Case, number: int) -> bool:
        """Whether the claim of that number is decided, and as the oracle says if those before it are."""
        pod = self.lab.get("Pod", objects.names(prefix, case.asks)[number])
        if pod is None or not (judged.on_a_node(pod) or condition(pod, "PodScheduled")):
            return False
        outcomes = self._outcomes(prefix, case.asks[: number + 1])
        if judged.on_a_node(pod) and outcomes[number] is None:
            return False  # the claim is seen a moment later
        if oracle.findings(Case(case.slices, case.asks[:number]), outcomes[:number]):
            return True  # it is wrong already
        return not oracle.findings(Case(case.slices, case.asks[: number + 1]), outcomes)

    def _outcomes(self, prefix: str, asks: Sequence[Ask]) -> list[list[oracle.Given] | None]:
        claims = (self.lab.get("ResourceClaim", name) for name in objects.names(prefix, asks))
        return [objects.given(one or {}, prefix) for one in claims]

    def close(self) -> None:
        """Take away pods, claims, slices and nodes."""
        self.lab.mark(PLAYED)
        for kind in ("Pod", "ResourceClaim"):
            for one in self.lab.objects(kind):
                self.lab.delete(kind, name_of(one))
        self.lab.observe(lambda: not self.lab.objects("ResourceClaim"), "claims are gone")
        for name in self._slices:
            self.lab.delete("ResourceSlice", name)
        self.lab.cluster.remove_nodes(self._nodes)


@contextmanager
def opened(lab: Lab) -> Generator[Allocator]:
    """For the length of a `with` block a class of devices of all cases; the lab needs `NEEDS`."""
    lab.cluster.tell(emulated=[EMULATED])
    device_class = lab.unique("pool")
    lab.create(objects.device_class(device_class))
    site = Allocator(lab, device_class)
    try:
        yield site
        site.close()
    finally:
        lab.delete("DeviceClass", device_class)
