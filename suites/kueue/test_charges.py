"""What a workload is charged is what its pods ask for, whatever their shape and however often it was tried."""

from __future__ import annotations

from gpuassay import MUST, Manifest, Note, behaviour, dig, known_defect, scenario
from gpuassay.labels import GPU
from gpuassay.manifest import is_true
from gpuassay.systems.kueue.acts import workloads as byhand
from gpuassay.systems.kueue.acts.lab import KueueLab
from gpuassay.systems.kueue.judge import charges, known
from gpuassay.systems.kueue.judge.lifecycle import flips, workload_of
from gpuassay.systems.kueue.objects import queues as kueue
from gpuassay.systems.kueue.readings import KueueRecording

SPEC = "https://kueue.sigs.k8s.io/docs/concepts/workload/#resource-requests"
LIMITS_FIRST = "https://github.com/kubernetes-sigs/kueue/pull/15023"

NAMES = Note("shapes", list[str], "names of the Workloads, each of another shape")


def _box(limits: Manifest | None = None, **requests: str) -> Manifest:
    resources = {"requests": requests} | ({"limits": limits} if limits else {})
    return {"name": "main", "image": "gpuassay.io/none", "resources": resources}


def _named(containers: list[Manifest], stem: str) -> list[Manifest]:
    return [one | {"name": f"{stem}{index}"} for index, one in enumerate(containers)]


def _shapes() -> dict[str, Manifest]:
    """Pod specs by name; what each costs is the model's to say."""
    sidecar = _box(cpu="2") | {"restartPolicy": "Always"}
    one = _box(cpu="1", memory="1Gi")
    return {
        "plain": {"containers": [one]},
        "several": {"containers": _named([one, _box(cpu="500m"), _box(memory="1M")], "c")},
        "limits-only": {"containers": [_box({GPU: "2", "cpu": "3"})]},
        "below-limits": {"containers": [_box({"cpu": "3"}, cpu="1")]},
        "mixed": {"containers": [_box({"cpu": "3", "memory": "2Gi"}, cpu="1")]},
        "init-larger": {"containers": [one], "initContainers": _named([_box(cpu="5"), _box(cpu="4")], "i")},
        "init-smaller": {"containers": [one], "initContainers": _named([_box(cpu="500m", memory="4Gi")], "i")},
        "init-limits": {"containers": [one], "initContainers": _named([_box({"cpu": "6"})], "i")},
        "sidecar": {"containers": [one], "initContainers": _named([sidecar], "s")},
        "sidecar-then-init": {"containers": [one], "initContainers": _named([sidecar, _box(cpu="4")], "s")},
        "init-then-sidecar": {"containers": [one], "initContainers": _named([_box(cpu="4"), sidecar], "s")},
        "overhead": {"containers": [one], "overhead": {"cpu": "250m", "memory": "64Mi"}, "runtimeClassName": "any"},
        "pod-level": {"containers": [one], "resources": {"requests": {"cpu": "4"}}},
        "pod-level-limits": {"containers": [_box()], "resources": {"limits": {"cpu": "4", "memory": "3Gi"}}},
        "milli": {"containers": [_box(cpu="1m", memory="1500m")]},
        "zero": {"containers": [_box(cpu="0", memory="1Gi")]},
        "binary": {"containers": [_box(cpu="15e-1", memory="1.5Gi")]},
    }


def _workloads(lab: KueueLab, queue: str, shapes: dict[str, Manifest], *, count: int = 1) -> list[str]:
    """Create a Workload of each shape, `count` pods of it."""
    lab.create_all([
        kueue.workload(name, lab.namespace, queue, [_pod_set(pod, count)]) for name, pod in shapes.items()
    ])  # fmt: skip
    return list(shapes)


def _pod_set(pod: Manifest, count: int) -> Manifest:
    return {"name": "main", "count": count, "template": {"spec": {"restartPolicy": "Never"} | pod}}


def _wide_queue(lab: KueueLab, base: str) -> str:
    """A queue in which everything fits; returns the name of its LocalQueue."""
    quotas = [kueue.quota(name, much) for name, much in (("cpu", 1000), ("memory", "1Ti"), (GPU, 100), ("pods", 1000))]
    group = kueue.resource_group({lab.flavor(base): quotas})
    return lab.local_queue(base, lab.cluster_queue(base, [group]))


@scenario()
def shapes(lab: KueueLab) -> None:
    """A queue with quota for CPUs, memory, GPUs and pods; a workload of three pods of each of many shapes."""
    names = _workloads(lab, _wide_queue(lab, "wide"), _shapes(), count=3)
    lab.note(NAMES, names)
    lab.observe(lambda: lab.has("Admitted", *names), "all admitted")


