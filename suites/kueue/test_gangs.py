"""Gangs by Kueue: of a job or a pod group nothing starts until there is quota, or room on nodes, for all of it."""

from __future__ import annotations

from gpuassay import MUST, behaviour, scenario
from gpuassay.gangs import all_bound, bound, has_node, is_member, member, none_bound, started_partly
from gpuassay.systems.kueue import notes
from gpuassay.systems.kueue.acts.floor import HOST, Plan
from gpuassay.systems.kueue.acts.lab import KueueLab
from gpuassay.systems.kueue.objects import queues as kueue
from gpuassay.systems.kueue.readings import KueueRecording
from gpuassay.workloads import core

SPEC = "https://kueue.sigs.k8s.io/docs/overview/#features"
GROUPS = "https://kueue.sigs.k8s.io/docs/tasks/run/plain_pods/#running-a-group-of-pods-to-be-admitted-together"
TAS = "https://kueue.sigs.k8s.io/docs/concepts/topology_aware_scheduling/"
CONFORMANCE = "https://github.com/cncf/k8s-ai-conformance (gang_scheduling)"

SIZE = 4
JOB, GROUP, ALONE = "job", "group", "alone"
ROOM = "room for all"


def _placed(lab: KueueLab, gang: str) -> int:
    return sum(is_member(gang, pod) and has_node(pod) for pod in lab.objects("Pod"))


@scenario(timeout=120)
def gangs_short_of_quota(lab: KueueLab) -> None:
    """A job and a pod group of four pods have quota for three each, as have four jobs of one pod; then it grows."""
    queues = {base: lab.queue(gpus=SIZE - 1, base=base) for base in (JOB, GROUP, ALONE)}
    lab.note(notes.QUOTA_CHANGED, [queues[JOB].name, queues[GROUP].name])
    lab.create(member(JOB, core.job("big", lab.namespace, JOB, pods=SIZE)))
    for number in range(SIZE):
        pod = core.pod(f"{GROUP}-{number}", lab.namespace, GROUP, group=GROUP, group_total=SIZE)
        lab.create(member(GROUP, pod))
        lab.create(member(ALONE, core.job(f"{ALONE}-{number}", lab.namespace, ALONE)))
    lab.observe(lambda: lab.decided("big", f"{GROUP}-0"), "both gangs have been looked at")
    lab.observe(lambda: _placed(lab, ALONE) == SIZE - 1, "jobs of one pod start as far as there is quota")
    lab.job("marker", lab.queue(gpus=1, base="marker"))
    lab.observe_admitted("marker")
    lab.mark(ROOM)
    for base in (JOB, GROUP):
        more = kueue.gpu_group(queues[base].flavor, SIZE)
        lab.patch("ClusterQueue", queues[base].name, {"spec": {"resourceGroups": [more]}})
    lab.observe(lambda: _placed(lab, JOB) == _placed(lab, GROUP) == SIZE, "both gangs start")


@behaviour(
    "kueue.gang.pods-alone-start", level=MUST, spec=CONFORMANCE, mutant="admission-off",
    red_when="jobs of one pod wait although there is quota, so that a gang that waits proves nothing",
)  # fmt: skip
def test_pods_without_a_gang_start_in_part(gangs_short_of_quota: KueueRecording) -> None:
    """The control: of four jobs of one pod, with quota for three, three start while the gangs wait."""
    until = gangs_short_of_quota.mark(ROOM)
    found = started_partly(gangs_short_of_quota, ALONE, until=until, room=SIZE - 1)
    assert found == [], f"{found}\n{gangs_short_of_quota.timeline_text()}"


def _none_early(recording: KueueRecording, gang: str, there: int) -> None:
    until = recording.mark(ROOM)
    assert recording.observed("marker admitted"), f"Kueue stands still\n{recording.timeline_text()}"
    assert started_partly(recording, ALONE, until=until, room=SIZE - 1) == [], recording.timeline_text()
    found = none_bound(recording, gang, until=until, there=there)
    assert found == [], f"{found}\n{recording.timeline_text()}"


@behaviour(
    "kueue.gang.job-none-without-quota-for-all", level=MUST, spec=SPEC, mutant="gangs-may-shrink",
    red_when="a pod of a job is bound while there is quota for one pod too few",
)  # fmt: skip
def test_nothing_of_a_job_starts_without_quota_for_all(gangs_short_of_quota: KueueRecording) -> None:
    """Of a job of four pods with quota for three no pod is bound, while three jobs of one pod start."""
    _none_early(gangs_short_of_quota, JOB, there=0)  # a suspended job has no pods


