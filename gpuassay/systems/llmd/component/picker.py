"""An endpoint picker (EPP) as a process: started, asked for health and metrics, killed, suspended, configured anew."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gpuassay import toolchain
from gpuassay.cluster.base import Cluster
from gpuassay.cluster.errors import ClusterError
from gpuassay.cluster.ports import free_ports
from gpuassay.cluster.program import Child, OneProcess, http
from gpuassay.systems.llmd.component.metrics import Sample, scrape, total
from gpuassay.waiting import wait

HEALTH_SERVICE = "inference-extension"
"""Service name that upstream's charts ask the health service for."""

_ASK_SECONDS = 1.0


@dataclass(frozen=True)
class Implementation:
    """One endpoint picker that can be had.

    Attributes:
        name: what tests ask for.
        component: of the toolchain.
        program: of that component.
        configurable: whether it reads an EndpointPickerConfig.
        what: one line for people.
        flags: arguments beyond ports and pool.
        body_mode: external-processing mode of bodies in which it answers at all.
    """

    name: str
    component: str
    program: str
    configurable: bool
    what: str
    flags: tuple[str, ...] = ()
    body_mode: str = "FULL_DUPLEX_STREAMED"


# Short intervals, because readiness is read from these metrics: by default gauges move every five seconds.
_COMMON = (
    "--secure-serving=false", "--metrics-endpoint-auth=false", "--tracing=false", "--enable-pprof=false",
    "--refresh-metrics-interval=200ms", "--refresh-prometheus-metrics-interval=100ms", "--zap-encoder=json",
)  # fmt: skip

IMPLEMENTATIONS = {
    one.name: one
    for one in (
        Implementation("llm-d", "llmd-epp", "epp", True, "llm-d's endpoint picker", _COMMON),
        Implementation("gaie", "gaie-epp", "epp", True, "endpoint picker of the inference extension", _COMMON),
        Implementation(
            "gaie-1.4.0", "gaie-epp@1.4.0", "epp", True, "the same, of the release before, for upgrades", _COMMON
        ),
        Implementation(
            "light", "lwepp", "lwepp", False, "light endpoint picker: round robin, requests without a body only",
            ("--secure-serving=false", "--health-checking"), "NONE",
        ),
    )
}  # fmt: skip
"""Every endpoint picker by name."""


def implementation(name: str) -> Implementation:
    """The endpoint picker called `name`.

    Raises:
        ClusterError: there is none.
    """
    if name not in IMPLEMENTATIONS:
        raise ClusterError(f"no endpoint picker is called {name!r}; there are {', '.join(IMPLEMENTATIONS)}")
    return IMPLEMENTATIONS[name]


def arguments(
    chosen: Implementation, pool: str, namespace: str, ports: tuple[int, int, int], file: Path, verbosity: int
) -> list[str]:
    """Arguments of a picker, wherever it runs; `ports`: of gRPC, health and metrics, `file`: its configuration."""
    grpc_port, health, metrics = map(str, ports)
    found = [
        "--pool-name", pool, "--pool-namespace", namespace, "--grpc-port", grpc_port, "--grpc-health-port", health,
        "--metrics-port", metrics, *chosen.flags,
    ]  # fmt: skip
    return [*found, "--config-file", str(file), "-v", str(verbosity)] if chosen.configurable else found


