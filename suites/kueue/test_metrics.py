"""Whether Kueue's metrics tell what happened."""

from __future__ import annotations

from gpuassay import MUST, SHOULD, behaviour, dig, scenario
from gpuassay.labels import GPU
from gpuassay.manifest import condition
from gpuassay.systems.kueue.acts import workloads as byhand
from gpuassay.systems.kueue.acts.lab import KueueLab
from gpuassay.systems.kueue.judge.attempts import attempts_between
from gpuassay.systems.kueue.judge.preempting import evictions
from gpuassay.systems.kueue.judge.queueing import decisions
from gpuassay.systems.kueue.readings import KueueRecording

SPEC = "https://kueue.sigs.k8s.io/docs/reference/metrics/"


@scenario(needs={"kueue-metrics"})
def counted(lab: KueueLab) -> None:
    """One queue ends with 3 running and 2 pending workloads after a preemption, a StrictFIFO one with 1 and 2."""
    queue = lab.queue(gpus=3, base="busy", preemption={"withinClusterQueue": "LowerPriority"})
    strict = lab.queue(gpus=1, base="strict", strategy="StrictFIFO")
    cohort = lab.unique("cohort")
    lab.queue(gpus=7, base="limited", cohort=cohort, borrowing=2, lending=3)
    lab.scrape("before")
    byhand.workloads(lab, ["a", "b", "c"], queue)
    byhand.workload(lab, "strict-a", strict)
    lab.until_admitted("a", "b", "c", "strict-a")
    byhand.workloads(lab, ["d", "e"], queue, distinct=True)
    byhand.workloads(lab, ["strict-b", "strict-c"], strict)
    byhand.observe_weighed(lab, "d", "e")
    byhand.workload(lab, "urgent", queue, priority=10)
    byhand.observe_evicted(lab, 1)
    byhand.end_eviction(lab, *byhand.evicted(lab))
    lab.observe_admitted("urgent")
    byhand.finish(lab, "urgent")
    lab.observe(
        lambda: lab.count("Admitted") == 5 and len(byhand.holding(lab)) == 4,
        "the GPU of urgent taken",
    )
    byhand.observe_pending(lab, queue, 2)
    byhand.observe_pending(lab, strict, 2)
    lab.observe(lambda: _gauge(lab, queue.name, "inadmissible") == 2, "two found inadmissible")
    lab.scrape("after")


def _gauge(lab: KueueLab, queue: str, status: str) -> float:
    samples = lab.kueue.metrics()
    mine = [one for one in samples if one["name"] == "kueue_pending_workloads"]
    wanted = {"cluster_queue": queue, "status": status}
    return sum(one["value"] for one in mine if wanted.items() <= one["labels"].items())


def _queue(recording: KueueRecording, base: str) -> str:
    return f"{base}-{recording.token}"


def _status(recording: KueueRecording, base: str, field: str) -> int:
    """The ClusterQueue's own counter, as last seen."""
    return int(dig(recording.timelines("ClusterQueue")[_queue(recording, base)].final, "status", field, default=0))


@behaviour(
    "kueue.metrics.pending-gauge", level=MUST, spec=SPEC, timed=True,
    red_when="kueue_pending_workloads differs from the ClusterQueue's status or from the number of pending workloads",
    mutant="quota-doubled",
)  # fmt: skip
def test_the_pending_gauge_equals_the_status(counted: KueueRecording) -> None:
    """At rest, kueue_pending_workloads (active plus inadmissible) equals the ClusterQueue's pending count."""
    for base in ("busy", "strict"):
        seen = counted.metrics("after").sum("kueue_pending_workloads", cluster_queue=_queue(counted, base))
        told = _status(counted, base, "pendingWorkloads")
        assert (seen, told) == (2, 2), f"{base}: expected 2 waiting, gauge says {seen:g}, status {told}"


@behaviour(
    "kueue.metrics.pending-split", level=SHOULD, spec=SPEC, timed=True,
    red_when="inadmissible workloads are counted as active in kueue_pending_workloads, or the reverse",
    mutant="strategy-strict-to-best-effort",
)  # fmt: skip
def test_pending_splits_into_active_and_inadmissible(counted: KueueRecording) -> None:
    """Workloads that do not fit count as inadmissible in a BestEffortFIFO queue and as active in a StrictFIFO queue."""
    after = counted.metrics("after")
    seen = {
        base: tuple(
            after.sum("kueue_pending_workloads", cluster_queue=_queue(counted, base), status=status)
            for status in ("active", "inadmissible")
        )
        for base in ("busy", "strict")
    }
    expected = {"busy": (0, 2), "strict": (2, 0)}
    assert seen == expected, f"(active, inadmissible): expected {expected}, seen {seen}"


