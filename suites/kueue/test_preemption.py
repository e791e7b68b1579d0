"""Who is preempted within a ClusterQueue, how often, and what becomes of victim and preemptor."""

from __future__ import annotations

from gpuassay import MUST, behaviour, scenario
from gpuassay.manifest import is_true
from gpuassay.systems.kueue.acts import workloads as byhand
from gpuassay.systems.kueue.acts.lab import KueueLab, Queue
from gpuassay.systems.kueue.judge.preempting import evictions, expected_victims, told_evictions, victims_by_name
from gpuassay.systems.kueue.judge.queueing import decisions, own_admissions, unwitnessed_findings
from gpuassay.systems.kueue.model.preemption import Policy
from gpuassay.systems.kueue.readings import KueueRecording

SPEC = "https://kueue.sigs.k8s.io/docs/concepts/preemption/"
ALGORITHM = "https://kueue.sigs.k8s.io/docs/concepts/preemption/#classic-preemption"

LOWER = {"withinClusterQueue": "LowerPriority"}
NEWER = {"withinClusterQueue": "LowerOrNewerEqualPriority"}


def _hold(lab: KueueLab, queue: Queue, name: str, gpus: int = 1, priority: int = 0) -> None:
    """A workload that holds quota before the next one comes."""
    byhand.workload(lab, name, queue, gpus=gpus, priority=priority)
    lab.until_admitted(name)


# --- which victims ---------------------------------------------------------------------------------------------------

HOLDERS = {"low-old": 1, "low-new": 1, "middle": 5, "high": 20}


@scenario()
def one_victim(lab: KueueLab) -> None:
    """Four workloads of three priorities fill a queue, a second apart; one of a priority between them is created."""
    queue = lab.queue(gpus=4, preemption=LOWER)
    for name, priority in HOLDERS.items():
        _hold(lab, queue, name, priority=priority)
        byhand.next_second(lab)
    byhand.workload(lab, "preemptor", queue, priority=10)
    byhand.observe_evicted(lab, 1)
    lab.mark("victims gone")
    byhand.end_eviction(lab, *byhand.evicted(lab))
    lab.observe_admitted("preemptor")


@behaviour(
    "kueue.preemption.right-victim", level=MUST, spec=ALGORITHM,
    red_when="the victim is not the most recently admitted of the lowest priority", mutant="priority-ignored",
)  # fmt: skip
def test_the_newest_of_the_lowest_priority_goes(one_victim: KueueRecording) -> None:
    """The victim is the workload of the lowest priority, and of these the one that got its quota last."""
    expected = expected_victims(one_victim, "preemptor", list(HOLDERS), 4, Policy(within_queue="LowerPriority"))
    seen = sorted(victims_by_name(one_victim))
    assert seen == expected == ["low-new"], f"expected {expected}, seen {seen}\n{one_victim.timeline_text()}"


@behaviour(
    "kueue.preemption.preemptor-admitted", level=MUST, spec=SPEC,
    red_when="the preemptor is not admitted after its victim was evicted, or another workload is",
    mutant="preemption-off",
)  # fmt: skip
def test_the_preemptor_gets_quota(one_victim: KueueRecording) -> None:
    """After an eviction, the preemptor is admitted and no other workload is."""
    seen = decisions(one_victim)
    expected = [*HOLDERS, "preemptor"]
    assert seen == expected, f"expected {expected}, seen {seen}\n{one_victim.timeline_text()}"


@behaviour(
    "kueue.preemption.victim-holds-until-gone", level=MUST, spec=SPEC,
    red_when="the preemptor gets quota while its victim still holds its own", mutant="quota-doubled",
)  # fmt: skip
def test_quota_of_a_victim_is_held_until_it_is_gone(one_victim: KueueRecording) -> None:
    """The preemptor gets quota only after its victim has given its own back."""
    queue = one_victim.timelines("Workload")
    gone = queue["low-new"].when(lambda one: is_true(one, "Evicted") and not is_true(one, "QuotaReserved"))
    given = queue["preemptor"].when(lambda one: is_true(one, "QuotaReserved"))
    assert gone is not None and given is not None and gone <= given, (
        f"expected the victim gone (at {gone}) before the preemptor has quota (at {given})\n"
        + one_victim.timeline_text(["low-new", "preemptor"])
    )


