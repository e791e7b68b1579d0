"""What a ClusterQueue hands out: never more than it has, everything that it has, and what counts."""

from __future__ import annotations

from gpuassay import MUST, Manifest, behaviour, dig, scenario
from gpuassay.labels import GPU, RUN_FOR
from gpuassay.manifest import is_true, name_of
from gpuassay.systems.kueue import notes
from gpuassay.systems.kueue.acts import workloads as byhand
from gpuassay.systems.kueue.acts.lab import KueueLab
from gpuassay.systems.kueue.judge.lifecycle import (
    ever_reserved,
    evictions,
    finished_at,
    reserved_at,
    seen_at,
    told,
    usage,
    workload_of,
)
from gpuassay.systems.kueue.judge.usage import ledger, peaks, reported_peaks
from gpuassay.systems.kueue.objects import queues as kueue
from gpuassay.systems.kueue.readings import KueueRecording

CLUSTER_QUEUE = "https://kueue.sigs.k8s.io/docs/concepts/cluster_queue/"
WORKLOADS = "https://kueue.sigs.k8s.io/docs/concepts/workload/"
DEFAULTS = f"{WORKLOADS}#resource-requests"
DONGLE = "example.com/dongle"
SIZES = (1, 2, 1, 2, 1, 2, 1, 2, 1, 2)


def _by_hand(lab: KueueLab, name: str, queue: str, count: int = 1, **requests: int | str) -> None:
    """A Workload that asks for `requests` per pod."""
    lab.create(kueue.workload(name, lab.namespace, queue, [kueue.pod_set(count=count, requests=requests)]))


@scenario(needs={"gpu-nodes"})
def burst(lab: KueueLab) -> None:
    """Ten jobs for fifteen GPUs are created at once in a queue of five."""
    queue = lab.queue(gpus=5)
    sizes = {f"job-{index}": size for index, size in enumerate(SIZES)}
    lab.jobs(sizes, queue, each={name: {"gpus": size} for name, size in sizes.items()}, run_for=0.2)
    lab.observe(lambda: lab.count("Finished") == len(sizes), "all finished")


@behaviour(
    "kueue.quota.never-exceeded", level=MUST, spec=CLUSTER_QUEUE,
    red_when="workloads hold more than the nominal quota, even briefly", mutant="quota-doubled",
)  # fmt: skip
def test_quota_is_never_exceeded(burst: KueueRecording) -> None:
    """During a burst, the workloads that hold quota never hold more than the nominal quota together."""
    seen = peaks(burst)
    assert list(seen.values()) and max(seen.values()) <= 5, f"quota 5, peaks {seen}\n{ledger(burst)}"


@behaviour(
    "kueue.quota.status-never-exceeds", level=MUST, spec=CLUSTER_QUEUE,
    red_when="a ClusterQueue's status reports a reservation above its quota, or never any", mutant="quota-doubled",
)  # fmt: skip
def test_the_reported_reservation_is_within_quota(burst: KueueRecording) -> None:
    """The reservation in a ClusterQueue's status never exceeds its quota during a burst, and is not always zero."""
    seen = reported_peaks(burst)
    assert seen and 0 < max(seen.values()) <= 5, f"quota 5, reported peaks {seen}\n{ledger(burst)}"


@behaviour(
    "kueue.quota.burst-is-served", level=MUST, spec=CLUSTER_QUEUE,
    red_when="a job of a burst never finishes, or gets quota more than once", mutant="run-endless",
)  # fmt: skip
def test_a_burst_is_served_to_its_end(burst: KueueRecording) -> None:
    """Every job of a burst that is larger than the quota gets quota exactly once and finishes."""
    names = [f"job-{index}" for index in range(len(SIZES))]
    seen = {name: (len(reserved_at(burst, name)), finished_at(burst, name) is not None) for name in names}
    odd = {name: one for name, one in seen.items() if one != (1, True)}
    assert not odd, f"(times admitted, finished): {odd}\n{ledger(burst)}"


