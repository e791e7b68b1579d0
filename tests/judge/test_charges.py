"""What Workloads are charged: sound recordings pass, doctored charges are refused."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from gpuassay.labels import GPU
from gpuassay.manifest import Manifest
from gpuassay.systems.kueue.judge import charges, known
from gpuassay.systems.kueue.judge.invariants import untimed
from gpuassay.systems.kueue.objects import queues as kueue
from tests.judge.rests import cluster_queue, holding, left, wanting

BASE = [cluster_queue(8)]


def doctored(workload: Manifest, **fields: Any) -> Manifest:
    """The Workload with other fields in its assignment."""
    made = copy.deepcopy(workload)
    made["status"]["admission"]["podSetAssignments"][0] |= fields
    return made


TWO = holding("two", gpus=2, count=3)


def test_a_sound_charge_passes() -> None:
    """Red when count x request is refused."""
    assert charges.findings(left(*BASE, TWO, wanting("waits"))) == []


@pytest.mark.parametrize(
    ("workload", "finding"),
    [
        (doctored(TWO, resourceUsage={GPU: "5"}), "charged 5 nvidia.com/gpu for 3 pods of main, which ask for 6"),
        (doctored(TWO, resourceUsage={GPU: "12"}), "charged 12 nvidia.com/gpu for 3 pods"),
        (doctored(TWO, resourceUsage={}), "charged nothing for 3 pods of main, which ask for 6"),
        (doctored(TWO, resourceUsage={GPU: "6", "cpu": "1"}), "charged 1 cpu, 6 nvidia.com/gpu for 3"),
        (doctored(TWO, count=2, resourceUsage={GPU: "4"}), "charged for 2 pods of main, which has 3"),
        (doctored(TWO, name="other"), "charged for pod set other, which it does not have"),
    ],
)
def test_a_wrong_charge_is_refused(workload: Manifest, finding: str) -> None:
    """Red when a Workload may be charged more or less than its pods ask for."""
    found = untimed(left(*BASE, workload))
    assert any(finding in one for one in found), found


def test_a_later_reservation_is_judged_too() -> None:
    """Red when only the first reservation is judged."""
    first = left(*BASE, TWO)
    again = doctored(TWO, resourceUsage={})
    again["metadata"] = again["metadata"] | {"resourceVersion": "9", "uid": "Workload-two"}
    seen = left(*BASE, TWO, again)
    assert charges.findings(first) == []
    assert any("charged nothing" in one for one in charges.findings(seen))


def test_fewer_pods_are_charged_where_that_is_allowed() -> None:
    """Red when partial admission or finished pods are taken for a wrong count."""
    partial = doctored(TWO, count=2, resourceUsage={GPU: "4"})
    partial["spec"]["podSets"][0]["minCount"] = 2
    done = doctored(TWO, count=1, resourceUsage={GPU: "2"})
    done["status"]["reclaimablePods"] = [{"name": "main", "count": 2}]
    assert charges.findings(left(*BASE, partial)) == []
    assert charges.findings(left(*BASE, done)) == []
    partial["spec"]["podSets"][0]["minCount"] = 3
    assert charges.findings(left(*BASE, partial)) != []


def test_pods_are_charged_where_the_queue_counts_them() -> None:
    """Red when quota for pods is not asked for, or asked for where there is none."""
    groups = [kueue.resource_group({"gpu": [kueue.quota(GPU, 8), kueue.quota("pods", 9)]})]
    counting = kueue.cluster_queue("cq", groups)
    both = doctored(TWO, resourceUsage={GPU: "6", "pods": "3"}, flavors={GPU: "gpu", "pods": "gpu"})
    assert charges.findings(left(counting, both)) == []
    assert charges.findings(left(counting, TWO)) != []
    assert charges.findings(left(*BASE, both)) != []


def test_what_was_asked_counts_not_what_is_stored() -> None:
    """Red when requests that were changed on their way are taken for what was asked."""
    halved = holding("two", gpus=1, count=3)
    assert charges.findings(left(*BASE, halved, asked=[wanting("two", gpus=2, count=3)])) != []


def test_an_unknown_configuration_is_not_judged() -> None:
    """Red when somebody's transformations are taken for wrong charges."""
    odd = doctored(TWO, resourceUsage={"example.com/credits": "9"})
    assert charges.findings(left(*BASE, odd, notes={"configuration_known": False})) == []


def test_a_charge_besides_a_transformation_is_the_known_defect() -> None:
    """Red when the referee does not tell the known defect from others."""
    slice_ = "nvidia.com/mig-1g.5gb"
    pods = [kueue.pod_set(requests={slice_: 1})]
    made = kueue.workload("bare", "ns", "lq", pods)
    usage = {"example.com/gpu-compute-slices": "1", "example.com/gpu-memory-gb": "5"}
    made["status"] = doctored(TWO, count=1, resourceUsage=usage)["status"]
    assert charges.findings(left(*BASE, made, profile="transformations")) == []
    twice = doctored(made, resourceUsage=usage | {slice_: "1"})
    found = charges.findings(left(*BASE, twice, profile="transformations"))
    assert [one for one in found if "besides what a transformation makes of it" in one] == found != []
    assert known.news(found) == []


def test_a_charge_of_nothing_after_a_backoff_is_the_known_defect() -> None:
    """Red when the referee does not tell the known defect from others."""
    waits = wanting("two", gpus=2, count=3)
    waits["status"]["requeueState"] = {"count": 1, "requeueAt": "2026-11-22T00:47:06Z"}
    free = doctored(TWO, resourceUsage={})
    free["metadata"] = free["metadata"] | {"uid": "Workload-two"}
    found = charges.findings(left(*BASE, waits, free))
    assert len(found) == 1 and "charged nothing, when tried again after its backoff" in found[0]
    assert known.news(found) == [] and known.news(charges.findings(left(*BASE, free))) != []
