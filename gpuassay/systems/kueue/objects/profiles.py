"""Configuration profiles of Kueue as data.

Kueue reads its configuration once, at start, so everything that depends on it needs a restart. A profile is what
differs from `BASE`; tests are grouped by profile so that restarts are few. Fields: config.kueue.x-k8s.io/v1beta2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

NAMESPACE = "kueue-system"

FRAMEWORKS = [
    "batch/job",
    "pod",
    "deployment",
    "statefulset",
    "jobset.x-k8s.io/jobset",
    "leaderworkerset.x-k8s.io/leaderworkerset",
]

BASE: dict[str, Any] = {
    "apiVersion": "config.kueue.x-k8s.io/v1beta2",
    "kind": "Configuration",
    "namespace": NAMESPACE,
    "leaderElection": {"leaderElect": False},
    "internalCertManagement": {
        "enable": True,
        "webhookServiceName": "kueue-webhook-service",
        "webhookSecretName": "kueue-webhook-server-cert",
    },
    # upstream's own defaults, written down so that a changed default does not change a measurement
    "clientConnection": {"qps": 300, "burst": 500},
    "controller": {
        "groupKindConcurrency": {
            "Job.batch": 5,
            "Pod": 5,
            "Workload.kueue.x-k8s.io": 10,
            "LocalQueue.kueue.x-k8s.io": 5,
            "Cohort.kueue.x-k8s.io": 1,
            "ClusterQueue.kueue.x-k8s.io": 5,
            "ResourceFlavor.kueue.x-k8s.io": 1,
        }
    },
    # required once pods are managed: Kueue refuses a selector that includes the system's own namespaces
    "managedJobsNamespaceSelector": {
        "matchExpressions": [
            {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-system", NAMESPACE]}
        ]
    },
    "integrations": {"frameworks": FRAMEWORKS},
    # the visibility server wants to write to /visibility, a path that cannot be set (pkg/visibility/server.go)
    "featureGates": {"VisibilityOnDemand": False},
}


@dataclass(frozen=True)
class Profile:
    """One configuration of Kueue.

    Attributes:
        name: what scenarios ask for.
        what: one line for people.
        changes: laid over `BASE`; mappings are merged, None removes a field, everything else replaces.
    """

    name: str
    what: str
    changes: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def configuration(self) -> dict[str, Any]:
        """The whole configuration, without addresses."""
        return merged(BASE, self.changes)

    def frameworks(self) -> list[str]:
        """The kinds of jobs that it manages, as Kueue names them."""
        return list(self.configuration()["integrations"]["frameworks"])


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `changes` laid over it, as in a JSON merge patch (RFC 7396); neither is altered."""
    result = dict(base)
    for key, value in changes.items():
        old = result.get(key)
        if value is None:
            result.pop(key, None)
        elif isinstance(value, Mapping):
            under: dict[str, Any] = cast("dict[str, Any]", old) if isinstance(old, dict) else {}
            result[key] = merged(under, cast("Mapping[str, Any]", value))
        else:
            result[key] = value
    return result


def _pods_ready(**changes: Any) -> dict[str, Any]:
    short: dict[str, Any] = {
        "timeout": "6s",
        "recoveryTimeout": "3s",
        "requeuingStrategy": {"backoffBaseSeconds": 1, "backoffMaxSeconds": 2, "backoffLimitCount": 2},
    }
    return {"waitForPodsReady": short | changes}


# A100 40 GB profiles: compute slices ("GPC") and memory in GB (MIG user guide, "A100 MIG profiles").
MIG_CREDITS: dict[str, tuple[int, int]] = {
    "1g.5gb": (1, 5),
    "2g.10gb": (2, 10),
    "3g.20gb": (3, 20),
    "4g.20gb": (4, 20),
    "7g.40gb": (7, 40),
}
GPC = "example.com/gpu-compute-slices"
GPU_MEMORY = "example.com/gpu-memory-gb"

