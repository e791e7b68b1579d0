"""Hands for scenarios about scheduling: configure the picker, write metrics, ask the picker alone.

Picks are asked by external processing, without a gateway: nothing is served, so a hundred of them cost a moment and
change no model server.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from gpuassay.load.plan import CHAT_COMPLETIONS, COMPLETIONS
from gpuassay.manifest import Manifest, dig
from gpuassay.systems.llmd.acts.deployment import PATIENCE, Deployment
from gpuassay.systems.llmd.component import profiles
from gpuassay.systems.llmd.component.extproc import Answer, ExternalProcessing
from gpuassay.systems.llmd.component.metrics import total
from gpuassay.systems.llmd.component.simulator import Replica
from gpuassay.systems.llmd.objects.prompts import Prompt
from gpuassay.systems.llmd.readings import REQUESTS
from gpuassay.systems.llmd.rows import RequestRow
from gpuassay.waiting import wait

if TYPE_CHECKING:
    from gpuassay.cluster.kinds import Kind
    from gpuassay.systems.llmd.component.profiles import Change

FAKE = ("--fake-metrics", json.dumps({"running-requests": 0, "waiting-requests": 0, "kv-cache-usage": 0}))
"""Arguments of model servers whose metrics a scenario writes (`report`)."""


def only(*scorers: str | tuple[str, float], **parameters: Any) -> Change:
    """A configuration that picks the maximum of these scorers alone.

    A configuration that does not pick by score (a mutant's) is left as it is.

    Args:
        *scorers: plugin types, of weight 1 or with their weight.
        **parameters: of the first.
    """
    weighted = [(one, 1.0) if isinstance(one, str) else one for one in scorers]

    def change(configuration: dict[str, Any]) -> None:
        if "max-score-picker" not in {plugin["type"] for plugin in configuration["plugins"]}:
            return
        plugins: list[dict[str, Any]] = [{"type": kind} for kind, _ in weighted]
        if parameters:
            plugins[0]["parameters"] = parameters
        configuration["plugins"] = [{"type": "single-profile-handler"}, *plugins, {"type": "max-score-picker"}]
        configuration["schedulingProfiles"] = [
            {
                "name": "default",
                "plugins": [
                    *({"pluginRef": kind, "weight": weight} for kind, weight in weighted),
                    {"pluginRef": "max-score-picker"},
                ],
            }
        ]

    return change


def weigh(**weights: float) -> Change:
    """Other weights of scorers, by plugin type with underscores; scorers that are not there are passed over."""

    def change(configuration: dict[str, Any]) -> None:
        for profile in configuration["schedulingProfiles"]:
            for entry in profile["plugins"]:
                kind = entry["pluginRef"].replace("-", "_")
                if kind in weights:
                    entry["weight"] = weights[kind]

    return change


def reconfigure(site: Deployment, change: Change) -> None:
    """Restart the picker with a changed configuration; what a mutant changes is changed again.

    Metrics of all endpoints are read anew before this returns.
    """
    picker = site.picker
    configuration = copy.deepcopy(picker.configuration)
    assert configuration is not None
    change(configuration)
    if site.routing.arm.change_picker is not None:
        site.routing.arm.change_picker(configuration)
    picker.configuration = configuration
    read_again(site)


def place(site: Deployment, kind: Kind, name: str, spec: Manifest) -> None:
    """Make an object of the inference extension that belongs to the arm's pool (or what a mutant makes of it)."""
    lab = site.lab
    wanted: Manifest = {
        "apiVersion": kind.version,
        "kind": kind.name,
        "metadata": {"name": name, "namespace": site.routing.namespace, "labels": lab.marks},
        "spec": {"poolRef": {"group": "inference.networking.k8s.io", "name": site.routing.pool}, **spec},
    }
    lab.asked.append(wanted)
    lab.api.apply(lab.mutant.change(wanted) if lab.mutant is not None else wanted)


def report(replica: Replica, **metrics: Any) -> None:
    """Let a model server report these metrics, whatever it does; names as of `--fake-metrics`, with underscores."""
    replica.admin({"fake-metrics": {name.replace("_", "-"): value for name, value in metrics.items()}})


def read_again(site: Deployment) -> None:
    """Restart the picker, so that it has read every endpoint's metrics as they are now, and remembers nothing."""
    picker = site.picker
    picker.restart()
    picker.await_ready_pods(len(site.routing.endpoints.members()))


# --- picks -----------------------------------------------------------------------------------------------------------


def pick(
    site: Deployment,
    wave: str,
    prompts: Sequence[Prompt],
    *,
    at_once: int = 1,
    among: Sequence[Replica] | None = None,
    headers: Mapping[str, str] | None = None,
    chat: bool = False,
    **more: Any,
) -> list[RequestRow]:
    """Ask the picker alone where each prompt goes; rows go to the recording.

    A row's `served_by` is the replica that was picked, its `status` 200 or that of the picker's refusal, its `model`
    what the body that is handed on asks for.

    Args:
        site: an arm that is up.
        wave: name under which judges find the rows.
        prompts: what is asked, in order.
        at_once: requests at a time.
        among: the endpoints that a gateway would allow; all by default.
        headers: sent with each.
        chat: ask for chat completions of the prompts' messages.
        **more: further fields of each body.
    """
    picker = site.picker
    if site.lab.mutant is not None:
        site.lab.mutant.disturb(site.routing)
    subset = [replica.endpoint for replica in among] if among is not None else None
    first = len(site.lab.rows(REQUESTS))
    with ExternalProcessing(picker.target) as asked, ThreadPoolExecutor(at_once) as pool:

        def one(number: int, prompt: Prompt) -> RequestRow:
            began = time.monotonic_ns()
            body = json.dumps((chat_request(site, prompt) if chat else site.body(prompt)) | more).encode()
            path = CHAT_COMPLETIONS if chat else COMPLETIONS
            answer = asked.ask(body, subset=subset, headers=headers, path=path, timeout=PATIENCE)
            row = RequestRow(wave=wave, index=number, label=prompt.label, start_ns=began)
            row.last_ns = row.end_ns = time.monotonic_ns()
            return _picked(site, answer, row)

        rows = list(pool.map(one, range(first, first + len(prompts)), prompts))
    site.lab.rows(REQUESTS).extend(rows)
    site.picked += len(rows)
    return rows


def chat_request(site: Deployment, prompt: Prompt) -> Manifest:
    """A chat-completion request for the messages of a prompt."""
    messages = [{"role": role, "content": content} for role, content in prompt.messages]
    return {"model": site.routing.model, "messages": messages, "max_tokens": 1}


def _picked(site: Deployment, answer: Answer, row: RequestRow) -> RequestRow:
    """The row with what the picker answered."""
    if answer.destination is None:
        said = answer.immediate_body.decode(errors="replace") or answer.detail
        row.status, row.detail = answer.immediate, said[:300]
        row.error = f"http-{row.status}" if row.status else answer.ended or "nothing picked"
        return row
    names = {replica.endpoint: replica.name for replica in site.replicas}
    row.status, row.served_by = 200, names.get(answer.destination, answer.destination)
    with suppress(ValueError):
        model = dig(json.loads(answer.body), "model")
        row.model = None if model is None else str(model)
    return row


@contextmanager
def events_held(site: Deployment) -> Generator[None]:
    """Hold KV-cache events back for the length of a block, without losing any: what the picker does then it guesses."""
    forwarder = site.routing.forwarder
    if forwarder is None or not forwarder.child.alive:
        yield
        return
    forwarder.child.suspend()
    try:
        yield
    finally:
        forwarder.child.resume()


def await_averages(site: Deployment, *, queue: float, cache: float, timeout: float = 10) -> None:
    """Wait until the picker has read these averages over all endpoints: waiting requests, share of KV cache in use.

    Raises:
        gpuassay.waiting.WaitTimeout: it has not; shown are the averages that it read.
    """
    picker = site.picker

    def averages() -> tuple[float, float]:
        samples = picker.metrics()
        names = ("inference_pool_average_queue_size", "inference_pool_average_kv_cache_utilization")
        first, second = (total(samples, name, **{"name": picker.pool}) for name in names)
        return first, second

    wait(
        averages,
        lambda seen: abs(seen[0] - queue) < 0.01 and abs(seen[1] - cache) < 0.001,
        what=f"the picker to read an average queue of {queue:g} and cache use of {cache:g}",
        timeout=timeout, delay=0.05,
    )  # fmt: skip


def misspelt(kind: str, parameter: str, instead: str) -> Change:
    """A configuration in which a plugin's parameter is written wrong."""

    def change(configuration: dict[str, Any]) -> None:
        parameters = profiles.plugin(configuration, kind)["parameters"]
        if parameter in parameters:
            parameters[instead] = parameters.pop(parameter)

    return change
