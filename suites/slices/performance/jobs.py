"""The paper's jobs on a sliced node: 32 in turn, medium first, each one batch/v1 Job that asks for one slice or GPU."""

from __future__ import annotations

from collections.abc import Sequence

from gpuassay import Manifest, dig
from gpuassay.labels import GPU
from gpuassay.manifest import is_true
from gpuassay.systems.slices import notes
from gpuassay.systems.slices.acts import real_node as slices
from gpuassay.systems.slices.acts.node import SlicedNode
from gpuassay.systems.slices.acts.pods import WITNESS
from gpuassay.systems.slices.model.slices import SliceJob
from gpuassay.workloads import containers

JOB_NAME = "batch.kubernetes.io/job-name"
"""Label that the job controller puts on pods."""

RESOURCE = "nvidia.com/mig-"


def manifest(site: SlicedNode, one: SliceJob, *steps: Sequence[object], whole: bool) -> Manifest:
    """A Job whose pod takes `steps` on the site's node, with one slice of its profile, or with a whole GPU."""
    if whole:
        container = containers.container("main", *WITNESS, *steps, resources={"limits": {GPU: "1"}})
    else:
        container = site.container("main", one.profile, 1, *steps)
    pod = containers.pod(one.name, site.lab.namespace, node=site.node.name, containers=[container], spec=site.placed())
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": pod["metadata"],
        "spec": {"backoffLimit": 0, "template": {"metadata": {}, "spec": pod["spec"]}},
    }


def note(site: SlicedNode, jobs: Sequence[SliceJob]) -> None:
    """Hand the jobs as they were asked for to the judges, and the GPUs' UUIDs by index."""
    site.lab.note(notes.JOBS, list(jobs))
    site.lab.note(notes.GPU_UUIDS, site.gpu_uuids())


def pods(site: SlicedNode) -> dict[str, Manifest]:
    """The jobs' pods, by job."""
    return {str(dig(one, "metadata", "labels", JOB_NAME, default="")): one for one in site.lab.objects("Pod")}


def placed_or_refused(site: SlicedNode, count: int) -> bool:
    """Whether all of `count` pods run or have been refused by the scheduler."""
    found = pods(site)

    def told(pod: Manifest) -> bool:
        conditions: list[Manifest] = dig(pod, "status", "conditions", default=[])
        refused = any(one["type"] == "PodScheduled" and one["status"] == "False" for one in conditions)
        return refused or dig(pod, "status", "phase") == "Running"

    return len(found) == count and all(map(told, found.values()))


def finished(site: SlicedNode) -> int:
    """How many jobs are complete."""
    return sum(is_true(one, "Complete") for one in site.lab.objects("Job"))


def clear(site: SlicedNode) -> None:
    """Delete all jobs with their pods; note whether they go and what is left, as `end`."""
    for one in reversed(site.lab.objects("Job")):  # those that wait first, or they would take what is freed
        site.lab.delete("Job", one["metadata"]["name"])
    names = [one["metadata"]["name"] for one in site.lab.objects("Pod")]
    site.lab.observe(lambda: slices.gone(site.lab, *names), "all pods are gone", timeout=90)
    site.observe_empty()
    site.note_rest("end")