LAYOUTS: dict[str, dict[str, int]] = {
    "ascending": {"a": 1, "b": 1, "c": 2, "d": 4},
    "descending": {"d": 4, "c": 2, "b": 1, "a": 1},
    "trimmed": {"big": 5, "small": 1, "middle": 2},
}
WANTED = {"ascending": 4, "descending": 4, "trimmed": 4}


@scenario(timeout=90)
def sizes(lab: KueueLab) -> None:
    """Three queues of 8 GPUs are each filled by workloads of different sizes; each then gets a preemptor of 4 GPUs."""
    queues = {layout: lab.queue(gpus=8, base=layout, preemption=LOWER) for layout in LAYOUTS}
    for place in range(4):
        names: list[str] = []
        for layout, holders in LAYOUTS.items():
            for name, gpus in list(holders.items())[place : place + 1]:
                names.append(byhand.workload(lab, f"{layout}-{name}", queues[layout], gpus=gpus))
        lab.until_admitted(*names)
        byhand.next_second(lab)
    for layout, gpus in WANTED.items():
        byhand.workload(lab, f"{layout}-preemptor", queues[layout], gpus=gpus, priority=1)
    lab.observe(
        lambda: all(any(v.startswith(k) for v in byhand.evicted(lab)) for k in LAYOUTS),
        "victims in each",
    )
    for layout in LAYOUTS:
        byhand.observe_weighed(lab, f"{layout}-preemptor")
    for _ in range(2):  # victims are evicted in parallel: some may come after the first were seen
        byhand.end_eviction(lab, *byhand.evicted(lab))
        lab.observe_admitted(*(f"{layout}-preemptor" for layout in LAYOUTS))


@behaviour(
    "kueue.preemption.minimal-set", level=MUST, spec=ALGORITHM,
    red_when="more workloads are evicted than needed, or others than the documented algorithm selects",
    mutant="requests-halved",
)  # fmt: skip
def test_the_victims_are_those_needed_and_no_more(sizes: KueueRecording) -> None:
    """Victims are taken newest first until the preemptor fits, and those that prove unneeded are spared."""
    for layout, holders in LAYOUTS.items():
        names = [f"{layout}-{name}" for name in holders]
        policy = Policy(within_queue="LowerPriority")
        expected = expected_victims(sizes, f"{layout}-preemptor", names, 8, policy)
        seen = sorted(set(victims_by_name(sizes)) & set(names))
        assert expected, f"the model finds no victims in {layout}"
        assert seen == expected, f"{layout}: expected {expected}, seen {seen}\n{sizes.timeline_text(names)}"


# --- who is safe -----------------------------------------------------------------------------------------------------


def _older_equal(lab: KueueLab, preemption: dict[str, str]) -> None:
    """A workload of the same priority, but older than those that hold the quota, comes out of a held LocalQueue."""
    queue = lab.queue(gpus=2, preemption=preemption)
    lab.local_queue("held", queue.name, stop="Hold")
    byhand.workload(lab, "older", "held", priority=5)
    byhand.next_second(lab)
    for name in ("first", "second"):
        _hold(lab, queue, name, priority=5)
        byhand.next_second(lab)
    lab.patch("LocalQueue", "held", {"spec": {"stopPolicy": "None"}})
    lab.observe(
        lambda: byhand.weighed(lab, "older") and byhand.pending(lab, queue) > 0,
        "older weighed",
    )


@scenario()
def equal_priority(lab: KueueLab) -> None:
    """LowerPriority: an older workload of equal priority waits in a full queue, then one of higher priority arrives."""
    _older_equal(lab, LOWER)
    byhand.workload(lab, "above", "queue", priority=6)  # marker: it does preempt
    byhand.observe_evicted(lab, 1)
    byhand.end_eviction(lab, *byhand.evicted(lab))
    lab.observe_admitted("above")


