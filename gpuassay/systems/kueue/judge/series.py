"""At the end of a scenario every series that Kueue exports about its queues equals a recount from the recording.

Sums over labels that a rule does not name (status, priority class, replica role) are compared; a series that is absent
counts as 0. Names and meanings: https://kueue.sigs.k8s.io/docs/reference/metrics/.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping

from gpuassay.record.metrics import Samples
from gpuassay.systems.kueue import notes
from gpuassay.systems.kueue.judge import series_counted, series_held, series_versions
from gpuassay.systems.kueue.judge.rest import Rest
from gpuassay.systems.kueue.judge.tally import Tally
from gpuassay.systems.kueue.readings import END, KueueRecording

_TOLERANCE = 1e-9
"""Relative: gauges are floats."""

NOT_AFTER_RESTART = {
    "kueue_local_queue_resource_reservation",
    "kueue_local_queue_resource_usage",
    "kueue_cohort_subtree_admitted_active_workloads",
}
"""Known defects, see `known.GAUGES_AFTER_RESTART` and `known.COHORT_GAUGE_AFTER_RESTART`."""


def findings(recording: KueueRecording) -> list[str]:
    """Every series that tells what is not so, as sentences; none where nobody looked, or the scenario never rested."""
    if not recording.at_rest or END not in {row["label"] for row in recording.samples()}:
        return []
    page, rest = recording.metrics(END), Rest(recording)
    restarted, version = _restarted(recording, page), series_versions.minor(page)
    told = series_versions.as_told(series_held.tallies(rest), version)
    held = [one for one in told if not restarted or one.name not in NOT_AFTER_RESTART]
    found = [one for tally in held for one in _compare(page, tally)]
    if not restarted:
        found += [one for tally in series_counted.tallies(recording, rest) for one in _compare(page, tally)]
    return found


def _restarted(recording: KueueRecording, page: Samples) -> bool:
    """Whether the Kueue that was asked at the end is younger than the scenario: its counters began anew.

    Whoever started it knows best: a program counts its start from the boot, whose time drifts.
    """
    started = recording.note(notes.STARTED) or page.sum("process_start_time_seconds") * 1e9
    return not started or started > recording.meta.started_ns


def _compare(page: Samples, tally: Tally) -> Iterator[str]:
    told: dict[tuple[str, ...], float] = defaultdict(float)
    for row in page.select(tally.name):
        labels: Mapping[str, str] = row["labels"]
        if all(str(labels.get(name)) == value for name, value in tally.where.items()):
            told[tuple(str(labels.get(name, "")) for name in tally.by)] += float(row["value"])
    for key in sorted({*told, *tally.expected}):
        if key in tally.leave_out:
            continue
        low, high = tally.expected.get(key, (0.0, 0.0))
        if not _within(told.get(key, 0.0), low, high):
            labels_text = ", ".join(f"{name}={value}" for name, value in zip(tally.by, key, strict=True))
            yield f"{tally.name} of {labels_text} tells {told.get(key, 0.0):g}, recount gives {_text(low, high)}"


def _within(value: float, low: float, high: float) -> bool:
    if math.isnan(value):
        return False
    slack = _TOLERANCE * max(1.0, abs(low) if math.isfinite(low) else 1.0)
    return low - slack <= value <= high + slack


def _text(low: float, high: float) -> str:
    return f"{high:g}" if low == high else f"{low:g} to {high:g}"
