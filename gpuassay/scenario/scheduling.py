"""Hands for scenarios about scheduling: ask the picker alone, write metrics, and collect what a diagnosis needs.

Picks are asked by external processing, without a gateway: nothing is served, so a hundred of them cost a moment and
change no model server.
"""

from __future__ import annotations

import copy
import itertools
import json
import sys
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import grpc
import requests

from gpuassay import toolchain
from gpuassay.components.llmd import profiles
from gpuassay.components.llmd.extproc import Answer, ExternalProcessing
from gpuassay.components.llmd.helpers import PROTO_FOLDER, PROTO_MODULE
from gpuassay.components.llmd.simulator import Replica
from gpuassay.components.metrics import total
from gpuassay.load.plan import CHAT_COMPLETIONS, COMPLETIONS
from gpuassay.manifest import Manifest
from gpuassay.scenario.routing import PATIENCE, Site
from gpuassay.wait import WaitTimeout, wait
from gpuassay.workloads.prompts import Prompt, synthetic

if TYPE_CHECKING:
    from gpuassay.components.llmd.profiles import Change

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


def reconfigure(site: Site, change: Change) -> None:
    """Restart the picker with a changed configuration; what a mutant changes is changed again.

    Metrics of all endpoints are read anew before this returns.
    """
    picker = site.routing.picker
    assert picker is not None
    configuration = copy.deepcopy(picker.configuration)
    assert configuration is not None
    change(configuration)
    if site.routing.arm.change_picker is not None:
        site.routing.arm.change_picker(configuration)
    picker.configuration = configuration
    read_again(site)


def report(replica: Replica, **metrics: Any) -> None:
    """Let a model server report these metrics, whatever it does; names as of `--fake-metrics`, with underscores."""
    replica.admin({"fake-metrics": {name.replace("_", "-"): value for name, value in metrics.items()}})


def read_again(site: Site) -> None:
    """Restart the picker, so that it has read every endpoint's metrics as they are now, and remembers nothing."""
    picker = site.routing.picker
    assert picker is not None
    picker.restart()
    picker.await_ready_pods(len(site.routing.endpoints.members()))


# --- picks -----------------------------------------------------------------------------------------------------------


def pick(
    site: Site,
    wave: str,
    prompts: Sequence[Prompt],
    *,
    at_once: int = 1,
    among: Sequence[Replica] | None = None,
    headers: Mapping[str, str] | None = None,
    chat: bool = False,
    **more: Any,
) -> list[Manifest]:
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
    picker = site.routing.picker
    assert picker is not None
    if site.lab.mutant is not None:
        site.lab.mutant.disturb(site.routing)
    subset = [replica.endpoint for replica in among] if among is not None else None
    first = len(site.lab.requests)
    with ExternalProcessing(picker.target) as asked, ThreadPoolExecutor(at_once) as pool:

        def one(number: int, prompt: Prompt) -> Manifest:
            began = time.monotonic_ns()
            body = json.dumps((chat_request(site, prompt) if chat else site.body(prompt)) | more).encode()
            path = CHAT_COMPLETIONS if chat else COMPLETIONS
            answer = asked.ask(body, subset=subset, headers=headers, path=path, timeout=PATIENCE)
            row = {"wave": wave, "index": number, "label": prompt.label, "start_ns": began, "first_ns": None}
            return row | _picked(site, answer) | {"last_ns": time.monotonic_ns()}

        rows = list(pool.map(one, range(first, first + len(prompts)), prompts))
    site.lab.requests += rows
    return rows


def chat_request(site: Site, prompt: Prompt) -> Manifest:
    """A chat-completion request for the messages of a prompt."""
    messages = [{"role": role, "content": content} for role, content in prompt.messages]
    return {"model": site.routing.model, "messages": messages, "max_tokens": 1}


def _picked(site: Site, answer: Answer) -> Manifest:
    if answer.destination is None:
        said = answer.immediate_body.decode(errors="replace") or answer.detail
        status = answer.immediate
        return {"status": status, "error": f"http-{status}" if status else answer.ended or "nothing picked",
                "served_by": None, "headers": {}, "detail": said[:300]}  # fmt: skip
    names = {replica.endpoint: replica.name for replica in site.replicas}
    try:
        model = json.loads(answer.body).get("model")
    except ValueError:
        model = None
    return {"status": 200, "error": "", "served_by": names.get(answer.destination, answer.destination),
            "headers": {}, "model": model}  # fmt: skip


# --- what a diagnosis needs ------------------------------------------------------------------------------------------

TELLING = ("okeniz", "render", "subscriber", "Loaded raw configuration")
"""Parts of the picker's log lines that are kept: about tokens, events, and its configuration at each start."""


@dataclass(frozen=True)
class Mark:
    """Where an episode began.

    Attributes:
        at_ns: time (ns since the epoch).
        log: offset in the picker's log.
    """

    at_ns: int
    log: int


def mark(site: Site) -> Mark:
    """The beginning of an episode: now, before replicas are warmed."""
    assert site.routing.picker is not None
    return Mark(time.time_ns(), site.routing.picker.log_offset())


