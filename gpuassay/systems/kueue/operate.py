"""Kueue on somebody's cluster, as far as scenarios may change it: ours, or somebody's with consent."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

from gpuassay import labels
from gpuassay.cluster import base
from gpuassay.cluster.api import Api
from gpuassay.cluster.errors import ApiRefused
from gpuassay.engine.operating import Operation
from gpuassay.manifest import is_true, name_of
from gpuassay.provision import changes, inventory
from gpuassay.provision.inventory import Inventory
from gpuassay.provision.objects import Objects
from gpuassay.scenarios.lab import Lab
from gpuassay.systems.kueue.acts import floor
from gpuassay.systems.kueue.acts.floor import Own, suitable
from gpuassay.systems.kueue.acts.lab import KueueLab
from gpuassay.systems.kueue.acts.own_gpus import free_nodes
from gpuassay.systems.kueue.component.deployed import find
from gpuassay.systems.kueue.component.pod_configuration import tells_quotas
from gpuassay.systems.kueue.component.pod_metrics import scraper
from gpuassay.systems.kueue.component.pods import COMPONENT, KueueInPods
from gpuassay.systems.kueue.component.profiles import profile
from gpuassay.systems.kueue.detect import frameworks_of
from gpuassay.systems.kueue.model.paper import GPUS
from gpuassay.systems.kueue.options import CHOSEN
from gpuassay.systems.kueue.system import FLOORS, PLACES
from gpuassay.waiting import resume

NOT_OURS = (
    "Kueue's configuration is not ours to change (profile {}): let the run install Kueue (--kueue install), or lend "
    "this one with --allow-cluster-mutation"
)

UNREAD = (
    "Kueue's configuration is not ours to change (profile {}): no Deployment of it with a ConfigMap can be read here"
)


@dataclass
class KueueOperator:
    """Changes Kueue for scenarios.

    Attributes:
        kueue: in its pods; None where its Deployment or its configuration cannot be read.
        capabilities: what scenarios can have because of it.
        reason: why its configuration may not be changed, with `{}` for the profile; "" where it may.
        ours: whether the suite's own base configuration takes the place of what was found: in a Kueue of ours.
        ground: nodes that may be put into racks.
    """

    kueue: KueueInPods | None
    capabilities: frozenset[str]
    reason: str = ""
    ours: bool = False
    ground: Own | None = None

    def equip(self, lab: Lab) -> None:
        """Let scenarios of Kueue restart it, read its metrics, and use the nodes that were lent."""
        if isinstance(lab, KueueLab):
            lab.installed, lab.ground = self.kueue, self.ground

    def set_profile(self, name: str) -> str | None:
        """Bring Kueue into a profile; in somebody's, `default` is what was found.

        Raises:
            ClusterError: it does not work with it.
        """
        if self.kueue is None or self.reason:
            return None if name == "default" else self.reason.format(name)
        if not self.ours and name != "default" and (others := foreign(self.kueue.api)):
            self.kueue.reconfigure(None)
            return f"profile {name} would hold for {others} too, which is not of this run"
        self.kueue.reconfigure(None if name == "default" and not self.ours else profile(name))
        return None


@contextmanager
def operate(operation: Operation) -> Generator[KueueOperator]:
    """The operator of the cluster's Kueue; what it has changed is undone at the end of the `with` block."""
    api = operation.cluster.api
    deployed = None
    with suppress(ApiRefused):  # what we may not read we may not change
        deployed = find(Objects(api))
    if deployed is None:
        yield KueueOperator(None, frozenset(), UNREAD)
        return
    mine = inventory.read(api, COMPONENT)
    with ExitStack() as stack:
        scrape = None
        if mine or tells_quotas(deployed.configuration):
            scrape = stack.enter_context(scraper(api, operation.run, operation.say))
        kueue = KueueInPods(api, operation.run, deployed, operation.say, scrape)
        yield from _operated(operation, kueue, mine)


def _operated(operation: Operation, kueue: KueueInPods, mine: Inventory | None) -> Generator[KueueOperator]:
    api, ours = kueue.api, mine is not None
    taken = changes.read(api, COMPONENT)
    reason = NOT_OURS if not (ours or operation.consent) else changes.taken(COMPONENT, taken) if taken else ""
    gates = {f"gate:{name}" for name, on in kueue.feature_gates().items() if on}
    found = {*gates, *frameworks_of(api), *({"scheduler-log"} if operation.logs else ())}
    if not reason:
        found.add("kueue-process")
    elif taken:
        operation.say(reason)
    if kueue.scrape:
        found.add("kueue-metrics")
    lent = suitable(api.list("Node")) if operation.consent and not operation.cluster.has(base.FAKE_NODES) else []
    found |= {capability for count, capability in FLOORS.items() if count <= len(lent)}
    if lent or (CHOSEN.own_gpus and free_nodes(api, GPUS, operation.run)):
        found.add(PLACES)
    if operation.cluster.has(base.FAKE_NODES, base.CLUSTER_WIDE):
        found |= {*FLOORS.values(), PLACES}
    try:
        yield KueueOperator(kueue, frozenset(found), reason, ours, Own(lent) if lent else None)
    finally:
        resume()  # a run that was broken off cleans up as any other
        try:
            floor.undo(api, operation.run)
        finally:
            kueue.undo(stays=mine is None or mine.run != operation.run)


def foreign(api: Api) -> str:
    """A Workload that is in no namespace of any run and has not finished, "" where there is none."""
    mine = {name_of(one) for one in api.list("Namespace", label_selector=labels.RUN)}
    names = [
        f"{one['metadata']['namespace']}/{name_of(one)}"
        for one in api.list("Workload")
        if one["metadata"]["namespace"] not in mine and not is_true(one, "Finished")
    ]
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"Workload {names[0]}{more}" if names else ""
