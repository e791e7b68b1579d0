"""The referee of routing: what must hold of every arm at rest, whatever its scenario was about. Pure.

Series are judged by what their names say they are (`rest_names`), so a metric that a new version brings is judged as
soon as it is there. A recording without looks at rest (older ones have none) is not judged by this referee.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from gpuassay.manifest import dig
from gpuassay.systems.llmd.judge import rest_accounts
from gpuassay.systems.llmd.judge.rest_known import unknown
from gpuassay.systems.llmd.judge.rest_names import SIZE, is_counted, is_failure, is_live, is_of_runtime, is_ready
from gpuassay.systems.llmd.readings import REST_ARMS, REST_LOGS, REST_SERIES, RoutingRecording
from gpuassay.systems.llmd.rows import RestArm, RestLog, RestSeries

EXACT = 2.0**53
"""Above this a double skips whole numbers: an unsigned counter that fell below 0 stands there."""
MOST_OF_ONE = 200
"""Label sets that one metric may have in an arm: more, and what clients send decides how much is kept."""
MOST_IDLE_WRITES = 5
"""Writes of a pool that change nothing: a controller that starts anew may write once more what it had written."""
_REFUSALS = (400, 404, 413, 429, 503)
"""Of the client's request, or of the pool: the statuses of the endpoint picker protocol, and of a body's size."""
FEW_GOROUTINES, FEW_FILES = 60, 60
"""Goroutines and open files that connections, caches and a client library's own work may add."""
PER_REQUEST = 0.25
"""Goroutines or files for each request beyond that: a leak has one or more."""
SPARE_BYTES, BYTES_PER_REQUEST = 128 * 2**20, 128 * 1024
"""Resident memory that a start and a warm-up may add, and what a request may: prompts of up to 220 kB are asked."""
_HARMLESS = "|".join((
    r"Failed to shutdown tracing: context canceled",  # said at every orderly end
    r"Error decoding session header",  # of a client's own header, which a scenario garbles
    r"The model `[^`]*` does not exist",  # what a model server answers to a client that misnames one
    r"error received after stop sequence was engaged: leader election lost",  # said at a leader's orderly end
))  # fmt: skip
"""Error lines of an arm in which nothing is wrong."""


@dataclass(frozen=True)
class Looked:
    """One arm with its series and lines."""

    arm: RestArm
    series: Sequence[RestSeries]
    logs: Sequence[RestLog]

    @cached_property
    def by_source(self) -> dict[str, list[RestSeries]]:
        """The series of each program."""
        found: dict[str, list[RestSeries]] = defaultdict(list)
        for one in self.series:
            found[one.source].append(one)
        return found

    @property
    def undisturbed(self) -> bool:
        """Whether nothing was done to the arm but to ask it."""
        return not self.arm.disturbed and not self.arm.restarted and set(self.arm.programs) == set(self.arm.alive)

    @property
    def asked(self) -> float:
        """About how many requests it got: the largest count of requests that any program gives."""
        return max((rest_accounts.grown(self.arm, one) for one in self.series if "request" in one.name), default=0.0)


def looks(recording: RoutingRecording) -> list[Looked]:
    """Every arm of a recording that was looked at."""
    series, logs = recording.rows(REST_SERIES), recording.rows(REST_LOGS)
    return [
        Looked(arm, [one for one in series if one.arm == arm.arm], [one for one in logs if one.arm == arm.arm])
        for arm in recording.rows(REST_ARMS)
    ]


def untimed(recording: RoutingRecording) -> list[str]:
    """Findings that no delay explains."""
    rules = (crashes, impossible, failures, many_series, complaints)
    found = [*_of(recording, rules, quiet=False), *_of(recording, (rest_accounts_of,), quiet=True)]
    return [*found, *unknown([*statuses(recording), *idle_writes(recording)])]


def timed(recording: RoutingRecording) -> list[str]:
    """Findings that a sound system shows as well where it gets no CPU: something had not ended in time."""
    return _of(recording, (live, ready, silent, sizes, blamed), quiet=False)


def _of(recording: RoutingRecording, rules: Sequence[Callable[[Looked], list[str]]], *, quiet: bool) -> list[str]:
    found = [
        f"at rest, arm {one.arm.arm}: {said}"
        for one in looks(recording) for rule in rules if one.arm.quiet or not quiet for said in rule(one)
    ]  # fmt: skip
    return unknown(found)


def crashes(one: Looked) -> list[str]:
    """No program panics, dies of a fatal error, or races for data."""
    return [f"{log.log} crashed: {log.line}" for log in one.logs if log.kind == "crash"]


def impossible(one: Looked) -> list[str]:
    """No gauge is below 0, beyond what a double counts exactly, or no number."""
    return [
        f"{series.source} says {_shown(series)} is {series.rest:g}"
        for series in one.series
        if series.rest is not None and not is_counted(series.name) and not is_of_runtime(series.name)
        and not 0 <= series.rest <= EXACT
    ]  # fmt: skip


