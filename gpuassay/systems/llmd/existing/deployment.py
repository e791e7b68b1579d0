"""Routing scenarios at somebody's gateway: the same asks, and what can be known of their fate from outside."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gpuassay.cluster.errors import NotFromOutside
from gpuassay.cluster.parallel import side_by_side
from gpuassay.manifest import Manifest
from gpuassay.systems.llmd.acts.deployment import PATIENCE, Site, fresh_seed
from gpuassay.systems.llmd.component import profiles
from gpuassay.systems.llmd.component.metrics import Sample, total
from gpuassay.systems.llmd.component.probe import rounds
from gpuassay.systems.llmd.component.simulator import Replica
from gpuassay.systems.llmd.component.spec import Arm
from gpuassay.systems.llmd.existing.gateway import ExistingGateway
from gpuassay.systems.llmd.objects.prompts import Prompt, synthetic
from gpuassay.waiting import WaitTimeout, wait

if TYPE_CHECKING:
    from gpuassay.systems.llmd.acts.lab import RoutingLab

LAGS = (0.0, 0.2, 1.0, 3.0)
"""Seconds that KV-cache events may take to reach the picker, tried in turn: from outside nothing tells of them."""

PROBE_TOKENS = 64

_turn = threading.Lock()
"""One scenario at a time: counters of the model servers are read before and after."""


@dataclass
class OutsideSite(Site):
    """A site whose parts are somebody's: requests, metrics, and the counters that tell who served.

    Attributes:
        headers: what every request carries.
        lag: seconds that are waited after replicas were warmed directly.
        named: whether answers have been seen to name who served them; until then counters are read around each ask.
    """

    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    lag: float = 0.0
    named: bool = False

    def warm(self, chosen: Mapping[str, Replica], prompts: Mapping[str, Prompt]) -> None:
        """Ask replicas directly, then give their KV-cache events the time that they were found to take."""
        super().warm(chosen, prompts)
        time.sleep(self.lag)  # no event tells that somebody else's picker has heard of it

    def learn_lag(self) -> None:
        """Find the shortest of `LAGS` after which a whole round of fresh probes goes where each was warmed.

        A picker that knows nothing is found at none, which is for the judges to say: then the longest is kept.
        """
        for lag in LAGS:
            self.lag = lag
            if self._round_is_right(f"lag{lag:g}"):
                break
        self.lab.note(event_lag_seconds=self.lag)

    def _round_is_right(self, name: str) -> bool:
        dice = random.Random(self.lab.token + name)
        order = list(self.replicas) * rounds(len(self.replicas))
        dice.shuffle(order)
        seed = fresh_seed(self.lab)
        probes = [(synthetic(f"{name}/{i}", PROBE_TOKENS, seed), one) for i, one in enumerate(order)]
        for prompt, replica in probes:
            replica.complete(prompt.text)
        time.sleep(self.lag)
        return all(
            self._ask(f"probe/{name}", i, prompt)["served_by"] == replica.name
            for i, (prompt, replica) in enumerate(probes)
        )

    def _ask(self, wave: str, index: int, prompt: Prompt) -> Manifest:
        url = f"{self.routing.url}/v1/completions"
        return self._one(wave, url, PATIENCE, index, prompt.label, self.body(prompt), {})

    def _one(
        self,
        wave: str,
        url: str,
        timeout: float,
        index: int,
        label: str,
        body: Mapping[str, Any],
        headers: Mapping[str, str],
    ) -> Manifest:
        before = {} if self.named else self._finished()
        row = super()._one(wave, url, timeout, index, label, body, {**self.headers, **headers})
        if row["status"] == 200 and row["served_by"]:
            self.named = True
        elif row["status"] == 200 and not self.named:
            row["served_by"] = self._counted(before)
        return row

    def _finished(self) -> dict[str, float]:
        """Requests that each model server has finished. Raises ClusterError if one does not tell."""
        return {name: _finished_of(samples) for name, samples in self._samples().items()}

    def _counted(self, before: Mapping[str, float]) -> str | None:
        """The one model server whose count of finished requests has grown by one; None if it cannot be told."""

        def grown() -> dict[str, float]:
            return {name: now - before[name] for name, now in self._finished().items() if now != before[name]}

        try:
            found = wait(grown, bool, what="a model server to count the request", timeout=2, delay=0.05)
        except WaitTimeout:
            return None
        return next(iter(found)) if list(found.values()) == [1.0] else None

    def _samples(self) -> dict[str, list[Sample]]:
        names = [one.name for one in self.replicas]
        return dict(zip(names, side_by_side(lambda one: one.metrics(), self.replicas), strict=True))

    def scrape(self, label: str) -> None:
        """Keep the metrics of every model server under `label`; the picker's are not for us to read."""
        self.lab.samples += [
            {"source": name, "label": label, **row} for name, rows in self._samples().items() for row in rows
        ]


def _finished_of(samples: list[Sample]) -> float:
    return total(samples, "vllm:request_success_total")


@contextmanager
def borrowed(lab: RoutingLab, gateway: ExistingGateway, wanted: Arm) -> Generator[Site]:
    """The site of somebody's gateway for the length of a `with` block, one scenario at a time.

    Raises:
        NotFromOutside: the scenario asks for an arm that this gateway is not said to be.
    """
    if wanted.profile != gateway.arm.profile:
        raise NotFromOutside(
            f"arm {wanted.profile} is asked for, the gateway is said to be {gateway.arm.profile} (--gateway-profile)"
        )
    if wanted.gateway is None or wanted.change_picker or wanted.change_gateway or wanted.prefillers:
        raise NotFromOutside("the scenario changes picker or gateway, or goes past the gateway")
    with _turn:
        site = OutsideSite(lab, gateway, verify_tls=gateway.verify_tls, headers=gateway.headers)
        lab.note(outside={"pool": gateway.manifest, "endpoints": [one.endpoint for one in gateway.replicas]})
        if gateway.arm.profile in profiles.PRECISE:
            site.learn_lag()
        yield site