@scenario()
def counted(lab: KueueLab) -> None:
    """Queues with quota for pods or GPUs; workloads with a zero request, an uncovered resource, or only limits."""
    flavor = lab.flavor("any")
    few = lab.cluster_queue("few-pods", [kueue.resource_group({flavor: [kueue.quota("pods", 3)]})])
    lab.local_queue("few-pods", few)
    gpus = lab.queue(gpus=6, base="gpus", flavor=flavor)
    byhand_pods = {"pair": 2, "second-pair": 2, "single": 1}
    for name, count in byhand_pods.items():
        _by_hand(lab, name, "few-pods", count)
        lab.observe(lambda name=name: lab.decided(name), f"{name} decided")
    lab.attempt(
        "pods requested", kueue.workload("sly", lab.namespace, "few-pods", [kueue.pod_set(requests={"pods": 1})])
    )
    capped = kueue.pod_set()
    capped["template"]["spec"]["containers"][0]["resources"] = {"limits": {GPU: "2"}}
    lab.create(kueue.workload("capped", lab.namespace, gpus.local, [capped]))
    _by_hand(lab, "none", gpus.local, **{GPU: 1, DONGLE: 0})
    _by_hand(lab, "some", gpus.local, **{GPU: 1, DONGLE: 1})
    byhand.observe_weighed(lab, "some")
    byhand.workload(lab, "marker", gpus)
    lab.observe_admitted("marker", "none", "capped")


@behaviour(
    "kueue.quota.pods-counted", level=MUST, spec=f"{CLUSTER_QUEUE}#resources",
    red_when="the quota for pods is not enforced", mutant="quota-doubled",
)  # fmt: skip
def test_a_quota_for_pods_counts_pods(counted: KueueRecording) -> None:
    """A quota of 3 pods admits a workload of 2 pods and one of 1 pod, but not a second workload of 2 pods."""
    got = ever_reserved(counted) & {"pair", "second-pair", "single"}
    assert got == {"pair", "single"}, f"expected pair and single, seen {sorted(got)}\n{counted.timeline_text()}"
    pair = workload_of(counted, "pair")
    assert pair and usage(pair.final) == {"pods": "2"}, pair and usage(pair.final)


@behaviour(
    "kueue.quota.pods-name-reserved", level=MUST, spec=f"{CLUSTER_QUEUE}#resources",
    red_when="a workload may request the reserved resource called pods", mutant="requests-outside-gpu-lost",
)  # fmt: skip
def test_nobody_may_ask_for_pods(counted: KueueRecording) -> None:
    """A Workload whose containers ask for the resource called pods is refused."""
    outcome = counted.attempt("pods requested")
    assert not outcome.accepted and "pods" in outcome.message, outcome


@behaviour(
    "kueue.quota.zero-of-uncovered", level=MUST, spec=CLUSTER_QUEUE,
    red_when="a request for zero of an uncovered resource keeps a workload pending", mutant="zero-counts-as-one",
)  # fmt: skip
def test_zero_of_an_uncovered_resource_is_fine(counted: KueueRecording) -> None:
    """A workload that asks for zero of a resource that its ClusterQueue does not cover is admitted."""
    none = workload_of(counted, "none")
    assert none and is_true(none.final, "Admitted"), counted.timeline_text(["none", "marker"])


@behaviour(
    "kueue.quota.uncovered-waits", level=MUST, spec=CLUSTER_QUEUE,
    red_when="a workload is admitted although it requests a resource without quota", mutant="requests-outside-gpu-lost",
)  # fmt: skip
def test_an_uncovered_resource_keeps_a_workload_waiting(counted: KueueRecording) -> None:
    """A workload that requests an uncovered resource is not admitted, and its condition names the resource."""
    some, got = workload_of(counted, "some"), ever_reserved(counted)
    assert "marker" in got and "some" not in got, f"got quota: {sorted(got)}\n{counted.timeline_text()}"
    assert told(some, "QuotaReserved", f"resource {DONGLE} unavailable in ClusterQueue"), counted.timeline_text(
        ["some"]
    )