@behaviour(
    "kueue.charge.shapes", level=MUST, spec=SPEC,
    red_when="init containers, sidecars, overhead, limits or pod-level resources are charged otherwise than they count",
    mutant="requests-halved",
)  # fmt: skip
def test_every_shape_is_charged_as_it_counts(shapes: KueueRecording) -> None:
    """A workload is charged its number of pods times what one of them effectively asks for, whatever its shape."""
    names = shapes.note(NAMES)
    lines = [workload_of(shapes, name) for name in names]
    charged = [line for line in lines if line and dig(line.final, "status", "admission") is not None]
    assert len(charged) == len(names) >= 17, shapes.timeline_text()
    assert charges.findings(shapes) == [], shapes.timeline_text()


@scenario()
def defaulted(lab: KueueLab) -> None:
    """A LimitRange gives containers a request of 1 CPU; one has a limit of 3 CPUs, one nothing, one a request of 2."""
    limits = {"type": "Container", "defaultRequest": {"cpu": "1"}}
    metadata = {"name": "defaults", "namespace": lab.namespace}
    lab.create({"apiVersion": "v1", "kind": "LimitRange", "metadata": metadata, "spec": {"limits": [limits]}})
    queue = _wide_queue(lab, "wide")
    pods = {"limited": _box({"cpu": "3"}), "silent": _box(memory="1Gi"), "asking": _box(cpu="2")}
    names = _workloads(lab, queue, {name: {"containers": [one]} for name, one in pods.items()})
    lab.observe(lambda: lab.has("Admitted", *names), "all admitted")


@known_defect(
    LIMITS_FIRST, "a LimitRange's default takes the place of a container's own limit", shows="which ask for 3 cpu"
)
@behaviour(
    "kueue.charge.limits-before-defaults", level=MUST, spec="https://kubernetes.io/docs/concepts/policy/limit-range/",
    red_when="a container that has a limit and no request is charged the namespace's default request",
)  # fmt: skip
def test_a_limit_is_the_request_before_defaults_are_asked(defaulted: KueueRecording) -> None:
    """A container with a limit alone is charged its limit, as its pod asks for it, and not a LimitRange's default."""
    if not is_admitted(defaulted, "limited"):
        raise LookupError(f"limited was not admitted: {defaulted.timeline_text()}")
    found = charges.findings(defaulted)
    assert found == [], "\n".join(found)


def is_admitted(recording: KueueRecording, name: str) -> bool:
    """Whether a Workload was ever admitted."""
    line = workload_of(recording, name)
    return line is not None and line.when(lambda one: is_true(one, "Admitted")) is not None


BACKOFF = 6.0
"""Seconds: long enough to send eight back on a busy machine."""
TRIED = [f"tried-{index}" for index in range(8)]


@scenario(timeout=90)
def backed_off(lab: KueueLab) -> None:
    """Eight workloads with limits alone are admitted and sent back for 6 s, as if their pods had not got ready."""
    queue = _wide_queue(lab, "again")
    _workloads(lab, queue, {name: {"containers": [_box({GPU: "2"})]} for name in TRIED})
    lab.until_admitted(*TRIED)
    byhand.back_off(lab, BACKOFF, *TRIED)
    lab.observe(lambda: not any(lab.has("QuotaReserved", name) for name in TRIED), "all sent back", timeout=5)
    lab.observe(lambda: lab.has("QuotaReserved", *TRIED), "all tried again")


@known_defect(
    known.RAW_AFTER_BACKOFF, "after a backoff a Workload is queued by its spec as it is written",
    shows="charged nothing, when tried again after its backoff", racy=True,
)  # fmt: skip
@behaviour(
    "kueue.charge.after-backoff", level=MUST, spec=SPEC,
    red_when="a workload whose containers have limits alone is charged nothing when it is tried again after a backoff",
    mutant="requests-halved",
)  # fmt: skip
def test_a_second_try_costs_what_the_first_did(backed_off: KueueRecording) -> None:
    """A workload that gets quota again after a backoff is charged as much as the first time."""
    tried = [workload_of(backed_off, name) for name in TRIED]
    again = [line for line in tried if line and len(flips(line, "QuotaReserved")) >= 2]
    if len(again) < len(TRIED):
        raise LookupError(f"only {len(again)} of {len(TRIED)} were tried again: {backed_off.timeline_text()}")
    found = charges.findings(backed_off)
    assert found == [], "\n".join(found)
