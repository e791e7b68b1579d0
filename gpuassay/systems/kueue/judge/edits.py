"""What is known to follow from edits of objects in use: it is no news after a random walk.

Each is a defect of upstream, or follows from one, and is listed with its sentence (`known.EDITED`, docs/findings.md).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from gpuassay.manifest import Manifest, dig, is_true, name_of
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
_WORDED: Final = re.compile(rf"^a restart of Kueue changed Workload (?P<name>\S+): {_REASON} became {_REASON}")


def _in_hand(finding: str, retried: _Retried) -> bool:
    """Whether one waiting Workload is missing: the blocked head of a StrictFIFO queue is tried over and over again.

    While the scheduler has it in hand it is not counted (`known.COUNTED_IN_FLIGHT`), and its reason changes.
    """
    if told := _TOLD.search(finding):
        return int(told[1]) == int(told[2]) - 1 and retried.names_queue(finding)
    if moved := _MOVED.search(finding):
        return abs(int(moved[1]) - int(moved[2])) == 1 and retried.names_queue(finding)
    worded = _WORDED.search(finding)
    return worded is not None and worded["name"] in retried.workloads


@dataclass(frozen=True)
class _Retried:
    """What the scheduler tries again and again: StrictFIFO queues in which somebody waits.

    Attributes:
        queues: how sentences name the ClusterQueues, and the LocalQueues in front of them.
        workloads: names of what waits in them, as a recording has them.
    """

    queues: tuple[re.Pattern[str], ...]
    workloads: frozenset[str]

    @classmethod
    def of(cls, recording: KueueRecording) -> _Retried:
        def living(kind: str) -> Iterator[tuple[str, Manifest]]:
            lines = recording.timelines(kind)
            return ((name, line.final) for name, line in lines.items() if not line.deleted)

        strict = {name for name, obj in living("ClusterQueue") if dig(obj, "spec", "queueingStrategy") == "StrictFIFO"}
        fronts = {
            _place(obj, name_of(obj)): (name, str(dig(obj, "spec", "clusterQueue")))
            for name, obj in living("LocalQueue") if dig(obj, "spec", "clusterQueue") in strict
        }  # fmt: skip
        waiting = {
            name: _place(obj, str(dig(obj, "spec", "queueName"))) for name, obj in living("Workload")
            if not is_true(obj, "QuotaReserved") and not is_true(obj, "Finished")
        }  # fmt: skip
        waiting = {name: place for name, place in waiting.items() if place in fronts}
        named: set[str] = set()
        for space, local in waiting.values():
            seen_as, queue = fronts[space, local]
            named |= {
                rf"\b(ClusterQueue |cluster_queue=){re.escape(queue)}", rf"\bLocalQueue {re.escape(seen_as)}",
                rf"\bname={re.escape(local)}, namespace={re.escape(space)}",
            }  # fmt: skip
        queues = tuple(re.compile(rf"{one}(?![\w.~-])") for one in sorted(named))
        return cls(queues, frozenset(waiting))

    def names_queue(self, finding: str) -> bool:
        """Whether a sentence is about one of the queues."""
        return any(one.search(finding) for one in self.queues)


def _place(obj: Manifest, name: str) -> tuple[str, str]:
    """Namespace of an object, and a name in it."""
    return str(dig(obj, "metadata", "namespace")), name


def news(recording: KueueRecording, findings: Iterable[str]) -> list[str]:
    """The findings that do not follow from what is known.

    What is lent may be given away again after a restart, and with it all else moves.
    """
    left = [one for one in known.news_of_edits(findings) if not _LOOKED_AT.search(one)]
    if left:
        retried = _Retried.of(recording)
        left = [one for one in left if not _in_hand(one, retried)]
    if any(one.startswith(RESTART) for one in left) and overadmitted.findings(recording.with_restart):
        left = [one for one in left if not one.startswith(RESTART)]
    return left
