"""The recorder against two other witnesses: the API server's audit log and Kueue's log."""

from __future__ import annotations

from gpuassay import MUST, behaviour, scenario
from gpuassay.systems.kueue.acts.lab import KueueLab
from gpuassay.systems.platform.judge_recording import admission_findings, invented, life_findings, unseen
from gpuassay.systems.platform.readings import PlatformRecording

SPEC = "https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes"
AUDIT = "https://kubernetes.io/docs/tasks/debug/debug-cluster/audit/"
JOBS = 40


@scenario(needs={"audit-log"})
def busy(lab: KueueLab) -> None:
    """Forty short jobs run through a queue with a quota of ten GPUs."""
    lab.priority_class("usual", 5)
    lab.priority_class("rare", 10)
    queue = lab.queue(gpus=10)
    names = lab.jobs([f"job-{index}" for index in range(JOBS)], queue, run_for=0.2)
    lab.observe(lambda: lab.has("Finished", *names), "all jobs finished", timeout=120)


@behaviour(
    "platform.recording.every-write-seen", level=MUST, spec=SPEC,
    red_when="the recorder misses a change that the API server carried out", mutant="marks-lost",
)  # fmt: skip
def test_every_audited_write_was_seen(busy: PlatformRecording) -> None:
    """Every write in the audit log, except a patch that changes nothing, is recorded as an event, without gaps."""
    found = unseen(busy)
    assert not found, "\n".join(found[:20])


@behaviour(
    "platform.recording.nothing-invented", level=MUST, spec=AUDIT,
    red_when="the recording holds a change that nobody wrote", mutant="writes-unseen",
)  # fmt: skip
def test_every_event_was_audited(busy: PlatformRecording) -> None:
    """Every event of the recording has a write in the audit log: nothing is counted twice or made up."""
    found = invented(busy)
    assert not found, "\n".join(found[:20])


@behaviour(
    "platform.recording.whole-lives", level=MUST, spec=SPEC,
    red_when="the recording lacks a step in an object's life", mutant="pods-never-end",
)  # fmt: skip
def test_lives_are_recorded_whole(busy: PlatformRecording) -> None:
    """Every Job is recorded from its suspended creation to its completion, in strictly rising resource versions."""
    found = life_findings(busy, [f"job-{index}" for index in range(JOBS)])
    assert not found, "\n".join(found[:20])


@behaviour(
    "platform.recording.agrees-with-kueue", level=MUST, spec="https://kueue.sigs.k8s.io/docs/concepts/workload/",
    red_when="the watch and Kueue's own log report different admissions", mutant="queue-label-lost",
)  # fmt: skip
def test_watch_and_log_tell_of_the_same_admissions(busy: PlatformRecording) -> None:
    """Kueue's log and the watch report the same admissions, one for each job."""
    found = admission_findings(busy, JOBS)
    assert not found, "\n".join(found[:20])
