"""What survives the sudden end of Kueue's manager."""

from __future__ import annotations

from gpuassay import MUST, SHOULD, Manifest, Note, behaviour, dig, known_defect, scenario
from gpuassay.manifest import is_true
from gpuassay.systems.kueue.acts import workloads as byhand
from gpuassay.systems.kueue.acts.lab import KueueLab
from gpuassay.systems.kueue.judge.preempting import evictions, victims_by_name
from gpuassay.systems.kueue.judge.queueing import (
    decided_before,
    decisions,
    order_findings,
    unwitnessed_findings,
)
from gpuassay.systems.kueue.readings import KueueRecording
from gpuassay.workloads import core

STATELESS = "https://kueue.sigs.k8s.io/docs/overview/"
PREEMPTION = "https://kueue.sigs.k8s.io/docs/concepts/preemption/"
COHORT = "https://kueue.sigs.k8s.io/docs/concepts/cohort/"
WEBHOOK = "https://kueue.sigs.k8s.io/docs/concepts/workload/"


BEFORE = Note("before", Manifest, "what the ClusterQueue counted before Kueue was killed")
AFTER = Note("after", Manifest, "what it counted once Kueue had started again")
EVICTED = Note("evicted", list[str], "Workloads that were evicted when Kueue was killed")


def _restart(lab: KueueLab) -> None:
    """SIGKILL, then a new start; both moments are noted."""
    lab.mark("killed")
    lab.kueue.kill()
    lab.kueue.start()
    lab.mark("ready again")


NAMES = [f"w{i}" for i in range(8)]


@scenario(alone="cluster", needs={"kueue-process", "scheduler-log"}, timeout=120)
def killed_in_queue(lab: KueueLab) -> None:
    """Eight workloads of three priorities for two GPUs; Kueue is killed after two of them have finished."""
    queue = lab.queue(gpus=2, hold=True)
    byhand.workloads(lab, NAMES, queue, each={name: {"priority": i % 3} for i, name in enumerate(NAMES)})
    byhand.observe_pending(lab, queue, 8)
    lab.release(queue)
    lab.observe(lambda: lab.count("Admitted") == 2, "two admitted")
    _finish_in_turn(lab, 4)
    byhand.observe_pending(lab, queue, 4)
    lab.observe(lambda: _reserving(lab, queue.name) == 2, "two counted")
    lab.note(BEFORE, _told(lab, queue.name))
    _restart(lab)
    byhand.observe_pending(lab, queue, 4)
    # marker: the new scheduler has decided on a queue of its own, so it has seen the cluster
    marker = lab.queue(gpus=1, base="marker", flavor=queue.flavor)
    byhand.workload(lab, "marker", marker)
    lab.until_admitted("marker")
    byhand.observe_weighed(lab, *(name for name in NAMES if not lab.has("QuotaReserved", name)))
    lab.observe(lambda: _told(lab, queue.name) == lab.noted(BEFORE), "usage as before")
    lab.note(AFTER, _told(lab, queue.name))
    lab.mark("looked at")
    _finish_in_turn(lab, 6, beside=1)
    _finish_in_turn(lab, 8, beside=1)


def _finish_in_turn(lab: KueueLab, admitted: int, *, beside: int = 0) -> None:
    """Finish those that hold quota, each once its predecessor's successor has it, until `admitted` were.

    Two that end apart by less than Kueue's look at parked workloads let one in that is not parked, by the rules.
    `beside`: admissions of other queues.
    """
    names = [name for name in byhand.holding(lab) if name != "marker"]
    for left, name in enumerate(names):
        byhand.finish(lab, name)
        want = admitted + beside - len(names) + 1 + left
        lab.observe(lambda want=want: lab.count("Admitted") == want, f"{want} admitted")


def _reserving(lab: KueueLab, queue: str) -> int:
    return int(dig(lab.get("ClusterQueue", queue), "status", "reservingWorkloads", default=0))


def _told(lab: KueueLab, queue: str) -> dict[str, object]:
    """What the ClusterQueue's status tells of its load."""
    status = dig(lab.get("ClusterQueue", queue), "status", default={})
    fields = ("pendingWorkloads", "reservingWorkloads", "admittedWorkloads", "flavorsReservation", "flavorsUsage")
    return {field: status.get(field) for field in fields}


@behaviour(
    "kueue.restart.same-order", level=MUST, spec=STATELESS,
    red_when="a restart of Kueue changes the order of pending workloads", mutant="priority-reversed",
)  # fmt: skip
def test_the_order_survives_a_kill(killed_in_queue: KueueRecording) -> None:
    """Workloads that wait while Kueue is killed and started again get quota in the order they had before."""
    findings = order_findings(killed_in_queue, NAMES)
    assert not findings, "\n".join([*findings, killed_in_queue.timeline_text()])


