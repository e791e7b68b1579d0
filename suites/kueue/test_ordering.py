"""In which order a ClusterQueue admits."""

from __future__ import annotations

from gpuassay import MUST, SHOULD, behaviour, dig, scenario
from gpuassay.manifest import is_true, name_of
from gpuassay.presence import must_have
from gpuassay.systems.kueue.acts import admission_checks as checks
from gpuassay.systems.kueue.acts import workloads as byhand
from gpuassay.systems.kueue.acts.lab import KueueLab
from gpuassay.systems.kueue.judge.queueing import decided_before, decisions, order_findings, queued
from gpuassay.systems.kueue.objects import queues as kueue
from gpuassay.systems.kueue.readings import KueueRecording

SPEC = "https://kueue.sigs.k8s.io/docs/concepts/cluster_queue/#queueing-strategy"
STOP = "https://kueue.sigs.k8s.io/docs/concepts/cluster_queue/#stoppolicy"
SELECTOR = "https://kueue.sigs.k8s.io/docs/concepts/cluster_queue/#namespace-selector"

BURST = {"StrictFIFO": 100, "BestEffortFIFO": 200}
JOBS = 40


@scenario(timeout=120)
def job_burst(lab: KueueLab) -> None:
    """Forty Jobs of three priorities, created within a second or two in a held queue, then released."""
    queue = lab.queue(gpus=JOBS, hold=True)
    classes = [lab.priority_class(f"class-{value}", value) for value in (0, 100, 200)]
    jobs = [byhand.unbound(f"job-{i}", lab, queue, priority=classes[i * 7 % 3]) for i in range(JOBS)]
    lab.create_all(jobs)
    byhand.observe_pending(lab, queue, JOBS)
    lab.release(queue)
    lab.observe(lambda: lab.count("QuotaReserved") == JOBS, "all have quota", timeout=30)
    lab.observe(lambda: len(lab.objects("Pod")) == JOBS, "all started", timeout=40)


def _burst(lab: KueueLab, strategy: str) -> None:
    size = BURST[strategy]
    queue = lab.queue(gpus=size, hold=True, strategy=strategy)
    names = [f"w{i:03}" for i in range(size)]
    byhand.workloads(lab, names, queue, each={name: {"priority": i * 7 % 3 * 100} for i, name in enumerate(names)})
    byhand.observe_pending(lab, queue, size)
    lab.release(queue)
    lab.observe(lambda: lab.count("QuotaReserved") == size, "all have quota", timeout=30)


@scenario(timeout=120)
def strict_burst(lab: KueueLab) -> None:
    """A hundred Workloads of three priorities in a held StrictFIFO queue, then released."""
    _burst(lab, "StrictFIFO")


@scenario(timeout=120)
def best_effort_burst(lab: KueueLab) -> None:
    """Two hundred Workloads of three priorities in a held BestEffortFIFO queue, then released."""
    _burst(lab, "BestEffortFIFO")


def _expect_order(recording: KueueRecording, count: int, strategy: str = "") -> None:
    """Admissions in heap order of `count` workloads, in a queue of that strategy if one is named."""
    findings = order_findings(recording)
    must_have(queued(recording), "workloads", least=count)
    strategies = {dig(one, "spec", "queueingStrategy") for one in recording.asked if one["kind"] == "ClusterQueue"}
    assert not strategy or strategies == {strategy}, f"expected queues of {strategy}, asked for {strategies}"
    assert not findings, "\n".join([*findings, recording.timeline_text()])


@behaviour(
    "kueue.ordering.same-second-burst", level=MUST, spec=SPEC,
    red_when="Jobs are admitted in another order than priority, creation second and UID", mutant="priority-ignored",
)  # fmt: skip
def test_a_burst_of_jobs_is_admitted_in_heap_order(job_burst: KueueRecording) -> None:
    """Jobs created in a burst are admitted by priority, then creation second, then UID, not by order of submission."""
    _expect_order(job_burst, JOBS)


