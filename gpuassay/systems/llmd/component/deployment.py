"""Brings an arm up: gateway, endpoint picker and model servers, answering.

Order of the start: tokenizer, event forwarder, gateway and objects; picker and model servers; the picker knows all
endpoints; KV-cache events of every replica reach it. Each step is waited for by what the program itself says. The last
one matters most: what a model server publishes before somebody listens is lost for ever, and nothing would ever tell.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from gpuassay import toolchain
from gpuassay.cluster import base
from gpuassay.cluster.base import Cluster, Component, Emulated
from gpuassay.cluster.errors import ClusterError
from gpuassay.cluster.parallel import side_by_side
from gpuassay.cluster.ports import free_ports
from gpuassay.cluster.program import PortLostError
from gpuassay.systems.llmd.component import crds, probe, profiles
from gpuassay.systems.llmd.component import gateway_of as front
from gpuassay.systems.llmd.component import namespace as place
from gpuassay.systems.llmd.component.description import components, emulated
from gpuassay.systems.llmd.component.endpoints import Endpoints
from gpuassay.systems.llmd.component.helpers import Forwarder, Tokenizer
from gpuassay.systems.llmd.component.model_servers import model_servers, picker_configuration
from gpuassay.systems.llmd.component.picker import Picker, implementation
from gpuassay.systems.llmd.component.simulator import Replica
from gpuassay.systems.llmd.component.spec import ISTIO, Arm
from gpuassay.systems.llmd.gateway import istio_crds
from gpuassay.systems.llmd.gateway.envoy import Envoy
from gpuassay.systems.llmd.gateway.istio import IstioGateway

PORT_ATTEMPTS = 4


@dataclass
class Routing:
    """An arm that is up.

    Attributes:
        arm: what was asked for.
        namespace: of its objects.
        folder: of its files and logs.
        replicas: the model servers.
        endpoints: their Pods and the InferencePool.
        picker: None in the round-robin arm.
        envoy: None without a gateway.
        tokenizer: None where no picker asks for tokens.
        forwarder: way and tap of KV-cache events, None without.
        steps: seconds from the beginning to the end of every step of the start.
        at_hand: whether it is reached without a detour, so that times at its gateway are its own.
    """

    arm: Arm
    namespace: str
    folder: Path
    replicas: list[Replica]
    endpoints: Endpoints
    picker: Picker | None
    envoy: Envoy | None
    tokenizer: Tokenizer | None
    forwarder: Forwarder | None
    components: list[Component]
    steps: dict[str, float] = field(default_factory=dict[str, float])
    at_hand: bool = True

    @property
    def url(self) -> str:
        """Base URL of the gateway.

        Raises:
            ClusterError: the arm has none.
        """
        if self.envoy is None:
            raise ClusterError("this arm has no gateway: ask its picker by `external_processing`")
        return self.envoy.url

    def inside(self, url: str) -> str:
        """Where those beside the arm reach what is reached from here at `url`, the gateway or a model server."""
        return url

    @property
    def istio(self) -> IstioGateway:
        """The gateway as Istio's.

        Raises:
            ClusterError: it is none.
        """
        if not isinstance(self.envoy, IstioGateway):
            raise ClusterError(f"this arm's gateway is {self.arm.gateway!r}, not Istio's")
        return self.envoy

    @property
    def pool(self) -> str:
        """Name of the InferencePool."""
        return self.arm.pool

    @property
    def model(self) -> str:
        """Name of the served model."""
        return self.arm.model

    def replica(self, name: str) -> Replica:
        """The model server of a Pod, by the Pod's name."""
        return next(replica for replica in self.replicas if replica.name == name)

    def at(self, endpoint: str) -> Replica:
        """The model server at `address:port`."""
        return next(replica for replica in self.replicas if replica.endpoint == endpoint)

    def describe(self) -> dict[str, object]:
        """Programs with versions, and in words what is simulated: parts of `run.json`."""
        told = [{"name": one.name, "version": one.version, "source": one.source} for one in self.components]
        return {"components": told, "emulated": self.emulated}

    @property
    def emulated(self) -> list[Emulated]:
        """What is not real, and what a reader must conclude from that."""
        return emulated(self.arm)

    def start(self) -> None:
        """Used by `routing`."""
        began = time.monotonic()

        def done(step: str) -> None:
            self.steps[step] = round(time.monotonic() - began, 3)

        def up(step: str, work: Callable[[], None]) -> None:
            work()
            done(step)

        first: list[tuple[str, Callable[[], None]]] = []
        if self.tokenizer is not None:
            first.append(("tokenizer", partial(self.tokenizer.start, shift=self.arm.tokenizer_shift)))
        if self.forwarder is not None:
            first.append(("forwarder", self.forwarder.start))
        if self.envoy is not None:
            first.append(("gateway", partial(self.envoy.start, [replica.endpoint for replica in self.replicas])))
        port = self.picker.port if self.picker else 9002
        first.append(("objects", partial(self.endpoints.create, port, self.arm.failure_mode)))
        side_by_side(lambda item: up(*item), first)
        if self.picker is not None:
            self.picker.launch()
            if self.arm.event_path == "direct":
                self.picker.await_serving()  # it binds; publishers that come first would dial again only each second
        for replica in self.replicas:
            replica.launch()
        side_by_side(lambda replica: replica.await_ready(), self.replicas)
        done("model servers")
        if self.picker is not None:
            self.picker.await_serving()
            done("picker serving")
            if self.picker.implementation.configurable:
                self.picker.await_ready_pods(len(self.replicas))
            else:  # the light one counts nothing, but it picks in turn
                probe.await_all_picked(self.picker.target, [replica.endpoint for replica in self.replicas])
            done("endpoints known")
        self.endpoints.on_change = None if self.envoy is None else self.envoy.set_members
        if isinstance(self.envoy, IstioGateway):
            self.envoy.await_programmed()
            done("gateway programmed")
        self.endpoints.sync()
        if isinstance(self.envoy, IstioGateway):
            self.envoy.await_asking()
            done("gateway asks")
        if self.arm.precise and self.arm.probe:
            self.await_events()
            done("events flow")

    def await_events(self, timeout: float = 15) -> None:
        """Wait until KV-cache events of every replica reach the picker, by asking: warm one, then see who is picked.

        Costs each replica some cached blocks of prompts that nobody else uses.

        Raises:
            gpuassay.waiting.WaitTimeout: they do not; shown is which replicas failed in the last round.
        """
        probe.await_events(self.replicas, self._picked, self.model, self.arm.cache.block_size, timeout)

    def _picked(self, prompt: str) -> str:
        """Name of the replica to which a completion goes, by the gateway or else by the picker's word."""
        if self.envoy is not None:
            return probe.served_by(self.envoy.url, self.model, prompt)
        assert self.picker is not None
        return self.at(probe.picked_by(self.picker.target, self.model, prompt)).name

    def stop(self) -> None:
        """Stop everything, gateway first, and delete Pods and pool. Idempotent."""
        with ExitStack() as later:
            # the last one given is called first, and each is called whatever the others do
            later.callback(self.endpoints.remove)
            if isinstance(self.envoy, IstioGateway):
                later.callback(self.envoy.remove)
                later.callback(partial(self.envoy.istiod.child.stop, 2))
            helpers = [one.child for one in (self.tokenizer, self.forwarder) if one is not None]
            later.callback(lambda: side_by_side(lambda child: child.stop(2), helpers))
            later.callback(lambda: side_by_side(lambda replica: replica.stop(2), self.replicas))
            for one in (self.picker, self.envoy):
                if one is not None:
                    later.callback(partial(one.child.stop, 2))


