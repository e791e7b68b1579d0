"""Partial admission: a job that can do with fewer pods starts with as many as there is quota for."""

from __future__ import annotations

from gpuassay import MUST, Manifest, behaviour, dig, scenario
from gpuassay.labels import GPU, MIN_PARALLELISM
from gpuassay.manifest import name_of
from gpuassay.systems.kueue.acts import workloads as byhand
from gpuassay.systems.kueue.acts.lab import KueueLab
from gpuassay.systems.kueue.judge.lifecycle import assigned_count, ever_reserved, running, seen_at, workload_of
from gpuassay.systems.kueue.objects import queues as kueue
from gpuassay.systems.kueue.readings import KueueRecording

SPEC = "https://kueue.sigs.k8s.io/docs/tasks/run/jobs/#partial-admission"
SYNC = "kueue.x-k8s.io/job-completions-equal-parallelism"


def _size(job: Manifest | None) -> tuple[int, int]:
    return dig(job, "spec", "parallelism", default=0), dig(job, "spec", "completions", default=0)


@scenario(needs={"gate:PartialAdmission"})
def shrunk(lab: KueueLab) -> None:
    """A job of 5 pods with minimum 2 gets a quota of 3 and is later evicted; another also lowers its completions."""
    queue, pair = lab.queue(gpus=3), lab.queue(gpus=2, base="pair")
    lab.job("wide", queue, pods=5, annotations={MIN_PARALLELISM: "2"})
    lab.job(
        "synced", pair, pods=4, annotations={MIN_PARALLELISM: "1", SYNC: "true"},
        job_spec={"completionMode": "Indexed"},
    )  # fmt: skip
    lab.observe(lambda: running(lab.get("Job", "wide")) and running(lab.get("Job", "synced")), "both run")
    lab.until(lambda: lab.workload_of("wide") is not None, "Workload of wide")
    lab.mark("evicted")
    name = name_of(lab.workload_of("wide") or {})
    lab.patch("Workload", name, {"spec": {"active": False}})
    lab.observe(lambda: not running(lab.get("Job", "wide")), "wide is stopped")
    lab.observe(lambda: _size(lab.get("Job", "wide")) == (5, 5), "parallelism restored")


@behaviour(
    "kueue.partial-admission.largest-fit", level=MUST, spec=SPEC,
    red_when="a job that can shrink waits, or shrinks more than it has to", mutant="min-parallelism-lost",
)  # fmt: skip
def test_a_job_shrinks_to_what_fits(shrunk: KueueRecording) -> None:
    """A job of 5 pods with a minimum of 2 is admitted with 3 pods when there is quota for 3."""
    wide = workload_of(shrunk, "wide")
    counts = {assigned_count(one.object) for one in wide.events} - {0} if wide else set[int]()
    assert counts == {3}, f"expected to be admitted with 3 pods, seen {counts}\n{shrunk.timeline_text()}"


@behaviour(
    "kueue.partial-admission.parallelism-lowered", level=MUST, spec=SPEC, timed=True,
    red_when="a job that was admitted with fewer pods starts all of them", mutant="min-parallelism-lost",
)  # fmt: skip
def test_a_shrunk_job_runs_fewer_pods(shrunk: KueueRecording) -> None:
    """A running, partially admitted job's parallelism is the admitted pod count, and its completions are unchanged."""
    sizes = {_size(one.object) for one in shrunk.timelines("Job")["wide"].events if running(one.object)}
    assert sizes == {(3, 5)}, f"expected (parallelism, completions) (3, 5), seen {sizes}\n{shrunk.timeline_text()}"
    pods = [name for name in shrunk.timelines("Pod") if name.startswith("wide-")]
    assert len(pods) == 3, f"expected 3 pods, seen {pods}"


@behaviour(
    "kueue.partial-admission.completions-follow", level=MUST, spec=SPEC,
    red_when="a job that ties its completions to its parallelism waits for indexes that never run",
    mutant="completions-sync-lost",
)  # fmt: skip
def test_completions_follow_where_asked(shrunk: KueueRecording) -> None:
    """With the annotation that ties completions to parallelism, both are lowered to the admitted number."""
    sizes = {_size(one.object) for one in shrunk.timelines("Job")["synced"].events if running(one.object)}
    assert sizes == {(2, 2)}, f"expected (2, 2), seen {sizes}\n{shrunk.timeline_text()}"


@behaviour(
    "kueue.partial-admission.parallelism-restored", level=MUST, spec=SPEC,
    red_when="an evicted job keeps the lowered parallelism of its partial admission", mutant="min-parallelism-lost",
)  # fmt: skip
def test_an_evicted_job_gets_its_size_back(shrunk: KueueRecording) -> None:
    """When a partially admitted job is evicted, its parallelism is again what its owner asked for."""
    job = shrunk.timelines("Job")["wide"]
    before = _size(seen_at(job, shrunk.mark("evicted")))
    assert before == (3, 5), f"before the eviction: {before}"
    assert not running(job.final) and _size(job.final) == (5, 5), f"{_size(job.final)}\n{shrunk.timeline_text()}"


@scenario(needs={"gate:PartialAdmission"})
def too_small(lab: KueueLab) -> None:
    """Two free GPUs for a workload of 4 pods with minimum 3, one of 3 pods without minimum, one with minimum 2."""
    queue = lab.queue(gpus=2)
    needy = kueue.pod_set(count=4, requests={GPU: 1}, minCount=3)
    lab.create(kueue.workload("needy", lab.namespace, queue.local, [needy]))
    byhand.workload(lab, "rigid", queue, count=3)
    lab.observe(lambda: lab.decided("needy", "rigid"), "both decided")
    lab.create(kueue.workload("humble", lab.namespace, queue.local, [needy | {"minCount": 2}]))
    lab.observe_admitted("humble")


@behaviour(
    "kueue.partial-admission.not-below-minimum", level=MUST, spec=SPEC,
    red_when="a workload is admitted with fewer pods than its minimum", mutant="min-parallelism-one",
)  # fmt: skip
def test_nothing_shrinks_below_its_minimum(too_small: KueueRecording) -> None:
    """A workload whose minimum of 3 pods does not fit waits, while a younger one is admitted with its minimum of 2."""
    got = ever_reserved(too_small)
    assert got == {"humble"}, f"expected only humble to get quota, seen {sorted(got)}\n{too_small.timeline_text()}"
    assert assigned_count(too_small.timelines("Workload")["humble"].final) == 2, too_small.timeline_text()


@behaviour(
    "kueue.partial-admission.only-where-allowed", level=MUST, spec=SPEC,
    red_when="a workload without a minimum count is admitted with only some of its pods", mutant="min-parallelism-one",
)  # fmt: skip
def test_a_workload_without_minimum_never_shrinks(too_small: KueueRecording) -> None:
    """A workload without a minimum count is never admitted with only some of its pods."""
    rigid = workload_of(too_small, "rigid")
    assert rigid and "rigid" not in ever_reserved(too_small), too_small.timeline_text()
    assert "humble" in ever_reserved(too_small), f"the marker was not admitted\n{too_small.timeline_text()}"