@behaviour(
    "kueue.quota.limits-count-as-requests", level=MUST, spec=DEFAULTS,
    red_when="pods that state only limits are not charged", mutant="limits-lost",
)  # fmt: skip
def test_limits_without_requests_count(counted: KueueRecording) -> None:
    """A container that states only a limit is charged that limit."""
    capped = workload_of(counted, "capped")
    assert capped and usage(capped.final) == {GPU: "2"}, f"expected 2 GPUs, seen {capped and usage(capped.final)}"


@scenario()
def reclaimed(lab: KueueLab) -> None:
    """One of two pods of a job ends, while a workload waits for one GPU; then nothing more happens."""
    queue = lab.queue(gpus=2)
    lab.job("pair", queue, pods=2)
    lab.until_admitted("pair")

    def started() -> list[Manifest]:
        return [pod for pod in lab.objects("Pod") if dig(pod, "status", "phase") == "Running"]

    lab.until(lambda: len(started()) == 2, "both pods run")
    byhand.workload(lab, "waiting", queue)
    byhand.observe_weighed(lab, "waiting")
    lab.mark("one ends")
    lab.patch("Pod", name_of(started()[0]), {"metadata": {"annotations": {RUN_FOR: "0.05s"}}})
    lab.observe_admitted("waiting")


@behaviour(
    "kueue.quota.reclaimable-pods", level=MUST, spec="https://kueue.sigs.k8s.io/docs/concepts/workload/#dynamic-reclaim",
    red_when="the quota of pods that have ended stays taken until the whole job ends", mutant="quota-doubled",
)  # fmt: skip
def test_pods_that_have_ended_free_their_quota(reclaimed: KueueRecording) -> None:
    """A waiting workload gets the GPU of a job's pod that has ended, while the job's other pod still runs."""
    pair = workload_of(reclaimed, "pair")
    assert pair, reclaimed.timeline_text()
    freed = [one.rv for one in pair.events if dig(one.object, "status", "reclaimablePods", default=[])]
    told_free = dig(pair.final, "status", "reclaimablePods", default=[])
    assert told_free == [{"name": "main", "count": 1}], f"reclaimable: {told_free}\n{reclaimed.timeline_text()}"
    got = reserved_at(reclaimed, "waiting")
    assert len(got) == 1 and got[0] > freed[0], f"freed at version {freed[0]}, taken at {got}"
    assert not is_true(pair.final, "Finished") and not evictions(pair), reclaimed.timeline_text()


