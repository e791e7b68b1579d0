"""All or nothing in time: pods that do not get ready give their quota back."""

from __future__ import annotations

from gpuassay import MUST, behaviour, dig, labels, scenario
from gpuassay.manifest import condition, is_true, name_of
from gpuassay.systems.kueue.acts.lab import KueueLab
from gpuassay.systems.kueue.judge.cohorts import evictions
from gpuassay.systems.kueue.judge.readiness import (
    backoffs,
    condition_reasons,
    held_s,
    require_in_time,
    require_recovered_in_time,
    reservations,
)
from gpuassay.systems.kueue.readings import KueueRecording

SPEC = "https://kueue.sigs.k8s.io/docs/tasks/manage/setup_wait_for_pods_ready/"
TIMEOUT, RECOVERY = 6, 3
BACKOFFS = (1, 2)
"""Seconds, as the profile "pods-ready" sets them: timeout, recovery timeout, and the waits between two tries."""


@scenario("pods-ready", timeout=90)
def readiness(lab: KueueLab) -> None:
    """A job that takes a second to get ready, one that loses its readiness twice, one that never gets ready."""
    queue = lab.queue(8)
    lab.job("late", queue, start_delay=1)
    lab.job("shaky", queue, start_delay=0)
    lab.observe(lambda: lab.has("PodsReady", "late", "shaky"), "the others ready")
    lab.job("never", queue, ready=False)
    set_ready(lab, "shaky", ready=False)
    lab.observe(lambda: waits_for_recovery(lab, "shaky"), "shaky waits for recovery", timeout=5)
    set_ready(lab, "shaky", ready=True)
    lab.observe(lambda: lab.has("PodsReady", "shaky"), "shaky recovered", timeout=5)
    lab.mark("recovered")
    set_ready(lab, "shaky", ready=False)
    lab.observe(lambda: lab.has("Evicted", "shaky"), "shaky evicted", timeout=15)
    lab.observe(lambda: dig(lab.workload_of("never"), "spec", "active") is False, "never given up", timeout=50)


def set_ready(lab: KueueLab, job: str, *, ready: bool) -> None:
    """Let the running pods of a job lose or regain their readiness."""
    for pod in lab.objects("Pod"):
        if dig(pod, "metadata", "labels", "batch.kubernetes.io/job-name") == job:
            note = None if ready else "true"
            lab.patch("Pod", name_of(pod), {"metadata": {"annotations": {labels.NOT_READY: note}}})


def waits_for_recovery(lab: KueueLab, job: str) -> bool:
    """Whether Kueue has seen that a running job lost its readiness."""
    found = lab.workload_of(job)
    told = condition(found, "PodsReady") if found else None
    return told is not None and told["reason"] == "WaitForRecovery"


@behaviour(
    "kueue.pods-ready.timeout-evicts", level=MUST, spec=SPEC, timed=True,
    red_when="pods that never get ready keep their quota, or lose it before the timeout", mutant="always-ready",
)  # fmt: skip
def test_pods_that_are_not_ready_in_time_are_evicted(readiness: KueueRecording) -> None:
    """A job whose pods are not ready in time is evicted with reason PodsReadyTimeout, and not before the timeout."""
    require_in_time(readiness, "never", TIMEOUT)
    assert evictions(readiness).get("never", [])[:1] == ["PodsReadyTimeout"], readiness.timeline_text()
    times = held_s(readiness, "never")
    assert times and min(times) >= TIMEOUT, f"{times}: {readiness.timeline_text()}"


@behaviour(
    "kueue.pods-ready.backoff", level=MUST, spec=SPEC, timed=True,
    red_when="an evicted job reserves quota before its requeueAt, or its back-off is wrong", mutant="always-ready",
)  # fmt: skip
def test_each_try_waits_longer(readiness: KueueRecording) -> None:
    """Each eviction raises requeueState.count and doubles the wait to requeueAt, before which no quota is reserved."""
    require_in_time(readiness, "never", TIMEOUT)
    seen = backoffs(readiness, "never")
    assert [one.count for one in seen] == [1, 2], readiness.timeline_text()
    for one, wait in zip(seen, BACKOFFS, strict=True):
        # both times are whole seconds, so a wait of one second can show as one or two
        assert one.wait_s in {wait, wait + 1}, f"{one}: {readiness.timeline_text()}"
    starts = reservations(readiness, "never")
    assert len(starts) == 3, readiness.timeline_text()
    for one, start in zip(seen, starts[1:], strict=True):
        assert start >= one.requeue_at, f"tried at {start}, due at {one.requeue_at}: {readiness.timeline_text()}"


@behaviour(
    "kueue.pods-ready.limit-deactivates", level=MUST, spec=SPEC, timed=True,
    red_when="a job that never gets ready is tried for ever, or given up too early", mutant="always-ready",
)  # fmt: skip
def test_after_the_limit_a_job_is_given_up(readiness: KueueRecording) -> None:
    """A job that never gets ready is deactivated as RequeuingLimitExceeded after backoffLimitCount (2) retries."""
    require_in_time(readiness, "never", TIMEOUT)
    line = readiness.workload_of("never")
    assert dig(line.final, "spec", "active") is False, readiness.timeline_text()
    told = evictions(readiness).get("never", [])
    assert told == ["PodsReadyTimeout", "PodsReadyTimeout", "DeactivatedDueToRequeuingLimitExceeded"], told
    assert not is_true(line.final, "QuotaReserved"), readiness.timeline_text()


