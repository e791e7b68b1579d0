"""Why a Workload has no quota, in the words of each version of Kueue.

Until 0.19 a Workload that waits says Pending, and one that can never be admitted as it is says Inadmissible. From 0.20
on (feature gate UnadmittedWorkloadsObservability, on by default there) the reasons are finer. Each word has one
meaning, so a judge takes those of either version.
"""

from __future__ import annotations

WAITS = frozenset({"Pending", "WaitingForQuota"})
"""Others have the quota: it is tried again when they give some back."""
REFUSED = frozenset({"Inadmissible", "Misconfigured", "DRAResourcesUnresolved", "ExceedsMaxQuota"})
"""As it is, or as the queues are, it is not admitted whoever ends."""