CLAIMED_SLICES = "example.com/claimed-mig-2g-10gb"
MULTIPROCESSORS = "example.com/multiprocessors"


def _mig_transformations() -> list[dict[str, Any]]:
    """Every MIG profile, under NVIDIA's name and under the one that DAS gives it, as credits of one kind."""
    return [
        {"input": f"{prefix}{name}", "strategy": "Replace", "outputs": {GPC: str(slices), GPU_MEMORY: str(memory)}}
        for prefix in ("nvidia.com/mig-", "mig.das.com/")
        for name, (slices, memory) in MIG_CREDITS.items()
    ]


PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile(
            "default",
            "all integrations, upstream's defaults otherwise (topology-aware scheduling and elastic Jobs are on)",
        ),
        Profile(
            "jobs-only",
            "only batch/v1 Jobs are managed, for measurements",
            {"integrations": {"frameworks": ["batch/job"]}},
        ),
        Profile(
            "fair-sharing",
            "preemption-based fair sharing within a cohort",
            {"fairSharing": {"preemptionStrategies": ["LessThanOrEqualToFinalShare", "LessThanInitialShare"]}},
        ),
        Profile(
            "admission-fair-sharing",
            "LocalQueues ordered by decayed past usage: half-life 10 s, sampled every second",
            {"admissionFairSharing": {"usageHalfLifeTime": "10s", "usageSamplingInterval": "1s"}},
        ),
        Profile(
            "pods-ready", "pods must be ready within 6 s, back within 3 s; two requeues, 1-2 s apart", _pods_ready()
        ),
        Profile(
            "pods-ready-block",
            "as pods-ready, and nothing is admitted while admitted pods are not ready",
            _pods_ready(blockAdmission=True),
        ),
        Profile(
            "transformations",
            "MIG profiles count as compute slices and memory; example.com/excluded-* does not count",
            {
                "resources": {
                    "transformations": [
                        *_mig_transformations(),
                        {
                            "input": "example.com/retained",
                            "strategy": "Retain",
                            "outputs": {"example.com/credits": "10"},
                        },
                        {"input": "example.com/ignored", "strategy": "Replace"},
                    ],
                    "excludeResourcePrefixes": ["example.com/excluded-"],
                }
            },
        ),
        Profile(
            "dra",
            "claims of DeviceClass gpu.example.com count as resource example.com/claimed-gpu",
            {
                "resources": {
                    "deviceClassMappings": [
                        {"name": "example.com/claimed-gpu", "deviceClassNames": ["gpu.example.com"]}
                    ]
                }
            },
        ),
        Profile(
            "claimed-slices",
            "claims of 2g.10gb count as devices, those of the class of all MIG devices as multiprocessors",
            {
                "resources": {
                    "deviceClassMappings": [
                        {"name": CLAIMED_SLICES, "deviceClassNames": ["mig-2g.10gb.nvidia.com"]},
                        {
                            "name": MULTIPROCESSORS,
                            "deviceClassNames": ["mig.nvidia.com"],
                            "sources": [
                                {
                                    "counter": {
                                        "name": "multiprocessors",
                                        "driver": "gpu.nvidia.com",
                                        "deviceSelector": {"cel": {"expression": "device.driver == 'gpu.nvidia.com'"}},
                                    }
                                }
                            ],
                        },
                    ]
                }
            },
        ),
        Profile(
            "unnamed-queues",
            "jobs without a queue name are held too",
            {
                "manageJobsWithoutQueueName": True,
                "managedJobsNamespaceSelector": {"matchLabels": {"gpuassay.io/managed": "true"}},
            },
        ),
        Profile(
            "retention",
            "Workloads that finished or were deactivated are deleted after 2 s",
            {"objectRetentionPolicies": {"workloads": {"afterFinished": "2s", "afterDeactivatedByKueue": "2s"}}},
        ),
    )
}
"""Every profile by name."""
