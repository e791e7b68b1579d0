"""Broken systems for pods that belong together, for serving objects and for their recording."""

from __future__ import annotations

from gpuassay import labels
from gpuassay.manifest import Manifest, dig
from gpuassay.scenarios.mutants import mutant, patch_mutant


@mutant("pod-group-lost", "pods of a group are queued one by one")
def _pod_group_lost(obj: Manifest) -> None:
    dig(obj, "metadata", "labels", default={}).pop(labels.POD_GROUP, None)
    dig(obj, "metadata", "annotations", default={}).pop(labels.POD_GROUP_TOTAL, None)


@mutant("pod-group-count-lowered", "a pod group counts as complete one pod too early")
def _pod_group_count_lowered(obj: Manifest) -> None:
    notes = dig(obj, "metadata", "annotations", default={})
    if labels.POD_GROUP_TOTAL in notes:
        notes[labels.POD_GROUP_TOTAL] = str(int(notes[labels.POD_GROUP_TOTAL]) - 1)


@mutant("pods-never-end", "pods run for ever")
def _pods_never_end(obj: Manifest) -> None:
    for path in (("metadata",), ("spec", "template", "metadata")):
        dig(obj, *path, "annotations", default={}).pop(labels.RUN_FOR, None)


@mutant("pod-shapes-lost", "pods of a group all count as the same")
def _pod_shapes_lost(obj: Manifest) -> None:
    if obj["kind"] == "Pod":
        obj["spec"]["containers"][0]["resources"] = {"limits": {labels.GPU: "1"}}


@patch_mutant("scaling-lost", "a scaled object keeps its size")
def _scaling_lost(kind: str, body: Manifest) -> None:
    dig(body, "spec", default={}).pop("replicas", None)


@mutant("groups-merged", "all parts of a job are queued as one pod set or one group")
def _groups_merged(obj: Manifest) -> None:
    spec: Manifest = obj.get("spec", {})
    if obj["kind"] == "JobSet":
        spec["replicatedJobs"] = spec["replicatedJobs"][:1]
    if obj["kind"] == "LeaderWorkerSet":
        spec["leaderWorkerTemplate"]["size"] = spec["replicas"] * spec["leaderWorkerTemplate"]["size"]
        spec["replicas"] = 1


@mutant("marks-lost", "cluster-wide objects lose the label that gives them to a recording")
def _marks_lost(obj: Manifest) -> None:
    if obj["kind"] in {"ClusterQueue", "ResourceFlavor"}:
        obj["metadata"]["labels"].pop(labels.SCENARIO, None)


@mutant("writes-unseen", "writes to an object happen that no audit line of the scenario names")
def _writes_unseen(obj: Manifest) -> None:
    # The audit log is cut by the token in the name, recordings by the label. Classes of low value keep their name: a
    # kind of which the audit log has nothing at all counts as not covered by it.
    if obj["kind"] == "WorkloadPriorityClass" and obj["value"] >= 10:
        obj["metadata"]["name"] = obj["metadata"]["name"].replace(
            obj["metadata"]["labels"][labels.SCENARIO], "unmarked"
        )


@mutant("gangs-may-shrink", "jobs start with as many pods as there is quota for")
def _gangs_may_shrink(obj: Manifest) -> None:
    if obj["kind"] == "Job" and obj["spec"]["parallelism"] > 1:
        obj["metadata"].setdefault("annotations", {})[labels.MIN_PARALLELISM] = "1"
