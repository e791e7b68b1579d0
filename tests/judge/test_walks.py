"""What walks are judged by: reservations against the quota of the moment, and the shrinking of what was found."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from gpuassay.manifest import Manifest
from gpuassay.systems.kueue.judge import edits, known, overadmitted, walks
from gpuassay.systems.kueue.judge.shrink import kinds, shrink
from gpuassay.systems.kueue.objects import queues as kueue
from gpuassay.systems.kueue.readings import KueueRecording
from tests.judge.rests import cluster_queue, holding, left, local_queue, wanting
from tests.record.parts import MS, START, meta


def told(*events: tuple[int, Manifest], deleted: Sequence[int] = ()) -> KueueRecording:
    """A recording of objects, each seen so many ms after the start."""
    lines: list[Manifest] = []
    for number, (at, obj) in enumerate(events):
        body = obj | {"metadata": obj["metadata"] | {"resourceVersion": str(number + 1)}}
        body["metadata"].setdefault("uid", f"{obj['kind']}-{obj['metadata']['name']}")
        change = "DELETED" if number in deleted else "MODIFIED"
        lines.append({"at": START + at * MS, "type": change, "object": body})
    return KueueRecording.of_parts(meta(notes={"at_rest": True}), asked=[], events=lines, metrics=[])


def test_who_fits_is_no_finding() -> None:
    """Red when a reservation within the quota is accused."""
    recording = told((0, cluster_queue(2)), (10, holding("one")), (20, holding("two")))
    assert overadmitted.findings(recording) == []


def test_one_too_many_is_found() -> None:
    """Red when a third workload gets the second GPU's quota unseen."""
    found = overadmitted.findings(told((0, cluster_queue(2)), (10, holding("one")), (20, holding("two", gpus=2))))
    assert found == [
        "Workload two got quota that there was not: 2 nvidia.com/gpu of flavor gpu in cq, where 1 were free"
    ]


def test_quota_that_is_given_back_can_be_given_again() -> None:
    """Red when a Workload that finished, was deleted or deactivated still counts."""
    queue, one, two = cluster_queue(1), holding("one"), holding("two")
    assert overadmitted.findings(told((0, queue), (10, one), (15, wanting("one")), (20, two))) == []
    assert overadmitted.findings(told((0, queue), (10, one), (15, one), (20, two), deleted=[2])) == []
    off = holding("one", active=False)
    assert overadmitted.findings(told((0, queue), (10, one), (15, off), (20, two))) == []


def test_a_quota_of_a_moment_ago_counts() -> None:
    """Red when a decision by the configuration before the last is accused, or one by a long gone one is not."""
    large, small, big = cluster_queue(4), cluster_queue(1), holding("big", gpus=3)
    assert overadmitted.findings(told((0, large), (1000, small), (1500, big))) == []
    assert len(overadmitted.findings(told((0, large), (1000, small), (9000, big)))) == 1


def test_what_was_borrowed_before_is_not_accused_again() -> None:
    """Red when a queue that shrank under its workloads, and admits nothing, is a finding."""
    recording = told((0, cluster_queue(4)), (10, holding("big", gpus=3)), (5000, cluster_queue(1)))
    assert overadmitted.findings(recording) == []


def test_the_cohort_decides() -> None:
    """Red when what siblings hold is not seen, or what they lend."""
    mine = cluster_queue(1, name="cq", cohort="c")
    other = kueue.cluster_queue("other", [kueue.gpu_group("gpu", 1)], cohort="c")
    two = holding("two", gpus=2)
    assert overadmitted.findings(told((0, mine), (1, other), (10, two))) == []
    taken = holding("theirs", cq="other")
    assert len(overadmitted.findings(told((0, mine), (1, other), (5, taken), (10, two)))) == 1


def test_a_walk_that_left_nothing_shows_nothing() -> None:
    """Red when a walk without any Workload passes."""
    with pytest.raises(LookupError, match="left no Workload"):
        walks.findings(left(cluster_queue(2)))


def test_a_sound_walk_is_sound_and_a_wrong_count_is_not() -> None:
    """Red when the referee's findings do not come through, or a sound end is accused."""
    sound = (cluster_queue(2, held=[1]), local_queue(held=[1]), holding("one"))
    assert walks.findings(left(*sound)) == []
    wrong = (cluster_queue(2, held=[1], pending=3), local_queue(held=[1]), holding("one"))
    assert any("pendingWorkloads=3" in one for one in walks.findings(left(*wrong)))
    assert walks.findings(left(*sound, notes={"at_rest": False})) == ["the objects of the walk never came to rest"]