@behaviour(
    "kueue.preemption.equal-priority-is-safe", level=MUST, spec=SPEC,
    red_when="LowerPriority evicts workloads of equal priority", mutant="preemption-everywhere",
)  # fmt: skip
def test_lower_priority_spares_equals(equal_priority: KueueRecording) -> None:
    """Under LowerPriority, a workload does not preempt its own priority even if it is older, but a higher one does."""
    seen = victims_by_name(equal_priority)
    timeline = equal_priority.timeline_text()
    assert seen == {"second": 1}, f"expected one victim, second, for above alone; seen {seen}\n{timeline}"
    order = decisions(equal_priority)
    assert order == ["first", "second", "above"], f"expected first second above, seen {order}\n{timeline}"


@scenario()
def newer_equal(lab: KueueLab) -> None:
    """LowerOrNewerEqualPriority: an older workload of the same priority becomes pending in a full queue."""
    _older_equal(lab, NEWER)
    byhand.observe_evicted(lab, 1)
    byhand.end_eviction(lab, *byhand.evicted(lab))
    lab.observe_admitted("older")


@behaviour(
    "kueue.preemption.newer-equal-goes", level=MUST, spec=SPEC,
    red_when="LowerOrNewerEqualPriority spares a newer workload of equal priority", mutant="preemption-off",
)  # fmt: skip
def test_newer_equals_are_preempted(newer_equal: KueueRecording) -> None:
    """Under LowerOrNewerEqualPriority, a workload preempts the newest of the younger workloads of its own priority."""
    policy = Policy(within_queue="LowerOrNewerEqualPriority")
    expected = expected_victims(newer_equal, "older", ["first", "second"], 2, policy)
    seen = victims_by_name(newer_equal)
    timeline = newer_equal.timeline_text()
    assert seen == dict.fromkeys(expected, 1) == {"second": 1}, f"expected {expected}, seen {seen}\n{timeline}"
    order = decisions(newer_equal)
    assert order == ["first", "second", "older"], f"expected first second older, seen {order}\n{timeline}"


@scenario()
def older_equal(lab: KueueLab) -> None:
    """LowerOrNewerEqualPriority: a newer workload of the same priority is created in a full queue."""
    queue = lab.queue(gpus=2, preemption=NEWER)
    for name in ("first", "second"):
        _hold(lab, queue, name, priority=5)
    byhand.next_second(lab)
    byhand.workload(lab, "newest", queue, priority=5)
    byhand.observe_weighed(lab, "newest")


@behaviour(
    "kueue.preemption.older-equal-is-safe", level=MUST, spec=SPEC,
    red_when="a newer workload preempts an older one of equal priority", mutant="priority-latest-first",
)  # fmt: skip
def test_older_equals_are_spared(older_equal: KueueRecording) -> None:
    """Under LowerOrNewerEqualPriority a workload waits for older ones of its own priority."""
    seen, order = victims_by_name(older_equal), decisions(older_equal)
    expected = ["first", "second"]
    assert not unwitnessed_findings(older_equal), unwitnessed_findings(older_equal)
    assert not seen, f"expected no victim, seen {seen}\n{older_equal.timeline_text()}"
    assert order == expected, f"expected {expected}, seen {order}\n{older_equal.timeline_text()}"


@scenario()
def never(lab: KueueLab) -> None:
    """No preemption policy is set, and a workload of far higher priority is created in a full queue."""
    queue = lab.queue(gpus=1)
    _hold(lab, queue, "low")
    byhand.workload(lab, "high", queue, priority=1000)
    byhand.observe_weighed(lab, "high")
    byhand.finish(lab, "low")
    lab.observe_admitted("high")


@behaviour(
    "kueue.preemption.never-by-default", level=MUST, spec=SPEC,
    red_when="a ClusterQueue without a preemption policy evicts a workload", mutant="preemption-everywhere",
)  # fmt: skip
def test_without_a_policy_nobody_is_preempted(never: KueueRecording) -> None:
    """A ClusterQueue without a preemption policy evicts nobody, and a workload of higher priority waits for quota."""
    seen, order = evictions(never), decisions(never)
    assert not unwitnessed_findings(never), unwitnessed_findings(never)
    assert not seen, f"expected no eviction, seen {seen}\n{never.timeline_text()}"
    assert order == ["low", "high"], f"expected low high, seen {order}\n{never.timeline_text()}"


# --- while victims go ------------------------------------------------------------------------------------------------