@behaviour(
    "kueue.ordering.every-job-once", level=MUST, spec=SPEC,
    red_when="a job of a burst is lost or gets quota twice", mutant="queue-label-lost",
)  # fmt: skip
def test_every_job_of_a_burst_gets_quota_once(job_burst: KueueRecording) -> None:
    """Each job of a burst gets one Workload, and the scheduler gives each of them quota exactly once."""
    seen = decisions(job_burst)
    workloads = sorted(name_of(one) for one in job_burst.workloads())
    assert len(workloads) == JOBS, f"expected {JOBS} Workloads, seen {len(workloads)}"
    assert sorted(seen) == workloads, f"expected each of {JOBS} once, seen {len(seen)} decisions: {seen}"


@behaviour(
    "kueue.ordering.burst-strict-fifo", level=MUST, spec=SPEC,
    red_when="StrictFIFO admits in another order than priority, creation second and UID", mutant="hold-ignored",
)  # fmt: skip
def test_a_burst_in_a_strict_queue_is_admitted_in_heap_order(strict_burst: KueueRecording) -> None:
    """A hundred Workloads of a StrictFIFO queue are admitted by priority, then creation second, then UID."""
    _expect_order(strict_burst, BURST["StrictFIFO"], "StrictFIFO")


@behaviour(
    "kueue.ordering.burst-best-effort-fifo", level=MUST, spec=SPEC,
    red_when="BestEffortFIFO admits in another order than priority, creation second and UID",
    mutant="priority-latest-first",
)  # fmt: skip
def test_a_burst_in_a_best_effort_queue_is_admitted_in_heap_order(best_effort_burst: KueueRecording) -> None:
    """Two hundred Workloads of a BestEffortFIFO queue are admitted by priority, then creation second, then UID."""
    _expect_order(best_effort_burst, BURST["BestEffortFIFO"], "BestEffortFIFO")


@behaviour(
    "kueue.ordering.hold-admits-nothing", level=MUST, spec=STOP,
    red_when="a ClusterQueue with stopPolicy Hold gives out quota", mutant="hold-ignored",
)  # fmt: skip
def test_a_held_queue_admits_nothing_until_released(
    best_effort_burst: KueueRecording, job_burst: KueueRecording
) -> None:
    """A held ClusterQueue gives no quota, however much is free, until its stop policy is lifted."""
    for recording, count in ((best_effort_burst, BURST["BestEffortFIFO"]), (job_burst, JOBS)):
        must_have(decisions(recording), "decisions after the release", least=count)
        queue = next(name_of(one) for one in recording.asked if one["kind"] == "ClusterQueue")
        early = decided_before(recording, recording.mark(f"released {queue}"))
        assert not early, f"expected none before the release, seen {early[:10]} ({len(early)})"


# --- a head that does not fit ----------------------------------------------------------------------------------------


def _blocked(lab: KueueLab, strategy: str) -> None:
    queue = lab.queue(gpus=2, strategy=strategy)
    byhand.workload(lab, "running", queue)
    lab.until_admitted("running")
    byhand.workload(lab, "big", queue, gpus=2)
    byhand.observe_weighed(lab, "big")
    byhand.next_second(lab)
    byhand.workload(lab, "small", queue)
    # marker: a queue of its own, decided on after `small` was queued; the scheduler has seen both heads by then
    marker = lab.queue(gpus=1, base="marker", flavor=queue.flavor)
    byhand.workload(lab, "marker", marker)
    lab.until_admitted("marker")
    if strategy == "BestEffortFIFO":
        lab.observe_admitted("small")
    byhand.workload(lab, "urgent", queue, priority=10)
    lab.observe(lambda: lab.decided("urgent"), "urgent decided")


@scenario()
def strict_blocked(lab: KueueLab) -> None:
    """StrictFIFO, one GPU free: a workload of two GPUs waits, then a small one and an urgent small one are created."""
    _blocked(lab, "StrictFIFO")


