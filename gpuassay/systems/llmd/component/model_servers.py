"""The model servers of an arm: simulators, or a real engine, with everything that the arm asks of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gpuassay import toolchain
from gpuassay.cluster.base import Cluster, Component
from gpuassay.cluster.errors import ClusterError
from gpuassay.systems.llmd.component import gateway_of as front
from gpuassay.systems.llmd.component import profiles, vllm
from gpuassay.systems.llmd.component.simulator import Replica, Sidecar, simulator
from gpuassay.systems.llmd.component.spec import VLLM, Arm
from gpuassay.systems.llmd.versions import gates_taken

SCORER = "precise-prefix-cache-scorer"


def model_servers(
    cluster: Cluster, folder: Path, namespace: str, arm: Arm, ports: Sequence[int], events: int | None
) -> tuple[list[Replica], list[Component]]:
    """The model servers, none of them started, and the programs that they are.

    Args:
        cluster: whose supervisor owns the processes.
        folder: of the arm.
        namespace: of the arm.
        arm: what is asked for.
        ports: one for each, and one more for each where the arm has sidecars.
        events: port that takes KV-cache events, or None.

    Raises:
        ClusterError: the engine that is asked for is not there; the message says how to get it.
        gpuassay.toolchain.ToolchainError: a program cannot be had.
    """
    if arm.engine == VLLM:
        return _engines(cluster, folder, namespace, arm, ports, events)
    programs = toolchain.programs("llmd-sim", cluster.assets)
    sidecars = toolchain.programs("pd-sidecar", cluster.assets) if arm.prefillers else None
    own, inner = ports[: arm.replicas], ports[arm.replicas :]
    hosts = front.hosts(arm)
    found = [
        simulator(
            cluster, programs.path("llm-d-inference-sim"), folder / "logs" / f"model-server-{number}.log",
            name=f"model-server-{number}", namespace=namespace, address=hosts[number], port=port,
            model=arm.model, cache=arm.cache, latency=arm.latency, number=number, extra=arm.simulator_flags,
            role=("prefill" if prefills else "decode") if sidecars else None,
            sidecar=Sidecar(sidecars.path("pd-sidecar"), inner[number]) if sidecars and not prefills else None,
            events=events,
            env={key: value.format(address=hosts[number], port=port)
                 for key, value in arm.simulator_env.items()},
        )
        for number, port in enumerate(own)
        for prefills in (number < arm.prefillers,)
    ]  # fmt: skip
    told = [Component.of(programs, "llm-d-inference-sim")]
    if sidecars is not None:
        told.append(Component.of(sidecars, "pd-sidecar"))
    return found, told


def _engines(
    cluster: Cluster, folder: Path, namespace: str, arm: Arm, ports: Sequence[int], events: int | None
) -> tuple[list[Replica], list[Component]]:
    program = vllm.find(cluster.assets)
    if program is None:
        raise ClusterError(vllm.HOW_TO_GET)
    found: list[Replica] = [
        vllm.Engine(
            cluster, program, folder, name=f"model-server-{number}", namespace=namespace, address=host, port=port,
            model=arm.model, cache=arm.cache, events=events, number=number, extra=arm.simulator_flags,
        )
        for number, (host, port) in enumerate(zip(front.hosts(arm), ports, strict=True))
    ]  # fmt: skip
    return found, [Component(VLLM, program.version, program.source)]


def picker_configuration(arm: Arm, places: dict[str, str], version: str) -> dict[str, Any]:
    """What the arm's picker reads; an engine's blocks are not as small as the simulator's.

    Feature gates that a known `version` of llm-d's picker would refuse are left out: there, they are always on.

    Raises:
        ClusterError: no such profile, or it lacks what is to be changed.
    """

    def change(parsed: dict[str, Any]) -> None:
        if arm.engine == VLLM and arm.precise:
            parameters = profiles.plugin(parsed, SCORER)["parameters"]
            parameters["tokenProcessorConfig"]["blockSizeTokens"] = arm.cache.block_size
        if arm.change_picker is not None:
            arm.change_picker(parsed)

    made = profiles.configuration(arm.profile, places, change)
    if asked := made.get("featureGates"):
        made["featureGates"] = gates_taken(version, asked)
    return made
