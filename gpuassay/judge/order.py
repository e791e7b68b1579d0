"""Admission order of a recording against the order that the queue's rules give."""

from __future__ import annotations

from gpuassay.manifest import Manifest
from gpuassay.model.order import from_workload, heap_order
from gpuassay.record.recording import Recording


def names_in_order(recording: Recording) -> list[str]:
    """Names of the scenario's Workloads as the scheduler decided on them (not as their admission became visible).

    The log keeps whole cycles, in which other scenarios' Workloads may take part.
    """
    own = recording.meta.namespaces
    return [one.workload for one in recording.admissions() if not own or one.namespace in own]


def expected_order(recording: Recording, workloads: list[Manifest] | None = None) -> list[str]:
    """Names of the Workloads (default: all of the recording) in the order in which their queue's heap gives them."""
    chosen = recording.workloads() if workloads is None else workloads
    return heap_order([from_workload(workload) for workload in chosen])