class Picker(OneProcess):
    """One endpoint picker.

    Attributes:
        implementation: which one.
        version: such as `v0.7.1`.
        pool: name of the InferencePool that it picks from.
        configuration: what it reads at its next start; None for one that reads nothing.
        port: gRPC port of the external processor.
        child: the process.
    """

    def __init__(
        self,
        cluster: Cluster,
        chosen: Implementation,
        program: Path,
        version: str,
        folder: Path,
        *,
        pool: str,
        namespace: str,
        configuration: dict[str, Any] | None,
        ports: tuple[int, int, int],
        verbosity: int = 1,
        extra: tuple[str, ...] = (),
        env: Mapping[str, str] | None = None,
        name: str = "endpoint-picker",
    ) -> None:
        """Used by `gpuassay.systems.llmd.component.spec`; `ports` are those of gRPC, health and metrics."""
        self._sibling = partial(
            Picker, cluster, chosen, program, version, folder,
            pool=pool, namespace=namespace, verbosity=verbosity, extra=extra, env=env,
        )  # fmt: skip
        self._cluster, self._namespace, self._folder = cluster, namespace, folder
        self.implementation, self.version, self.pool = chosen, version, pool
        self.configuration = configuration
        self.port, self._health_port, self._metrics_port = ports
        self.configuration_file = folder / f"{name}.yaml"
        self._http = http()
        options = arguments(chosen, pool, namespace, ports, self.configuration_file, verbosity)
        command: list[str | Path] = [program, *options]
        environment = {"KUBECONFIG": str(cluster.kubeconfig), "NAMESPACE": namespace} | dict(env or {})
        log = folder / "logs" / f"{name}.log"
        self.child = Child(cluster, f"{namespace}-{name}", log, [*command, *extra], environment)

    def sibling(self, name: str, **other: Any) -> Picker:
        """Another picker of the same pool with the same configuration and ports of its own, not started; stop it too.

        Its configuration must not bind a port: KV-cache events reach one picker only. `other`: arguments of `Picker`
        that differ, such as `env` or `extra`.
        """
        health, metrics, grpc_port = free_ports(3)
        settled: dict[str, Any] = {
            "configuration": self.configuration,
            "ports": (grpc_port, health, metrics),
            "name": name,
        }
        return self._sibling(**settled | other)

    def sibling_as(self, account: str) -> Picker:
        """Another picker of the same pool, not started, that is a ServiceAccount of the pool's namespace.

        Raises:
            ApiRefused: the API server gives no token.
        """
        from gpuassay.systems.llmd.component.rbac import kubeconfig  # which knows pickers

        identity = kubeconfig(self._cluster, account, self._namespace, self._folder)
        return self.sibling(account, env={"KUBECONFIG": str(identity)})

    def become(self, other: str) -> None:
        """From its next start on it is another implementation, with the same flags and configuration: an upgrade.

        Raises:
            gpuassay.toolchain.ToolchainError: its program is not there.
            ClusterError: there is no such implementation.
        """
        chosen = implementation(other)
        programs = toolchain.programs(chosen.component, self._cluster.assets)
        self.implementation, self.version = chosen, programs.version
        self.child.command[0] = programs.path(chosen.program)

    @property
    def target(self) -> str:
        """`host:port` of the external processor."""
        return f"127.0.0.1:{self.port}"

    @property
    def asked_at(self) -> str:
        """`host:port` of the external processor, as gateways know it."""
        return self.target

    def start(self) -> None:
        """Start it and wait until it says SERVING, which does not mean that it knows any endpoint.

        Raises:
            PortLostError: a port was taken.
            ClusterError: it refuses its configuration; its own last message is shown.
            gpuassay.waiting.WaitTimeout: it is not serving in time.
        """
        self.launch()
        self.await_serving()

    def launch(self) -> None:
        """Write the configuration and start it, without waiting."""
        if self.configuration is not None:
            self.configuration_file.write_text(json.dumps(self.configuration, indent=1))  # JSON is YAML
        self.child.launch()

    def await_serving(self, timeout: float = 30) -> None:
        """Wait until its health service says SERVING.

        Raises:
            ClusterError: it ended; its own last message is shown.
            gpuassay.waiting.WaitTimeout: it is not serving in time.
        """
        with grpc.insecure_channel(f"127.0.0.1:{self._health_port}", options=_QUICK) as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            self.child.await_ready(
                lambda: _status(stub, HEALTH_SERVICE) == "SERVING", what="the endpoint picker to serve", timeout=timeout
            )

    def health(self, service: str = HEALTH_SERVICE, timeout: float = _ASK_SECONDS) -> str:
        """What its health service says: SERVING, NOT_SERVING, ..., or the gRPC code of a failed call."""
        with grpc.insecure_channel(f"127.0.0.1:{self._health_port}", options=_QUICK) as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            return _status(stub, service, timeout)

    def metrics(self) -> list[Sample]:
        """All its metrics now.

        Raises:
            ClusterError: it does not answer.
        """
        return scrape("the endpoint picker", f"http://127.0.0.1:{self._metrics_port}/metrics", self._http)

    def ready_pods(self) -> int | None:
        """How many endpoints it counts as ready (fresh metrics), or None while it does not tell."""
        try:
            samples = self.metrics()
        except ClusterError:
            return None
        if not any(sample["name"] == "inference_pool_ready_pods" for sample in samples):
            return None
        return round(total(samples, "inference_pool_ready_pods", name=self.pool))

    def await_ready_pods(self, count: int, timeout: float = 30) -> None:
        """Wait until it counts `count` endpoints as ready.

        Raises:
            ClusterError: it ended.
            gpuassay.waiting.WaitTimeout: it counts another number; the last one is shown.
        """

        def error(_: int | None) -> str | None:
            return None if self.child.alive else f"it ended: {self.child.complaint()}"

        wait(
            self.ready_pods, lambda seen: seen == count, what=f"the endpoint picker to know {count} ready endpoints",
            timeout=timeout, error=error, delay=0.03,
        )  # fmt: skip

    def restart(self, configuration: dict[str, Any] | None = None) -> None:
        """Kill and start again, with another configuration if one is given; its memory of prefixes is lost."""
        self.child.kill()
        if configuration is not None:
            self.configuration = configuration
        self.start()

    def log_offset(self) -> int:
        """Where its log ends now."""
        return self.child.log_offset()

    def log_lines(self, since: int = 0) -> tuple[list[dict[str, Any]], int]:
        """Complete log lines from byte `since` on, and the offset to go on from."""
        return self.child.log_lines(since)


# gRPC's own back-off between connection attempts starts at a second, far more than a start takes
_QUICK = [
    ("grpc.initial_reconnect_backoff_ms", 20), ("grpc.min_reconnect_backoff_ms", 20),
    ("grpc.max_reconnect_backoff_ms", 50), ("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0),
]  # fmt: skip


def _status(stub: Any, service: str, timeout: float = _ASK_SECONDS) -> str:
    messages: Any = health_pb2
    try:
        answer: Any = stub.Check(messages.HealthCheckRequest(service=service), timeout=timeout)
    except grpc.RpcError as error:
        call: Any = error
        return str(call.code().name)
    return str(messages.HealthCheckResponse.ServingStatus.Name(answer.status))
