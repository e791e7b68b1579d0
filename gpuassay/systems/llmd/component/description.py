"""What an arm tells reports: its programs, and in words what is not real."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gpuassay.cluster.base import Component, Emulated
from gpuassay.systems.llmd.component.simulator import Latency
from gpuassay.systems.llmd.component.spec import VLLM, Arm
from gpuassay.systems.llmd.gateway.envoy import PACKAGE, Envoy
from gpuassay.systems.llmd.gateway.istio import IstioGateway
from gpuassay.toolchain import Programs


def components(
    servers: Sequence[Component], pickers: Programs | None, program: str, envoy: Envoy | None
) -> list[Component]:
    """The upstream programs of an arm; `servers` are those of its model servers."""
    found = list(servers)
    if pickers is not None:
        found.append(replace(Component.of(pickers, program), name=pickers.component))
    if envoy is not None:
        found.append(Component("envoy", envoy.version, f"Python package {PACKAGE}"))
    if isinstance(envoy, IstioGateway):
        control = Component.of(envoy.istiod.programs, "pilot-discovery")
        found.append(replace(control, name="istiod", version=f"{control.version} (main, no release)"))
    return found


def latency_in_words(latency: Latency) -> str:
    """The latency law with its numbers."""
    each = f"{latency.inter_token * 1e3:g} ms per further token"
    if latency.constant_ttft is not None:
        return f"first token after {latency.constant_ttft * 1e3:g} ms, {each}"
    return (
        f"first token after {latency.prefill_overhead * 1e3:g} ms and {latency.prefill_per_token * 1e6:g} us for every "
        f"prompt token that is not cached, {each}, up to {latency.factor_under_load:g} times that with "
        f"{latency.max_running} running requests"
    )


_BYTES: Emulated = {
    "what": "tokenizer",
    "by": "a service of gpuassay that makes one token of each byte, as the engine's own tokenizer does",
    "means": "prompts have about five times as many tokens as with a language model's tokenizer",
}


def _engine(arm: Arm) -> list[Emulated]:
    """What is not real about a real engine."""
    size = f"{arm.cache.blocks} blocks of {arm.cache.block_size} tokens"
    model: Emulated = {
        "what": "language model and GPU",
        "by": f"vLLM on the CPU with a model of two layers and made-up weights; the cache of each replica holds {size}",
        "means": "prefix cache, KV-cache events, metrics and times are the engine's own; output is noise, and times "
        "are those of a tiny model on this machine's processors",
    }
    return [model, _BYTES]


def _simulated(arm: Arm) -> list[Emulated]:
    """What is not real about a simulated model server."""
    cache = arm.cache
    size = f"{cache.blocks} blocks of {cache.block_size} tokens" if cache.blocks else "no prefix cache"
    return [
        {
            "what": "model servers",
            "by": "llm-d-inference-sim: real HTTP interface, prefix cache, KV-cache events and metrics",
            "means": f"no GPU and no model: output is random text, time is made up ({latency_in_words(arm.latency)}); "
            f"the cache of each holds {size}",
        },
        {
            "what": "tokenizer",
            "by": "a service of gpuassay that cuts text as the simulator does",
            "means": "token counts are the simulator's, not a language model's",
        },
    ]


PODS: Emulated = {
    "what": "Pods of the model servers",
    "by": "objects whose status gpuassay writes as a kubelet would",
    "means": "addresses are loopback addresses of this machine, readiness is what a scenario says",
}


def emulated(arm: Arm, pods: Emulated = PODS) -> list[Emulated]:
    """What is not real in an arm; `pods`: what of its model servers' Pods is not."""
    gateway, events = arm.gateway, arm.event_path
    found: list[Emulated] = [*(_engine(arm) if arm.engine == VLLM else _simulated(arm)), pods]
    if gateway == "istio":
        found.append(
            {
                "what": "deployment of Istio's gateway",
                "by": "Service, Pod and EndpointSlices that gpuassay writes; an EnvoyFilter keeps the port on loopback",
                "means": "istiod is real, of its main branch with newer istio.io/api than it names: no release; Envoy "
                "is upstream's, not Istio's build; all Pods have the machine's own address; no mesh, no certificates",
            }
        )
    elif gateway:
        found.append(
            {
                "what": "gateway controller",
                "by": "a fixed Envoy configuration and a file of pool members that gpuassay writes when Pods change",
                "means": "Envoy is real; nobody reads Gateway or HTTPRoute, and nobody writes their status",
            }
        )
    if events == "forwarder":
        found.append(
            {
                "what": "way of KV-cache events",
                "by": "a forwarder of gpuassay between model servers and endpoint picker",
                "means": "events arrive as they are; the picker's socket does not notice that a model server went away",
            }
        )
    return found