@behaviour(
    "kueue.metrics.active-gauges", level=MUST, spec=SPEC, timed=True,
    red_when="the gauges of reserving and admitted workloads differ from the ClusterQueue's status",
    mutant="quota-doubled",
)  # fmt: skip
def test_the_gauges_of_running_workloads_equal_the_status(counted: KueueRecording) -> None:
    """At rest, the gauges of reserving and admitted workloads equal the ClusterQueue's counts of them."""
    for base, expected in (("busy", 3), ("strict", 1)):
        for gauge, field in (
            ("kueue_reserving_active_workloads", "reservingWorkloads"),
            ("kueue_admitted_active_workloads", "admittedWorkloads"),
        ):
            seen = counted.metrics("after").sum(gauge, cluster_queue=_queue(counted, base))
            told = _status(counted, base, field)
            assert (seen, told) == (expected, expected), f"{base} {gauge}: expected {expected}, seen {seen:g}, {told}"


@behaviour(
    "kueue.metrics.admitted-total", level=MUST, spec=SPEC,
    red_when="admissions are counted double or not at all", mutant="preemption-off",
)  # fmt: skip
def test_the_counters_of_admissions_equal_the_decisions(counted: KueueRecording) -> None:
    """The counters of quota reservations and admissions grow by exactly one for each admission by the scheduler."""
    taken = len([name for name in decisions(counted) if not name.startswith("strict")])
    for counter in ("kueue_quota_reserved_workloads_total", "kueue_admitted_workloads_total"):
        seen = counted.metric_delta(counter, cluster_queue=_queue(counted, "busy"))
        assert seen == taken == 5, f"{counter}: expected 5, decisions {taken}, counter {seen:g}"


@behaviour(
    "kueue.metrics.evicted-total", level=MUST, spec=SPEC,
    red_when="an eviction is counted double, not at all, or for another reason", mutant="preemption-off",
)  # fmt: skip
def test_the_counter_of_evictions_equals_the_evictions(counted: KueueRecording) -> None:
    """The counter of evicted workloads grows by one for each eviction in the queue, under the eviction's reason."""
    seen_events = [one.reason for one in evictions(counted)]
    queue = _queue(counted, "busy")
    seen = counted.metric_delta("kueue_evicted_workloads_total", cluster_queue=queue, reason="Preempted")
    every = counted.metric_delta("kueue_evicted_workloads_total", cluster_queue=queue)
    assert seen_events == ["Preempted"], f"expected one preemption, seen {seen_events}\n{counted.timeline_text()}"
    assert (seen, every) == (1, 1), f"expected 1 for Preempted and 1 in all, seen {seen:g} and {every:g}"


@behaviour(
    "kueue.metrics.preempted-total", level=MUST, spec=SPEC,
    red_when="the counter of preemptions differs from the number of victims", mutant="preemption-off",
)  # fmt: skip
def test_the_counter_of_preemptions_equals_the_victims(counted: KueueRecording) -> None:
    """The counter of preempted workloads grows by one per victim, under the preempting queue and the reason."""
    seen = counted.metric_delta(
        "kueue_preempted_workloads_total",
        preempting_cluster_queue=_queue(counted, "busy"), reason="InClusterQueue",
    )  # fmt: skip
    assert seen == len(evictions(counted)) == 1, f"expected 1 victim, seen {len(evictions(counted))}, counter {seen:g}"


@behaviour(
    "kueue.metrics.finished-total", level=SHOULD, spec=SPEC,
    red_when="a finished workload is not counted", mutant="preemption-off",
)  # fmt: skip
def test_the_counter_of_finished_workloads(counted: KueueRecording) -> None:
    """The counter of finished workloads grows by one when a workload that ran in the queue finishes."""
    seen = counted.metric_delta("kueue_finished_workloads_total", cluster_queue=_queue(counted, "busy"))
    ran = "urgent" in decisions(counted)
    assert ran and seen == 1, f"expected urgent admitted and finished, admitted {ran}, counter {seen:g}"


@behaviour(
    "kueue.metrics.quota-gauges", level=MUST, spec=SPEC,
    red_when="the quota gauges differ from the ClusterQueue's spec", mutant="quota-doubled",
)  # fmt: skip
def test_the_quota_gauges_equal_the_spec(counted: KueueRecording) -> None:
    """The gauges of nominal quota, borrowing limit and lending limit equal the ClusterQueue's spec."""
    after = counted.metrics("after")
    expected = {
        ("kueue_cluster_queue_nominal_quota", "busy"): 3,
        ("kueue_cluster_queue_nominal_quota", "strict"): 1,
        ("kueue_cluster_queue_nominal_quota", "limited"): 7,
        ("kueue_cluster_queue_borrowing_limit", "limited"): 2,
        ("kueue_cluster_queue_lending_limit", "limited"): 3,
    }
    seen = {(name, base): after.sum(name, cluster_queue=_queue(counted, base), resource=GPU) for name, base in expected}
    assert seen == expected, f"expected {expected}, seen {seen}"


