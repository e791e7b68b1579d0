"""Table 3 as tables and charts: this run's figures beside the paper's and the twin's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from statistics import median

from gpuassay import Measure
from gpuassay.stats.ratios import Outcome, equivalent
from gpuassay.systems.kueue import notes
from gpuassay.systems.kueue.judge.measured_figures import ArmFigures, arm_figures, arm_lanes, twin_error
from gpuassay.systems.kueue.judge.measured_order import arm_order
from gpuassay.systems.kueue.judge.runs import job_runs, own_admissions, seconds
from gpuassay.systems.kueue.model import figures
from gpuassay.systems.kueue.model.paper import TABLE_3
from gpuassay.systems.kueue.model.predict import PredictedRow, predicted_table3
from gpuassay.systems.kueue.readings import KueueRecording
from suites.kueue.performance.table3 import ARMS, CONTROL, SCHEDULER

SECTION = "Table 3: five queue configurations"

SEEDS = range(15)
"""Lists of run times behind the prediction at the paper's full scale."""

TITLES = {
    "pure": "pure Jobs",
    "fifo": "BestEffortFIFO",
    "priority": "+ priority",
    "preemption": "+ preemption",
    "two-queues-large-borrows": "2 queues, large may borrow",
    "two-queues-both-borrow": "2 queues, both may borrow",
    "two-queues": "2 queues, large may borrow",
    CONTROL: "BestEffortFIFO again (A/A)",
}

figures_of = cache(arm_figures)
order_of = cache(arm_order)
twin_error_of = cache(twin_error)


@cache
def predicted() -> dict[str, PredictedRow]:
    """The twin's Table 3 at the paper's full scale, by configuration."""
    return {row.configuration: row for row in predicted_table3(SEEDS)}


def rounds(arms: Mapping[str, KueueRecording], name: str) -> list[KueueRecording]:
    """The recordings of one arm, round by round."""
    found = [recording for key, recording in arms.items() if key.rpartition("-")[0] == name and key != SCHEDULER]
    return sorted(found, key=lambda recording: recording.note(notes.ROUND))


def paper_ratio(configuration: str) -> float:
    """The paper's makespan of a configuration relative to plain Jobs."""
    name = configuration.removesuffix("-large-borrows").removesuffix("-both-borrow")
    return next(row.ratio for row in TABLE_3 if row.configuration == name)


def middle(arms: Mapping[str, KueueRecording], name: str, of: Callable[[ArmFigures], float]) -> float:
    """Median of a figure over an arm's rounds."""
    return median(of(figures_of(recording)) for recording in rounds(arms, name))


def ratio(arms: Mapping[str, KueueRecording], name: str, of: Callable[[ArmFigures], float]) -> float:
    """Median over rounds of an arm's figure relative to that of plain Jobs in the same round."""
    pairs = zip(rounds(arms, name), rounds(arms, "pure"), strict=True)
    return median(of(figures_of(one)) / of(figures_of(base)) for one, base in pairs)


def control(arms: Mapping[str, KueueRecording]) -> tuple[list[float], list[float]]:
    """Makespans of FIFO and of FIFO again, round by round."""
    once, again = ([figures_of(arm).makespan for arm in rounds(arms, name)] for name in ("fifo", CONTROL))
    return once, again


def control_outcome(arms: Mapping[str, KueueRecording], limit: float) -> Outcome:
    """Whether the two agree within `limit` (relative): by TOST, or in a single round by their values alone."""
    once, again = control(arms)
    if len(once) > 1:
        return equivalent(again, once, limit)
    return "pass" if abs(again[0] / once[0] - 1) <= limit else "inconclusive"


def control_off(arms: Mapping[str, KueueRecording], limit: float) -> str:
    """Why makespans of these rounds are not to be judged; "" where the control agrees within `limit`."""
    if control_outcome(arms, limit) == "pass":
        return ""
    once, again = control(arms)
    off = median(two / one for one, two in zip(once, again, strict=True)) - 1
    return f"control is {off:+.1%} off, limit {limit:.0%}: runs disturb each other, or {len(once)} is too few"


def show(arms: Mapping[str, KueueRecording], measure: Measure, scale: float, ground: str) -> None:
    """Write all of Table 3's exhibits; `ground` says what the arms' GPUs are."""
    number = len(rounds(arms, "pure"))
    notes = [
        f"{number} round{'s' * (number > 1)} of 32 jobs per configuration on {ground}, one created per second, run "
        f"times of the paper's kind times {scale:.3g}, side by side on one control plane.",
        "The hand-over (exit of a container to start of the next: two one-second batches of the job controller and of "
        "Kueue, then a start) does not shrink with run times: it is measured in this run and taken out in the columns "
        "called net.",
        f"Predicted: the twin at the paper's full scale, median of {len(SEEDS)} lists of run times (least to most).",
        "Paper: ratio of the makespans of its Table 3.",
    ]
    measure.exhibit(
        "table-3",
        title="Makespan by queue configuration, beside the paper's",
        kind="table",
        columns=[
            "configuration",
            "makespan s",
            "ratio",
            "hand-over s",
            "of makespan s",
            "net makespan s",
            "net ratio",
            "paper",
            "predicted",
            "live vs twin %",
            "out of order",
            "passed parked",
            "evictions (most of one)",
        ],
        rows=[_main_row(arms, name) for name in ARMS],
        notes=notes,
        section=SECTION,
    )
    measure.exhibit(
        "table-3-jobs",
        title="What jobs and GPUs see (medians over jobs, medium / large)",
        kind="table",
        columns=[
            "configuration",
            "queue to first start s",
            "queue to last start s",
            "execution s",
            "completion s",
            "idle GPU-s",
            "of it hand-over",
            "net idle GPU-s",
            "wasted GPU-s",
            "starts out of creation order",
        ],
        rows=[_jobs_row(arms, name) for name in ARMS],
        notes=["Idle: GPUs that ran nothing while a job was pending. Wasted: run time of preempted containers."],
        section=SECTION,
    )
    measure.exhibit(
        "table-3-predicted",
        title="Table 3 as the twin predicts it at the paper's full scale",
        kind="table",
        columns=["configuration", "makespan s", "ratio", "lowest", "highest", "paper", "idle GPU-s", "wasted GPU-s"],
        rows=[
            [TITLES[row.configuration], round(row.makespan), round(row.ratio, 3), round(row.ratio_low, 3),
             round(row.ratio_high, 3), row.paper_ratio, round(row.idle_gpu_seconds), round(row.wasted_gpu_seconds)]
            for row in predicted().values()
        ],
        notes=["A model, not a measurement: it knows Kueue's rules and the two batches, nothing of images or models."],
        section=SECTION,
    )  # fmt: skip
    for index, name in enumerate(ARMS):
        _gantt(arms, measure, index, name)
    _charts(arms, measure)


