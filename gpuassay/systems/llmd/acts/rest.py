"""What the referee of routing looks at: metrics and logs of an arm's programs at its start and again at rest.

Every arm is looked at, whatever its scenario is about, and nothing is looked for by name: a page is kept as it is,
without the buckets of its histograms, and the judge finds out what each series is (`judge.rest`).
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpuassay.cluster.errors import ClusterError
from gpuassay.cluster.program import Child, log_objects
from gpuassay.secrets import hide_known
from gpuassay.systems.llmd.component.metrics import parse
from gpuassay.systems.llmd.component.spec import ISTIO
from gpuassay.systems.llmd.judge.rest_names import is_kept, is_live, is_of_requests, is_ready
from gpuassay.systems.llmd.mutants.epp import BROKEN
from gpuassay.systems.llmd.readings import PICKER_CALLS, REQUESTS, REST_ARMS, REST_LOGS, REST_SERIES
from gpuassay.systems.llmd.rows import PickerCall, RestArm, RestLog, RestSeries
from gpuassay.waiting import WaitTimeout, wait

if TYPE_CHECKING:
    from gpuassay.systems.llmd.acts.deployment import Deployment
    from gpuassay.systems.llmd.component.metrics import Sample

PICKER, GATEWAY = "picker", "gateway"
"""Names of sources besides those of the model servers."""

PATIENCE = 10.0
"""Seconds that what is under way gets to end: longer than the longest stream that a client leaves in any scenario."""
STILL = 0.1
"""Seconds between two equal looks: a program counts what it has answered a moment after it has."""
MOST_LINES = 40
"""Distinct lines of one log that are kept."""
LONGEST = 400
"""Characters of a line that are kept."""

_CRASH = re.compile(r"^panic:|^fatal error:|DATA RACE|\bobserved a panic\b|^SIG(SEGV|ABRT)|: panic:", re.IGNORECASE)
_COMPLAINT = re.compile(r"\[(error|critical)\]|^E\d{4} |\blevel=(error|fatal)\b")
"""How Envoy, klog and plain loggers mark an error; JSON logs have a level."""

_USED = "/stats/prometheus?usedonly&filter=(_rq_|ext_proc)"
"""Envoy has thousands of series; what requests move is a hundred of them."""

_Series = dict[tuple[str, str, tuple[tuple[str, str], ...]], float]


@dataclass
class _Look:
    """One look at all programs.

    Attributes:
        series: value by source, name and labels.
        starts: which start of each program lives.
        silent: programs that live and do not tell their metrics.
    """

    series: _Series = field(default_factory=dict[Any, float])
    starts: dict[str, str] = field(default_factory=dict[str, str])
    silent: list[str] = field(default_factory=list[str])


@contextmanager
def refereed(site: Deployment, arm: str) -> Generator[None]:
    """Look at an arm at the beginning of a `with` block, and at rest when it ended well; rows go to the recording."""
    began = _look(site)
    ends = _ends(site.routing.folder / "logs")
    asked = dict(site.through)
    yield
    since = time.monotonic()
    ended, quiet = _rest(site, began)
    lab = site.lab
    lab.rows(REST_ARMS).append(_arm(site, arm, began, ended, asked, quiet, round(time.monotonic() - since, 3)))
    lab.rows(REST_SERIES).extend(_series(arm, began, ended))
    for log, offset in {**dict.fromkeys(_logs(site.routing.folder / "logs"), 0), **ends}.items():
        lab.rows(REST_LOGS).extend(_lines(arm, log, offset))


def _programs(site: Deployment) -> dict[str, tuple[Child, Callable[[], list[Sample]]]]:
    routing = site.routing
    found = {replica.name: (replica.child, replica.metrics) for replica in routing.replicas}
    if routing.picker is not None:
        found[PICKER] = (routing.picker.child, routing.picker.metrics)
    if routing.envoy is not None:
        envoy = routing.envoy
        found[GATEWAY] = (envoy.child, lambda: parse(envoy.admin(_USED), what="Envoy"))
    return found


def _look(site: Deployment) -> _Look:
    found = _Look()
    mutant = BROKEN.get(site.lab.mutant.name) if site.lab.mutant is not None else None
    for source, (child, metrics) in _programs(site).items():
        start = child.start_seen()
        if start is None:
            continue
        found.starts[source] = start
        try:
            rows: list[Any] = list(metrics())
        except ClusterError:
            found.silent.append(source)
            continue
        if source == PICKER and mutant is not None:
            rows = mutant.samples([{"source": source, "label": "", **row} for row in rows])
        for row in rows:
            if is_kept(row["name"], row["labels"]):
                found.series[source, row["name"], tuple(sorted(row["labels"].items()))] = float(row["value"])
    return found


def _rest(site: Deployment, began: _Look) -> tuple[_Look, bool]:
    """A look at which nothing is under way and nothing was counted since the one before; whether it came to that."""
    last, wanted = [_look(site)], _members(site)

    def settled() -> bool:
        now = _look(site)
        same = _counted(now.series) == _counted(last[-1].series)
        last.append(now)
        return same and not _busy(site, began, now) and _ready(site, now, wanted)

    with suppress(WaitTimeout):
        wait(settled, bool, what="an arm to be at rest", timeout=PATIENCE, delay=STILL)
        return last[-1], True
    return last[-1], False


def _counted(series: _Series) -> _Series:
    return {key: value for key, value in series.items() if is_of_requests(key[1])}


def _busy(site: Deployment, began: _Look, now: _Look) -> bool:
    """Whether a count of what is under way is not back at its start; not those that a scenario writes itself."""
    return any(
        value != began.series.get(key, 0.0)
        for key, value in now.series.items()
        if is_live(key[1]) and (key[0] in (PICKER, GATEWAY) or not _faked(site))
    )


def _ready(site: Deployment, now: _Look, wanted: int | None) -> bool:
    """Whether a picker that counts endpoints counts all of the pool; of dead ones it may count less."""
    told = [value for (_, name, _), value in now.series.items() if is_ready(name)]
    return not told or wanted is None or len(now.starts) < len(_programs(site)) or sum(told) == wanted


def _faked(site: Deployment) -> bool:
    return "--fake-metrics" in site.routing.arm.simulator_flags


def _members(site: Deployment) -> int | None:
    """Endpoints of the pool by the API, None where nobody can tell."""
    with suppress(ClusterError):
        return len(site.routing.endpoints.members())
    return None


def _arm(
    site: Deployment, arm: str, began: _Look, ended: _Look, asked: Mapping[str, int], quiet: bool, took: float
) -> RestArm:
    wanted = site.routing.arm
    return RestArm(
        arm=arm,
        profile=wanted.profile,
        picker=wanted.picker,
        gateway=wanted.gateway or "",
        engine=wanted.engine,
        faked=_faked(site),
        quiet=quiet,
        took_s=took,
        members=_members(site),
        programs=list(_programs(site)),
        alive=list(ended.starts),
        restarted=[name for name, start in ended.starts.items() if began.starts.get(name) != start],
        silent=ended.silent,
        through={kind: count - asked.get(kind, 0) for kind, count in site.through.items()},
        disturbed=sorted(site.disturbed()),
        refused=_refused(site),
        picked=site.picked,
        own_gateway=wanted.change_gateway is None and wanted.gateway not in (None, ISTIO),
    )


def _refused(site: Deployment) -> int:
    lab = site.lab
    rows = sum(not row.ok for row in lab.rows(REQUESTS))
    return rows + sum(not call.picked or _failed(call) for call in lab.rows(PICKER_CALLS))


def _failed(call: PickerCall) -> bool:
    return call.response is not None and bool(call.response.ended)


def _series(arm: str, began: _Look, ended: _Look) -> list[RestSeries]:
    """Every series that was or is above nothing; of counters those that never moved, too, but of Envoy's thousands."""
    found: list[RestSeries] = []
    for key in dict.fromkeys([*began.series, *ended.series]):
        source, name, labels = key
        first, last = began.series.get(key), ended.series.get(key)
        if not first and not last and (source == GATEWAY or not is_of_requests(name)):
            continue
        found.append(RestSeries(arm=arm, source=source, name=name, labels=dict(labels), start=first, rest=last))
    return found


