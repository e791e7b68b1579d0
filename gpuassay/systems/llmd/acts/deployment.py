"""What a routing scenario works with: an arm that is up, and asks whose answers go to the recording.

with opened(lab, Arm(profile="precise", replicas=8)) as site:
    site.warm({prompt: site.replicas[3]})
    site.ask("through the gateway", [prompt])
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Generator, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests

from gpuassay.capabilities import CONTROL_PLANE
from gpuassay.cluster.errors import ClusterError
from gpuassay.load.headers import POD
from gpuassay.load.plan import CHAT_COMPLETIONS, COMPLETIONS, KEPT_HEADERS, Ask, ClosedLoop, Plan, Shape
from gpuassay.load.rows import LoadResult
from gpuassay.load.runner import run
from gpuassay.load.session import GatewaySession
from gpuassay.manifest import dig
from gpuassay.systems.llmd import notes
from gpuassay.systems.llmd.acts import rest
from gpuassay.systems.llmd.component.deployment import Routing, routing
from gpuassay.systems.llmd.component.picker import Picker
from gpuassay.systems.llmd.component.simulator import Replica
from gpuassay.systems.llmd.component.spec import Arm
from gpuassay.systems.llmd.objects.prompts import Prompt
from gpuassay.systems.llmd.objects.tokens import readable
from gpuassay.systems.llmd.readings import KV_EVENTS, REQUESTS
from gpuassay.systems.llmd.rows import KvEvent, RequestRow, of_wave

if TYPE_CHECKING:
    from gpuassay.cluster.base import Cluster
    from gpuassay.systems.llmd.acts.lab import RoutingLab

JSON = {"content-type": "application/json"}
"""The simulator reads bodies without it; vLLM refuses them with 400."""
PATIENCE = 5.0
"""Seconds for one request: a picker that hangs makes the gateway hang, whatever its own limits say."""


@dataclass
class Deployment:
    """A running deployment; requests sent through it are added to the recording.

    Attributes:
        lab: the scenario's.
        routing: gateway, picker, model servers.
        verify_tls: whether the gateway's certificate must be valid.
        through: answers that clients got by way of the gateway, by method and class of status (`POST 2xx`;
            `none`: no whole answer).
        picked: requests that were asked of the picker itself, with no gateway in between.
        faults: what neighbours of its programs were made to do wrong.
        environment: of load generators, beside our own.
    """

    lab: RoutingLab
    routing: Routing
    verify_tls: bool = True
    through: Counter[str] = field(default_factory=Counter[str])
    picked: int = 0
    faults: set[str] = field(default_factory=set[str])
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    _asked: int = 0
    _session: requests.Session = field(default_factory=GatewaySession)

    @property
    def replicas(self) -> list[Replica]:
        """The model servers."""
        return self.routing.replicas

    @property
    def picker(self) -> Picker:
        """The endpoint picker.

        Raises:
            ClusterError: the arm has none.
        """
        if self.routing.picker is None:
            raise ClusterError(f"arm {self.routing.arm.profile} has no endpoint picker")
        return self.routing.picker

    def count(self, rows: Iterable[RequestRow]) -> None:
        """Count what came of requests by way of the gateway."""
        for row in rows:
            whole = row.status is not None and (not row.error or row.error == f"http-{row.status}")
            self.through[f"{row.method} {row.status // 100}xx" if whole and row.status else "none"] += 1

    def disturbed(self) -> set[str]:
        """What was done to the arm's programs and its pool, such as `picker: kill`."""
        up = self.routing
        children = {"picker": up.picker, "gateway": up.envoy, "tokenizer": up.tokenizer, "events": up.forwarder}
        found = {f"{name}: {act}" for name, one in children.items() if one for act in one.child.disturbances}
        found |= {f"{one.name}: {act}" for one in up.replicas for act in one.child.disturbances}
        return found | self.faults | ({"pool: changed"} if up.endpoints.changes > 1 else set())

    def body(self, prompt: Prompt, max_tokens: int = 1, **more: Any) -> dict[str, Any]:
        """A request for a prompt, a chat's for a chat; fixed length, so that only the prompt decides what it costs."""
        asked = {"messages": self.messages(prompt)} if prompt.chat else {"prompt": self.text(prompt)}
        return {"model": self.routing.model, **asked, "max_tokens": max_tokens, "ignore_eos": True, **more}

    def text(self, prompt: Prompt) -> str:
        """What is asked of a model server: the simulator is told in ASCII what it would skip."""
        return readable(prompt.text)

    def messages(self, prompt: Prompt) -> list[dict[str, Any]]:
        """What is asked of a model server by a chat; the simulator takes no message without a text."""
        return [{"role": role, "content": readable(content)} for role, content in prompt.messages]

    def path_of(self, prompt: Prompt) -> str:
        """Where a prompt is posted."""
        return CHAT_COMPLETIONS if prompt.chat else COMPLETIONS

    def tokens_of(self, answer: object) -> tuple[int | None, int | None, int | None]:
        """Tokens of prompt, answer and cached prompt that an answer tells; None for what it does not."""
        usage = dig(answer, "usage", default={})
        return (
            _count(usage, "prompt_tokens"), _count(usage, "completion_tokens"),
            _count(usage, "prompt_tokens_details", "cached_tokens"),
        )  # fmt: skip

    def warm(self, chosen: Mapping[str, Replica], prompts: Mapping[str, Prompt]) -> None:
        """Ask replicas directly, behind gateway and picker, and wait until their KV-cache events have passed the tap.

        Args:
            chosen: replica by label of the prompt; noted as `warmed` for the judges.
            prompts: by label.
        """
        forwarder = self.routing.forwarder
        before = len(forwarder.events()) if forwarder else 0
        for label, replica in chosen.items():
            replica.complete(prompts[label].text)
        if forwarder is not None:
            for replica in {one.name: one for one in chosen.values()}.values():
                count = sum(one is replica for one in chosen.values())
                forwarder.await_events(replica.topic, count, since=before)
        for label, one in chosen.items():
            self.lab.note_under(notes.WARMED, label, one.name)

    def ask(
        self,
        wave: str,
        prompts: Sequence[Prompt],
        *,
        at_once: int = 1,
        to: str | None = None,
        timeout: float = PATIENCE,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> list[RequestRow]:
        """Ask each prompt once, in order, `at_once` at a time, without streaming; rows go to the recording.

        For placement and cached tokens. Times come from `load`, whose process measures its own error.

        Args:
            wave: name under which judges find the rows.
            prompts: what is asked.
            at_once: requests at a time.
            to: base URL; the gateway by default.
            timeout: seconds for each request.
            headers: sent with each.
            **more: further fields of each body; `path` is the path posted to.
        """
        url = to or self.routing.url
        if to is None and self.lab.mutant is not None:
            self.lab.mutant.disturb(self.routing)
        path: str | None = more.pop("path", None)
        first = self._asked
        self._asked += len(prompts)

        def one(number: int, prompt: Prompt) -> RequestRow:
            body = self.body(prompt) | more
            return self._one(
                wave, url + (path or self.path_of(prompt)), timeout, number, prompt.label, body, headers or {}
            )

        with ThreadPoolExecutor(at_once) as pool:
            rows = list(pool.map(one, range(first, first + len(prompts)), prompts))
        self.lab.rows(REQUESTS).extend(rows)
        if to is None:
            self.count(rows)
        return rows

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
        row = RequestRow(wave=wave, index=index, label=label, start_ns=time.monotonic_ns())
        try:
            answer = self.post(url, body, timeout=timeout, headers=headers)
            row.status = answer.status_code
            row.headers = {name: answer.headers[name] for name in KEPT_HEADERS if name in answer.headers}
            row.served_by = answer.headers.get(POD)
            if answer.status_code != 200:
                row.error, row.detail = f"http-{answer.status_code}", answer.text[:300]
            else:
                row.prompt_tokens, row.tokens, cached = self.tokens_of(answer.json())
                row.cached_tokens = cached or 0
        except requests.Timeout:
            row.error = "timeout"
        except (requests.RequestException, ValueError) as error:
            row.error, row.detail = "connection", str(error)[:300]
        row.last_ns = row.end_ns = time.monotonic_ns()
        return row

    def post(
        self, url: str, body: Mapping[str, Any], *, timeout: float, headers: Mapping[str, str], stream: bool = False
    ) -> requests.Response:
        """One request that leaves no row; with `stream` its answer is read by the caller, who closes it.

        Raises:
            requests.RequestException: there is no answer.
        """
        return self._session.post(
            url, data=json.dumps(body), timeout=timeout, headers={**JSON, **headers}, verify=self.verify_tls,
            allow_redirects=False, stream=stream,
        )  # fmt: skip

    def load(
        self,
        wave: str,
        prompts: Mapping[str, Prompt],
        order: Sequence[str],
        shape: Shape | None = None,
        *,
        max_tokens: int = 16,
        warm_up: int = 0,
        timeout: float = 30.0,
        to: str | None = None,
    ) -> list[RequestRow]:
        """Stream answers to prompts from a process of its own that measures time; rows go to the recording.

        Args:
            wave: name under which judges find the rows.
            prompts: by label.
            order: labels in the order in which they are asked.
            shape: when they are asked; one after the other by default.
            max_tokens: length of every answer whose prompt does not tell one.
            warm_up: so many of the first asks do not count.
            timeout: seconds for each request.
            to: base URL; the gateway by default.

        On a cluster, where the arm is reached by the API server only, the process is a pod beside it.

        Raises:
            LoadError: the load could not be put.
        """
        if to is None and self.lab.mutant is not None:
            self.lab.mutant.disturb(self.routing)
        stream = {"stream": True, "stream_options": {"include_usage": True}}
        plan = Plan(
            url=self.routing.inside(to or self.routing.url),
            model=self.routing.model,
            bodies={
                label: self.body(prompts[label], prompts[label].max_tokens or max_tokens, **stream)
                for label in dict.fromkeys(order)
            },
            asks=tuple(Ask(label=label, path=self.path_of(prompts[label])) for label in order),
            shape=shape or ClosedLoop(concurrency=1),
            warm_up=warm_up,
            timeout=timeout,
            preflight=False,
            verify_tls=self.verify_tls,
        )
        result = self._carried_out(wave, plan)
        rows = [of_wave(row, wave) for row in result.rows]
        self.lab.rows(REQUESTS).extend(rows)
        if to is None:
            self.count(rows)
        self.lab.note_under(notes.CPU_BUSY, wave, result.tail.busy_share)
        return rows

    def _carried_out(self, wave: str, plan: Plan) -> LoadResult:
        if self.routing.at_hand:
            name = wave.replace("/", "-").replace(" ", "-")
            return run(plan, self.routing.folder / "load", name=name, environ=self.environment)
        from gpuassay.systems.llmd.pods.load import from_pods

        found = from_pods(self.lab.api, self.routing.namespace, plan, self.lab.run_id)
        controls = [one.control for one in found.notes if one.control is not None]
        if controls:
            self.lab.note_under(notes.POD_CONTROLS, wave, max(controls, key=lambda one: one.error_p99))
        return found.result

    def scrape(self, label: str) -> None:
        """Keep the metrics of every model server and of the picker under `label`; sources are their names."""
        samples = {replica.name: replica.metrics() for replica in self.replicas if replica.child.alive}
        if self.routing.picker is not None and self.routing.picker.child.alive:
            samples["picker"] = self.routing.picker.metrics()
        self.lab.samples += [
            {"source": source, "label": label, **row} for source, rows in samples.items() for row in rows
        ]


def _count(usage: Any, *path: str) -> int | None:
    """A number of tokens in an answer's usage; None where a server tells something else, or nothing."""
    found = dig(usage, *path)
    return found if isinstance(found, int) else None


def fresh_seed(lab: RoutingLab, number: int = 0) -> int:
    """A seed for prompts that no cache holds yet.

    `number` itself on arms of our own, which begin empty; another one in every run at somebody's gateway.
    """
    return number if lab.gateway is None else number + int.from_bytes(hashlib.sha256(lab.token.encode()).digest()[:6])


def standing(cluster: Cluster, folder: Path, namespace: str, arm: Arm) -> AbstractContextManager[Routing]:
    """The arm as processes where the API server is ours, else as pods; errors as of `routing`, `routing_in_pods`."""
    if cluster.has(CONTROL_PLANE):
        return routing(cluster, folder, namespace, arm)
    from gpuassay.systems.llmd.pods.deployment import routing_in_pods

    return routing_in_pods(cluster, folder, namespace, arm)


@contextmanager
def opened(lab: RoutingLab, arm: Arm | None = None, *, name: str = "arm") -> Generator[Deployment]:
    """Bring an arm up for the length of a `with` block; its KV-cache events go to the recording.

    Args:
        lab: the scenario's lab; a mutant of the run changes the arm.
        arm: what is asked for; eight replicas with precise prefix routing by default.
        name: folder of its logs, for scenarios that open several, and suffix of its namespace.

    Raises:
        NotFromOutside: routing is judged at somebody's gateway, which is no such arm.
    """
    if lab.gateway is not None:
        from gpuassay.systems.llmd.existing.deployment import borrowed

        with borrowed(lab, lab.gateway, arm or Arm()) as site:
            yield site
        return
    wanted = arm or Arm()
    built = lab.mutant.change_arm(wanted) if lab.mutant is not None else wanted
    if lab.mutant is not None and built != wanted:
        built = replace(built, probe=False)  # what is broken on purpose never gets ready
    folder = lab.cluster.directory / "arms" / lab.token / name
    namespace = lab.namespace if name == "arm" else f"{lab.namespace}-{name}"
    marked = replace(built, labels={**built.labels, **lab.marks})
    with standing(lab.cluster, folder, namespace, marked) as up:
        site = Deployment(lab, up)
        try:
            with rest.refereed(site, name):
                yield site
        finally:
            if up.forwarder is not None:
                lab.rows(KV_EVENTS).extend([KvEvent(arm=name, **event) for event in up.forwarder.events()])
            lab.note_under(notes.START_SECONDS, name, up.steps)