@behaviour(
    "kueue.restart.no-second-admission", level=MUST, spec=STATELESS,
    red_when="a running workload is admitted again after a restart, or another is admitted to quota in use",
    mutant="quota-doubled",
)  # fmt: skip
def test_nobody_is_admitted_twice(killed_in_queue: KueueRecording) -> None:
    """After a restart, nothing is admitted, for the first time or again, until a workload ends, and none is evicted."""
    before = decided_before(killed_in_queue, killed_in_queue.mark("killed"))
    then = [n for n in decided_before(killed_in_queue, killed_in_queue.mark("looked at")) if n != "marker"]
    timeline = killed_in_queue.timeline_text()
    assert len(before) == 4, f"expected four decisions before the kill, seen {before}\n{timeline}"
    assert then == before, f"expected no decision until something ended, seen {then[len(before) :]}\n{timeline}"
    gone = evictions(killed_in_queue)
    assert not unwitnessed_findings(killed_in_queue), unwitnessed_findings(killed_in_queue)
    assert not gone, f"expected no eviction, seen {gone}\n{timeline}"


@behaviour(
    "kueue.restart.same-usage", level=MUST, spec=STATELESS,
    red_when="a restarted Kueue reports other counts, reservation or usage than before", mutant="requests-halved",
)  # fmt: skip
def test_usage_is_the_same_before_and_after(killed_in_queue: KueueRecording) -> None:
    """A ClusterQueue's status reports the same counts, reservation and usage after the restart as before."""
    before, after = killed_in_queue.note(BEFORE), killed_in_queue.note(AFTER)
    assert after == before, f"expected as before {before}, seen {after}"
    total = dig(before, "flavorsReservation", 0, "resources", 0, "total")
    assert total == "2", f"expected 2 GPUs reserved, seen {total}"


@scenario(alone="cluster", needs={"kueue-process", "scheduler-log"}, timeout=120)
def killed_in_preemption(lab: KueueLab) -> None:
    """Kueue is killed when a victim is marked Evicted but still holds quota; its eviction ends after the restart."""
    queue = lab.queue(gpus=2, preemption={"withinClusterQueue": "LowerPriority"})
    for name in ("older", "newer"):
        byhand.workload(lab, name, queue)
        lab.until_admitted(name)
        byhand.next_second(lab)
    byhand.workload(lab, "preemptor", queue, priority=10)
    byhand.observe_evicted(lab, 1)
    _restart(lab)
    marker = lab.queue(gpus=1, base="marker", flavor=queue.flavor)
    byhand.workload(lab, "marker", marker)
    lab.until_admitted("marker")
    lab.note(EVICTED, byhand.evicted(lab))
    byhand.end_eviction(lab, *byhand.evicted(lab))
    lab.observe_admitted("preemptor")
    byhand.observe_weighed(lab, "newer")
    byhand.observe_pending(lab, queue, 1)


@behaviour(
    "kueue.restart.preemption-ends-once", level=MUST, spec=PREEMPTION,
    red_when="a preemption under way is forgotten, or begun again with another victim", mutant="preemption-off",
)  # fmt: skip
def test_a_preemption_under_way_ends_once(killed_in_preemption: KueueRecording) -> None:
    """A preemption that a restart interrupts ends with one victim, evicted once, and with the preemptor admitted."""
    timeline = killed_in_preemption.timeline_text()
    assert victims_by_name(killed_in_preemption) == {"newer": 1}, (
        f"expected newer once, seen {victims_by_name(killed_in_preemption)}\n{timeline}"
    )
    order, expected = decisions(killed_in_preemption), ["older", "newer", "marker", "preemptor"]
    assert order == expected, f"expected {expected}, seen {order}\n{timeline}"


@behaviour(
    "kueue.restart.victim-not-lost", level=MUST, spec=PREEMPTION,
    red_when="the victim of an interrupted preemption neither runs nor waits", mutant="preemption-off",
)  # fmt: skip
def test_the_victim_waits_again(killed_in_preemption: KueueRecording) -> None:
    """The victim of a preemption interrupted by a restart ends without quota and is counted as pending."""
    final = killed_in_preemption.timelines("Workload")["newer"].final
    queue = killed_in_preemption.timelines("ClusterQueue")[f"queue-{killed_in_preemption.token}"].final
    pending = dig(queue, "status", "pendingWorkloads", default=0)
    seen = (is_true(final, "Evicted"), is_true(final, "QuotaReserved"), pending)
    assert seen == (True, False, 1), (
        f"(evicted, has quota, pending): expected (True, False, 1), seen {seen}\n{killed_in_preemption.timeline_text()}"
    )


BORROWERS = 8
ROUNDS = 2
FRONT = [f"w{i}" for i in range(4)]


