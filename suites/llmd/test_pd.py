"""Prefill/decode disaggregation: long cold prompts are prefilled elsewhere, everything else is decoded where it goes.

One replica has the role prefill, one the role decode with llm-d's sidecar before it: the sidecar takes the decode
replica's port, and asks the prefill replica first where the picker's header says so. What was really done is read from
the counters of both model servers.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from gpuassay import MUST, Note, behaviour, scenario
from gpuassay.systems.llmd.acts.deployment import Deployment, opened
from gpuassay.systems.llmd.acts.lab import RoutingLab
from gpuassay.systems.llmd.acts.scheduling import read_again
from gpuassay.systems.llmd.acts.sidecar import sidecar_before
from gpuassay.systems.llmd.component.metrics import total
from gpuassay.systems.llmd.component.simulator import NO_LATENCY, Cache
from gpuassay.systems.llmd.component.spec import Arm
from gpuassay.systems.llmd.judge import routing
from gpuassay.systems.llmd.objects.prompts import prompt_set
from gpuassay.systems.llmd.readings import RoutingRecording

SPEC = "https://github.com/llm-d/llm-d-inference-scheduler/blob/v0.7.1/docs/disagg_pd.md"

ROLE = "llm-d.ai/role"
ASKS = 6
THRESHOLD = 64
"""Tokens that are not cached from which on a prompt is prefilled elsewhere."""


GROWN = Note("grown", dict[str, dict[str, float]], "requests that each replica processed, by wave")


def disaggregated(configuration: dict[str, Any]) -> None:
    """The picker's configuration for prefill and decode, as upstream's example has it; a mutant's is left alone."""
    if "prefix-cache-scorer" not in {plugin["type"] for plugin in configuration["plugins"]}:
        return
    scorer = next(plugin for plugin in configuration["plugins"] if plugin["type"] == "prefix-cache-scorer")
    configuration["featureGates"] = ["prepareDataPlugins"]
    configuration["plugins"] = [
        {"type": "disagg-headers-handler"}, scorer, {"type": "prefill-filter"}, {"type": "decode-filter"},
        {"type": "max-score-picker"},
        {"type": "prefix-based-pd-decider", "parameters": {"nonCachedTokens": THRESHOLD}},
        {"type": "always-disagg-pd-decider"},
        {"type": "disagg-profile-handler", "parameters": {"deciders": {"prefill": "prefix-based-pd-decider"}}},
    ]  # fmt: skip
    configuration["schedulingProfiles"] = [
        {"name": role, "plugins": [
            {"pluginRef": f"{role}-filter"}, {"pluginRef": "max-score-picker"},
            {"pluginRef": "prefix-cache-scorer", "weight": 2},
        ]}
        for role in ("prefill", "decode")
    ]  # fmt: skip


@contextmanager
def sidecar(lab: RoutingLab, site: Deployment) -> Generator[None]:
    """Put the sidecar before the second replica, which moves to another port; roles are told by the Pods' labels."""
    prefill, decode = site.replicas
    with sidecar_before(lab, site, decode):
        for replica, role in ((prefill, "prefill"), (decode, "decode")):
            site.routing.endpoints.set_labels(replica.name, {ROLE: role})
        read_again(site)
        yield


def served(site: Deployment) -> dict[str, float]:
    """Prompts that each replica has answered so far, by name."""
    return {one.name: total(one.metrics(), "vllm:request_success_total") for one in site.replicas if one.child.alive}


@scenario(system="routing", needs={"program:pd-sidecar"}, timeout=40)
def disaggregation(lab: RoutingLab) -> None:
    """Long prompts, the same ones again, short ones, and long ones while the prefill replica is dead."""
    arm = Arm(profile="approximate", replicas=2, latency=NO_LATENCY, cache=Cache(), change_picker=disaggregated)
    with opened(lab, arm) as site, sidecar(lab, site):
        longs = prompt_set([256] * ASKS, seed=71, prefix="long")
        waves = {"long": longs, "cached": longs, "short": prompt_set([16] * ASKS, seed=72, prefix="short")}
        grown: dict[str, dict[str, float]] = {}
        for wave, prompts in waves.items():
            before = served(site)
            site.ask(wave, prompts)
            grown[wave] = {name: count - before[name] for name, count in served(site).items()}
        lab.note(GROWN, grown)
        site.replicas[0].kill()
        site.ask("prefill dead", prompt_set([256] * ASKS, seed=73, prefix="dead"))


PREFILL, DECODE = "model-server-0", "model-server-1"


@behaviour(
    "llmd.pd.long-cold-uses-both", level=MUST, spec=SPEC, timed=True,
    red_when="a long uncached prompt is not prefilled by the prefill replica", mutant="pd-never",
)  # fmt: skip
def test_long_cold_prompts_are_prefilled_elsewhere(disaggregation: RoutingRecording) -> None:
    """Each of 6 long uncached prompts is processed by the prefill and by the decode replica."""
    assert not routing.failure_findings(disaggregation.asks("long"))
    assert disaggregation.note(GROWN)["long"] == {PREFILL: ASKS, DECODE: ASKS}


@behaviour(
    "llmd.pd.cached-decodes-only", level=MUST, spec=SPEC, timed=True,
    red_when="a prompt that the decode replica has cached still goes to the prefill replica", mutant="pd-always",
)  # fmt: skip
def test_cached_prompts_are_decoded_only(disaggregation: RoutingRecording) -> None:
    """Long prompts that are repeated, and so cached, are processed by the decode replica alone."""
    assert not routing.failure_findings(disaggregation.asks("cached"))
    assert disaggregation.note(GROWN)["cached"] == {PREFILL: 0, DECODE: ASKS}


@behaviour(
    "llmd.pd.short-decodes-only", level=MUST, spec=SPEC, timed=True,
    red_when="a prompt below the disaggregation threshold goes to the prefill replica", mutant="pd-always",
)  # fmt: skip
def test_short_prompts_are_decoded_only(disaggregation: RoutingRecording) -> None:
    """Prompts of 16 tokens, below the threshold of 64, are processed by the decode replica alone."""
    assert not routing.failure_findings(disaggregation.asks("short"))
    assert disaggregation.note(GROWN)["short"] == {PREFILL: 0, DECODE: ASKS}


@behaviour(
    "llmd.pd.prefill-failure-falls-back", level=MUST, spec=SPEC,
    red_when="a request hangs, or fails, because the prefill replica is dead", mutant="one-endpoint-left",
)  # fmt: skip
def test_a_dead_prefill_replica_costs_no_answer(disaggregation: RoutingRecording) -> None:
    """While the prefill replica is dead, the sidecar falls back to decode-only and every request is answered."""
    rows = disaggregation.asks("prefill dead")
    assert not routing.failure_findings(rows)