@scenario()
def best_effort_blocked(lab: KueueLab) -> None:
    """BestEffortFIFO, one GPU free: one of two GPUs waits, then a small one and an urgent small one are created."""
    _blocked(lab, "BestEffortFIFO")


@behaviour(
    "kueue.ordering.strict-head-blocks", level=MUST, spec=SPEC,
    red_when="a StrictFIFO queue admits a workload that is behind a blocked head",
    mutant="strategy-strict-to-best-effort",
)  # fmt: skip
def test_a_blocked_head_blocks_a_strict_queue(strict_blocked: KueueRecording) -> None:
    """In a StrictFIFO queue, a workload that fits is not admitted before a head that does not fit."""
    seen = decisions(strict_blocked)
    timeline = strict_blocked.timeline_text()
    assert "small" in strict_blocked.timelines("Workload"), f"expected small to wait, it was never seen\n{timeline}"
    # the marker came after small, in a queue of its own: who decided on it had looked at small
    assert {"running", "marker"} <= set(seen), f"expected running and marker to be admitted, seen {seen}\n{timeline}"
    assert "small" not in seen, f"expected small behind big, seen {seen}\n{timeline}"


@behaviour(
    "kueue.ordering.strict-head-is-the-most-urgent", level=MUST, spec=SPEC,
    red_when="a blocked head keeps its place before a later workload of higher priority", mutant="priority-ignored",
)  # fmt: skip
def test_a_more_urgent_workload_becomes_the_head(strict_blocked: KueueRecording) -> None:
    """In a StrictFIFO queue a later workload of higher priority becomes the head and is admitted if it fits."""
    seen = decisions(strict_blocked, ["running", "big", "small", "urgent"])
    assert seen == ["running", "urgent"], f"expected running urgent, seen {seen}\n{strict_blocked.timeline_text()}"


@behaviour(
    "kueue.ordering.best-effort-skips", level=MUST, spec=SPEC,
    red_when="a head that does not fit holds up smaller workloads", mutant="strategy-best-effort-to-strict",
)  # fmt: skip
def test_a_best_effort_queue_skips_a_blocked_head(best_effort_blocked: KueueRecording) -> None:
    """In a BestEffortFIFO queue, a workload that fits is admitted before a head that does not fit."""
    seen = decisions(best_effort_blocked, ["running", "big", "small"])
    expected = ["running", "small"]
    assert seen == expected, f"expected {expected}, seen {seen}\n{best_effort_blocked.timeline_text()}"


@scenario()
def cohort_beside_blocked(lab: KueueLab) -> None:
    """Two StrictFIFO queues of a cohort: the head of one does not fit now, the other has free quota of its own."""
    cohort = lab.unique("cohort")
    first = lab.queue(gpus=2, base="first", strategy="StrictFIFO", cohort=cohort, borrowing=0)
    second = lab.queue(gpus=2, base="second", strategy="StrictFIFO", cohort=cohort, borrowing=0, flavor=first.flavor)
    byhand.workload(lab, "running", first)
    lab.until_admitted("running")
    byhand.workload(lab, "big", first, gpus=2)
    byhand.observe_weighed(lab, "big")
    byhand.next_second(lab)  # were both in one queue, big would be before beside
    byhand.workload(lab, "beside", second)
    lab.observe_admitted("beside")


@behaviour(
    "kueue.ordering.strict-blocks-its-queue-only", level=MUST, spec=SPEC,
    red_when="the blocked head of one queue holds up another queue of the cohort", mutant="local-queues-crossed",
)  # fmt: skip
def test_a_blocked_head_does_not_block_the_cohort(cohort_beside_blocked: KueueRecording) -> None:
    """A blocked StrictFIFO queue does not hold up the other queues of its cohort."""
    seen = decisions(cohort_beside_blocked)
    expected = ["running", "beside"]
    assert seen == expected, f"expected {expected}, seen {seen}\n{cohort_beside_blocked.timeline_text()}"


