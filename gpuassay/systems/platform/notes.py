"""What scenarios of Kueue in front of slices hand to their judges, beside what those of slices do."""

from __future__ import annotations

from gpuassay.record.notes import Note

QUOTAS = Note("quotas", dict[str, int], "quota of the ClusterQueue as it was asked for, by resource")
