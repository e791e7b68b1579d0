"""The paper's claims about Kueue, each decided by rounds: `pytest -m paper`."""

from __future__ import annotations

from statistics import median

import pytest

from gpuassay import INFO, Arms, Measure, behaviour, scenario
from gpuassay.stats.rulings import settle
from gpuassay.systems.kueue.acts.lab import KueueLab
from gpuassay.systems.kueue.judge.runs import job_runs
from gpuassay.systems.kueue.readings import KueueRecording
from suites.kueue.performance import paper_claims, paper_rounds
from suites.kueue.performance.paper_claims import ARMS, CYCLES, MAKESPAN, ORDER
from suites.kueue.performance.paper_rounds import PLAN, SCALE
from suites.kueue.performance.tables import figures_of, rounds

pytestmark = [pytest.mark.paper, pytest.mark.timeout(7200)]

TABLE_3 = "paper on Kueue, DAS and llm-d (arXiv 2602.04900): Table 3"
TABLE_4 = "paper on Kueue, DAS and llm-d (arXiv 2602.04900): Table 4"


@scenario(alone="machine", needs={"control-plane", "kueue-process"}, timeout=7200, keep=True)
def paper(lab: KueueLab) -> None:
    """The paper's 32 jobs under four queue configurations and four times without Kueue, in rounds until decided."""
    paper_rounds.act(lab)


@pytest.mark.parametrize("name", MAKESPAN)
@behaviour(
    "kueue.performance.paper-claim", level=INFO, spec=TABLE_3,
    red_when="the configuration's makespan relative to plain Jobs is not what the paper says", mutant="",
)  # fmt: skip
def test_the_papers_claim_about_makespan(paper: KueueRecording, arms: Arms, measure: Measure, name: str) -> None:
    """The makespan relative to plain Jobs, without hand-over delays, is as the paper claims for the configuration."""
    ruling = paper_claims.makespans(arms(paper), PLAN)[name]
    measure.claim("Table 3", MAKESPAN[name], ruling)
    settle(MAKESPAN[name], ruling)


@behaviour(
    "kueue.performance.paper-order", level=INFO, spec=TABLE_3,
    red_when="Kueue's FIFO starts jobs out of creation order about as often as plain Jobs", mutant="",
)  # fmt: skip
def test_kueue_starts_jobs_in_order_and_plain_jobs_do_not(paper: KueueRecording, arms: Arms, measure: Measure) -> None:
    """In every round FIFO starts fewer jobs out of creation order than plain Jobs, whose order chance decides."""
    found = arms(paper)
    ruling = paper_claims.order(found, PLAN)
    measure.claim("Section on order", ORDER, ruling, "starts")
    orders = {name: {_order(arm) for arm in rounds(found, name)} for name in ("fifo", "pure")}
    measure.value(**{f"different_orders_{name}": len(seen) for name, seen in orders.items()})
    _show(found, measure)
    settle(ORDER, ruling, "starts")


@pytest.mark.parametrize("key", CYCLES)
@behaviour(
    "kueue.performance.paper-attempts", level=INFO, spec=TABLE_4,
    red_when="the quantile of admitting cycles lies above the edge of the bucket in which the paper's lies", mutant="",
)  # fmt: skip
def test_the_papers_admission_attempts(paper: KueueRecording, arms: Arms, measure: Measure, key: str) -> None:
    """P50 of admitting cycles lies below 5 ms, P95 and P99 below 25 ms: what the paper's histogram can tell of them."""
    ruling = paper_claims.attempts(arms(paper), PLAN)[key]
    measure.claim("Table 4", CYCLES[key], ruling, "ms")
    settle(CYCLES[key], ruling, "ms")


@pytest.mark.parametrize("cls", ["medium", "large"])
@behaviour(
    "kueue.performance.paper-execution", level=INFO, spec=TABLE_3,
    red_when="on real GPUs, Whisper takes other times than the paper's", mutant="",
)  # fmt: skip
def test_the_papers_execution_times(paper: KueueRecording, arms: Arms, measure: Measure, cls: str) -> None:
    """Median execution times: 6.6 min of medium and 17.2 min of large jobs."""
    del paper, arms
    why = "nothing is transcribed; run times are given, derived from the lengths of the paper's files and these medians"
    measure.untestable("Table 3", {"medium": 6.6, "large": 17.2}[cls], why, "min")


def _order(arm: KueueRecording) -> tuple[str, ...]:
    """Names of the arm's jobs in the order in which they first ran."""
    started = [(run.attempts[0].start, run.name) for run in job_runs(arm) if run.attempts]
    return tuple(name for _, name in sorted(started))


def _show(found: dict[str, KueueRecording], measure: Measure) -> None:
    """What jobs see, in minutes at the paper's scale: by class, medians over rounds of medians over jobs."""
    rows: list[list[object]] = []
    for name in ARMS:
        figures = [figures_of(arm) for arm in rounds(found, name)]
        cells = [
            round(median(getattr(one, what)[cls] for one in figures) / SCALE / 60, 1)
            for cls in ("medium", "large")
            for what in ("queue_first", "queue_last", "execution")
        ]
        spans = [median(getattr(one, what) for one in figures) / SCALE / 60 for what in ("makespan", "net_makespan")]
        rows.append([name, *(round(one, 1) for one in spans), *cells])
    measure.exhibit(
        "paper-table-3",
        title="The paper's 32 jobs: makespan, queue and execution medians in minutes at full scale",
        kind="table",
        columns=[
            "configuration", "makespan", "net makespan",
            *(f"{cls}: {what}" for cls in ("medium", "large") for what in ("first start", "last start", "execution")),
        ],
        rows=rows,
        notes=[f"Played at {SCALE:.3g} of the paper's run times, of its own 32 files; times are divided by that. The "
               "hand-over of about 2.4 s does not shrink with run times and is in all columns but the net makespan."],
        section="Table 3: five queue configurations",
    )  # fmt: skip