@scenario()
def foreign_head(lab: KueueLab) -> None:
    """The oldest and most urgent workload of a StrictFIFO queue is of a namespace that the queue does not serve."""
    selector = {"matchLabels": {"gpuassay.io/served": lab.token}}
    served = byhand.namespace(lab, "served", {"gpuassay.io/served": lab.token})
    queue = lab.queue(gpus=1, strategy="StrictFIFO", namespace_selector=selector)
    lab.local_queue("served", queue.name, namespace=served)
    byhand.workload(lab, "foreign", queue, priority=10, gpus=2)
    byhand.observe_weighed(lab, "foreign")
    byhand.workload(lab, "own", "served", namespace=served)

    def admitted() -> bool:
        found = lab.get("Workload", "own", namespace=served)
        return found is not None and is_true(found, "Admitted")

    lab.observe(admitted, "own admitted")


@behaviour(
    "kueue.ordering.strict-foreign-head", level=MUST, spec=SELECTOR,
    red_when="a workload that can never be admitted blocks those behind it", mutant="namespaces-all-welcome",
)  # fmt: skip
def test_a_head_of_a_foreign_namespace_does_not_block(foreign_head: KueueRecording) -> None:
    """In a StrictFIFO queue, a head whose namespace the namespaceSelector excludes does not block the next workload."""
    seen = decisions(foreign_head)
    assert seen == ["own"], f"expected own alone, seen {seen}\n{foreign_head.timeline_text()}"


# --- a queue that changes --------------------------------------------------------------------------------------------


@scenario()
def strategy_changed(lab: KueueLab) -> None:
    """A StrictFIFO queue with a blocked head becomes BestEffortFIFO."""
    queue = lab.queue(gpus=2, strategy="StrictFIFO")
    byhand.workload(lab, "running", queue)
    lab.until_admitted("running")
    byhand.workload(lab, "big", queue, gpus=2)
    byhand.observe_weighed(lab, "big")
    byhand.next_second(lab)
    byhand.workload(lab, "small", queue)
    marker = lab.queue(gpus=1, base="marker", flavor=queue.flavor)
    byhand.workload(lab, "marker", marker)
    lab.until_admitted("marker")
    lab.mark("changed")
    lab.patch("ClusterQueue", queue.name, {"spec": {"queueingStrategy": "BestEffortFIFO"}})
    lab.observe_admitted("small")


@behaviour(
    "kueue.ordering.live-strategy-change", level=MUST, spec=SPEC,
    red_when="a changed queueing strategy has no effect, or its effect is seen before the change",
    mutant="strategy-strict-to-best-effort",
)  # fmt: skip
def test_a_changed_strategy_takes_effect(strategy_changed: KueueRecording) -> None:
    """When a StrictFIFO queue becomes BestEffortFIFO, a workload behind its blocked head is admitted, not before."""
    timeline = strategy_changed.timeline_text()
    early = [one for one in decided_before(strategy_changed, strategy_changed.mark("changed")) if one != "marker"]
    assert early == ["running"], f"expected running alone before the change, seen {early}\n{timeline}"
    seen = decisions(strategy_changed, ["running", "big", "small"])
    assert seen == ["running", "small"], f"expected running small, seen {seen}\n{timeline}"


@scenario()
def flavor_comes_late(lab: KueueLab) -> None:
    """A ClusterQueue of a flavor that does not exist gets eight workloads; then the flavor is created."""
    flavor = lab.unique("late")
    queue = lab.queue(gpus=8, flavor=flavor, active=False)
    names = [f"w{i}" for i in range(8)]
    byhand.workloads(lab, names, queue, each={name: {"priority": i % 3} for i, name in enumerate(names)})
    byhand.observe_pending(lab, queue, 8)
    lab.mark("flavor")
    lab.create(kueue.resource_flavor(flavor))
    lab.observe_admitted(*names)


