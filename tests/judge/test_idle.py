"""Nobody who fits, or may preempt, waits: what the model says of who waits at rest, and what it leaves open."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from gpuassay.labels import GPU
from gpuassay.manifest import Manifest
from gpuassay.systems.kueue.judge import idle
from gpuassay.systems.kueue.judge.invariants import timed
from gpuassay.systems.kueue.objects import queues as kueue
from tests.judge.rests import cluster_queue, holding, left, local_queue, wanting
from tests.record.parts import conditions

FLAVOR = kueue.resource_flavor("gpu")
LQ = kueue.local_queue("lq", "ns", "cq")


def said(*objects: Manifest, **more: Any) -> list[tuple[str, str]]:
    """Finding and what is unknown, of each Workload that waits."""
    return [(one.finding, one.unknown) for one in idle.judged(left(FLAVOR, *objects, **more))]


def queue(groups: Sequence[Manifest], *, name: str = "cq", **options: Any) -> Manifest:
    """An active ClusterQueue."""
    return kueue.cluster_queue(name, groups, **options) | {"status": {"conditions": conditions(Active="True Ready")}}


def gpus(count: int, **limits: int) -> list[Manifest]:
    """One resource group of GPUs."""
    return [kueue.gpu_group("gpu", count, **limits)]


def wants(pod: Manifest | None = None, requests: dict[str, int] | None = None) -> Manifest:
    """A waiting Workload with a pod spec of its own."""
    made = wanting("c")
    made["spec"]["podSets"] = [kueue.pod_set(requests=requests or {GPU: 1}, pod=pod)]
    return made


FREE = "Workload c waits at rest although 1 nvidia.com/gpu of gpu are free for it in cq"
FULL = [holding("a"), holding("b")]
TAINT = {"key": "k", "value": "v", "effect": "NoSchedule"}


def flavored(**options: Any) -> list[Manifest]:
    """A queue of a second flavor that is not like the others."""
    return [kueue.resource_flavor("odd", **options), queue([kueue.gpu_group("odd", 2)]), LQ]


@pytest.mark.parametrize(
    ("objects", "finding"),
    [
        ([queue(gpus(2)), LQ, wanting("c")], FREE),
        ([queue(gpus(3)), LQ, *FULL, wanting("c")], FREE),
        ([queue(gpus(2)), LQ, *FULL, wanting("c")], ""),
        ([queue(gpus(0), cohort="p"), queue(gpus(2), name="lender", cohort="p"), LQ, wanting("c")], FREE),
        ([queue(gpus(0, borrowing=0), cohort="p"), queue(gpus(2), name="l", cohort="p"), LQ, wanting("c")], ""),
        ([queue(gpus(0), cohort="p"), queue(gpus(2, lending=0), name="l", cohort="p"), LQ, wanting("c")], ""),
        (
            [
                queue(gpus(0), cohort="p"),
                kueue.cohort("p", parent="r"),
                kueue.cohort("r", groups=gpus(1)),
                LQ,
                wanting("c"),
            ],
            FREE,
        ),
        ([queue(gpus(2)), LQ, wants(None, {"cpu": 1, GPU: 1})], ""),
        (
            [
                queue([kueue.resource_group({"gpu": [kueue.quota(GPU, 2), kueue.quota("pods", 1)]})]),
                LQ,
                wanting("c", count=2),
            ],
            "",
        ),
        ([*flavored(node_taints=[TAINT]), wants()], ""),
        ([*flavored(node_taints=[TAINT]), wants({"tolerations": [TAINT]})], FREE.replace("of gpu", "of odd")),
        ([*flavored(node_taints=[TAINT], tolerations=[TAINT]), wants()], FREE.replace("of gpu", "of odd")),
        ([*flavored(node_taints=[TAINT]), wants({"tolerations": [{"key": "k", "operator": "Exists"}]})], "odd"),
        ([*flavored(node_labels={"zone": "a"}), wants({"nodeSelector": {"zone": "b"}})], ""),
        ([*flavored(node_labels={"zone": "a"}), wants({"nodeSelector": {"disk": "b"}})], "odd"),
        ([queue([kueue.gpu_group("absent", 2)]), LQ, wanting("c")], ""),
        ([queue(gpus(2), strategy="StrictFIFO"), LQ, wanting("c")], FREE),
    ],
)
def test_who_fits_is_told(objects: list[Manifest], finding: str) -> None:
    """Red when one that fits may wait, or one that does not is said to fit."""
    found = [one for one, _ in said(*objects)]
    assert found == [finding] if finding in {"", FREE} else finding in found[0], found


def test_two_flavors_are_tried_in_turn() -> None:
    """Red when the second flavor of a group does not count."""
    groups = [kueue.resource_group({"gpu": [kueue.quota(GPU, 0)], "odd": [kueue.quota(GPU, 1)]})]
    assert "of odd are free" in said(kueue.resource_flavor("odd"), queue(groups), LQ, wanting("c"))[0][0]


PREEMPTING: dict[str, Any] = {"preemption": {"withinClusterQueue": "LowerPriority", "reclaimWithinCohort": "Any"}}


@pytest.mark.parametrize(
    ("objects", "finding"),
    [
        ([queue(gpus(2), **PREEMPTING), LQ, *FULL, wanting("c", priority=9)], "may preempt"),
        ([queue(gpus(2), **PREEMPTING), LQ, *FULL, wanting("c")], ""),
        ([queue(gpus(2)), LQ, *FULL, wanting("c", priority=9)], ""),
        (
            [
                queue(gpus(1), cohort="p", **PREEMPTING),
                queue(gpus(1), name="other", cohort="p"),
                LQ,
                holding("a", cq="other"),
                holding("b", cq="other"),
                wanting("c"),
            ],
            "may preempt",
        ),
    ],
)
def test_who_may_preempt_is_told(objects: list[Manifest], finding: str) -> None:
    """Red when one that may take another's place may wait."""
    found = said(*objects)
    assert len(found) == 1 and (finding in found[0][0] if finding else found[0][0] == ""), found


