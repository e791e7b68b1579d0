"""Kueue's manager as pods of a Deployment on somebody's cluster: ended, started, configured anew, asked.

What is changed of it is noted on the cluster beforehand (`gpuassay.provision.changes`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from gpuassay.cluster.api import Api
from gpuassay.cluster.errors import ApiRefused, ClusterError, NotFromOutside
from gpuassay.manifest import Manifest, dig, name_of
from gpuassay.provision import changes
from gpuassay.provision.changes import Change, Changed, Pods
from gpuassay.provision.objects import Objects
from gpuassay.systems.kueue.component import logs
from gpuassay.systems.kueue.component.deployed import Deployed
from gpuassay.systems.kueue.component.metrics import Sample
from gpuassay.systems.kueue.component.pod_configuration import Effective, configured, read
from gpuassay.systems.kueue.component.profiles import Profile
from gpuassay.systems.kueue.provision import problem
from gpuassay.waiting import WaitTimeout, wait

READY_SECONDS = 180.0
"""A restart takes about 8 s; a kubelet that is late with a Secret, or the lease of a killed manager, takes longer."""
COMPONENT = "kueue"
LEASE = "c1f6bfd2.kueue.x-k8s.io"
"""Of the leader where its configuration names no other, as upstream's do."""


@dataclass
class KueueInPods:
    """An installed Kueue whose manager runs in pods.

    Attributes:
        api: access to the cluster.
        run: on whose behalf it is changed.
        deployed: as it was found.
        say: tells the person at the terminal how far things are.
        scrape: reads its metrics from the pod that leads, at a port; None where that cannot be.
        changed: whether anything of it was changed.
    """

    api: Api
    run: str
    deployed: Deployed
    say: Callable[[str], None]
    scrape: Callable[[str, str, int], list[Sample]] | None = None
    changed: bool = False
    _text: str = field(init=False)

    def __post_init__(self) -> None:
        """It runs with the configuration that was found."""
        self._text = self.deployed.text

    def kill(self) -> None:
        """End its pods (SIGTERM, and SIGKILL 2 s later); none is made again before `start`."""
        self._note()
        self._scale(0)
        changes.restart(self.api, [self._pods], grace_seconds=0)
        wait(self._there, lambda pods: not pods, what="Kueue's pods to be gone", timeout=READY_SECONDS, delay=0.1)
        # an endpoint outlives its pod by a moment
        wait(lambda: problem(self.api), bool, what="Kueue's webhooks to fall silent", timeout=READY_SECONDS, delay=0.1)

    def start(self) -> None:
        """Start as many pods as there were, and wait until they work.

        Raises:
            ClusterError: they do not; the message is Kueue's own complaint, or what is not as it should be.
        """
        self._scale(self.deployed.replicas)
        self._await_working(frozenset())

    def reconfigure(self, to: Profile | None) -> None:
        """Restart with a profile, or (None) with what was found; nothing happens where it runs with that already.

        Raises:
            ClusterError: it does not work with it.
        """
        deployed = self.deployed
        text = deployed.text if to is None else configured(deployed.configuration, to, deployed.namespace)
        if text == self._text:
            return
        self._note()
        self.say(f"Kueue's configuration: {f'profile {to.name}' if to else 'as it was found'}")
        Objects(self.api).patch(deployed.config_map, {"data": {deployed.key: text}})
        before = frozenset(one["metadata"]["uid"] for one in self._there())
        changes.restart(self.api, [self._pods])
        self._text = text
        self._await_working(before)
        self._check(text)

    def upgrade(self) -> None:
        """Raise NotFromOutside: a version is its owner's to choose."""
        raise NotFromOutside("Kueue in pods is upgraded by whoever has installed it")

    def break_off_upgrade(self, applied: float, lived: float) -> None:
        """Raise NotFromOutside, as `upgrade` does."""
        self.upgrade()

    def undo(self, *, stays: bool) -> None:
        """Bring back what was changed; where it `stays` wait until it works again."""
        if not self.changed:
            return
        noted = changes.read(self.api, COMPONENT)
        if noted is None or noted.run != self.run:
            return  # somebody has undone it meanwhile
        before = frozenset(one["metadata"]["uid"] for one in self._there()) if self._text != self.deployed.text else ()
        if stays:
            self.say("Kueue is brought back to what it was")
        changes.undo(Objects(self.api), noted)
        if stays:
            self._await_working(frozenset(before))

    def feature_gates(self) -> dict[str, bool]:
        """Its feature gates as it has told them in its log; none where the log cannot be read."""
        for line in self._log(self._leader() or ""):
            if line.get("msg") == "Loaded feature gates":
                return {str(name): bool(on) for name, on in line["featureGates"].items()}
        return {}

    def metrics(self) -> list[Sample]:
        """All metric samples of the pod that leads.

        Raises:
            ClusterError: they cannot be had.
        """
        leader = self._leader()
        if self.scrape is None or leader is None:
            raise ClusterError("Kueue's metrics cannot be read here")
        return self.scrape(self.deployed.namespace, leader, metrics_port(read(self._text)))

    @property
    def _pods(self) -> Pods:
        return Pods(self.deployed.namespace, self.deployed.selector)

    def _note(self) -> None:
        """Note on the cluster how everything is undone."""
        if self.changed:
            return
        deployed = self.deployed
        back = [
            Change(deployed.config_map, {"data": {deployed.key: deployed.text}}),
            Change(deployed.deployment, {"spec": {"replicas": deployed.replicas}}),
        ]
        changes.note(self.api, Changed(COMPONENT, self.run, back, [self._pods]))
        self.changed = True

    def _scale(self, replicas: int) -> None:
        Objects(self.api).patch(self.deployed.deployment, {"spec": {"replicas": replicas}})

    def _there(self) -> list[Manifest]:
        return self.api.list("Pod", self.deployed.namespace, self.deployed.selector)

    def _leader(self) -> str | None:
        """The name of the pod that leads: the holder of its lease; without leader election, of any pod."""
        running = [one for one in self._there() if not dig(one, "metadata", "deletionTimestamp")]
        names = [name_of(one) for one in running]
        election = dig(read(self._text), "leaderElection", default={})
        if not election.get("leaderElect"):
            return names[0] if names else None
        lease = str(election.get("resourceName") or LEASE)
        place = str(election.get("resourceNamespace") or self.deployed.namespace)
        try:
            told = json.loads(self.api.raw(f"/apis/coordination.k8s.io/v1/namespaces/{place}/leases/{lease}"))
        except ApiRefused as refused:
            if refused.status == 404:
                return None
            raise
        holder = str(dig(told, "spec", "holderIdentity", default=""))
        return next((name for name in names if holder.startswith(f"{name}_")), None)

    def _await_working(self, before: frozenset[str]) -> None:
        """Wait until pods other than those of `before` are ready, one of them leads, and the webhook answers."""

        def look() -> str:
            there = self._there()
            if any(one["metadata"]["uid"] in before for one in there):
                return "pods with the configuration before are still there"
            ready = [one for one in there if _is_ready(one)]
            if len(ready) < self.deployed.replicas:
                return f"{len(ready)} of {self.deployed.replicas} pods are ready"
            return problem(self.api) if self._leader() else "none of its pods leads"

        try:
            wait(
                look, lambda lacking: not lacking, what="Kueue to work", timeout=READY_SECONDS, delay=0.2,
                error=lambda _: self._crashed(),
            )  # fmt: skip
        except WaitTimeout as late:
            raise ClusterError(f"Kueue does not work {READY_SECONDS:g} s after its restart: {late.last}") from None

    def _crashed(self) -> str | None:
        """What a pod said that has ended with an error."""
        for one in self._there():
            for state in dig(one, "status", "containerStatuses", default=[]):
                ended = dig(state, "lastState", "terminated") or dig(state, "state", "terminated")
                if ended and ended.get("exitCode"):
                    previous = "lastState" in state and bool(dig(state, "lastState", "terminated"))
                    said = logs.complaint(self._log(name_of(one), previous=previous))
                    return f"Kueue refuses to start (exit code {ended['exitCode']}): {said or '(it printed nothing)'}"
        return None

    def _log(self, pod: str, *, previous: bool = False) -> Sequence[dict[str, Any]]:
        path = f"/api/v1/namespaces/{self.deployed.namespace}/pods/{pod}/log"
        try:
            text = self.api.raw(f"{path}?limitBytes=1000000{'&previous=true' if previous else ''}")
        except ApiRefused:
            return []
        return logs.parsed(text)

    def _check(self, text: str) -> None:
        """Raise ClusterError where the pod that leads tells that it has read another configuration."""
        told = Effective.of(self._log(self._leader() or ""))
        if told is not None and (lacking := told.lacking(text)):
            raise ClusterError(f"Kueue's pod was started with an older configuration: it knows nothing of {lacking}")


def _is_ready(pod: Manifest) -> bool:
    conditions = dig(pod, "status", "conditions", default=[])
    return not dig(pod, "metadata", "deletionTimestamp") and any(
        one["type"] == "Ready" and one["status"] == "True" for one in conditions
    )


def metrics_port(configuration: dict[str, Any]) -> int:
    """The port at which its metrics are read (upstream's default: 8443)."""
    _, _, port = str(dig(configuration, "metrics", "bindAddress", default="")).rpartition(":")
    return int(port) if port.isdigit() else 8443
