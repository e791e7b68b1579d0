"""Brings an arm up on somebody's cluster: the same parts as with processes, and the same way of waiting for them.

Order of the start: objects; tokenizer, event forwarder and model servers; picker and gateway; the picker knows all
endpoints; KV-cache events of every replica reach it. From this machine they are reached by `portforward` alone.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from gpuassay.cluster.base import Cluster, Component, Emulated
from gpuassay.cluster.errors import ClusterError, NotFromOutside
from gpuassay.cluster.parallel import side_by_side
from gpuassay.cluster.port_forward import Tunnels
from gpuassay.cluster.program import Child
from gpuassay.manifest import dig
from gpuassay.systems.llmd.component import namespace as place_of
from gpuassay.systems.llmd.component import profiles, rbac
from gpuassay.systems.llmd.component.deployment import Routing
from gpuassay.systems.llmd.component.description import emulated
from gpuassay.systems.llmd.component.model_servers import picker_configuration
from gpuassay.systems.llmd.component.picker import implementation
from gpuassay.systems.llmd.component.spec import ISTIO, VLLM, Arm
from gpuassay.systems.llmd.pods import manifests
from gpuassay.systems.llmd.pods.endpoints import PodEndpoints
from gpuassay.systems.llmd.pods.gateway import LISTENER, PodEnvoy
from gpuassay.systems.llmd.pods.gateway import NAME as GATEWAY
from gpuassay.systems.llmd.pods.parts import (
    EVENTS,
    FORWARDER,
    GRPC,
    NAME,
    PUBLISHED,
    TOKENIZER,
    TOKENS,
    PodForwarder,
    PodPicker,
    PodReplica,
    PodTokenizer,
)
from gpuassay.systems.llmd.pods.program import Place, PodChild
from gpuassay.toolchain import catalogue

EVENT_SECONDS = 45.0
"""How long KV-cache events may take to flow: publishers on a cluster dial anew only now and then."""

ELECTS: rbac.Rule = {
    "apiGroups": ["coordination.k8s.io"], "resources": ["leases"],
    "verbs": ["get", "list", "watch", "create", "update", "patch", "delete"],
}  # fmt: skip
"""For pickers that elect a leader, which llm-d's manifests do not provide for; its rights are judged elsewhere."""

_turns = threading.BoundedSemaphore(2)
"""Scenarios whose arms stand on a cluster at a time: each arm is a dozen pods."""
_mine = threading.local()


@contextmanager
def turn() -> Generator[None]:
    """Wait for this scenario's turn; an arm beside another of the same scenario waits for nobody."""
    if getattr(_mine, "held", False):
        yield
        return
    with _turns:
        _mine.held = True
        try:
            yield
        finally:
            _mine.held = False


PODS: Emulated = {
    "what": "Pods of the model servers",
    "by": "real pods; where the cluster has image volumes, gpuassay's own image starts and stops the program in them",
    "means": "addresses and readiness are the cluster's, the latter by a gate that a scenario sets; a program that was "
    "killed stays dead until a scenario starts it, instead of being restarted by the kubelet",
}


class PodRouting(Routing):
    """An arm that is up on somebody's cluster."""

    @property
    def emulated(self) -> list[Emulated]:
        """What is not real, and what a reader must conclude from that."""
        return emulated(self.arm, PODS)

    def inside(self, url: str) -> str:
        """The address in the cluster.

        Raises:
            NotFromOutside: it is neither the gateway nor a model server.
        """
        if isinstance(self.envoy, PodEnvoy) and url == self.envoy.url:
            return f"http://{service_address(self.envoy.place, GATEWAY)}:{LISTENER}"
        for one in self.replicas:
            if url == one.url:
                return f"http://{one.endpoint}"
        raise NotFromOutside(f"{url} is reached from this machine alone")

    def programs(self) -> list[PodChild]:
        """Every program of it."""
        beside = self.picker.siblings if isinstance(self.picker, PodPicker) else []
        ours = (self.tokenizer, self.forwarder, self.picker, self.envoy, *beside)
        found = [one.child for one in ours if one is not None]
        return [one for one in [*found, *(replica.child for replica in self.replicas)] if isinstance(one, PodChild)]

    def start(self) -> None:
        """Used by `routing_in_pods`."""
        began = time.monotonic()

        def done(step: str) -> None:
            self.steps[step] = round(time.monotonic() - began, 3)

        def ready(work: Callable[[], None], step: str) -> None:
            work()
            done(step)

        self.endpoints.create(GRPC, self.arm.failure_mode)
        done("objects")
        first: list[tuple[Callable[[], None], str]] = []
        if self.tokenizer is not None:
            first.append((partial(self.tokenizer.start, shift=self.arm.tokenizer_shift), "tokenizer"))
        if self.forwarder is not None:
            first.append((self.forwarder.start, "forwarder"))
        first.append((self._make, "model servers made"))
        side_by_side(lambda item: ready(*item), first)
        self._serve()  # what they publish before somebody listens is lost
        done("model servers")
        last: list[tuple[Callable[[], None], str]] = []
        if self.picker is not None:
            last.append((self.picker.start, "picker serving"))
        if self.envoy is not None:
            last.append((partial(self.envoy.start, [one.endpoint for one in self.replicas]), "gateway"))
        side_by_side(lambda item: ready(*item), last)
        if self.picker is not None:
            self.picker.await_ready_pods(len(self.replicas))
            done("endpoints known")
        self.endpoints.on_change = None if self.envoy is None else self.envoy.set_members
        self.endpoints.sync()
        self.endpoints.changes = 1  # those so far are of its start
        if self.arm.precise and self.arm.probe:
            self.await_events(EVENT_SECONDS)
            done("events flow")

    def _make(self) -> None:
        for replica in self.replicas:
            assert isinstance(replica, PodReplica)
            replica.joins = self._join
            replica.make()
        if isinstance(self.picker, PodPicker):
            self.picker.make()

    def _serve(self) -> None:
        side_by_side(lambda replica: replica.launch(), self.replicas)
        side_by_side(lambda replica: replica.await_ready(), self.replicas)

    def _join(self, name: str) -> None:
        self.endpoints.set_ready(name, True)

    def stop(self) -> None:
        """Delete every object of it. Idempotent."""
        with ExitStack() as later:
            later.callback(self.endpoints.remove)
            later.callback(lambda: side_by_side(lambda one: one.remove(), self.programs()))


