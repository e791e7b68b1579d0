"""A load on a GPU of somebody's cluster, and what DCGM exporter tells of that GPU before, under and after it.

The load is its owner's: a PodTemplate with the label `gpuassay.io/gpu-load`, of a pod that asks for one GPU (or slice)
and does nothing but keep it busy, for some minutes or until it is ended.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gpuassay.manifest import Manifest, dig
from gpuassay.record.exposition import PageError, PageSample, parse_page
from gpuassay.systems.gpu_operator.acts.read import exporter_pods, told_by_exporters
from gpuassay.systems.gpu_operator.judge.dcgm import PERCENT, gpu_of, pod_of
from gpuassay.systems.gpu_operator.judge.load import BUSY, LOAD, Load, Row, valued

if TYPE_CHECKING:  # cluster clients: not for replays
    from gpuassay.scenarios.lab import Lab

START_SECONDS = 600.0
"""For the load's image to come."""
TOLD_SECONDS = 120.0
"""DCGM exporter looks at GPUs every half a minute by default."""

Rows = list[Row]


def keep_busy(lab: Lab) -> None:
    """Run the load until its GPU is told to be busy, then end it; `LOAD` is what was told."""
    from gpuassay.cluster.base import GPU_LOAD_TEMPLATE

    asked = _pod(lab, lab.api.list("PodTemplate", label_selector=GPU_LOAD_TEMPLATE)[0]["template"])
    name: str = asked["metadata"]["name"]
    problems = list[str]()
    before, during, after = _told(lab, problems), Rows(), Rows()
    lab.api.create(asked)  # not by the lab, whose pods get an image of ours

    def running() -> bool:
        return dig(lab.get("Pod", name) or {}, "status", "phase", default="") == "Running"

    lab.observe(running, "the load runs", timeout=START_SECONDS)

    def busy() -> bool:
        during.extend(row for row in _told(lab, problems) if row.pod == name)
        return any((row.percent or 0) >= BUSY for row in valued(during))

    lab.observe(busy, "its GPU is busy", timeout=TOLD_SECONDS)
    lab.delete("Pod", name)
    gpus = {row.gpu for row in during}

    def idle() -> bool:
        after[:] = [row for row in _told(lab, problems) if row.gpu in gpus]
        told = valued(after)
        return {row.gpu for row in told} == gpus and all((row.percent or 0) < BUSY for row in told)

    lab.observe(idle, "its GPU is idle again", timeout=TOLD_SECONDS)
    before = [row for row in before if row.gpu in gpus]
    lab.note(LOAD, Load(name, before, during, after, problems))


def _pod(lab: Lab, template: Manifest) -> Manifest:
    """The pod of the template, as ours."""
    metadata = {"name": lab.unique("load"), "namespace": lab.namespace, "labels": lab.marks}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def _told(lab: Lab, problems: list[str]) -> Rows:
    """How busy every GPU or slice is told to be now, and whose pod has it; `problems` gets who tells nothing, once."""
    found = Rows()
    for answer in told_by_exporters(lab, exporter_pods(lab.api)):
        node = f"DCGM exporter of node {answer['node']}"
        try:
            if answer["error"]:
                raise PageError(answer["error"])
            found += _rows(parse_page(answer["text"]))
        except PageError as error:
            if f"{node}: {error}" not in problems:
                problems.append(f"{node}: {error}")
    return found


def _rows(samples: Sequence[PageSample]) -> Rows:
    rows = Rows()
    for one in samples:
        if one.name in PERCENT:
            percent = one.value * PERCENT[one.name]
            told = percent if math.isfinite(percent) else None  # notes are JSON
            rows.append(Row(gpu_of(one.labels), pod_of(one.labels), told, one.name, one.time))
    return rows
