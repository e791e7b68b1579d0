"""JobSet and LeaderWorkerSet with their own controllers behind Kueue: their pods run, and free what they held."""

from __future__ import annotations

from gpuassay import MUST, behaviour, dig, scenario
from gpuassay.systems.kueue.acts.lab import KueueLab
from gpuassay.systems.kueue.judge.controlled import began_findings, freed_findings, owned, pods_of
from gpuassay.systems.kueue.judge.gates import bound
from gpuassay.systems.kueue.readings import KueueRecording
from gpuassay.workloads import core

RUN = "https://kueue.sigs.k8s.io/docs/tasks/run"


@scenario(needs={"jobset", "jobset-controller", "gpu-nodes"}, timeout=120)
def job_set_run(lab: KueueLab) -> None:
    """A JobSet of a leader and two workers takes the three GPUs of a queue for a second; a Job for all three waits."""
    queue = lab.queue(gpus=3)
    groups = {"leader": {"run_for": 1}, "workers": {"pods": 2, "run_for": 1}}
    lab.create(core.job_set("training", lab.namespace, queue.local, groups))
    lab.until(lambda: lab.workload_of("training") is not None, "a Workload of training")
    lab.job("next", queue, gpus=3, run_for=1)
    lab.observe_admitted("next", timeout=90)


@behaviour(
    "kueue.controllers.job-set-runs", level=MUST, spec=f"{RUN}/jobsets/",
    red_when="pods of a JobSet start before it is admitted, or not all of them run", mutant="queue-label-lost",
)  # fmt: skip
def test_a_job_set_runs_once_it_is_admitted(job_set_run: KueueRecording) -> None:
    """With JobSet's own controller every pod of an admitted JobSet runs, and none has a node before the admission."""
    found = began_findings(owned(job_set_run, "JobSet"), pods_of(job_set_run, "training"), 3)
    assert not found, "\n".join([*found, job_set_run.timeline_text()])


@behaviour(
    "kueue.controllers.job-set-frees-quota", level=MUST, spec=f"{RUN}/jobsets/",
    red_when="a JobSet that has ended keeps its quota, or loses it before", mutant="quota-doubled",
)  # fmt: skip
def test_a_job_set_that_has_ended_frees_its_quota(job_set_run: KueueRecording) -> None:
    """A Job that waits for a JobSet's GPUs is admitted once the JobSet has finished, and not before."""
    found = freed_findings(owned(job_set_run, "JobSet"), job_set_run.workload_of("next"))
    assert not found, "\n".join([*found, job_set_run.timeline_text()])


@scenario(needs={"leader-worker-set", "lws-controller", "gpu-nodes"}, timeout=120)
def leader_worker_set_run(lab: KueueLab) -> None:
    """A LeaderWorkerSet of one group of two pods takes both GPUs of a queue, a Job waits, the set is deleted."""
    queue = lab.queue(gpus=2)
    lab.create(core.leader_worker_set("inference", lab.namespace, queue.local, replicas=1, size=2))
    lab.observe(lambda: sum(map(bound, lab.objects("Pod"))) == 2, "both pods placed")
    lab.job("next", queue, gpus=2, run_for=1)
    lab.observe(lambda: lab.decided("next"), "the next job was considered")
    lab.observe(
        lambda: sum(dig(pod, "status", "phase") == "Running" for pod in lab.objects("Pod")) == 2, "both pods running"
    )
    lab.delete("LeaderWorkerSet", "inference")
    lab.observe_admitted("next", timeout=90)


@behaviour(
    "kueue.controllers.leader-worker-set-runs", level=MUST, spec=f"{RUN}/leaderworkerset/",
    red_when="pods of a group start before it is admitted, or not all of them run", mutant="queue-label-lost",
)  # fmt: skip
def test_a_group_runs_once_it_is_admitted(leader_worker_set_run: KueueRecording) -> None:
    """With its own controller leader and worker of an admitted group run, and neither has a node before that."""
    story = leader_worker_set_run
    found = began_findings(owned(story, "LeaderWorkerSet"), pods_of(story, "inference"), 2)
    assert not found, "\n".join([*found, story.timeline_text()])


@behaviour(
    "kueue.controllers.leader-worker-set-frees-quota", level=MUST, spec=f"{RUN}/leaderworkerset/",
    red_when="a LeaderWorkerSet that was deleted keeps its quota, or loses it before", mutant="quota-doubled",
)  # fmt: skip
def test_a_deleted_group_frees_its_quota(leader_worker_set_run: KueueRecording) -> None:
    """A Job that waits for a LeaderWorkerSet's GPUs is admitted once that was deleted, and not before."""
    story = leader_worker_set_run
    found = freed_findings(owned(story, "LeaderWorkerSet"), story.workload_of("next"))
    assert not found, "\n".join([*found, story.timeline_text()])