@scenario()
def slow_victims(lab: KueueLab) -> None:
    """A preemptor needs the GPUs of two victims, which end one after the other, while a one-GPU workload waits."""
    queue = lab.queue(gpus=2, preemption=LOWER)
    for name in ("left", "right"):
        _hold(lab, queue, name)
    byhand.workload(lab, "preemptor", queue, gpus=2, priority=10)
    victims = byhand.observe_evicted(lab, 2)
    byhand.workload(lab, "thief", queue, priority=10)
    byhand.observe_pending(lab, queue, 2)
    for name in victims[:1]:
        byhand.end_eviction(lab, name)
    # marker: another queue's workload is decided on after one GPU has become free
    marker = lab.queue(gpus=1, base="marker", flavor=queue.flavor)
    byhand.workload(lab, "marker", marker)
    lab.until_admitted("marker")
    byhand.observe_pending(lab, queue, 3)
    for name in victims[1:]:
        byhand.end_eviction(lab, name)
    lab.observe_admitted("preemptor")
    lab.mark("preemptor done")


@behaviour(
    "kueue.preemption.not-stolen", level=MUST, spec="https://github.com/kubernetes-sigs/kueue/pull/7157",
    red_when="quota freed for a preemptor is given to another workload", mutant="preemption-off",
)  # fmt: skip
def test_a_preemptor_is_not_stolen_from(slow_victims: KueueRecording) -> None:
    """While a preemptor waits for its second victim, the GPU of the first does not go to a workload that would fit."""
    done = slow_victims.mark("preemptor done")
    admitted = [one.workload for one in own_admissions(slow_victims) if one.at_ns is None or one.at_ns <= done]
    admitted.remove("marker")
    expected = ["left", "right", "preemptor"]
    assert admitted == expected, f"expected {expected}, seen {admitted}\n{slow_victims.timeline_text()}"


@behaviour(
    "kueue.preemption.once", level=MUST, spec=SPEC,
    red_when="a victim is evicted again while its eviction is under way", mutant="preemption-off",
)  # fmt: skip
def test_each_victim_is_preempted_exactly_once(slow_victims: KueueRecording) -> None:
    """A victim is evicted exactly once, however long its eviction takes, and its schedulingStats say the same."""
    done = slow_victims.mark("preemptor done")
    seen = victims_by_name(slow_victims, until=done)
    assert seen == {"left": 1, "right": 1}, f"expected both once, seen {seen}\n{slow_victims.timeline_text()}"
    told = {name: told_evictions(slow_victims.timelines("Workload")[name].as_of(done) or {}) for name in seen}
    assert told == seen, f"schedulingStats: expected {seen}, seen {told}"


@scenario()
def victim_returns(lab: KueueLab) -> None:
    """A victim waits with a workload of its priority that was created before the preemption, but after the victim."""
    queue = lab.queue(gpus=1, preemption=LOWER)
    _hold(lab, queue, "victim")
    byhand.next_second(lab)
    byhand.workload(lab, "later", queue)
    byhand.observe_weighed(lab, "later")
    byhand.next_second(lab)
    byhand.workload(lab, "preemptor", queue, priority=10)
    byhand.observe_evicted(lab, 1)
    byhand.end_eviction(lab, *byhand.evicted(lab))
    lab.observe_admitted("preemptor")
    byhand.observe_pending(lab, queue, 2)
    for name in ("preemptor", "victim"):
        byhand.finish(lab, name)
        lab.observe(lambda: byhand.holding(lab) not in ([], [name]), f"one after {name}")  # noqa: B023 - waits in this turn


@behaviour(
    "kueue.preemption.victim-keeps-its-place", level=MUST, spec=SPEC,
    red_when="a preempted workload is requeued behind younger ones of its priority", mutant="priority-latest-first",
)  # fmt: skip
def test_a_victim_returns_to_its_place(victim_returns: KueueRecording) -> None:
    """A preempted workload is requeued by its creation time, before workloads of its priority created later."""
    order = decisions(victim_returns)
    expected = ["victim", "preemptor", "victim", "later"]
    assert order == expected, f"expected {expected}, seen {order}\n{victim_returns.timeline_text()}"