@behaviour(
    "kueue.ordering.inactive-queue", level=MUST, spec="https://kueue.sigs.k8s.io/docs/concepts/cluster_queue/",
    red_when="an inactive queue admits, or later admits its pending workloads out of order", mutant="priority-reversed",
)  # fmt: skip
def test_an_inactive_queue_admits_nothing_then_everything_in_order(flavor_comes_late: KueueRecording) -> None:
    """A ClusterQueue whose flavor is missing admits nothing, and all pending workloads in order once it is created."""
    early = decided_before(flavor_comes_late, flavor_comes_late.mark("flavor"))
    assert not early, f"expected none before the flavor exists, seen {early}"
    _expect_order(flavor_comes_late, 8)


@scenario()
def one_at_a_time(lab: KueueLab) -> None:
    """Six workloads of three priorities share one GPU; each is finished as soon as it is admitted."""
    queue = lab.queue(gpus=1, hold=True, strategy="StrictFIFO")
    names = [f"w{i}" for i in range(6)]
    byhand.workloads(lab, names, queue, each={name: {"priority": i % 3} for i, name in enumerate(names)})
    byhand.observe_pending(lab, queue, 6)
    lab.release(queue)
    for turn in range(6):
        lab.observe(lambda turn=turn: lab.count("Admitted") > turn, f"{turn + 1} admitted")
        byhand.finish_all(lab)


@behaviour(
    "kueue.ordering.one-at-a-time", level=MUST, spec=SPEC,
    red_when="a queue with quota for one workload admits out of order, or two at once", mutant="quota-doubled",
)  # fmt: skip
def test_a_queue_of_one_serves_in_heap_order(one_at_a_time: KueueRecording) -> None:
    """With quota for one workload, they are admitted one at a time by priority, creation second and UID."""
    _expect_order(one_at_a_time, 6, "StrictFIFO")
    held: set[str] = set()
    for event in one_at_a_time.of("Workload"):
        holds = is_true(event.object, "QuotaReserved") and not is_true(event.object, "Finished")
        (held.add if holds else held.discard)(event.name)
        assert len(held) <= 1, f"expected one at a time, seen {sorted(held)}\n{one_at_a_time.timeline_text()}"


@scenario()
def check_retried(lab: KueueLab) -> None:
    """A workload is evicted by its AdmissionCheck after a later one was queued; both wait for the one GPU."""
    check = lab.unique("check")
    lab.create(kueue.admission_check(check))
    active = {"type": "Active", "status": "True", "reason": "Active", "message": ""}
    active["lastTransitionTime"] = "2026-01-01T00:00:00Z"
    lab.patch("AdmissionCheck", check, {"status": {"conditions": [active]}}, subresource="status")
    queue = lab.queue(gpus=1, checks=[check])
    byhand.workload(lab, "first", queue)
    lab.until(lambda: lab.has("QuotaReserved", "first"), "first has quota")
    byhand.next_second(lab)
    byhand.workload(lab, "second", queue)
    byhand.observe_weighed(lab, "second")
    byhand.next_second(lab)
    checks.answer(lab, "first", check, "Retry")
    byhand.observe_evicted(lab, 1)
    for name in byhand.evicted(lab):
        byhand.end_eviction(lab, name)
    lab.observe(lambda: lab.has("QuotaReserved", "second"), "second has quota")


@behaviour(
    "kueue.ordering.evicted-by-check-goes-behind", level=SHOULD,
    spec="https://kueue.sigs.k8s.io/docs/concepts/admission_check/#admission-checks",
    red_when="a workload evicted by its check is requeued before workloads that were created in the meantime",
    mutant="priority-earliest-first",
)  # fmt: skip
def test_a_workload_sent_back_by_its_check_goes_behind(check_retried: KueueRecording) -> None:
    """A workload evicted by an AdmissionCheck is requeued by its eviction time, behind one created before that."""
    seen = decisions(check_retried)
    assert seen[:2] == ["first", "second"], f"expected first second, seen {seen}\n{check_retried.timeline_text()}"