def _logs(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.log"))


def _ends(folder: Path) -> dict[Path, int]:
    return {log: log.stat().st_size for log in _logs(folder)}


def _lines(arm: str, log: Path, offset: int) -> Iterable[RestLog]:
    """Crashes and errors in a log from byte `offset` on, each distinct line once, with how often it came."""
    with log.open("rb") as file:
        file.seek(offset)
        text = file.read().decode(errors="replace")
    found: dict[tuple[str, str], int] = {}
    for line in log_objects(text):
        kind, said = _said(line)
        if kind and ((kind, said) in found or len(found) < MOST_LINES):
            found[kind, said] = found.get((kind, said), 0) + 1
    return [RestLog(arm=arm, log=log.stem, kind=kind, line=said, count=count) for (kind, said), count in found.items()]


def _said(line: Mapping[str, Any]) -> tuple[str, str]:
    """What kind of line it is ("" where nobody needs to know), and what it says."""
    if "text" in line and len(line) == 1:
        text = str(line["text"])
        kind = "crash" if _CRASH.search(text) else "error" if _COMPLAINT.search(text) else ""
        return kind, hide_known(text)[:LONGEST]
    message, error = str(line.get("msg", line.get("message", ""))), str(line.get("error", line.get("err", "")))
    text = f"{message}: {error}" if error else message
    level = str(line.get("level", "")).lower()
    if _CRASH.search(text):
        return "crash", hide_known(text)[:LONGEST]
    if level in ("error", "fatal", "panic", "dpanic"):
        return "error", hide_known(text or json.dumps(line))[:LONGEST]
    return "", ""
