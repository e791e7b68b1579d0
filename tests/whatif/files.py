"""Queues and jobs for what-ifs."""

from __future__ import annotations

import textwrap
from pathlib import Path

from gpuassay.systems.kueue.whatif.jobs import Job

FLAVOR = """
apiVersion: kueue.x-k8s.io/v1beta2
kind: ResourceFlavor
metadata: {name: a100}
"""


def queue(name: str, quota: int, **spec: object) -> str:
    """A ClusterQueue as YAML."""
    more = "".join(f"\n  {key}: {value}" for key, value in spec.items())
    return (
        textwrap.dedent(f"""
        apiVersion: kueue.x-k8s.io/v1beta2
        kind: ClusterQueue
        metadata: {{name: {name}}}
        spec:
          resourceGroups:
          - coveredResources: [nvidia.com/gpu]
            flavors: [{{name: a100, resources: [{{name: nvidia.com/gpu, nominalQuota: {quota}}}]}}]
        """).rstrip()
        + more
    )


def written(folder: Path, *documents: str, name: str = "queues.yaml") -> Path:
    """A file of documents."""
    place = folder / name
    place.write_text("\n---\n".join(documents))
    return place


def job(name: str, queue: str = "q", *, arrival: float = 0.0, gpus: int = 1, seconds: float = 100.0) -> Job:
    """A job."""
    return Job(name, 2, arrival, gpus, seconds, queue)
