"""Scale: a thousand nodes, ten thousand pods, fifteen hundred Workloads, and what each costs the control plane."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from gpuassay import SHOULD, Arms, Manifest, Measure, Note, behaviour, dig, scenario
from gpuassay.manifest import is_true
from gpuassay.systems.kueue.acts.bench import KueueBench, Resource, bench
from gpuassay.systems.kueue.acts.lab import KueueLab
from gpuassay.systems.kueue.acts.minimal_manager import WORKLOAD_PATHS
from gpuassay.systems.kueue.objects import queues as kueue
from gpuassay.systems.kueue.readings import KueueRecording
from gpuassay.workloads import core

pytestmark = [pytest.mark.scale, pytest.mark.timeout(7200)]

SECTION = "Scale"

NODES = (250, 500, 1000)
PODS = (2000, 4000, 6000, 8000, 10000)
PODS_PER_JOB = 100
WORKLOADS = (500, 1000, 1500)

STEP_SECONDS = 1200.0
"""Longest time for one step."""


STEPS = Note("steps", list[Manifest], "what each step added, whether it was reached, and what it cost; times in s")


class _Steps:
    """Takes a size up in steps and notes what each took."""

    def __init__(self, on: KueueBench, lab: KueueLab) -> None:
        self.on, self.lab = on, lab
        self.steps: list[dict[str, Any]] = []

    def take(self, kind: str, size: int, added: int, do: Callable[[], object], reached: Callable[[], bool]) -> None:
        """One step: `do` adds `added` objects, `reached` says when they are there."""
        before, begin = self.on.costs(), time.monotonic()
        do()
        created = time.monotonic() - begin
        there = self.lab.observe(reached, f"{size} {kind}", timeout=STEP_SECONDS)
        wall = time.monotonic() - begin
        self.steps.append(
            {
                "kind": kind, "size": size, "added": added, "reached": there, "created_s": round(created, 2),
                "wall_s": round(wall, 2), "before": before, "after": self.on.costs(),
            }
        )  # fmt: skip
        self.lab.progress(f"{size} {kind}: {added / wall:.0f}/s")


@scenario(alone="machine", needs={"control-plane", "kueue-process"}, timeout=7200)
def thousand_nodes(lab: KueueLab) -> None:
    """Nodes, then pods of plain Jobs, then Workload objects are added, each in steps."""
    watched = (*WORKLOAD_PATHS, Resource("Job", "/apis/batch/v1/jobs"))
    with bench(lab, resources=watched, node_lease_seconds=200, audit=False) as on:
        arm = on.arm("steps")
        own = arm.lab
        steps = _Steps(on, own)
        _nodes(steps)
        _pods(steps, own)
        _workloads(steps, own)
        own.note(STEPS, steps.steps)
        on.close_with(arm, [])


def _nodes(steps: _Steps) -> None:
    last = 0
    for size in NODES:
        added, last = size - last, size
        # adding waits until the scheduler may use them
        steps.take(
            "nodes",
            size,
            added,
            lambda added=added: steps.on.environment.cluster.add_nodes(added, timeout=STEP_SECONDS),
            lambda: True,
        )


def _pods(steps: _Steps, own: KueueLab) -> None:
    last = 0
    for size in PODS:
        first, last = last // PODS_PER_JOB, size
        jobs = [
            core.job(f"load-{number}", own.namespace, None, pods=PODS_PER_JOB, gpus=None)
            for number in range(first, size // PODS_PER_JOB)
        ]

        def ready(size: int = size) -> bool:
            return sum(int(dig(job, "status", "ready", default=0)) for job in own.objects("Job")) >= size

        steps.take("pods", size, len(jobs) * PODS_PER_JOB, lambda jobs=jobs: own.create_all(jobs), ready)


def _workloads(steps: _Steps, own: KueueLab) -> None:
    queue = own.queue(gpus=WORKLOADS[-1])
    last = 0
    for size in WORKLOADS:
        entries = [
            kueue.workload(
                f"entry-{number}", own.namespace, queue.local, [kueue.pod_set(requests={"nvidia.com/gpu": 1})]
            )
            for number in range(last, size)
        ]
        added, last = size - last, size

        def admitted(size: int = size) -> bool:
            return sum(is_true(one, "Admitted") for one in own.objects("Workload")) >= size

        steps.take("workloads", size, added, lambda entries=entries: own.create_all(entries, threads=32), admitted)


@behaviour(
    "kueue.scale.thousand-nodes", level=SHOULD, spec="https://kwok.sigs.k8s.io/",
    red_when="the cluster never reaches 1,000 nodes, 10,000 ready pods or 1,500 admitted Workloads", mutant="",
)  # fmt: skip
def test_a_thousand_nodes_carry_ten_thousand_pods(thousand_nodes: KueueRecording, arms: Arms, measure: Measure) -> None:
    """A cluster reaches 1,000 fake nodes, 10,000 ready pods and 1,500 admitted Workloads, with measured cost."""
    steps: list[dict[str, Any]] = arms(thousand_nodes)["steps"].note(STEPS)
    measure.exhibit(
        "scale",
        title="What objects cost as they grow in number",
        kind="table",
        columns=["what", "number", "added", "reached", "objects/s", "CPU-s per 1000", "of it API server", "RSS MB"],
        rows=[_row(step) for step in steps],
        notes=[
            f"CPU over all components in the step, idle cost of what is there already included; pods are those of "
            f"plain Jobs of {PODS_PER_JOB}, Workloads are admitted at once.",
            f"Work waited for a CPU {thousand_nodes.meta.pressure.get('cpu_stall_share')} of the time.",
        ],
        section=SECTION,
    )
    for figure, unit in (("rate", "objects/s"), ("cpu", "CPU-s per 1000 objects"), ("rss", "MB resident")):
        series = [
            {"label": kind, "points": [[step["size"], _figure(step, figure)] for step in steps if step["kind"] == kind]}
            for kind in dict.fromkeys(str(step["kind"]) for step in steps)
        ]
        measure.exhibit(
            f"scale-{figure}", title=f"{unit} over size", kind="curve", series=series, x="objects", y=unit, notes=[],
            section=SECTION,
        )  # fmt: skip
    for step in steps:
        measure.value(**{f"{step['kind']}_{step['size']}_per_s": _figure(step, "rate")})
    missing = [f"{step['size']} {step['kind']}" for step in steps if not step["reached"]]
    assert not missing, f"never reached: {', '.join(missing)}"


def _cpu(step: dict[str, Any], name: str | None = None) -> float:
    names = [name] if name else list(step["after"])
    return sum(step["after"][one]["cpu_s"] - step["before"].get(one, {"cpu_s": 0.0})["cpu_s"] for one in names)


def _figure(step: dict[str, Any], figure: str) -> float:
    if figure == "rate":
        return round(step["added"] / max(step["wall_s"], 0.001), 2)
    if figure == "cpu":
        return round(1000 * _cpu(step) / step["added"], 2)
    return round(sum(one["rss_bytes"] for one in step["after"].values()) / 1e6, 1)


def _row(step: dict[str, Any]) -> list[Any]:
    return [
        step["kind"], step["size"], step["added"], "yes" if step["reached"] else "no", _figure(step, "rate"),
        _figure(step, "cpu"), round(1000 * _cpu(step, "kube-apiserver") / step["added"], 2), _figure(step, "rss"),
    ]  # fmt: skip