@contextmanager
def routing(cluster: Cluster, directory: Path, namespace: str, arm: Arm | None = None) -> Generator[Routing]:
    """Bring an arm up for the length of a `with` block; afterwards no process and no object of it is left.

    Args:
        cluster: a cluster whose API server is on this machine: its Pods have loopback addresses.
        directory: folder for configuration, logs and the tap of this arm.
        namespace: one arm per namespace; it is made if it is not there, and then also deleted.
        arm: what to bring up; the precise arm with eight replicas by default.

    Raises:
        gpuassay.toolchain.ToolchainError: a program cannot be had.
        ClusterError: a program refuses to start; its own last message is shown.
        gpuassay.waiting.WaitTimeout: a step took too long.
    """
    wanted = arm or Arm()
    if not cluster.has(base.CONTROL_PLANE):
        raise ClusterError(f"model servers as processes need an API server on this machine; {cluster.description}")
    crds.install(cluster)
    if wanted.gateway == ISTIO:
        istio_crds.install(cluster)
    with place.namespace(cluster.api, namespace, wanted.labels):
        built = _started(cluster, directory.absolute(), namespace, wanted)
        cluster.tell(built.components, built.emulated)
        try:
            yield built
        finally:
            built.stop()


def _started(cluster: Cluster, folder: Path, namespace: str, arm: Arm) -> Routing:
    """An arm that is up, on other ports when one was lost to somebody."""
    for attempt in range(1, PORT_ATTEMPTS + 1):
        built = _build(cluster, folder, namespace, arm)
        try:
            built.start()
            return built
        except PortLostError as lost:
            built.stop()
            if attempt == PORT_ATTEMPTS:
                raise ClusterError(f"{lost}, {attempt} times in a row") from None
        except BaseException:
            built.stop()
            raise
    raise AssertionError("unreachable")


def _build(cluster: Cluster, folder: Path, namespace: str, arm: Arm) -> Routing:
    """All parts of an arm with ports of their own; nothing runs yet."""
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    with_picker = arm.profile != profiles.ROUND_ROBIN
    chosen = implementation(arm.picker)
    pickers = toolchain.programs(chosen.component, cluster.assets) if with_picker else None
    ports = free_ports(6 + front.PORTS + arm.replicas * (2 if arm.prefillers else 1))
    grpc_port, health, metrics, publish, bound, tokens = ports[:6]
    at_gateway, own = ports[6 : 6 + front.PORTS], ports[6 + front.PORTS :]
    path = arm.event_path
    events = {"forwarder": publish, "direct": bound}.get(path)
    replicas, servers = model_servers(cluster, folder, namespace, arm, own, events)
    tokenizer = Tokenizer(cluster, folder, namespace, tokens, arm.engine) if arm.precise and with_picker else None
    forwarder = Forwarder(cluster, folder, namespace, publish, bound) if path == "forwarder" else None
    picker = None
    if pickers is not None:
        places = {"MODEL": arm.model, "EVENTS": f"tcp://127.0.0.1:{bound}", "TOKENIZER": f"127.0.0.1:{tokens}"}
        picker = Picker(
            cluster, chosen, pickers.path(chosen.program), pickers.version, folder, pool=arm.pool,
            namespace=namespace, ports=(grpc_port, health, metrics), verbosity=arm.verbosity,
            configuration=picker_configuration(arm, places, pickers.version) if chosen.configurable else None,
            extra=arm.picker_flags, env=arm.picker_env,
        )  # fmt: skip
    envoy = front.gateway(cluster, folder, namespace, arm, picker, at_gateway, own[: arm.replicas])
    endpoints = Endpoints(cluster.api, arm.pool, namespace, replicas, arm.labels)
    parts = components(servers, pickers, chosen.program, envoy)
    return Routing(arm, namespace, folder, replicas, endpoints, picker, envoy, tokenizer, forwarder, parts)