@behaviour(
    "kueue.metrics.usage-gauges", level=MUST, spec=SPEC, timed=True,
    red_when="the gauges of reserved and used resources differ from what the workloads hold", mutant="requests-halved",
)  # fmt: skip
def test_the_usage_gauges_equal_what_is_held(counted: KueueRecording) -> None:
    """At rest the gauges of reserved and used GPUs equal the GPUs of the workloads that hold quota."""
    after = counted.metrics("after")
    for name in ("kueue_cluster_queue_resource_reservation", "kueue_cluster_queue_resource_usage"):
        seen = {b: after.sum(name, cluster_queue=_queue(counted, b), resource=GPU) for b in ("busy", "strict")}
        assert seen == {"busy": 3, "strict": 1}, f"{name}: expected busy 3, strict 1, seen {seen}"


@scenario(needs={"kueue-metrics"})
def statuses(lab: KueueLab) -> None:
    """Two ClusterQueues: the flavor of one exists, that of the other does not."""
    served = lab.queue(gpus=1, base="served", active=False)
    waiting = lab.queue(gpus=1, base="waiting", flavor=lab.unique("absent"), active=False)

    def told(name: str) -> str | None:
        return dig(condition(lab.get("ClusterQueue", name) or {}, "Active"), "status")

    lab.observe(lambda: told(served.name) == "True", "served is active")
    lab.observe(lambda: told(waiting.name) == "False", "waiting is inactive")
    lab.scrape("after")


@behaviour(
    "kueue.metrics.queue-status", level=SHOULD, spec=SPEC,
    red_when="the status gauge of a queue has no or several statuses set to 1, or a wrong one",
    mutant="flavors-renamed",
)  # fmt: skip
def test_the_status_gauge_tells_the_status(statuses: KueueRecording) -> None:
    """Exactly one of a ClusterQueue's status series is 1: active, or pending when its flavor does not exist."""
    for base, expected in (("served", "active"), ("waiting", "pending")):
        rows = statuses.metrics("after").select("kueue_cluster_queue_status", cluster_queue=_queue(statuses, base))
        seen = sorted(row["labels"]["status"] for row in rows if row["value"] == 1)
        assert len(rows) == 3, f"{base}: expected 3 series, seen {rows}"
        assert seen == [expected], f"{base}: expected {expected} alone, seen {seen}"


@scenario(alone="cluster", needs={"kueue-process", "kueue-metrics", "scheduler-log"})
def attempts(lab: KueueLab) -> None:
    """Alone on the cluster, four workloads are created one after the other for two GPUs; then one finishes."""
    queue = lab.queue(gpus=2)
    lab.mark("before")
    lab.scrape("before")
    for name in ("a", "b"):
        byhand.workload(lab, name, queue)
        lab.observe(lambda name=name: lab.has("Admitted", name), f"{name} admitted")
    for name in ("c", "d"):
        byhand.workload(lab, name, queue, distinct=True)
        byhand.observe_weighed(lab, name)
    byhand.finish(lab, "a")
    lab.observe(lambda: lab.count("Admitted") == 3, "three admitted")
    byhand.observe_pending(lab, queue, 1)
    lab.observe(lambda: _gauge(lab, queue.name, "inadmissible") == 1, "one found inadmissible")
    lab.scrape("after")
    lab.mark("after")


@behaviour(
    "kueue.metrics.admission-attempts", level=MUST, spec=SPEC, timed=True,
    red_when="admission attempts are not counted, or under the wrong result", mutant="quota-doubled",
)  # fmt: skip
def test_attempts_equal_cycles(attempts: KueueRecording) -> None:
    """Counter and histogram count each scheduling cycle as one admission attempt, under the result in Kueue's log."""
    logged = attempts_between(attempts, attempts.mark("before"), attempts.mark("after"))
    for name in ("kueue_admission_attempts_total", "kueue_admission_attempt_duration_seconds_count"):
        seen = {result: attempts.metric_delta(name, result=result) for result in ("success", "inadmissible")}
        assert seen == logged, f"{name}: expected as in the log {logged}, seen {seen}"
    assert logged["success"] == 3, f"expected 3 successful cycles (2 GPUs, then 1 freed), seen {logged}"