@pytest.mark.parametrize(
    ("objects", "more", "unknown"),
    [
        ([queue(gpus(2)), LQ, wanting("c")], {"profile": "pods-ready-block"}, "admission waits for pods to get ready"),
        ([queue(gpus(2)), LQ, wanting("c")], {"notes": {"configuration_known": False}}, "nobody knows how Kueue"),
        ([queue(gpus(2), namespace_selector={"matchLabels": {"a": "b"}}), LQ, wanting("c")], {}, "beyond the model"),
        ([queue(gpus(2)), LQ, wants({"affinity": {"nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}}})], {}, "node affinity"),
        ([queue(gpus(2), strategy="StrictFIFO"), LQ, wanting("c"), wanting("b", gpus=5, priority=9)], {}, "be ahead"),
        ([queue(gpus(2)), LQ, wanting("c")], {"asked": [{"kind": "LimitRange", "metadata": {"name": "l"},
            "spec": {"limits": [{"type": "Container", "max": {"cpu": "1"}}]}}]}, "a LimitRange may refuse it"),
        ([queue(gpus(0), cohort="a"), kueue.cohort("a", parent="b"), kueue.cohort("b", parent="a"), LQ, wanting("c")],
            {}, "cycle"),
    ],
)  # fmt: skip
def test_what_the_model_does_not_know_it_says(objects: list[Manifest], more: dict[str, Any], unknown: str) -> None:
    """Red when the model accuses where it does not know the rules."""
    found = said(*objects, **more)
    assert any(unknown in one for _, one in found), found
    assert all(not finding for finding, one in found if unknown in one)


def test_an_eviction_under_way_leaves_it_open() -> None:
    """Red when quota that is about to come back is counted as held for good."""
    going = holding("a")
    going["status"]["conditions"] += conditions(Evicted="True Preempted")
    assert said(queue(gpus(2)), LQ, going, wanting("c"))[0][1] == "somebody is evicted and still holds quota"


def test_inactive_queues_admit_nobody() -> None:
    """Red when a Workload is expected to be admitted by a queue that is not active."""
    stopped = kueue.cluster_queue("cq", gpus(2)) | {"status": {"conditions": conditions(Active="False Stopped")}}
    assert said(stopped, LQ, wanting("c")) == []


def test_the_referee_asks() -> None:
    """Red when the referee does not ask who waits."""
    found = timed(left(FLAVOR, cluster_queue(2, pending=1), local_queue(pending=1), wanting("c")))
    assert found == [FREE]
    assert timed(left(FLAVOR, cluster_queue(2, pending=1), local_queue(pending=1), wanting("c"),
                      notes={"at_rest": False})) == []  # fmt: skip