def test_known_after_edits_by_sentence_alone() -> None:
    """Red when an excuse covers more than its series."""
    gauge = "kueue_cohort_subtree_quota of cohort=red, flavor=f, resource=pods tells 6, recount gives 0"
    other = "kueue_cluster_queue_nominal_quota of cluster_queue=q tells 6, recount gives 0"
    assert known.news_of_edits([gauge, other]) == [other]
    assert known.news([gauge]) == [gauge]


@pytest.mark.parametrize("needed", [{5}, {2, 17}, {0, 1, 39}, set(range(0, 40, 8))])
def test_shrinking_finds_the_steps_that_are_needed(needed: set[int]) -> None:
    """Red when a needed step is left out, or one that is not needed stays."""
    made = 0

    def reproduces(attempts: Sequence[Sequence[int]]) -> int | None:
        nonlocal made
        made += len(attempts)
        return next((index for index, steps in enumerate(attempts) if needed <= {*steps}), None)

    assert shrink(range(40), reproduces, over=lambda: False) == sorted(needed)
    assert made < 300
    assert shrink(range(40), reproduces, over=lambda: True) == list(range(40))


def test_kinds_know_no_names() -> None:
    """Red when the same finding of another attempt is taken for another one, or two kinds for one."""
    said = "Workload {} waits at rest although {} nvidia.com/gpu of {} are free for it in {}"
    one = said.format("w012", 2, "plain-walk1-x23289c", "q1-walk1-x23289c")
    two = said.format("job-w003-1a2b3", 1, "zoned-walk19-xa40a7c", "q4-walk19-xa40a7c")
    assert len(kinds([one, two])) == 1
    assert len(kinds([one, "Workload w003 got quota that there was not: 4"])) == 2


STRICT = (cluster_queue(2, name="s", strategy="StrictFIFO"), local_queue(name="ls", cq="s"), wanting("w", queue="ls"))
WAITS = "a restart of Kueue changed Workload {}: {} became {}"
REASON = '{{"conditions": {{"QuotaReserved": {{"reason": "{}"}}}}}}'


@pytest.mark.parametrize(
    "finding",
    [
        "kueue_pending_workloads of cluster_queue={cq} tells {told}, recount gives 5",
        "kueue_local_queue_pending_workloads of name={lq}, namespace=ns tells {told}, recount gives 5",
        "a restart of Kueue moved kueue_pending_workloads{{cluster_queue={cq}}} from {told} to 5",
        "ClusterQueue {cq} counts pendingWorkloads={told}, recount gives 5",
        "LocalQueue {lq} counts pendingWorkloads={told}, recount gives 5",
    ],
)
def test_the_head_of_a_strict_queue_in_the_scheduler_s_hand_is_no_finding(finding: str) -> None:
    """Red when a count that lacks one waiting Workload accuses after edits, or of another queue, or two, does not."""
    strict = (
        cluster_queue(2, name="s", strategy="StrictFIFO"),
        local_queue(name="ls", cq="s"),
        wanting("w", queue="ls"),
    )
    recording = left(*strict, cluster_queue(2), local_queue(), wanting("v"), notes={"edited_in_use": True})
    mine = finding.format(cq="s", lq="ls", told=4)
    others = [finding.format(cq="s", lq="ls", told=3), finding.format(cq="cq", lq="lq", told=4)]
    assert edits.news(recording, [mine, *others]) == others
    nobody_waits = left(*STRICT[:2], notes={"edited_in_use": True})
    assert edits.news(nobody_waits, [mine]) == [mine]


def test_the_reason_of_a_strict_queue_s_head_may_change() -> None:
    """Red when a Workload of another queue may, or a count of another kind."""
    strict = (
        cluster_queue(2, name="s", strategy="StrictFIFO"),
        local_queue(name="ls", cq="s"),
        wanting("w", queue="ls"),
    )
    recording = left(*strict, cluster_queue(2), local_queue(), wanting("v"), notes={"edited_in_use": True})
    changed = [WAITS.format(name, REASON.format("Pending"), REASON.format("Inadmissible")) for name in ("w", "v")]
    other = "ClusterQueue s counts reservingWorkloads=4, recount gives 5"
    assert edits.news(recording, [*changed, other]) == [changed[1], other]