def episode(site: Site, name: str, began: Mark, *, arm: str = "arm") -> None:
    """Note what a diagnosis looks at (`gpuassay.judge.scheduling.diagnose`), at the end of an episode.

    Args:
        site: an arm that is up.
        name: of the episode; its waves are `<name>/found` and, if there were twins, `<name>/twins`.
        began: before replicas were warmed.
        arm: under which the tap's events are recorded (the `name` given to `opened`).
    """
    picker = site.routing.picker
    assert picker is not None
    lines, _ = picker.log_lines(began.log)
    kept = [
        {key: line[key] for key in ("ts", "level", "msg", "error") if key in line}
        for line in lines
        if any(part in str(line.get("msg", "")) for part in TELLING)
    ]
    facts: Manifest = {
        "arm": arm,
        "began_ns": began.at_ns,
        "ended_ns": time.time_ns(),
        "replicas": [
            {"name": one.name, "topic": f"kv@{one.endpoint}@{one.model}", "alive": one.child.alive}
            for one in site.replicas
        ],
        "configuration": picker.configuration,
        "log": kept[-60:],
        "picker_alive": picker.child.alive,
        "tokens": {"picker": _tokens_of_service(site), "server": _tokens_of_server(site)},
    }
    site.lab.note(episodes=site.lab.notes.get("episodes", {}) | {name: facts})


def warm_blindly(site: Site, prompts: Sequence[Prompt]) -> None:
    """Ask the replicas in turn, and give their events a second to pass the tap: they may be lost, that is the point."""
    forwarder = site.routing.forwarder
    before = len(forwarder.events()) if forwarder else 0
    chosen = {prompt.label: site.replicas[i % len(site.replicas)] for i, prompt in enumerate(prompts)}
    for prompt in prompts:
        chosen[prompt.label].complete(prompt.text)
    if forwarder is not None:
        wanted = before + len(prompts)
        with suppress(WaitTimeout):
            wait(lambda: len(forwarder.events()), lambda seen: seen >= wanted, what="events", timeout=1, delay=0.01)
    site.lab.note(warmed=site.lab.notes.get("warmed", {}) | {label: one.name for label, one in chosen.items()})


@contextmanager
def events_held(site: Site) -> Generator[None]:
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


def until_tokens(site: Site, timeout: float = 15) -> float:
    """Wait until the picker gets tokens from its service again; seconds that it took.

    Raises:
        gpuassay.wait.WaitTimeout: it goes on dropping prompts.
    """
    picker = site.routing.picker
    assert picker is not None
    began = time.monotonic()
    serial = itertools.count()

    def dropped() -> int:
        offset = picker.log_offset()
        with ExternalProcessing(picker.target) as asked:
            body = site.body(synthetic(f"tokens{next(serial)}", 40))
            asked.ask(json.dumps(body).encode(), timeout=PATIENCE)
        lines, _ = picker.log_lines(offset)
        return sum("okeniz" in str(line.get("msg")) or "render" in str(line.get("msg")) for line in lines)

    wait(dropped, lambda count: count == 0, what="the picker to get tokens again", timeout=timeout, delay=0.05)
    return time.monotonic() - began


_SAMPLE = synthetic("tokens", 8).text
_importing = threading.Lock()


def _tokens_of_service(site: Site) -> list[int] | None:
    """What the tokenization service makes of a sample; None where it does not answer."""
    tokenizer = site.routing.tokenizer
    if tokenizer is None:
        return None
    folder = str(toolchain.module_dir("llmd-epp", PROTO_MODULE, site.lab.cluster.assets) / PROTO_FOLDER)
    library: Any = grpc
    with _importing:
        if folder not in sys.path:
            sys.path.append(folder)  # grpc finds definitions by the module path
        messages, services = library.protos_and_services("tokenizer.proto")
    with grpc.insecure_channel(f"127.0.0.1:{tokenizer.port}", options=[("grpc.enable_http_proxy", 0)]) as channel:
        stub: Any = services.TokenizationServiceStub(channel)
        try:
            asked = messages.RenderCompletionRequest(model_name=site.routing.model, prompt=_SAMPLE)
            return list(stub.RenderCompletion(asked, timeout=1).token_ids)
        except grpc.RpcError:
            return None


def _tokens_of_server(site: Site) -> list[int] | None:
    """What a model server makes of the same sample; None where none answers."""
    for replica in site.replicas:
        try:
            answer = requests.post(
                f"{replica.url}/v1/completions/render",
                json={"model": site.routing.model, "prompt": _SAMPLE},
                timeout=PATIENCE,
            )
            found: Any = answer.json()
            if isinstance(found, list):
                found = cast("list[Any]", found)[0]
            return [int(token) for token in found["token_ids"]]
        except (requests.RequestException, ValueError, KeyError, IndexError, TypeError):
            continue
    return None


def await_averages(site: Site, *, queue: float, cache: float, timeout: float = 10) -> None:
    """Wait until the picker has read these averages over all endpoints: waiting requests, share of KV cache in use.

    Raises:
        gpuassay.wait.WaitTimeout: it has not; shown are the averages that it read.
    """
    picker = site.routing.picker
    assert picker is not None

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
