"""What is known to follow from edits of objects in use: it is no news after a random walk.

Each is a defect of upstream, or follows from one, and is listed with its sentence (`known.EDITED`, docs/findings.md).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from gpuassay.systems.kueue.judge import known, overadmitted
from gpuassay.systems.kueue.readings import KueueRecording

RESTART: Final = "a restart of Kueue"
_LOOKED_AT: Final = re.compile(
    r'^a restart of Kueue changed Workload \S+: \{"conditions": null\} became \{"conditions": \{"QuotaReserved": '
    r'\{"reason": "\w+", "status": "False"'
)
"""A Workload that was parked unseen, because one of its shape had been looked at, may be the one that is looked at."""


_TOLD: Final = re.compile(r"pending.*(?:=|tells )(\d+), recount gives (\d+)$", re.IGNORECASE)
_PENDING: Final = r"kueue_(?:local_queue_)?pending_workloads"
_MOVED: Final = re.compile(rf"^a restart of Kueue moved {_PENDING}\{{.*\}} from (\d+) to (\d+)$")
_REASON: Final = r'\{"conditions": \{"QuotaReserved": \{"reason": "(?:Inadmissible|Pending)"\}\}\}'
_WORDED: Final = re.compile(rf"^a restart of Kueue changed Workload \S+: {_REASON} became {_REASON}")


def _in_hand(finding: str) -> bool:
    """Whether one waiting Workload is missing: the blocked head of a StrictFIFO queue is tried over and over again.

    While the scheduler has it in hand it is not counted (`known.COUNTED_IN_FLIGHT`), and its reason changes.
    """
    if told := _TOLD.search(finding):
        return int(told[1]) == int(told[2]) - 1
    if moved := _MOVED.search(finding):
        return abs(int(moved[1]) - int(moved[2])) == 1
    return bool(_WORDED.search(finding))


def news(recording: KueueRecording, findings: Iterable[str]) -> list[str]:
    """The findings that do not follow from what is known.

    What is lent may be given away again after a restart, and with it all else moves.
    """
    left = [one for one in known.news_of_edits(findings) if not _LOOKED_AT.search(one) and not _in_hand(one)]
    if any(one.startswith(RESTART) for one in left) and overadmitted.findings(recording.with_restart):
        left = [one for one in left if not one.startswith(RESTART)]
    return left