@behaviour(
    "kueue.gang.group-none-without-quota-for-all", level=MUST, spec=GROUPS, mutant="pod-group-lost",
    red_when="a pod of a complete pod group is bound while there is quota for one pod too few",
)  # fmt: skip
def test_nothing_of_a_pod_group_starts_without_quota_for_all(gangs_short_of_quota: KueueRecording) -> None:
    """Of a complete group of four pods with quota for three no pod is bound, while three jobs of one pod start."""
    _none_early(gangs_short_of_quota, GROUP, there=SIZE)


@behaviour(
    "kueue.gang.all-start-with-quota", level=MUST, spec=SPEC, mutant="quota-change-lost",
    red_when="a gang that waited for quota does not start, or only in part, once there is quota for all of it",
)  # fmt: skip
def test_gangs_start_once_there_is_quota_for_all(gangs_short_of_quota: KueueRecording) -> None:
    """Each pod of both gangs is bound when the quota for the pod that it lacked is there, and none was before."""
    until = gangs_short_of_quota.mark(ROOM)
    early = [name for gang in (JOB, GROUP) for name in bound(gangs_short_of_quota, gang, until=until)]
    found = [line for gang in (JOB, GROUP) for line in all_bound(gangs_short_of_quota, gang, size=SIZE)]
    assert (early, found) == ([], []), f"early: {early}; {found}\n{gangs_short_of_quota.timeline_text()}"


NEEDS = {"cluster-wide-configuration", "gate:TopologyAwareScheduling", "fake-nodes"}


@scenario(needs=NEEDS, timeout=120)
def gang_short_of_nodes(lab: KueueLab) -> None:
    """Quota is ample; a job of four pods finds three GPUs on its nodes, one without a queue as many; a node comes."""
    floor = lab.floor(Plan({JOB: "a", ALONE: "a"}, per_rack=SIZE - 1, each=1))
    topology = lab.unique("floor")
    lab.create(kueue.topology(topology, [floor.block, floor.rack, HOST]))
    flavor = lab.flavor("racked", node_labels=floor.labels, topology=topology)
    group = kueue.resource_group({flavor: [kueue.quota(floor.resource, 100)]})
    lab.local_queue("ample", lab.cluster_queue("ample", [group]))
    for rack, queue, wish in ((JOB, "ample", "true"), (ALONE, None, "")):
        wishes = {"kueue.x-k8s.io/podset-unconstrained-topology": wish} if wish else {}
        job = core.job(
            rack, lab.namespace, queue, pods=SIZE, gpus=None, limits={floor.resource: 1}, annotations=wishes,
            nodeSelector={floor.rack: rack},
        )  # fmt: skip
        job["spec"]["template"]["metadata"]["annotations"] |= wishes
        lab.create(member(rack, job))
    lab.observe(lambda: lab.decided(JOB), "the gang has been looked at")
    lab.observe(lambda: _placed(lab, ALONE) == SIZE - 1, "pods of the other job start as far as there is room")
    lab.job("marker", lab.queue(gpus=1, base="marker"))
    lab.observe_admitted("marker")
    lab.mark(ROOM)
    lab.cluster.add_nodes(
        1, gpus=0, labels={**floor.labels, floor.rack: JOB, floor.block: "a"}, allocatable={floor.resource: "1"},
        prefix=lab.unique("late"),
    )  # fmt: skip
    lab.observe(lambda: _placed(lab, JOB) == SIZE, "the gang starts")


@behaviour(
    "kueue.gang.none-without-nodes-for-all", level=MUST, spec=TAS, mutant="topology-ignored",
    red_when="a pod of a job with a topology is bound while its nodes have room for one pod too few, or never after",
)  # fmt: skip
def test_nothing_of_a_gang_starts_without_nodes_for_all(gang_short_of_nodes: KueueRecording) -> None:
    """With a topology a job of four pods waits while nodes have room for three, and starts when a fourth is there."""
    _none_early(gang_short_of_nodes, JOB, there=0)
    found = all_bound(gang_short_of_nodes, JOB, size=SIZE)
    assert found == [], f"{found}\n{gang_short_of_nodes.timeline_text()}"
