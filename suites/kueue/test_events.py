"""Events: what a person sees with `kubectl describe`.

Events are aggregated: judged is that they exist, not how many there are.
"""

from __future__ import annotations

from gpuassay import SHOULD, Manifest, behaviour, dig, scenario
from gpuassay.systems.kueue.acts.lab import KueueLab
from gpuassay.systems.kueue.judge.events import missing_events
from gpuassay.systems.kueue.model.reasons import WAITS
from gpuassay.systems.kueue.readings import KueueRecording

SPEC = "https://kueue.sigs.k8s.io/docs/tasks/troubleshooting/troubleshooting_jobs/"


@scenario()
def told(lab: KueueLab) -> None:
    """A job of low priority runs, one of the same priority waits, one of high priority preempts the first."""
    low, high = lab.priority_class("low", 1), lab.priority_class("high", 10)
    queue = lab.queue(gpus=1, preemption={"withinClusterQueue": "LowerPriority"})
    lab.job("victim", queue, priority=low)
    if not lab.observe_admitted("victim"):
        return
    lab.job("waiting", queue, priority=low)
    lab.observe(lambda: lab.decided("waiting"), "the waiting job was considered")
    lab.job("urgent", queue, priority=high)
    if not lab.observe_admitted("urgent"):
        return
    # Events are sent apart from what they tell of, and not in order.
    last = (("urgent", "Started"), ("victim", "Stopped"))
    lab.observe(
        lambda: all(any(_about(one, *wanted) for one in lab.objects("Event")) for wanted in last),
        "the last events",
    )


def _about(event: Manifest, name: str, reason: str) -> bool:
    return dig(event, "regarding", "name") == name and event.get("reason") == reason


def _judge(recording: KueueRecording, expected: list[tuple[str, str, str]]) -> None:
    found = missing_events(recording, expected)
    assert not found, "\n".join([*found, recording.timeline_text()])


@behaviour(
    "kueue.events.admission", level=SHOULD, spec=SPEC,
    red_when="a Workload is admitted without QuotaReserved and Admitted events", mutant="queue-label-lost",
)  # fmt: skip
def test_admission_is_told(told: KueueRecording) -> None:
    """An admitted Workload has the events QuotaReserved and Admitted."""
    _judge(told, [
        ("Workload of victim", "QuotaReserved", "Normal"), ("Workload of victim", "Admitted", "Normal"),
        ("Workload of urgent", "QuotaReserved", "Normal"), ("Workload of urgent", "Admitted", "Normal"),
    ])  # fmt: skip


@behaviour(
    "kueue.events.preemption", level=SHOULD, spec="https://kueue.sigs.k8s.io/docs/concepts/preemption/",
    red_when="the events of victim or preemptor do not report a preemption", mutant="preemption-off",
)  # fmt: skip
def test_preemption_is_told(told: KueueRecording) -> None:
    """A preemption is recorded as events of the victim's Workload and Job and of the preemptor's Workload."""
    _judge(told, [
        ("Workload of victim", "Preempted", "Normal"), ("Workload of victim", "EvictedDueToPreempted", "Normal"),
        ("Workload of urgent", "PreemptedWorkload", "Normal"), ("Job victim", "Stopped", "Normal"),
    ])  # fmt: skip


@behaviour(
    "kueue.events.waiting", level=SHOULD, spec=SPEC,
    red_when="a Workload stays pending without a Warning event", mutant="quota-doubled",
)  # fmt: skip
def test_waiting_is_told(told: KueueRecording) -> None:
    """A Workload that does not fit has a Warning event with reason Pending, or WaitingForQuota from Kueue 0.20 on."""
    missing = [missing_events(told, [("Workload of waiting", reason, "Warning")]) for reason in sorted(WAITS)]
    assert not all(missing), "\n".join([*map("; ".join, missing), told.timeline_text()])


@behaviour(
    "kueue.events.job", level=SHOULD, spec=SPEC,
    red_when="a Job has no event for the creation of its Workload or for its start", mutant="queue-label-lost",
)  # fmt: skip
def test_a_jobs_life_in_the_queue_is_told(told: KueueRecording) -> None:
    """A Job has an event for the creation of its Workload and one for its start by Kueue."""
    _judge(told, [
        ("Job victim", "CreatedWorkload", "Normal"), ("Job victim", "Started", "Normal"),
        ("Job urgent", "CreatedWorkload", "Normal"), ("Job urgent", "Started", "Normal"),
    ])  # fmt: skip
