"""Behaviours that rightly stay green on something false, and why. The list is exact: what excuses nothing is told."""

from __future__ import annotations

from collections.abc import Sequence

from gpuassay.vacuity.table import Argued

ARGUED: Sequence[Argued] = (
    Argued(
        ["answers-500"],
        [
            "llmd.epp.none-ready-refused-bodyless[*]", "llmd.gateway.absent-fail-close[*]", "llmd.gateway.all-dead[*]",
            "llmd.gateway.standalone-cannot-fail-open",

            "llmd.istio.crash-fail-close-post", "llmd.istio.tls-picker-without-rule",
        ],
        "a refusal with 5xx is what the sentence asks for, or what the known defect shows",
    ),
    Argued(
        ["answers-500"],
        [
            "llmd.epp.trailers-end-the-body[*]", "llmd.gateway.pick-outside-the-pool",
        ],
        "the sentence is that nobody takes the request; a status, of an answer that never came, is not part of it",
    ),
    Argued(
        ["admissions-reversed"],
        [
            "kueue.metrics.admission-attempts", "kueue.metrics.admitted-total", "kueue.metrics.finished-total",
            "kueue.ordering.every-job-once", "kueue.ordering.hold-admits-nothing", "kueue.ordering.strict-head-blocks",
            "kueue.restart.no-second-admission", "platform.kueue-slices.within-quota[*]",
            "platform.recording.agrees-with-kueue",
        ],
        "the sentence is about which workloads get quota, how often or after which moment, not about their order",
    ),
    Argued(
        ["status-stripped"],
        [
            "kueue.ordering.burst-best-effort-fifo", "kueue.ordering.burst-strict-fifo", "kueue.restart.same-order",
            "kueue.ordering.inactive-queue", "kueue.ordering.one-at-a-time", "kueue.ordering.strict-head-blocks",
        ],
        "decisions are read from Kueue's log; of Workloads only name, UID and creation are read, which are no status",
    ),
    Argued(
        ["status-stripped"],
        [
            "kueue.pod-groups.excess-pod-deleted", "kueue.pod-groups.finalizer", "kueue.pod-groups.single-pod-waits",
            "kueue.serving.deployment-partly-running", "kueue.serving.deployment-pods-one-by-one",
            "kueue.serving.leader-worker-set-groups",
        ],
        "gates, nodes, finalizers and owners of pods are no status",
    ),
    Argued(
        ["nothing-happened"],
        ["kueue.lifecycle.suspended-at-create"],
        "the sentence is about the first stored version of an object, which is the one that is left",
    ),
    Argued(
        ["another-scenario"],
        [
            "kueue.quota.never-exceeded", "kueue.quota.status-never-exceeds", "slices.counters.exhausted",
            "slices.counters.freed", "slices.example.restart-frees[dra-example]",
            "slices.example.unprepared[dra-example]", "slices.exhaustion.work-conserving[*]",
            "kueue.cohorts.tree-work-conserving", "llmd.any-gateway.repeat-sticks", "slices.counters.profile",
            "platform.kueue-slices.gap-ends[*]", "platform.kueue-slices.geometry-gap[*]",
            "platform.kueue-slices.unplaced-told[*]",
            "slices.counters.reason", "platform.kueue-slices.nothing-left[*]", "slices.ends.nothing-left[*]",
            "slices.ends.restart-leaves-nothing[*]", "slices.exclusive.all-gone[*]",
            "slices.exhaustion.nothing-left[*]", "platform.kueue-slices.gap-bounded[*]",
            "platform.kueue-slices.mix-freed[*]", "platform.kueue-slices.mix-order[*]", "slices.performance.freed",
        ],
        "the sentence holds of every sound scenario with such objects, and the other one is sound and has them",
    ),
    Argued(
        ["notes-lists-emptied"],
        [
            "slices.example.exhausted[dra-example]", "slices.example.restart-frees[dra-example]",
            "slices.example.unprepared[dra-example]",
        ],
        "what is emptied says that nothing is left, which is the sentence, or which device a pod had, which is not",
    ),
    Argued(
        ["admissions-reversed"],
        ["kueue.fair-sharing.lower-share-first"],
        "only one of the two that compete is ever decided on, before and after",
    ),
    Argued(
        ["nothing-happened", "events-emptied", "no-*"],
        ["platform.recording.nothing-invented"],
        "what is missing is not invented; platform.recording.every-write-seen finds it",
    ),
    Argued(
        ["notes-lists-emptied"],
        ["platform.kueue-slices.victims-quota[device-plugin]"],
        "which slice a pod had does not matter for when its end gives it back",
    ),
    Argued(
        ["notes-lists-emptied"],
        ["llmd.istio.tls-picker-without-rule"],
        "the statuses are a figure beside the verdict, which hangs on the answers",
    ),
    Argued(
        ["no-Pod"],
        ["slices.counters.freed"],
        "pods excuse claims that are left, and none is",
    ),
    Argued(
        ["no-ResourceClaim", "notes-dicts-emptied"],
        ["slices.performance.peak"],
        "claims and what pods were told are drawn in the slice map; what runs is counted from the pods",
    ),
    Argued(
        ["metrics-emptied", "metrics-zero"],
        ["llmd.performance.ways-answer"],
        "metrics are drawn in the exhibit; whether requests were answered stands in the requests",
    ),
    Argued(
        ["log-without-decisions"],
        ["platform.kueue-slices.within-quota[*]"],
        "what runs on slices is held against the quota; the log is read by Kueue's own invariants beside it",
    ),
    Argued(
        ["no-ResourceClaim"],
        ["platform.kueue-slices.admitted-runs[dra]"],
        "claims are the second way to a pod's slice, after what its containers say",
    ),
    Argued(
        ["no-Pod"],
        ["slices.counters.profile"],
        "pods on a node without a claim's device are looked for, and none is there; devices are judged by the claims",
    ),
    Argued(
        ["status-stripped"],
        ["slices.exhaustion.work-conserving[*]", "slices.on-demand.half-slice-usable[dra]"],
        "whether a pod waits is told by its node, which is no status; the known defect is that it never runs",
    ),
    Argued(
        ["notes-emptied"],
        ["slices.shapes.media-extensions[device-plugin]"],
        "the known defect is that no container says that it has the slice, as the true recording lacks it",
    ),
    Argued(
        ["kv-events-emptied"],
        ["llmd.degradation.never-crashes", "llmd.degradation.events-lost"],
        "lost events are one of the faults that must not end the picker",
    ),
    Argued(
        ["nothing-shown"],
        ["slices.on-demand.creation-failure-deletable[dra]", "slices.on-demand.half-slice-swept[dra]"],
        "on the true recording as well the system did not show what the behaviour asks for: that is the known defect",
    ),
)  # fmt: skip
