"""Routing scenarios at somebody's gateway: the same asks, and what can be known of their fate from outside."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import requests

from gpuassay.cluster.errors import NotFromOutside
from gpuassay.cluster.parallel import side_by_side
from gpuassay.load.headers import POD
from gpuassay.record import facts
from gpuassay.record.metrics import Samples
from gpuassay.systems.llmd import notes
from gpuassay.systems.llmd.acts.deployment import PATIENCE, Deployment, fresh_seed
from gpuassay.systems.llmd.component import profiles
from gpuassay.systems.llmd.component.metrics import Sample
from gpuassay.systems.llmd.component.probe import rounds
from gpuassay.systems.llmd.component.simulator import Replica
from gpuassay.systems.llmd.component.spec import Arm
from gpuassay.systems.llmd.existing.dialect import CHAT, COMPLETIONS, Dialect, counted
from gpuassay.systems.llmd.existing.gateway import ExistingGateway
from gpuassay.systems.llmd.existing.pickers import Unseen, find_pickers, samples_of
from gpuassay.systems.llmd.existing.replica import ExistingReplica
from gpuassay.systems.llmd.judge.engines import finished, missing
from gpuassay.systems.llmd.judge.outside import PICKERS_AFTER, PICKERS_BEFORE
from gpuassay.systems.llmd.objects.prompts import Prompt, synthetic
from gpuassay.systems.llmd.rows import RequestRow
from gpuassay.waiting import WaitTimeout, wait

if TYPE_CHECKING:
    from gpuassay.systems.llmd.acts.lab import RoutingLab

LAGS = (0.0, 0.2, 1.0, 3.0)
"""Seconds that KV-cache events may take to reach the picker, tried in turn: from outside nothing tells of them."""

PROBE_TOKENS = 64

_turn = threading.Lock()
"""One scenario at a time: counters of the model servers are read before and after."""


@dataclass
class OutsideSite(Deployment):
    """A site whose parts are somebody's: requests, metrics, and the counters that tell who served.

    Attributes:
        headers: what every request carries.
        way: how it is asked.
        lag: seconds that are waited after replicas were warmed directly.
        named: whether answers have been seen to name who served them; until then counters are read around each ask.
    """

    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    way: Dialect = COMPLETIONS
    lag: float = 0.0
    named: bool = False

    def body(self, prompt: Prompt, max_tokens: int = 1, **more: Any) -> dict[str, Any]:
        """A request by the path that the gateway serves; a chat's for a chat."""
        if prompt.chat:
            way = CHAT if self.way is COMPLETIONS else self.way
            return way.of_messages(self.routing.model, self.messages(prompt), max_tokens, **more)
        return self.way.body(self.routing.model, self.text(prompt), max_tokens, **more)

    def path_of(self, prompt: Prompt) -> str:
        """Where a prompt is posted."""
        return CHAT.path if prompt.chat and self.way is COMPLETIONS else self.way.path

    def tokens_of(self, answer: object) -> tuple[int | None, int | None, int | None]:
        """Tokens of prompt, answer and cached prompt, by whatever path the answer came."""
        return counted(answer)

    def text(self, prompt: Prompt) -> str:
        """The prompt as it is: a real model reads all of it."""
        return prompt.text

    def messages(self, prompt: Prompt) -> list[dict[str, Any]]:
        """The messages as they are, with their calls of tools."""
        return [dict(one) for one in prompt.chat]

    def warm(self, chosen: Mapping[str, Replica], prompts: Mapping[str, Prompt]) -> None:
        """Ask replicas directly, then give their KV-cache events the time that they were found to take."""
        super().warm(chosen, prompts)
        time.sleep(self.lag)  # no event tells that somebody else's picker has heard of it

    def post(
        self, url: str, body: Mapping[str, Any], *, timeout: float, headers: Mapping[str, str], stream: bool = False
    ) -> requests.Response:
        """As `Deployment.post`, with the headers that every request carries."""
        return super().post(url, body, timeout=timeout, headers={**self.headers, **headers}, stream=stream)

    def present(self, certificate: str) -> None:
        """Show a client's certificate from now on: a PEM file, "" for none."""
        self._session.cert = certificate or None

    def learn_lag(self) -> None:
        """Find the shortest of `LAGS` after which a whole round of fresh probes goes where each was warmed.

        A picker that knows nothing is found at none, which is for the judges to say: then the longest is kept.
        """
        for lag in LAGS:
            self.lag = lag
            if self._round_is_right(f"lag{lag:g}"):
                break
        self.lab.note(notes.EVENT_LAG, self.lag)

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
            self._ask(f"probe/{name}", i, prompt).served_by == replica.name
            for i, (prompt, replica) in enumerate(probes)
        )

    def _ask(self, wave: str, index: int, prompt: Prompt) -> RequestRow:
        url = self.routing.url + self.way.path
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
    ) -> RequestRow:
        before, untold = ({}, "") if self.named else self._finished()
        row = super()._one(wave, url, timeout, index, label, body, headers)
        if row.status == 200 and row.served_by:
            self.named = True
        elif row.status == 200 and not self.named:
            if not untold:
                row.served_by, untold = self._counted(before)
            if untold:
                row.untold = f"no answer names its model server ({POD}), nor do their metrics tell: {untold}"
        return row

    def _finished(self) -> tuple[dict[str, float], str]:
        """Requests that each model server has finished, and why that is not known, "" if it is.

        Raises:
            ClusterError: a model server does not answer, or has no metrics.
        """
        try:
            return {
                name: _finished_of(samples, self.routing.model, f"model server {name}")
                for name, samples in self._samples().items()
            }, ""
        except LookupError as error:
            return {}, str(error)

    def _counted(self, before: Mapping[str, float]) -> tuple[str | None, str]:
        """The one model server whose count of finished requests has grown by one; else None and why."""

        def grown() -> dict[str, float]:
            now, _ = self._finished()
            return {name: count - before[name] for name, count in now.items() if count != before[name]}

        try:
            found = wait(grown, bool, what="a model server to count the request", timeout=2, delay=0.05)
        except WaitTimeout:
            return None, "none has counted the request as finished"
        if list(found.values()) == [1.0]:
            return self._servers()[next(iter(found))].name, ""
        moved = ", ".join(f"{name} by {by:g}" for name, by in found.items())
        return (
            None,
            f"counters of finished requests moved at {moved}: somebody else asks as well, or a server restarted",
        )

    def _servers(self) -> dict[str, Replica]:
        """The model servers by a name of their own: a Pod with several ports holds several, each with its counters."""
        names = Counter(one.name for one in self.replicas)
        return {one.name if names[one.name] == 1 else f"{one.name}:{one.port}": one for one in self.replicas}

    def _samples(self) -> dict[str, list[Sample]]:
        servers = self._servers()
        return dict(zip(servers, side_by_side(lambda one: one.metrics(), servers.values()), strict=True))

    def scrape(self, label: str) -> None:
        """Keep the metrics of every model server under `label`, with its container's start; not the picker's."""
        servers = self._servers()
        started = side_by_side(
            lambda one: one.started() if isinstance(one, ExistingReplica) else list[Sample](), servers.values()
        )
        told = zip(self._samples().items(), started, strict=True)
        self.lab.samples += [
            {"source": name, "label": label, **row} for (name, rows), more in told for row in [*rows, *more]
        ]