@scenario(alone="cluster", needs={"kueue-process", "scheduler-log"}, timeout=180)
def killed_while_lent(lab: KueueLab) -> None:
    """Eight queues without quota of their own borrow a ninth's eight GPUs, four workloads wait there; two kills."""
    cohort = lab.unique("cohort")
    lender = lab.queue(gpus=BORROWERS, base="lender", cohort=cohort)
    running = [f"r{i}" for i in range(BORROWERS)]
    for name in running:
        byhand.workload(lab, name, lab.queue(gpus=0, base=f"of-{name}", cohort=cohort, flavor=lender.flavor))
    lab.until_admitted(*running)
    byhand.workloads(lab, FRONT, lender, distinct=True)
    lab.until_pending(lender.name, len(FRONT))
    for kill in range(ROUNDS):
        lab.mark(f"kill {kill}")
        lab.kueue.kill()
        lab.kueue.start()
        # marker: the new scheduler has decided on a queue of its own, so it has had its first looks at the others
        byhand.workload(lab, f"marker{kill}", lab.queue(gpus=1, base=f"marker{kill}", flavor=lender.flavor))
        lab.until_admitted(f"marker{kill}")
        byhand.observe_weighed(lab, *(name for name in FRONT if not lab.has("QuotaReserved", name)))
    lab.mark("looked at")
    byhand.finish(lab, *running[: len(FRONT)])
    lab.observe_admitted(*FRONT)


@known_defect(
    "https://github.com/kubernetes-sigs/kueue/blob/v0.19.2/pkg/scheduler/scheduler.go#L222",
    "the scheduler begins before every ClusterQueue is read: usage of those that are not yet there is not counted",
    shows="admitted although all quota of the cohort is in use: w",
    racy=True,
)
@behaviour(
    "kueue.restart.lent-stays-lent", level=MUST, spec=COHORT,
    red_when="a restarted Kueue gives quota away that is lent to a queue which it has not read yet",
    mutant="quota-doubled",
)  # fmt: skip
def test_lent_quota_is_not_given_away_twice(killed_while_lent: KueueRecording) -> None:
    """A queue whose quota is lent to others admits nothing after a restart of Kueue until some of it comes back."""
    early = [name for name in decided_before(killed_while_lent, killed_while_lent.mark("looked at")) if name in FRONT]
    timeline = killed_while_lent.timeline_text()
    assert not early, f"admitted although all quota of the cohort is in use: {', '.join(early)}\n{timeline}"
    late = [name for name in decisions(killed_while_lent) if name in FRONT]
    assert sorted(late) == FRONT, f"expected {FRONT} once quota came back, seen {late}\n{timeline}"


@scenario(alone="cluster", needs={"kueue-process"}, timeout=120)
def down(lab: KueueLab) -> None:
    """Kueue is killed; a Job and a Workload are created while it is down, and the Job again once it is back."""
    queue = lab.queue(gpus=2)
    lab.job("before", queue)
    lab.until(lambda: len(lab.objects("Pod")) == 1, "a pod of before")
    lab.mark("killed")
    lab.kueue.kill()
    job = core.job("while-down", lab.namespace, queue.local)
    lab.attempt("job while down", job)
    lab.attempt("job outside while down", core.job("outside-while-down", lab.namespace, None))
    lab.kueue.start()
    lab.mark("ready again")
    lab.attempt("job again", job)
    lab.observe_admitted("while-down")
    byhand.observe_started(lab, "before", "while-down")
    lab.observe(lambda: len(lab.objects("Pod")) >= 2, "pods of both")


@behaviour(
    "kueue.restart.down-refuses-jobs", level=MUST, spec=WEBHOOK,
    red_when="a Job can be created while Kueue is down", mutant="job-wrapped",
)  # fmt: skip
def test_while_down_jobs_are_refused_by_name(down: KueueRecording) -> None:
    """While Kueue is down, Jobs with and without a queue are refused, and the error names Kueue's webhook."""
    attempts = down.attempts
    refused = attempts["job while down"]
    assert not refused.accepted, f"expected a refusal, seen {refused}"
    assert refused.status == 500 and "failed calling webhook" in refused.message, f"seen {refused}"
    assert "job.kb.io" in refused.message, f"expected Kueue's webhook by name, seen {refused.message}"
    outside = attempts["job outside while down"]
    assert not outside.accepted, f"expected Jobs without a queue to be refused too, seen {outside}"


@behaviour(
    "kueue.restart.back-in-service", level=SHOULD, spec=WEBHOOK,
    red_when="Jobs are refused or left waiting after Kueue is back", mutant="queue-label-lost",
)  # fmt: skip
def test_after_the_restart_jobs_are_served(down: KueueRecording) -> None:
    """Once Kueue is ready again, the refused Job is accepted and admitted, and the running Job is not suspended."""
    again = down.attempt("job again")
    assert again.accepted, f"expected the Job to be accepted, seen {again}"
    timeline = down.timeline_text()
    assert down.observed("while-down admitted"), f"expected while-down admitted\n{timeline}"
    before = down.timelines("Job")["before"]
    started = before.when(lambda one: dig(one, "spec", "suspend") is False)
    stopped = [one.at for one in before.events if dig(one.object, "spec", "suspend") and one.at > (started or 0)]
    assert started is not None and not stopped, f"expected before to run on, stopped at {stopped}\n{timeline}"
