"""What happened in a play: runs of the jobs from the events of their Workloads."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gpuassay.manifest import Manifest, dig, is_true, name_of
from gpuassay.record.timeline import EventLine
from gpuassay.systems.kueue.model.figures import Attempt, JobRun
from gpuassay.systems.kueue.whatif.predicted import Handed


@dataclass(frozen=True)
class Seen:
    """A Workload's life: times are seconds of the machine's clock.

    Attributes:
        uid: of the object.
        created: when it was first seen.
        second: its creation timestamp as Unix time.
        attempts: from admission to the end, or to the loss of quota.
    """

    uid: str
    created: float
    second: int
    attempts: tuple[Attempt, ...]


def lives(lines: Iterable[EventLine]) -> dict[str, Seen]:
    """Of each Workload by name."""
    found: dict[str, list[tuple[float, Manifest]]] = {}
    for line in lines:
        if line.kind == "Workload" and line.type != "DELETED":
            record: dict[str, Any] = json.loads(line.text)
            found.setdefault(name_of(record["object"]), []).append((line.at / 1e9, record["object"]))
    return {name: _life(events) for name, events in found.items()}


def _life(events: Sequence[tuple[float, Manifest]]) -> Seen:
    attempts: list[Attempt] = []
    for at, workload in events:
        open_ = bool(attempts) and attempts[-1].end is None
        ended, evicted = is_true(workload, "Finished"), is_true(workload, "Evicted")
        holds = is_true(workload, "QuotaReserved")
        if open_ and (ended or evicted or not holds):
            attempts[-1] = Attempt(attempts[-1].start, at, killed=not ended)
        elif not open_ and not ended and not evicted and is_true(workload, "Admitted"):
            attempts.append(Attempt(at))
    first = events[0][1]
    return Seen(
        str(dig(first, "metadata", "uid", default="")), events[0][0],
        _unix(str(dig(first, "metadata", "creationTimestamp", default="1970-01-01T00:00:00Z"))), tuple(attempts),
    )  # fmt: skip


def _unix(stamp: str) -> int:
    from datetime import datetime

    return int(datetime.fromisoformat(stamp).timestamp())


def runs(handed: Sequence[Handed], seen: Mapping[str, Seen], names: Mapping[str, str], speed: float) -> list[JobRun]:
    """Runs in seconds of the user's time since the first arrival; `names` gives each job's Workload."""
    origin = min((one.created for one in seen.values()), default=0.0)

    def scaled(at: float) -> float:
        return (at - origin) * speed

    made: list[JobRun] = []
    for one in handed:
        life = seen.get(names[one.job.name])
        attempts = tuple(
            Attempt(scaled(each.start), None if each.end is None else scaled(each.end), each.killed)
            for each in (life.attempts if life else ())
        )
        created = scaled(life.created) if life else one.job.arrival
        made.append(
            JobRun(one.job.name, one.job.cls, one.place.cluster_queue, created, attempts, one.job.gpus, one.priority)
        )
    return made