@scenario()
def ranged(lab: KueueLab) -> None:
    """A LimitRange sets a default request of half a CPU and a maximum of two CPUs per container."""
    rule: Manifest = {"type": "Container", "defaultRequest": {"cpu": "500m"}, "max": {"cpu": "2"}}
    lab.create({
        "apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "house-rules", "namespace": lab.namespace},
        "spec": {"limits": [rule]},
    })  # fmt: skip
    flavor = lab.flavor("cpus")
    for name, cpus in (("small", 1), ("large", 10)):
        lab.local_queue(name, lab.cluster_queue(name, [kueue.resource_group({flavor: [kueue.quota("cpu", cpus)]})]))
    for name in ("plain-0", "plain-1", "plain-2"):
        _by_hand(lab, name, "small")
        lab.observe(lambda name=name: lab.decided(name), f"{name} decided")
    greedy = kueue.pod_set()
    greedy["template"]["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "3"}, "limits": {"cpu": "3"}}
    lab.create(kueue.workload("greedy", lab.namespace, "large", [greedy]))
    byhand.observe_weighed(lab, "greedy")
    _by_hand(lab, "marker", "large", cpu=1)
    lab.observe_admitted("marker")


@behaviour(
    "kueue.quota.limit-range-defaults", level=MUST, spec=DEFAULTS,
    red_when="pods without requests are charged nothing although a LimitRange sets a default request",
    mutant="limit-range-emptied",
)  # fmt: skip
def test_a_limit_range_gives_default_requests(ranged: KueueRecording) -> None:
    """Workloads without requests are charged the LimitRange's default, so two of half a CPU fill a quota of one."""
    got = ever_reserved(ranged) & {"plain-0", "plain-1", "plain-2"}
    assert got == {"plain-0", "plain-1"}, f"got quota: {sorted(got)}\n{ranged.timeline_text()}"
    charged = {name: usage(ranged.timelines("Workload")[name].final) for name in sorted(got)}
    assert all(one == {"cpu": "500m"} for one in charged.values()), charged


@behaviour(
    "kueue.quota.limit-range-refuses", level=MUST, spec=DEFAULTS,
    red_when="a workload is admitted whose pods the LimitRange will refuse", mutant="limit-range-emptied",
)  # fmt: skip
def test_a_limit_range_keeps_a_workload_out(ranged: KueueRecording) -> None:
    """A workload whose pods break a LimitRange is not admitted although there is quota, and its condition says why."""
    got = ever_reserved(ranged)
    assert "marker" in got and "greedy" not in got, f"got quota: {sorted(got)}\n{ranged.timeline_text()}"
    greedy = workload_of(ranged, "greedy")
    assert told(greedy, "QuotaReserved", "LimitRange"), ranged.timeline_text(["greedy"])


@scenario()
def resized(lab: KueueLab) -> None:
    """A full queue gets one GPU more, then loses it again while both are in use."""
    queue = lab.queue(gpus=1)
    lab.note(notes.QUOTA_CHANGED, [queue.name])
    byhand.workload(lab, "first", queue)
    lab.until_admitted("first")
    byhand.workload(lab, "second", queue)
    byhand.observe_weighed(lab, "second")
    lab.mark("raised")
    lab.patch("ClusterQueue", queue.name, {"spec": {"resourceGroups": [kueue.gpu_group(queue.flavor, 2)]}})
    lab.observe_admitted("second")
    lab.patch("ClusterQueue", queue.name, {"spec": {"resourceGroups": [kueue.gpu_group(queue.flavor, 1)]}})
    byhand.workload(lab, "third", queue)
    byhand.observe_weighed(lab, "third")
    lab.mark("first ends")
    byhand.finish(lab, "first")
    byhand.workload(lab, "marker", lab.queue(gpus=1, base="other", flavor=queue.flavor))
    lab.observe_admitted("marker")


@behaviour(
    "kueue.quota.raise-admits", level=MUST, spec=CLUSTER_QUEUE,
    red_when="workloads keep waiting although their ClusterQueue has got more quota", mutant="quota-change-lost",
)  # fmt: skip
def test_a_raised_quota_admits_who_waits(resized: KueueRecording) -> None:
    """A pending workload is admitted when its ClusterQueue's quota is raised, without a change to the workload."""
    second = workload_of(resized, "second")
    got = second.when(lambda obj: is_true(obj, "QuotaReserved")) if second else None
    assert got and resized.mark("raised") < got < resized.mark("first ends"), (
        f"got quota at {got}\n{resized.timeline_text()}"
    )


@behaviour(
    "kueue.quota.lowering-evicts-nobody", level=MUST, spec=CLUSTER_QUEUE,
    red_when="a lowered quota evicts running workloads, or a workload is admitted while usage exceeds the quota",
    mutant="quota-change-lost",
)  # fmt: skip
def test_a_lowered_quota_evicts_nobody(resized: KueueRecording) -> None:
    """When quota is lowered below current usage, the running workloads are not evicted and nothing more is admitted."""
    both = [workload_of(resized, name) for name in ("first", "second")]
    overdrawn = [one and seen_at(one, resized.mark("first ends")) for one in both]
    assert all(one and is_true(one, "Admitted") for one in overdrawn), f"not both admitted\n{resized.timeline_text()}"
    got = ever_reserved(resized)
    assert got == {"first", "second", "marker"}, f"got quota: {sorted(got)}\n{resized.timeline_text()}"
    thrown = {name: evictions(one) for name, one in resized.timelines("Workload").items() if evictions(one)}
    assert not thrown, f"evicted: {thrown}\n{resized.timeline_text()}"
