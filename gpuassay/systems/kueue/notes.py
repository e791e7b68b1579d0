"""What scenarios of Kueue hand to their judges, where more than one module reads or writes it."""

from __future__ import annotations

from dataclasses import dataclass

from gpuassay.record.notes import Note
from gpuassay.systems.kueue.model.pending import TwinJob

PLAYED = "played by the scenario"
"""Message of a condition that a scenario wrote in Kueue's part: neither counted nor told by Kueue."""

QUEUES = Note("queues", dict[str, str], "name of each ClusterQueue, by what the scenario calls it")
QUOTA_CHANGED = Note("quota_changed", list[str], "ClusterQueues whose quota is changed on the way", default=[])
EXPECTED_ERRORS = Note("expected_errors", list[str], "what Kueue may log as an error here, as expressions", default=[])
CONFIGURATION_KNOWN = Note("configuration_known", bool, "whether Kueue's configuration is the profile's", default=True)
STARTED = Note(
    "kueue_started_at", int, "when the Kueue that was asked at the end was started, ns since the epoch; 0: unknown",
    default=0,
)  # fmt: skip
RESTARTED = Note("restarted_at", int, "when Kueue was restarted after the scenario, ns since the epoch", default=0)


@dataclass(frozen=True)
class BrokenOff:
    """How far an upgrade had come when it was killed.

    Attributes:
        applied: the share of the new version's manifests that was applied, from 0 to 1, definitions before webhooks.
        lived: seconds that the new manager had run; 0: it was not started yet.
    """

    applied: float
    lived: float


BROKEN_OFF = Note("broken_off", list[BrokenOff], "upgrades that were killed before one came to its end", default=[])

EDITED_IN_USE = Note("edited_in_use", bool, "whether objects in use were edited at random", default=False)

CONFIGURATION = Note("configuration", str, "configuration of the arm: one of the paper's, or `pure` for plain Jobs")
SEED = Note("seed", int, "of the mix of jobs")
SCALE = Note("scale", float, "by what the paper's run times are multiplied")
ROUND = Note("round", int, "which round it is, from 1")
GPUS = Note("gpus", int, "how many GPUs the arm has")
JOBS = Note("jobs", list[TwinJob], "the jobs as they are asked for, in order of creation; times in s")

TOTAL = Note("total", int, "how many Workloads the driver creates")
LAGS = Note("lags", list[float], "how far each creation was behind its schedule, in s", default=[])
