"""Throughput: Kueue's own performance scenario, Workload objects with a played execution."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gpuassay import INFO, MUST, Arms, Inconclusive, Measure, Note, behaviour, scenario
from gpuassay.stats import thresholds
from gpuassay.stats.quantiles import quantile
from gpuassay.systems.kueue import notes
from gpuassay.systems.kueue.acts.bench import bench
from gpuassay.systems.kueue.acts.lab import KueueLab
from gpuassay.systems.kueue.acts.minimal_manager import WORKLOAD_PATHS, generator_document
from gpuassay.systems.kueue.acts.workload_driver import Mimic
from gpuassay.systems.kueue.judge import throughput
from gpuassay.systems.kueue.log import ASSUMED, COMPLETE, HEADS
from gpuassay.systems.kueue.objects import mixes
from gpuassay.systems.kueue.objects import queues as kueue
from gpuassay.systems.kueue.readings import KueueRecording

pytestmark = [pytest.mark.perf, pytest.mark.timeout(1800)]

SPEC = "kueue: test/performance/scheduler/configs/baseline"
SECTION = "Throughput"
LIMITS = thresholds.load(Path(__file__).with_name("thresholds.json"))

QUICK, FULL = 50, 10
"""By what the counts of Kueue's generator are divided."""


DIVISOR = Note("divisor", int, "by what the counts of Kueue's generator are divided")
SCHEDULE = Note("schedule_s", float, "from the first to the last creation as planned, in s")
DONE = Note("done", bool, "whether every Workload finished in time")
PROBLEMS = Note("problems", list[str], "what went wrong on the way, the first twenty")
COSTS = Note("costs", dict[str, dict[str, dict[str, float]]], "`before` the load and `after` it")


@scenario(alone="machine", needs={"kueue-process", "scheduler-log"}, timeout=1800)
def baseline(lab: KueueLab) -> None:
    """The load of Kueue's own baseline test, with its counts divided, runs on a full Kueue with webhooks."""
    document = generator_document(lab.cluster.assets)
    divisor = FULL if lab.full else QUICK
    generated = mixes.generated(mixes.divided(document, divisor))
    with bench(lab, resources=WORKLOAD_PATHS) as on:
        arm = on.arm("baseline")
        own = arm.lab
        namespaces = {queue.name: f"{queue.name}-{own.token}" for queue in generated.queues}
        on.environment.view.register(own.token, namespaces.values())
        own.namespaces += namespaces.values()
        flavor = own.flavor("rf")
        own.create_all([_namespace(name) for name in namespaces.values()])
        own.create_all([mixes.generated_queue(queue, flavor, own.token) for queue in generated.queues])
        own.create_all(
            [kueue.local_queue(name, namespace, f"{name}-{own.token}") for name, namespace in namespaces.items()]
        )
        own.until_active(*(f"{queue.name}-{own.token}" for queue in generated.queues))
        before = on.costs()
        driver = Mimic(own.api, on.environment.view, generated, namespaces.__getitem__, own.create)
        own.note(notes.TOTAL, generated.total)
        own.note(DIVISOR, divisor)
        own.note(SCHEDULE, generated.schedule_seconds)
        done = driver.run(
            timeout=120 + 0.5 * generated.total,
            progress=lambda done, of: lab.progress(f"{done} of {of} Workloads finished"),
        )
        own.note(DONE, done)
        own.note(notes.LAGS, [round(lag, 4) for lag in driver.lags])
        own.note(PROBLEMS, driver.problems[:20])
        own.note(COSTS, {"before": before, "after": on.costs()})
        on.settle()
        log = [line for line in on.all_lines(arm.began.positions) if line.get("msg") in (HEADS, ASSUMED, COMPLETE)]
        on.close_with(arm, log)


def _namespace(name: str) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


@behaviour(
    "kueue.throughput.all-finish", level=MUST, spec=SPEC,
    red_when="a Workload is never admitted or never finishes", mutant="",
)  # fmt: skip
def test_every_workload_is_admitted_and_finishes(baseline: KueueRecording, arms: Arms, measure: Measure) -> None:
    """Under a burst on 30 ClusterQueues, every Workload is admitted and finishes."""
    arm = arms(baseline)["baseline"]
    found = throughput.throughput(arm)
    measure.value(asked=found.asked, created=found.created, finished=found.finished, evictions=found.evictions)
    if found.finished < found.asked:
        LIMITS.refuse_noise(arm)  # time was up: on a starved machine that says nothing about Kueue
    assert not arm.note(PROBLEMS), arm.note(PROBLEMS)
    assert found.created == found.asked, f"{found.created} of {found.asked} Workloads were seen"
    assert not any(found.never_admitted.values()), f"never admitted: {found.never_admitted}"
    assert found.finished == found.asked, f"{found.finished} of {found.asked} Workloads finished"


@behaviour(
    "kueue.throughput.rate", level=INFO, spec=SPEC,
    red_when="the rate is more than three standard deviations below that of the same machine when it was calibrated",
    mutant="",
)  # fmt: skip
def test_the_rate_is_that_of_this_machine(baseline: KueueRecording, arms: Arms, measure: Measure) -> None:
    """Workloads per second are at least this machine's calibrated mean minus three standard deviations."""
    arm = arms(baseline)["baseline"]
    found = throughput.throughput(arm)
    divisor = arm.note(DIVISOR)
    lag = [round(quantile(found.lags, q), 3) for q in (0.5, 0.95, 1.0)]
    before, after = arm.note(COSTS)["before"], arm.note(COSTS)["after"]
    measure.exhibit(
        "throughput",
        title="Time to admission by class in s",
        kind="table",
        columns=["Kueue", "class", "n", "P50", "P95", "P99", "never admitted"],
        rows=throughput.rows("full, with webhooks", found),
        notes=[
            f"{found.finished} Workloads in {found.wall:.1f} s: {found.rate:.1f}/s. Kueue's baseline generator, counts "
            f"divided by {divisor}; execution is played, no pod exists.",
            f"Creations were behind their schedule by {lag[0]} s (median), {lag[1]} s (P95), {lag[2]} s (most).",
            "CPU-s per Workload: "
            + ", ".join(
                f"{name} {(after[name]['cpu_s'] - before[name]['cpu_s']) / max(1, found.finished):.4f}"
                for name in after
                if name in before
            ),
        ],
        section=SECTION,
    )
    measure.exhibit(
        "throughput-cdf",
        title="Time to admission",
        kind="cdf",
        series=[{"label": cls, "values": list(values)} for cls, values in sorted(found.admission.items()) if values],
        x="s",
        notes=[],
        section=SECTION,
    )
    measure.value(
        workloads_per_s=found.rate, wall_s=found.wall, creation_lag_p95_s=lag[1], divisor=divisor,
        cpu_stall_share=arm.meta.pressure.get("cpu_stall_share"),
    )  # fmt: skip
    machine = json.loads((measure.run_dir / "run.json").read_text())["machine"]
    known = LIMITS.calibrated(f"throughput_{divisor}_per_s", str(machine["fingerprint"]))
    if known is None:
        raise Inconclusive(f"{found.rate:.1f} Workloads/s; no threshold was calibrated on this machine")
    LIMITS.refuse_noise(arm)
    least = known.mean - 3 * known.sd
    measure.threshold(round(least, 2))
    assert found.rate >= least, f"{found.rate:.1f} Workloads/s, calibrated {known.mean:.1f} (sd {known.sd:.1f})"
