"""A model server: llm-d's simulator as a process, the real KV-cache bookkeeping with simulated time and tokens.

It listens on all addresses and has no flag for one, so every replica of every arm needs a port of its own; its Pod's
loopback address then only tells replicas apart.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from gpuassay.cluster.base import Cluster
from gpuassay.cluster.errors import ClusterError
from gpuassay.cluster.program import ANSWER_SECONDS, Child, OneProcess, http
from gpuassay.load.headers import POD
from gpuassay.systems.llmd.component.metrics import Sample, scrape

ROLE = "llm-d.ai/role"
"""Pod label by which llm-d's endpoint picker tells prefill from decode servers."""


@dataclass(frozen=True)
class Cache:
    """The KV cache of one replica.

    Attributes:
        blocks: capacity in blocks; 0: no prefix cache at all.
        block_size: tokens per block (8, 16, 32, 64 or 128).
    """

    blocks: int = 896
    block_size: int = 16


@dataclass(frozen=True)
class Sidecar:
    """What stands before a decode server when prefill and decode are apart.

    Attributes:
        program: llm-d's P/D sidecar.
        port: on which the decode server itself listens; the Pod's port is the sidecar's.
    """

    program: Path
    port: int


@dataclass(frozen=True)
class Latency:
    """Simulated time. Times are seconds.

    TTFT = (`prefill_overhead` + uncached prompt tokens x `prefill_per_token`) x load, where load grows linearly from 1
    (one running request) to `factor_under_load` (`max_running` of them), as the simulator's documentation has it.
    With `constant_ttft` set, TTFT is that constant instead.

    Attributes:
        prefill_overhead: of every request.
        prefill_per_token: of every prompt token that is not cached.
        inter_token: between two output tokens (ITL).
        factor_under_load: how much slower a full replica is; at least 1.
        max_running: requests that run at the same time; more wait.
        constant_ttft: TTFT of every request, or None.
    """

    prefill_overhead: float = 0.060
    prefill_per_token: float = 0.000920
    inter_token: float = 0.010
    factor_under_load: float = 2.0
    max_running: int = 32
    constant_ttft: float | None = None

    def flags(self) -> list[str]:
        """Arguments of the simulator."""
        common = [
            "--inter-token-latency", duration(self.inter_token),
            "--time-factor-under-load", str(self.factor_under_load),
            "--max-num-seqs", str(self.max_running),
        ]  # fmt: skip
        if self.constant_ttft is not None:
            return ["--latency-calculator", "constant", "--time-to-first-token", duration(self.constant_ttft), *common]
        return [
            "--latency-calculator", "per-token",
            "--prefill-overhead", duration(self.prefill_overhead),
            "--prefill-time-per-token", duration(self.prefill_per_token),
            *common,
        ]  # fmt: skip


NO_LATENCY = Latency(constant_ttft=0.0, inter_token=0.0, factor_under_load=1.0, max_running=256)
"""Nothing is simulated: what is measured then is the path alone."""


def duration(seconds: float) -> str:
    """Seconds as a Go duration in whole microseconds."""
    return f"{round(seconds * 1e6)}us"


class Replica(OneProcess):
    """One model server and the address under which its Pod is known.

    Attributes:
        name: of the Pod; every answer carries it in the header `x-inference-pod`.
        address: the Pod's address.
        port: the Pod's port; a simulator has it on every other address of the machine, too.
        model: name of the served model.
        child: the process.
        labels: further labels of its Pod.
        sidecar: the process before it, None without prefill and decode apart.
    """

    def __init__(
        self,
        name: str,
        address: str,
        port: int,
        model: str,
        child: Child,
        *,
        role: str | None = None,
        sidecar: Child | None = None,
        served: int | None = None,
    ) -> None:
        """Nothing is started yet; `served`: the server's own port where its Pod's is the sidecar's."""
        self.name, self.address, self.port, self.model = name, address, port, model
        self.child, self.sidecar = child, sidecar
        self.labels = {ROLE: role} if role else {}
        self._http = http()
        self._served = served or port

    @property
    def endpoint(self) -> str:
        """`address:port`, as the endpoint picker names it."""
        return f"{self.address}:{self.port}"

    @property
    def url(self) -> str:
        """Base URL of its OpenAI-like API, past every gateway and sidecar."""
        return f"http://{self.address}:{self._served}"

    @property
    def topic(self) -> str:
        """Topic of its KV-cache events."""
        return f"kv@{self.child.env['POD_IP']}@{self.model}"

    @property
    def stand_in_address(self) -> tuple[str, int]:
        """Where a server of this machine listens that answers in its place."""
        return self.address, self.port

    def answered_by(self, port: int) -> AbstractContextManager[None]:
        """Have what listens at its `stand_in_address` answer in its place, for the length of a `with` block."""
        del port  # it has the address itself
        return nullcontext()

    def healthy(self) -> bool:
        """Whether GET /health answers 200."""
        return self._healthy(self.url)

    def _healthy(self, url: str) -> bool:
        try:
            return self._http.get(f"{url}/health", timeout=1).status_code == 200
        except requests.RequestException:
            return False

    def launch(self) -> None:
        """Start it, and its sidecar, without waiting."""
        self.child.launch()
        if self.sidecar is not None:
            self.sidecar.launch()

    def await_ready(self) -> None:
        """Wait until it serves.

        Raises:
            ClusterError: it ended; its own last message is shown.
        """
        self.child.await_ready(self.healthy, what=f"model server {self.name} to be healthy")
        if self.sidecar is not None:
            at = f"http://{self.endpoint}"
            self.sidecar.await_ready(lambda: self._healthy(at), what=f"the sidecar of {self.name} to be healthy")

    def metrics(self) -> list[Sample]:
        """All its metrics now.

        Raises:
            ClusterError: it does not answer.
        """
        return scrape(f"model server {self.name}", f"{self.url}/metrics", self._http)

    def complete(self, prompt: str, *, max_tokens: int = 1, timeout: float = ANSWER_SECONDS) -> dict[str, Any]:
        """One completion asked of this replica directly: how a test warms its cache behind the picker's back.

        Raises:
            ClusterError: no answer, or another one than 200.
        """
        return completion(self._http, self.url, self.model, prompt, max_tokens, timeout)[0]

    def admin(self, changes: dict[str, Any]) -> None:
        """Change settings of the running simulator, such as `{"fake-metrics": {"waiting-requests": 30}}`.

        Raises:
            ClusterError: it refuses them.
        """
        answer = self._http.post(f"{self.url}/admin/config", json=changes, timeout=ANSWER_SECONDS)
        if answer.status_code != 200:
            raise ClusterError(f"{self.name} refuses {changes}: {answer.status_code} {answer.text.strip()}")

    def restart(self) -> None:
        """Kill and start again, with an empty cache; waits until it serves."""
        self.child.kill()
        self.child.launch()
        self.await_ready()

    def stop(self, grace: float) -> None:
        """End it and its sidecar, by SIGKILL after `grace` seconds."""
        if self.sidecar is not None:
            self.sidecar.stop(grace)
        self.child.stop(grace)