@behaviour(
    "kueue.pods-ready.condition-follows", level=MUST, spec=SPEC, timed=True,
    red_when="condition PodsReady does not follow the pods", mutant="never-ready",
)  # fmt: skip
def test_the_condition_follows_the_pods(readiness: KueueRecording) -> None:
    """Condition PodsReady is False (WaitForStart) after admission and True (Started) once all pods are ready."""
    require_in_time(readiness, "late", TIMEOUT)
    assert condition_reasons(readiness, "late") == [("False", "WaitForStart"), ("True", "Started")], (
        readiness.timeline_text()
    )


@behaviour(
    "kueue.pods-ready.ready-left-alone", level=MUST, spec=SPEC, timed=True,
    red_when="a job that got ready in time is evicted all the same", mutant="never-ready",
)  # fmt: skip
def test_ready_jobs_are_left_alone(readiness: KueueRecording) -> None:
    """A job whose pods got ready in time keeps its quota, long after the timeout."""
    require_in_time(readiness, "late", TIMEOUT)
    line = readiness.workload_of("late")
    assert "late" not in evictions(readiness), readiness.timeline_text()
    assert is_true(line.final, "Admitted"), readiness.timeline_text()
    since = line.when(lambda one: is_true(one, "Admitted"))
    assert since is not None and readiness.meta.ended_ns - since > 2 * TIMEOUT * 1_000_000_000


@behaviour(
    "kueue.pods-ready.recovery", level=MUST, spec=SPEC, timed=True,
    red_when="a job that recovers in time is evicted, or its PodsReady condition does not show the recovery",
    mutant="never-ready",
)  # fmt: skip
def test_a_job_may_recover(readiness: KueueRecording) -> None:
    """A running job that loses readiness waits for recovery, keeps its quota meanwhile, and is ready again after."""
    require_in_time(readiness, "shaky", TIMEOUT)
    require_recovered_in_time(readiness, "shaky", RECOVERY)
    told = condition_reasons(readiness, "shaky")[:4]
    assert told == [
        ("False", "WaitForStart"), ("True", "Started"), ("False", "WaitForRecovery"), ("True", "Recovered"),
    ], readiness.timeline_text()  # fmt: skip
    line = readiness.workload_of("shaky")
    evicted = line.when(lambda one: is_true(one, "Evicted"))
    assert evicted is None or evicted > readiness.mark("recovered"), readiness.timeline_text()


@behaviour(
    "kueue.pods-ready.recovery-timeout-evicts", level=MUST, spec=SPEC, timed=True,
    red_when="a job that does not recover keeps its quota", mutant="never-ready",
)  # fmt: skip
def test_a_job_that_does_not_recover_is_evicted(readiness: KueueRecording) -> None:
    """A running job that does not recover within recoveryTimeout is evicted with PodsReadyTimeout, and not before."""
    require_in_time(readiness, "shaky", TIMEOUT)
    require_recovered_in_time(readiness, "shaky", RECOVERY)
    # the first eviction only: the next try may be cut short by a condition of this one (a race in Kueue v0.19.2)
    assert evictions(readiness).get("shaky", [])[:1] == ["PodsReadyTimeout"], readiness.timeline_text()
    line = readiness.workload_of("shaky")
    lost = [one.at for one in line.condition_changes() if one.type == "PodsReady" and one.reason == "WaitForRecovery"]
    evicted = line.when(lambda one: is_true(one, "Evicted")) or 0
    assert len(lost) >= 2, readiness.timeline_text()
    # condition times are whole seconds, so up to one second of the timeout may be over when it starts
    assert evicted - lost[1] > (RECOVERY - 1) * 1_000_000_000, readiness.timeline_text()


@scenario("pods-ready-block")
def blocked(lab: KueueLab) -> None:
    """With blockAdmission, a job that takes a second to get ready is admitted, then a second job is created."""
    queue = lab.queue(8)
    lab.job("slow", queue, start_delay=1)
    lab.observe_admitted("slow")
    lab.job("behind", queue)
    lab.observe_admitted("behind")


@behaviour(
    "kueue.pods-ready.block-admission", level=MUST, spec=SPEC, timed=True,
    red_when="with blockAdmission a job is admitted while another is not ready", mutant="never-ready",
)  # fmt: skip
def test_admission_waits_until_pods_are_ready(blocked: KueueRecording) -> None:
    """With blockAdmission, a job is admitted only after the pods of the job admitted before it are ready."""
    require_in_time(blocked, "slow", TIMEOUT)
    ready = blocked.workload_of("slow").when(lambda one: is_true(one, "PodsReady"))
    admitted = blocked.workload_of("behind").when(lambda one: is_true(one, "QuotaReserved"))
    assert ready is not None and admitted is not None, blocked.timeline_text()
    assert admitted > ready, blocked.timeline_text()
