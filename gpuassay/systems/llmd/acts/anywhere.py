"""What a scenario does at an arm of ours and at somebody's gateway alike: by requests, and changing nothing."""

from __future__ import annotations

import base64
import itertools
import math
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import requests

from gpuassay.cluster.errors import ClusterError
from gpuassay.cluster.parallel import side_by_side
from gpuassay.load.headers import POD
from gpuassay.manifest import dig
from gpuassay.record.metrics import Samples
from gpuassay.systems.llmd.acts.deployment import PATIENCE, Deployment, fresh_seed
from gpuassay.systems.llmd.component.simulator import Latency, Replica
from gpuassay.systems.llmd.judge.engines import running
from gpuassay.systems.llmd.objects.prompts import Prompt, synthetic

if TYPE_CHECKING:
    from gpuassay.systems.llmd.acts.lab import RoutingLab

QUICK = Latency(inter_token=0.01, factor_under_load=1.0, max_running=64, constant_ttft=0.0)
"""Of an arm whose times do not matter: answers come at once, streams take a while."""

SESSION = "x-session-token"
"""By which llm-d's session affinity knows a client again."""

BUSY = 16
"""Requests that a model server is kept busy with."""
BUSY_TOKENS = 128
"""Tokens of each of their answers."""


def claimed(lab: RoutingLab, ours: str = "precise") -> str:
    """What somebody's gateway is said to do (`--gateway-profile`), or the profile of an arm of ours."""
    return ours if lab.gateway is None else lab.gateway.arm.profile


def names_of(site: Deployment) -> list[str]:
    """The model servers' names, each once: a Pod of several ports is one that answers."""
    return sorted({one.name for one in site.replicas})


def running_at(replica: Replica) -> float | None:
    """How many requests a model server has under way, by its own metrics; None where they do not tell."""
    return running(Samples({"source": replica.name, "label": "", **row} for row in replica.metrics()))


def running_in_all(site: Deployment) -> float | None:
    """How many requests all model servers together have under way; None where one does not tell."""
    told = side_by_side(running_at, site.replicas)
    return None if None in told else sum(one for one in told if one is not None)


@dataclass
class Leaving:
    """Streams whose client leaves.

    Attributes:
        begun: how many brought text before it left.
        tokens_per_second: of the slowest of them.
    """

    begun: int = 0
    tokens_per_second: float = math.inf


def leave(site: Deployment, streams: int, max_tokens: int, read: int, until: Callable[[], object]) -> Leaving:
    """Begin so many streams at once, read `read` events of each, call `until`, and hang up on all of them.

    How long an answer would have gone on is told by the time between the second and the last event that was read.
    """
    prompts = [synthetic(f"left{number}", 32, fresh_seed(site.lab, 78)) for number in range(streams)]
    found, guard, ready, going = Leaving(), threading.Lock(), threading.Semaphore(0), threading.Event()

    def one(prompt: Prompt) -> None:
        body = site.body(prompt, max_tokens, stream=True)
        url = site.routing.url + site.path_of(prompt)
        try:
            with site.post(url, body, timeout=PATIENCE, headers={}, stream=True) as answer:
                lines = (line for line in answer.iter_lines(chunk_size=1) if line.startswith(b"data:"))
                times = [time.monotonic() for _ in itertools.islice(lines, read)]
                if answer.status_code == 200 and len(times) == read:
                    with guard:
                        found.begun += 1
                        rate = (read - 2) / max(times[-1] - times[1], 1e-6)
                        found.tokens_per_second = min(found.tokens_per_second, rate)
                ready.release()
                going.wait(60)
        except requests.RequestException:
            ready.release()  # the judge sees how many have begun

    with ThreadPoolExecutor(streams) as pool:
        for prompt in prompts:
            pool.submit(one, prompt)
        for _ in prompts:
            ready.acquire(timeout=30)
        until()
        going.set()
    return found


def session_of(site: Deployment, prompt: Prompt) -> tuple[str | None, dict[str, str]]:
    """Ask once; who served, and what a client of a session sends next time: `x-session-token`, or cookies."""
    answer = site.post(
        site.routing.url + site.path_of(prompt), site.body(prompt), timeout=PATIENCE, headers={}
    )  # fmt: skip
    cookies = "; ".join(one.partition(";")[0] for one in answer.raw.headers.getlist("set-cookie"))
    told = {SESSION: answer.headers.get(SESSION, ""), "cookie": cookies}
    return answer.headers.get(POD), {name: value for name, value in told.items() if value}


def session_token(namespace: str, name: str) -> str:
    """The token of a session with a model server, as llm-d's session affinity reads it."""
    return base64.b64encode(f"{namespace}/{name}".encode()).decode()


def model_named(site: Deployment, prompt: Prompt, model: str) -> tuple[int, str]:
    """Ask a model by its name; status of the answer, and the model that it names ("" where it names none)."""
    body = site.body(prompt) | {"model": model}
    answer = site.post(site.routing.url + site.path_of(prompt), body, timeout=PATIENCE, headers={})
    site.through[f"POST {answer.status_code // 100}xx"] += 1
    try:
        return answer.status_code, str(dig(answer.json(), "model") or "")
    except ValueError:
        return answer.status_code, ""


@contextmanager
def held_busy(site: Deployment, replica: Replica) -> Generator[None]:
    """Keep one model server busy with `BUSY` requests at a time, asked of it directly, for a `with` block.

    What the servers report of it is waited for by `Lab.observe`. At the end the last answers are waited for.
    """
    ended = threading.Event()
    seed = fresh_seed(site.lab, 77)

    def ask(number: int) -> None:
        turn = 0
        while not ended.is_set():
            prompt = synthetic(f"busy{number}x{turn}", 32, seed)
            turn += 1
            try:
                replica.complete(prompt.text, max_tokens=BUSY_TOKENS)
            except ClusterError:
                ended.wait(0.5)  # the judge sees that it was not busy

    threads = [threading.Thread(target=ask, args=(number,), daemon=True) for number in range(BUSY)]
    for one in threads:
        one.start()
    try:
        site.lab.observe(lambda: (running_at(replica) or 0) >= BUSY // 2, "the model server is busy", timeout=10)
        yield
        site.lab.observe(lambda: (running_at(replica) or 0) >= BUSY // 2, "it still is", timeout=2)
    finally:
        ended.set()
        for one in threads:
            one.join(60)