def arguments(
    model: str,
    port: int,
    cache: Cache,
    latency: Latency,
    *,
    events: str | None,
    number: int,
    extra: tuple[str, ...] = (),
) -> list[str]:
    """Arguments of a simulator, wherever it runs; `events`: who takes KV-cache events, `number` seeds its output."""
    keep = (
        ["--enable-kvcache", "--kv-cache-size", str(cache.blocks), "--block-size", str(cache.block_size),
         "--hash-seed", "42"]
        if cache.blocks else []
    )  # fmt: skip
    if events is not None:
        # one message per request: a batch would hold events back for up to a second
        keep += ["--event-batch-size", "1", "--zmq-endpoint", events]
    return [
        "--model", model, "--force-dummy-tokenizer", "--port", str(port), "--mode", "random",
        "--seed", str(100 + number), "--max-model-len", "131072", "--max-request-body-size-mb", "64",
        *keep, *latency.flags(), *extra,
    ]  # fmt: skip


def simulator(
    cluster: Cluster,
    program: Path,
    log: Path,
    *,
    name: str,
    namespace: str,
    address: str,
    port: int,
    model: str,
    cache: Cache,
    latency: Latency,
    events: int | None,
    number: int,
    extra: tuple[str, ...] = (),
    env: dict[str, str] | None = None,
    role: str | None = None,
    sidecar: Sidecar | None = None,
) -> Replica:
    """A simulator, not started; `events`: the port that takes KV-cache events, `number` seeds its output."""
    served = sidecar.port if sidecar else port
    # the address with its port is used verbatim in the topic of KV-cache events, where the picker wants both
    environment = {"POD_IP": f"{address}:{port}", "POD_NAME": name, "POD_NAMESPACE": namespace} | (env or {})
    to = None if events is None else f"tcp://127.0.0.1:{events}"
    options = arguments(model, served, cache, latency, events=to, number=number, extra=extra)
    command: list[str | Path] = [program, *options]
    child = Child(cluster, f"{namespace}-{name}", log, command, environment)
    before = None
    if sidecar is not None:
        beside: list[str | Path] = [
            sidecar.program, "--port", str(port), "--vllm-port", str(sidecar.port), "--secure-proxy=false",
            "--kv-connector", "nixlv2", "--zap-encoder=json",
        ]  # fmt: skip
        before = Child(cluster, f"{namespace}-{name}-sidecar", log.with_suffix(".sidecar.log"), beside)
    return Replica(name, address, port, model, child, role=role, sidecar=before, served=served)


def completion(
    session: requests.Session, url: str, model: str, prompt: str, max_tokens: int, timeout: float
) -> tuple[dict[str, Any], str]:
    """POST /v1/completions; the answer and the name of the Pod that gave it ("" where none is told).

    Raises:
        ClusterError: no answer, or another one than 200.
    """
    body = {"model": model, "prompt": prompt, "max_tokens": max_tokens, "ignore_eos": True}
    try:
        answer = session.post(f"{url}/v1/completions", json=body, timeout=timeout)
    except requests.RequestException as error:
        raise ClusterError(f"no completion from {url}: {error}") from None
    if answer.status_code != 200:
        raise ClusterError(f"no completion from {url}: {answer.status_code} {answer.text.strip()[:300]}")
    return answer.json(), answer.headers.get(POD, "")
