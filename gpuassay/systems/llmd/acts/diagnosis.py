"""Episodes of precise routing for a diagnosis: replicas are warmed, the gateway is asked, every station tells its part.

What is noted here is read by `gpuassay.systems.llmd.judge.scheduling.diagnose`.
"""

from __future__ import annotations

import itertools
import json
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

import grpc
import requests

from gpuassay import toolchain
from gpuassay.manifest import Manifest
from gpuassay.systems.llmd import notes
from gpuassay.systems.llmd.acts.deployment import PATIENCE, Deployment
from gpuassay.systems.llmd.component.extproc import ExternalProcessing
from gpuassay.systems.llmd.component.helpers import PROTO_FOLDER, PROTO_MODULE
from gpuassay.systems.llmd.objects.prompts import Prompt, synthetic
from gpuassay.waiting import WaitTimeout, wait

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


def mark(site: Deployment) -> Mark:
    """The beginning of an episode: now, before replicas are warmed."""
    return Mark(time.time_ns(), site.picker.log_offset())


def episode(site: Deployment, name: str, began: Mark, *, arm: str = "arm") -> None:
    """Note what a diagnosis looks at (`gpuassay.systems.llmd.judge.scheduling.diagnose`), at the end of an episode.

    Args:
        site: an arm that is up.
        name: of the episode; its waves are `<name>/found` and, if there were twins, `<name>/twins`.
        began: before replicas were warmed.
        arm: under which the tap's events are recorded (the `name` given to `opened`).
    """
    picker = site.picker
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
        "version": picker.version,
        "log": kept[-60:],
        "picker_alive": picker.child.alive,
        "tokens": {"picker": _tokens_of_service(site), "server": _tokens_of_server(site)},
    }
    site.lab.note_under(notes.EPISODES, name, facts)


def warm_blindly(site: Deployment, prompts: Sequence[Prompt]) -> None:
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
    for label, one in chosen.items():
        site.lab.note_under(notes.WARMED, label, one.name)


def until_tokens(site: Deployment, timeout: float = 15) -> float:
    """Wait until the picker gets tokens from its service again; seconds that it took.

    Raises:
        gpuassay.waiting.WaitTimeout: it goes on dropping prompts.
    """
    picker = site.picker
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


def _tokens_of_service(site: Deployment) -> list[int] | None:
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


def _tokens_of_server(site: Deployment) -> list[int] | None:
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