def failures(one: Looked) -> list[str]:
    """What counts errors inside a program, not of requests, does not move in an arm that nobody disturbs."""
    if not one.undisturbed:
        return []
    return [
        f"{series.source} counts {grew:g} of {_shown(series)}"
        for series in one.series
        if is_failure(series.name)
        and (grew := rest_accounts.grown(one.arm, series)) > 0
        and (series.source != "gateway" or one.arm.own_gateway)
    ]


def many_series(one: Looked) -> list[str]:
    """No metric has so many label sets that what clients send must have made them."""
    found = Counter((series.source, series.name) for series in one.series if series.rest is not None)
    return [
        f"{source} has {count} series of {name}" for (source, name), count in found.items()
        if count > MOST_OF_ONE and not name.endswith(("_sum", "_count"))
    ]  # fmt: skip


def complaints(one: Looked) -> list[str]:
    """An arm that is not disturbed, and refused nobody, logs no error."""
    refused = any(not kind.endswith("2xx") and count for kind, count in one.arm.through.items())
    if not one.undisturbed or refused or one.arm.refused:
        return []
    return [
        f"{log.log} logs an error ({log.count} times): {log.line}"
        for log in one.logs if log.kind == "error" and not re.search(_HARMLESS, log.line)
    ]  # fmt: skip


def rest_accounts_of(one: Looked) -> list[str]:
    """The programs' accounts of requests close, each by itself and with what clients saw."""
    return rest_accounts.findings(one.arm, one.by_source, undisturbed=one.undisturbed)


def live(one: Looked) -> list[str]:
    """Every count of what is under way is back at its start."""
    servers = set(one.arm.programs) - {"picker", "gateway"} if one.arm.faked else set[str]()
    return [
        f"{series.source} still counts {series.rest or 0:g} of {_shown(series)}, {series.start or 0:g} at the start"
        for series in one.series
        if is_live(series.name) and series.source in one.arm.alive and series.source not in servers
        and (series.rest or 0) != (series.start or 0)
    ]  # fmt: skip


def ready(one: Looked) -> list[str]:
    """Where all model servers live, a picker counts as ready exactly the endpoints that its pool has."""
    if set(one.arm.programs) != set(one.arm.alive) or one.arm.members is None:
        return []
    return [
        f"{series.source} counts {series.rest or 0:g} of {_shown(series)}, the pool has {one.arm.members}"
        for series in one.series
        if is_ready(series.name) and (series.rest or 0) != one.arm.members
    ]


def silent(one: Looked) -> list[str]:
    """Every program that lives tells its metrics."""
    return [f"{source} lives and does not tell its metrics" for source in one.arm.silent]


def sizes(one: Looked) -> list[str]:
    """Goroutines, open files and memory do not grow with requests that have ended."""
    few = {"go_goroutines": FEW_GOROUTINES, "process_open_fds": FEW_FILES}
    found: list[str] = []
    for series in one.series:
        if series.name not in SIZE or series.start is None or series.rest is None or one.arm.engine == "vllm":
            continue
        more = series.rest - series.start
        most = few[series.name] + PER_REQUEST * one.asked if series.name in few else (
            SPARE_BYTES + BYTES_PER_REQUEST * one.asked
        )  # fmt: skip
        if more > most:
            found.append(
                f"{series.source}: {series.name} grew from {series.start:g} to {series.rest:g} with about "
                f"{one.asked:g} requests, {most:g} are explained"
            )
    return found


def blamed(one: Looked) -> list[str]:
    """An arm that is not disturbed, and whose gateway asks its own picker, blames no server (5xx) for a request."""
    if not one.undisturbed or not one.arm.own_gateway:
        return []
    return [f"clients got {count} answers {kind}" for kind, count in one.arm.through.items() if kind.endswith("5xx")]


def statuses(recording: RoutingRecording) -> list[str]:
    """A picker refuses with a status that says whose fault it is: never 500, whatever it is asked."""
    found = Counter(
        f"the picker refused with {call.status} ({call.detail[:120]})"
        for call in recording.picker_calls
        if call.status is not None and call.status not in _REFUSALS
    )
    return [f"{said}, {count} times" for said, count in found.items()]


def idle_writes(recording: RoutingRecording) -> list[str]:
    """Nobody writes a pool again and again without changing it."""
    idle: Counter[str] = Counter()
    last: dict[str, object] = {}
    for event in recording.of("InferencePool"):
        said = {part: event.object.get(part) for part in ("spec", "status")}
        said["labels"] = dig(event.object, "metadata", "labels")
        idle[event.name] += event.type == "MODIFIED" and last.get(event.uid) == said
        last[event.uid] = said
    return [
        f"InferencePool {name} was written {count} times without a change" for name, count in idle.items()
        if count > MOST_IDLE_WRITES
    ]  # fmt: skip


def _shown(series: RestSeries) -> str:
    labels = ", ".join(f'{name}="{value}"' for name, value in sorted(series.labels.items()))
    return series.name + (f"{{{labels}}}" if labels else "")