def _main_row(arms: Mapping[str, KueueRecording], name: str) -> list[object]:
    queued = name != "pure"
    configuration = ARMS[name]
    row = predicted()[configuration]
    return [
        TITLES[name],
        round(middle(arms, name, lambda one: one.makespan), 1),
        round(ratio(arms, name, lambda one: one.makespan), 3),
        round(middle(arms, name, lambda one: one.handover), 2),
        round(middle(arms, name, lambda one: one.handover_in_makespan), 1),
        round(middle(arms, name, lambda one: one.net_makespan), 1),
        round(ratio(arms, name, lambda one: one.net_makespan), 3),
        paper_ratio(configuration),
        f"{row.ratio:.3f} ({row.ratio_low:.3f}-{row.ratio_high:.3f})",
        round(100 * median(twin_error_of(one).makespan for one in rounds(arms, name)), 1) if queued else None,
        sum(len(order_of(one).broken) for one in rounds(arms, name)) if queued else None,
        sum(len(order_of(one).parked) for one in rounds(arms, name)) if queued else None,
        f"{middle(arms, name, lambda one: one.evictions):g} ({middle(arms, name, lambda one: one.most_evictions):g})",
    ]


def _jobs_row(arms: Mapping[str, KueueRecording], name: str) -> list[object]:
    def both(of: Callable[[ArmFigures], dict[str, float]]) -> str:
        medium = middle(arms, name, lambda one: of(one)["medium"])
        return f"{medium:.1f} / {middle(arms, name, lambda one: of(one)['large']):.1f}"

    return [
        TITLES[name],
        both(lambda one: one.queue_first),
        both(lambda one: one.queue_last),
        both(lambda one: one.execution),
        both(lambda one: one.completion),
        round(middle(arms, name, lambda one: one.idle), 1),
        round(middle(arms, name, lambda one: one.handover_idle), 1),
        round(middle(arms, name, lambda one: one.net_idle), 1),
        round(middle(arms, name, lambda one: one.wasted), 1),
        round(middle(arms, name, lambda one: one.start_inversions)),
    ]


def _gantt(arms: Mapping[str, KueueRecording], measure: Measure, index: int, name: str) -> None:
    recording = rounds(arms, name)[0]
    zero = min(run.created for run in job_runs(recording))
    lanes = [
        {
            "label": f"GPU {number}",
            "bars": [
                {
                    "start": round(bar.attempt.start - zero, 3),
                    "end": round((bar.attempt.end or bar.attempt.start) - zero, 3),
                    "label": bar.run.name,
                    "class": "killed" if bar.attempt.killed else bar.run.cls,
                }
                for bar in lane
            ],
        }
        for number, lane in enumerate(arm_lanes(recording))
    ]
    measure.exhibit(
        f"table-3-gantt-{index}",
        title=f"{TITLES[name]}: who held which GPU (round 1)",
        kind="gantt",
        lanes=lanes,
        unit="s",
        notes=["Times since the first creation. Lanes are made from starts and ends: fake GPUs have no identity."],
        section=SECTION,
    )


def _charts(arms: Mapping[str, KueueRecording], measure: Measure) -> None:
    pending: list[dict[str, object]] = []
    admitted: list[dict[str, object]] = []
    for name in ARMS:
        recording = rounds(arms, name)[0]
        runs = job_runs(recording)
        zero = min(run.created for run in runs)
        steps = [[round(at - zero, 3), level] for at, level in figures.pending_steps(runs)]
        pending.append({"label": TITLES[name], "points": steps})
        decisions = [seconds(recording, one.at_ns) - zero for one in own_admissions(recording) if one.at_ns is not None]
        points = [[round(at, 3), number] for number, at in enumerate(sorted(decisions), start=1)]
        if points:
            admitted.append({"label": TITLES[name], "points": [[0.0, 0], *points]})
    measure.exhibit(
        "table-3-queue-length",
        title="Jobs pending over time (round 1)",
        kind="steps",
        series=pending,
        x="s since the first creation",
        y="jobs",
        notes=[],
        section=SECTION,
    )
    measure.exhibit(
        "table-3-admissions",
        title="Admissions over time, those after a preemption counted again (round 1)",
        kind="steps",
        series=admitted,
        x="s since the first creation",
        y="admissions",
        notes=[],
        section=SECTION,
    )
