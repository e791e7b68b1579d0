"""A user's queues: what is created of them, where jobs go, and what the twin cannot model."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpuassay.systems.kueue.whatif.errors import WhatIfError
from gpuassay.systems.kueue.whatif.setup import beyond_twin, from_file
from tests.whatif.files import FLAVOR, job, queue, written

LOCAL = """
apiVersion: kueue.x-k8s.io/v1beta2
kind: LocalQueue
metadata: {name: team, namespace: NAMESPACE, labels: {a: b}}
spec: {clusterQueue: q}
"""
CLASS = """
apiVersion: kueue.x-k8s.io/v1beta2
kind: WorkloadPriorityClass
metadata: {name: high}
value: 100
"""


def test_a_list_of_a_live_cluster_is_read_without_what_the_server_wrote(tmp_path: Path) -> None:
    listed = (
        "apiVersion: v1\nkind: List\nitems:\n"
        "- {apiVersion: kueue.x-k8s.io/v1beta2, kind: ResourceFlavor, metadata: {name: a100, uid: x}}\n"
        "- {apiVersion: v1, kind: Secret, metadata: {name: s}, data: {password: aHVudGVyMg==}}\n"
    )
    found = from_file(written(tmp_path, listed, queue("q", 8, status="{}")))
    assert [one["metadata"] for one in found.of_kind("ResourceFlavor").values()] == [{"name": "a100"}]
    assert found.left_out == ["not played: 1 Secret"]
    assert found.capacity() == 8
    assert found.resource == "nvidia.com/gpu"


def test_what_waits_for_somebody_who_is_not_there_is_left_out_and_told(tmp_path: Path) -> None:
    held = queue(
        "q", 8, admissionChecksStrategy="{admissionChecks: [{name: c}]}", namespaceSelector="{matchLabels: {a: b}}"
    )
    found = from_file(written(tmp_path, FLAVOR + "spec: {topologyName: t, nodeTaints: [{key: k}]}", held))
    spec = found.of_kind("ClusterQueue")["q"]["spec"]
    assert "admissionChecksStrategy" not in spec
    assert spec["namespaceSelector"] == {}
    assert found.of_kind("ResourceFlavor")["a100"]["spec"] == {}
    assert len(found.left_out) == 4


def test_a_job_goes_to_a_local_queue_or_straight_to_a_cluster_queue(tmp_path: Path) -> None:
    documents = [FLAVOR, queue("q", 8), LOCAL.replace("NAMESPACE", "one"), CLASS]
    found = from_file(written(tmp_path, *documents))
    assert found.place(job("a", "team"), "jobs.csv").namespace == "one"
    assert found.place(job("a", "one/team"), "jobs.csv").cluster_queue == "q"
    assert found.place(job("a", "q"), "jobs.csv").local_queue == "q"
    with pytest.raises(WhatIfError, match=r"line 2, column queue: .* has no queue 'x'; there are one/team, q"):
        found.place(job("a", "x"), "jobs.csv")
    double = from_file(written(tmp_path, *documents, LOCAL.replace("NAMESPACE", "two")))
    with pytest.raises(WhatIfError, match=r"'team' is the name of 2 LocalQueues; write one/team or two/team"):
        double.place(job("a", "team"), "jobs.csv")


@pytest.mark.parametrize(
    ("documents", "line"),
    [
        ([""], "holds no ClusterQueue"),
        (["a: [1"], "no YAML"),
        (["- 1"], "object 1 has no kind"),
        (["kind: ClusterQueue"], "object 1 has no kind or no metadata.name"),
        ([queue("q", 8)], "names the ResourceFlavor a100, which is missing"),
        ([FLAVOR, queue("q", 8), queue("q", 8)], "ClusterQueue q stands there twice"),
        ([FLAVOR, queue("p", 8), LOCAL], "names the ClusterQueue q, which is missing"),
        ([FLAVOR, queue("q", 8).replace("nominalQuota: 8", "nominalQuota: 8Q")], "has a broken quota"),
        ([FLAVOR, queue("q", 8).replace("nominalQuota", "nominal")], "has a broken quota"),
    ],
)  # fmt: skip
def test_queues_that_cannot_be_played_are_one_line(tmp_path: Path, documents: list[str], line: str) -> None:
    with pytest.raises(WhatIfError) as caught:
        from_file(written(tmp_path, *documents))
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_a_job_can_have_at_most_counts_the_cohort(tmp_path: Path) -> None:
    found = from_file(
        written(tmp_path, FLAVOR, queue("q", 8, cohortName="c"), queue("p", 4, cohort="c"), queue("r", 2))
    )
    assert (found.most("q"), found.most("p"), found.most("r")) == (12, 12, 2)
    assert not beyond_twin(found, ["q", "p", "r"])


COHORT = "apiVersion: kueue.x-k8s.io/v1beta2\nkind: Cohort\nmetadata: {name: c}\nspec: {parentName: root}\n"


def test_what_the_twin_cannot_model_is_named(tmp_path: Path) -> None:
    found = from_file(written(tmp_path, FLAVOR, queue("q", 8, cohortName="c"), COHORT))
    assert beyond_twin(found, ["q"]) == "Cohort c has quota or a parent of its own"
    stopped = from_file(written(tmp_path, FLAVOR, queue("q", 8, stopPolicy="Hold")))
    assert beyond_twin(stopped, ["q"]) == "ClusterQueue q is stopped"
    two = queue("q", 8).replace("}]}]", "}]}, {name: h100, resources: [{name: nvidia.com/gpu, nominalQuota: 1}]}]")
    found = from_file(written(tmp_path, FLAVOR, FLAVOR.replace("a100", "h100"), two))
    assert beyond_twin(found, ["q"]) == "ClusterQueue q has 2 flavors with nvidia.com/gpu"
    assert found.capacity() == 9
