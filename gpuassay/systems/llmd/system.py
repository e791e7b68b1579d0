"""Cache-aware LLM routing as a system under test: endpoint pickers, gateways, model servers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from gpuassay.capabilities import Why
from gpuassay.settings import Settings
from gpuassay.system import OWN_ARMS, Invariants, Open, Pool, System
from gpuassay.systems.llmd import readings
from gpuassay.systems.llmd.existing import options
from gpuassay.systems.llmd.existing.rbac import plan_lines
from gpuassay.systems.llmd.pods.rbac import RULES

if TYPE_CHECKING:  # cluster clients: not for `--help`
    from gpuassay.cluster.images import Source
    from gpuassay.engine.environment import Environment, Host
    from gpuassay.engine.pools import ClusterPool
    from gpuassay.provision.component import Provided
    from gpuassay.scenarios.declare import Scenario
    from gpuassay.scenarios.lab import Lab
    from gpuassay.toolchain import Assets

POOL = "cluster-routing"


def _open(run: Host, pool: ClusterPool, assets: Assets) -> AbstractContextManager[Environment]:
    from gpuassay.systems.llmd.environment import routing_environment

    return routing_environment(run, pool, assets)


def _lab() -> type[Lab]:
    from gpuassay.systems.llmd.acts.lab import RoutingLab

    return RoutingLab


def _untimed(recording: readings.RoutingRecording) -> list[str]:
    from gpuassay.systems.llmd.judge import rest

    return rest.untimed(recording)


def _timed(recording: readings.RoutingRecording) -> list[str]:
    from gpuassay.systems.llmd.judge import rest

    return rest.timed(recording)


def _elsewhere(settings: Settings) -> Open | None:
    named = options.gateway_options(settings)
    if named is None or not settings.existing:
        return None  # options without a cluster are refused when they are read
    from gpuassay.systems.llmd.existing.environment import gateway_environment

    return gateway_environment(settings, named)


def _take_options(settings: Settings) -> None:
    options.take(settings)


def _says() -> list[str]:
    return options.said()


def _plan(settings: Settings, scenarios: Sequence[Scenario]) -> list[str] | None:
    named = options.gateway_options(settings)
    return None if named is None else plan_lines(named, scenarios)


def _provides() -> Sequence[Provided]:
    from gpuassay.systems.llmd.provision import LLMD

    return (LLMD,)


def _images(assets: Assets) -> Iterable[Source]:
    from gpuassay.systems.llmd.component.images import images

    return images(assets)


SYSTEM = System(
    name="routing",
    pools=(
        Pool(
            POOL,
            _open,
            width=3,  # a scenario starts some ten processes of its own
            programs=("controlplane", "kwok", "llmd-epp", "llmd-sim"),
            extra=("gaie-epp", "gaie-epp@1.4.0", "lwepp", "pd-sidecar", "istio"),
        ),
    ),
    pool_of=lambda _: POOL,
    lab=_lab,
    recording=readings.RoutingRecording,
    invariants=Invariants(_untimed, _timed),
    needs=frozenset({"routing"}),
    needs_inside=frozenset({OWN_ARMS}),
    offers=frozenset({"own-address", "vllm", "epp-target"}),
    why={
        "routing": Why.ABSENT,
        OWN_ARMS: Why.FAULTS,
        "own-address": Why.PROCESS,
        "vllm": Why.ABSENT,
        "epp-target": Why.ABSENT,
    },
    elsewhere=_elsewhere,
    add_options=options.add_options,
    take_options=_take_options,
    says=_says,
    plan=_plan,
    rules=RULES,
    images=_images,
    components=("llmd",),
    provides=_provides,
    mutants="gpuassay.systems.llmd.mutants",
)
