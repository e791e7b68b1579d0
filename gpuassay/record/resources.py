"""What the recorder watches: a list of resources, and the file that hands it to the recorder process."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path


class RecorderError(Exception):
    """The recorder cannot start, or died; the message is one line."""

    exit_code = 2
    """Of a command that ends with it: the input is the user\'s to mend."""


@dataclass(frozen=True)
class Resource:
    """One resource to record.

    Attributes:
        kind: the objects' kind; names the spool file, so it is unique within a recorder.
        path: API path of the collection, such as `/apis/batch/v1/jobs`.
        optional: whether the API may be absent (404) or forbidden (403); it is then asked for again until it serves.
    """

    kind: str
    path: str
    optional: bool = False


KUEUE = "/apis/kueue.x-k8s.io/v1beta2"

DEFAULT_RESOURCES: tuple[Resource, ...] = (
    Resource("Namespace", "/api/v1/namespaces"),
    Resource("Pod", "/api/v1/pods"),
    Resource("Job", "/apis/batch/v1/jobs"),
    Resource("Event", "/apis/events.k8s.io/v1/events"),
    Resource("ResourceClaim", "/apis/resource.k8s.io/v1/resourceclaims", optional=True),
    Resource("Workload", f"{KUEUE}/workloads", optional=True),
    Resource("ClusterQueue", f"{KUEUE}/clusterqueues", optional=True),
    Resource("LocalQueue", f"{KUEUE}/localqueues", optional=True),
    Resource("Cohort", f"{KUEUE}/cohorts", optional=True),
    Resource("ResourceFlavor", f"{KUEUE}/resourceflavors", optional=True),
    Resource("AdmissionCheck", f"{KUEUE}/admissionchecks", optional=True),
    Resource("Topology", f"{KUEUE}/topologies", optional=True),
    Resource("WorkloadPriorityClass", f"{KUEUE}/workloadpriorityclasses", optional=True),
)
"""What a Kueue suite needs. Nodes are left out: their heartbeats would be most of the recording."""

EXTRA_RESOURCES: tuple[Resource, ...] = (
    Resource("Deployment", "/apis/apps/v1/deployments"),
    Resource("StatefulSet", "/apis/apps/v1/statefulsets"),
    Resource("JobSet", "/apis/jobset.x-k8s.io/v1alpha2/jobsets", optional=True),
    Resource("LeaderWorkerSet", "/apis/leaderworkerset.x-k8s.io/v1/leaderworkersets", optional=True),
)
"""Owners of pods that only some scenarios use; add them to the default ones where those run."""


@dataclass(frozen=True)
class RecorderConfig:
    """All that the recorder process is told.

    Attributes:
        kubeconfig: path of the kubeconfig.
        spool: folder of the spool files; exists.
        resources: what to record.
        context: kubeconfig context, or None for the current one.
        label_selector: restricts every list and watch, for clusters shared with others; "" records everything.
        death_signal: whether the process asks the kernel to be killed with the thread that started it.
    """

    kubeconfig: str
    spool: str
    resources: tuple[Resource, ...] = DEFAULT_RESOURCES
    context: str | None = None
    label_selector: str = ""
    death_signal: bool = True

    def write(self, path: Path) -> None:
        """Write the configuration as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1))

    @classmethod
    def read(cls, path: Path) -> RecorderConfig:
        """Read what `write` wrote.

        Raises:
            RecorderError: the file is no recorder configuration.
        """
        try:
            raw = json.loads(path.read_text())
            raw["resources"] = tuple(Resource(**entry) for entry in raw["resources"])
            config = cls(**raw)
        except (OSError, ValueError, TypeError, KeyError) as e:
            raise RecorderError(f"recorder configuration {path} cannot be read: {e}") from e
        check_unique(config.resources)
        return config


def check_unique(resources: Iterable[Resource]) -> None:
    """Refuse two resources of one kind: they would share a spool file.

    Raises:
        RecorderError: names the kind.
    """
    seen: set[str] = set()
    for resource in resources:
        if resource.kind in seen:
            raise RecorderError(f"two recorded resources have the kind {resource.kind}")
        seen.add(resource.kind)