@contextmanager
def routing_in_pods(cluster: Cluster, directory: Path, namespace: str, arm: Arm) -> Generator[Routing]:
    """Bring an arm up for the length of a `with` block; afterwards no object of it is left.

    Args:
        cluster: somebody's, on which the definitions of the Gateway API Inference Extension are.
        directory: folder for logs.
        namespace: one arm per namespace; it is made if it is not there, and then also deleted.
        arm: what to bring up.

    Raises:
        NotFromOutside: the arm needs what only processes of ours can give.
        ClusterError: a program refuses to start, or its image cannot be had; its own last message is shown.
        gpuassay.waiting.WaitTimeout: a step took too long.
    """
    _require(arm)
    folder = directory.absolute()
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    with (
        turn(),
        Tunnels(cluster.api) as tunnels,
        place_of.namespace(cluster.api, namespace, arm.labels),
    ):
        built = _built(Place(cluster, namespace, folder, arm.labels, tunnels), arm)
        cluster.tell(built.components, built.emulated)
        try:
            built.start()
            yield built
        except Exception as error:
            if tunnels.complaints and not isinstance(error, NotFromOutside):
                error.add_note(f"the way to the pods: {tunnels.complaints[-1]}")
            raise
        finally:
            built.stop()


def _require(arm: Arm) -> None:
    if arm.engine == VLLM:
        raise NotFromOutside("a real engine as a pod is the business of who has its image")
    if arm.gateway == ISTIO:
        raise NotFromOutside("Istio as a gateway of ours takes processes: a cluster's own is judged by --gateway-url")
    if arm.prefillers:
        raise NotFromOutside("no image of the P/D sidecar is known")
    if arm.own_address:
        raise NotFromOutside("model servers at the machine's own address take processes of ours")


def _built(place: Place, arm: Arm) -> PodRouting:
    """All parts of an arm; Services, rights and nothing else is made."""
    with_picker = arm.profile != profiles.ROUND_ROBIN
    path = arm.event_path
    tokenizer = PodTokenizer(place, arm.engine) if arm.precise and with_picker else None
    forwarder = PodForwarder(place) if path == "forwarder" else None
    # by address: a name that was asked for a moment too early is unknown for a while
    for one in (tokenizer, forwarder):
        if one is not None:
            _offer(place, one.child)
    tokens = service_address(place, TOKENIZER) if tokenizer else ""
    picker = _picker(place, arm, tokens) if with_picker else None
    if picker is not None:
        _offer(place, picker.child)
    if isinstance(forwarder, PodForwarder) and picker is not None:
        forwarder.aim(service_address(place, NAME))
    events = {
        "forwarder": lambda: f"tcp://{service_address(place, FORWARDER)}:{PUBLISHED}",
        "direct": lambda: f"tcp://{service_address(place, NAME)}:{EVENTS}",
    }.get(path, lambda: None)()
    selector = {"app": arm.pool}
    replicas = [PodReplica(place, arm, number, events, selector) for number in range(arm.replicas)]
    envoy = None
    if arm.gateway is not None:
        envoy = PodEnvoy(place, arm, picker, service_address(place, NAME) if picker else "")
        _offer(place, envoy.child)
    endpoints = PodEndpoints(place.api, arm.pool, place.namespace, replicas, arm.labels)
    built = PodRouting(
        arm, place.namespace, place.folder, list(replicas), endpoints, picker, envoy, tokenizer, forwarder, [],
        at_hand=False,
    )  # fmt: skip
    images = dict.fromkeys(one.program.image for one in built.programs())
    built.components = [_component(one) for one in images]
    return built


def _component(image: str) -> Component:
    name, _, tag = image.rpartition("/")[2].partition(":")
    return Component(name, tag, f"image {image}")


def _offer(place: Place, child: Child) -> None:
    """Make the Service of a program."""
    assert isinstance(child, PodChild)
    place.api.apply(manifests.service(child.program, place.namespace, place.labels))


def _picker(place: Place, arm: Arm, tokenizer: str) -> PodPicker:
    """The picker, with the ServiceAccount and the rights that upstream documents."""
    chosen = implementation(arm.picker)
    places = {"MODEL": arm.model, "EVENTS": f"tcp://0.0.0.0:{EVENTS}", "TOKENIZER": f"{tokenizer}:{TOKENS}"}
    version = catalogue.component(chosen.component).version
    configuration = picker_configuration(arm, places, version) if chosen.configurable else None
    made = PodPicker(place, chosen, arm, configuration)
    rules = [*rbac.documented(chosen, place.cluster.assets), ELECTS]
    for one in rbac.objects(NAME, place.namespace, rules):
        one["metadata"]["labels"] = dict(place.labels)
        place.api.apply(one)
    return made


def service_address(place: Place, service: str) -> str:
    """The address of a Service."""
    found = dig(place.api.get("Service", service, place.namespace) or {}, "spec", "clusterIP")
    if not found or found == "None":
        raise ClusterError(f"Service {service} has no address of its own")
    return str(found)