def _finished_of(samples: list[Sample], model: str = "", server: str = "the model server") -> float:
    """Requests that a server has finished, as `finished`. Raises LookupError if its page does not tell."""
    page = Samples({"source": server, **row} for row in samples)
    count = finished(page, model)
    if count is None:
        raise LookupError(f"{server} is of {missing(page.names, 'requests_succeeded')}")
    return count


@contextmanager
def borrowed(lab: RoutingLab, gateway: ExistingGateway, wanted: Arm) -> Generator[Deployment]:
    """The site of somebody's gateway for the length of a `with` block, one scenario at a time.

    Raises:
        NotFromOutside: the scenario asks for an arm that this gateway is not said to be.
    """
    if not gateway.place.url:
        raise NotFromOutside("the endpoint picker alone is judged; name its gateway, too (--gateway-url)")
    if wanted.profile != gateway.arm.profile:
        raise NotFromOutside(
            f"arm {wanted.profile} is asked for, the gateway is said to be {gateway.arm.profile} (--gateway-profile)"
        )
    if wanted.gateway is None or wanted.change_picker or wanted.change_gateway or wanted.prefillers:
        raise NotFromOutside("the scenario changes picker or gateway, or goes past the gateway")
    with _turn:
        place = gateway.place
        site = OutsideSite(
            lab, gateway, verify_tls=gateway.verify_tls, headers=gateway.headers, way=place.way,
            environment=place.environment,
        )  # fmt: skip
        site.present(place.certificate)
        lab.note(facts.OUTSIDE, facts.Outside(gateway.manifest, [one.endpoint for one in gateway.replicas]))
        if gateway.arm.profile in profiles.PRECISE:
            site.learn_lag()
        _listen(lab, gateway, PICKERS_BEFORE)
        yield site
        _listen(lab, gateway, PICKERS_AFTER)


def _listen(lab: RoutingLab, gateway: ExistingGateway, label: str) -> None:
    """Keep the metrics of the pickers under `label`, or note why they are not to be had: no scenario depends on it."""
    try:
        pods = find_pickers(gateway.api, gateway.manifest, gateway.namespace)
        told = samples_of(gateway.api, gateway.namespace, pods)
    except Unseen as why:
        lab.note(notes.PICKERS_UNSEEN, str(why))
        return
    lab.samples += [{"source": name, "label": label, **row} for name, rows in told.items() for row in rows]
