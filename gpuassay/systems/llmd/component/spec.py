"""What an arm of a routing experiment consists of: everything that makes it differ from another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gpuassay.cluster.errors import ClusterError
from gpuassay.manifest import Manifest
from gpuassay.systems.llmd.component import profiles
from gpuassay.systems.llmd.component.endpoints import MOST_REPLICAS
from gpuassay.systems.llmd.component.picker import implementation
from gpuassay.systems.llmd.component.simulator import Cache, Latency
from gpuassay.systems.llmd.gateway import configuration as designs
from gpuassay.systems.llmd.gateway.envoy import Change

MODEL = "gpuassay/simulated-8b"
ISTIO = "istio"
"""The gateway design in which Istio's control plane configures Envoy."""
SIMULATOR, VLLM = "simulator", "vllm"
"""What model servers are."""


@dataclass(frozen=True)
class Arm:
    """One arm; two are compared by changing one attribute.

    Attributes:
        profile: endpoint-picker configuration in `manifests/llmd`; `round-robin`: no picker at all; `built-in`: the
            rule of a picker that reads no configuration (`light`).
        engine: what the model servers are: `simulator`, or `vllm`: a real engine with a tiny model, on the CPU.
        replicas: model servers, 1 to 8.
        prefillers: how many of them are prefill servers; the others are decode servers with a sidecar each. Only
            with profile `prefill-decode`, and needed there.
        cache: KV cache of each.
        latency: simulated time of each.
        gateway: a design of `gpuassay.systems.llmd.gateway.configuration`, or None: the picker is asked directly.
        failure_mode: FailClose or FailOpen, of the InferencePool and of the gateway.
        events: way of KV-cache events: `forwarder` (ours, with a tap), `direct` (the picker's own socket) or `none`;
            by default a forwarder where the profile reads events.
        picker: which endpoint picker (`gpuassay.systems.llmd.component.picker.IMPLEMENTATIONS`).
        model: name of the served model.
        pool: name of the InferencePool.
        labels: put on every object that is created.
        probe: whether to insist that events reach the picker; off for arms that are broken on purpose.
        verbosity: of the picker's log (`-v`).
        change_picker: alters the picker's configuration in place.
        change_gateway: alters the gateway's bootstrap in place.
        change_objects: alters the objects of Istio's gateway in place; only of the design `istio`.
        istiod_env: further environment of Istio's control plane; likewise.
        own_address: replicas have the machine's own address, as behind Istio: for a second pool of an Istio elsewhere.
        picker_flags: further arguments of the picker.
        picker_env: further environment of the picker.
        simulator_flags: further arguments of every model server, whatever it is.
        simulator_env: environment of every model server; `{address}` and `{port}` are filled in.
        tokenizer_shift: added to every token id: a wrong tokenizer.
    """

    profile: str = "precise"
    engine: str = SIMULATOR
    replicas: int = 8
    prefillers: int = 0
    cache: Cache = field(default_factory=Cache)
    latency: Latency = field(default_factory=Latency)
    gateway: str | None = "override-host"
    failure_mode: str = "FailClose"
    events: str | None = None
    picker: str = "llm-d"
    model: str = MODEL
    pool: str = "simulated"
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    probe: bool = True
    verbosity: int = 1
    change_picker: profiles.Change | None = None
    change_gateway: Change | None = None
    change_objects: Callable[[list[Manifest]], None] | None = None
    istiod_env: Mapping[str, str] = field(default_factory=dict[str, str])
    own_address: bool = False
    picker_flags: tuple[str, ...] = ()
    picker_env: Mapping[str, str] = field(default_factory=dict[str, str])
    simulator_flags: tuple[str, ...] = ()
    simulator_env: Mapping[str, str] = field(default_factory=dict[str, str])
    tokenizer_shift: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.replicas <= MOST_REPLICAS:
            raise ClusterError(f"{self.replicas} replicas: a pool on one machine has 1 to {MOST_REPLICAS}")
        if self.engine not in (SIMULATOR, VLLM):
            raise ClusterError(f"engine={self.engine!r} is none of {SIMULATOR}, {VLLM}")
        if self.engine == VLLM and self.prefillers:
            raise ClusterError("prefill and decode servers apart are simulators: vLLM on CPUs hands no cache over")
        fixed = not implementation(self.picker).configurable
        if fixed != (self.profile == profiles.BUILT_IN):
            raise ClusterError(
                f"picker {self.picker!r} reads no configuration: its profile is {profiles.BUILT_IN!r}"
                if fixed
                else f"profile {profiles.BUILT_IN!r} is for a picker that reads no configuration; {self.picker!r} does"
            )
        if self.profile not in (profiles.ROUND_ROBIN, profiles.BUILT_IN):
            profiles.text(self.profile)
        elif self.profile == profiles.ROUND_ROBIN and self.gateway is None:
            raise ClusterError("round robin is the gateway's: an arm needs a picker or a gateway")
        if not (
            0 < self.prefillers < self.replicas if self.profile == profiles.PREFILL_DECODE else not self.prefillers
        ):
            raise ClusterError(
                f"{self.prefillers} of {self.replicas} replicas as prefill servers with profile {self.profile!r}: "
                f"profile {profiles.PREFILL_DECODE!r} needs some of both kinds, the others have none"
            )
        if self.precise and not self.cache.blocks:
            raise ClusterError(f"profile {self.profile!r} reads KV-cache events: give the replicas a cache")
        if self.events not in (None, "forwarder", "direct", "none"):
            raise ClusterError(f"events={self.events!r} is none of forwarder, direct, none")
        if self.gateway is not None:
            designs.Plan(0, 0, Path(), self.gateway, failure_mode=self.failure_mode)
        if self.gateway != ISTIO and (self.change_objects or self.istiod_env):
            raise ClusterError(f"change_objects and istiod_env are for gateway={ISTIO!r}, not {self.gateway!r}")

    @property
    def precise(self) -> bool:
        """Whether its picker reads KV-cache events."""
        return self.profile in profiles.PRECISE

    @property
    def event_path(self) -> str:
        """`forwarder`, `direct` or `none`."""
        return self.events or ("forwarder" if self.precise else "none")
