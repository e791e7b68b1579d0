"""Samples of Prometheus metrics in a recording."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from gpuassay.manifest import Manifest

STARTED = ("process_start_time_seconds", "kube_pod_container_state_started")
"""Gauges that say when a server, or its container, started (s since the epoch): their change is a restart."""
AGE = "process_cpu_seconds_total"
"""What every client library counts from a process's start on: it falls with a restart, whatever else regrows."""
STARTED_TOLERANCE = 1.0
"""Seconds by which a start may move without a restart: it is computed from a clock that is set at times."""
COUNTED = ("_total", "_count", "_sum", "_bucket")
"""Endings of counters and of a histogram's parts, which never fall while their server runs."""


class Samples:
    """The samples of one label (moment of scraping), such as "before" or "after".

    A selector is the metric's name and any of its labels; samples with more labels match too.
    """

    def __init__(self, rows: Iterable[Manifest], what: str = "samples") -> None:
        """Keep the last sample of every series; `what` names the set in messages."""
        latest: dict[tuple[str, str, tuple[tuple[str, str], ...]], Manifest] = {}
        for row in rows:
            labels = tuple(sorted((str(k), str(v)) for k, v in row["labels"].items()))
            latest[str(row["source"]), str(row["name"]), labels] = row
        self._rows = list(latest.values())
        self._what = what
        self._by_source: dict[str, Samples] | None = None
        self._named: dict[str, list[Manifest]] = {}
        for row in self._rows:
            self._named.setdefault(str(row["name"]), []).append(row)

    def __len__(self) -> int:
        """Number of series."""
        return len(self._rows)

    @property
    def sources(self) -> list[str]:
        """Who was scraped, in order of first sight."""
        return list(dict.fromkeys(str(row["source"]) for row in self._rows))

    def of(self, source: str) -> Samples:
        """The samples of one source alone; none of one that was not scraped."""
        if self._by_source is None:
            rows: dict[str, list[Manifest]] = {}
            for row in self._rows:
                rows.setdefault(str(row["source"]), []).append(row)
            self._by_source = {name: Samples(some, self._what) for name, some in rows.items()}
        return self._by_source.get(source) or Samples((), self._what)

    @property
    def names(self) -> list[str]:
        """Names of metrics, in order of first sight."""
        return list(self._named)

    @property
    def last_at(self) -> int:
        """When the last sample came, ns since the epoch; 0 where nobody says so."""
        return max((int(row.get("at") or 0) for row in self._rows), default=0)

    def select(self, name: str, **labels: str) -> list[Manifest]:
        """The matching rows `{"at", "source", "label", "name", "labels", "value"}`."""
        return [
            row
            for row in self._named.get(name, [])
            if all(row["labels"].get(key) == value for key, value in labels.items())
        ]

    def series(self, name: str, **labels: str) -> dict[tuple[tuple[str, str], ...], float]:
        """Value of each matching series by its labels; for samples of one source.

        Raises:
            LookupError: a value is not a number.
        """
        rows = self.select(name, **labels)
        return {tuple(sorted((str(k), str(v)) for k, v in row["labels"].items())): self._number(row) for row in rows}

    def value(self, name: str, **labels: str) -> float:
        """The value of the one matching series.

        Raises:
            LookupError: none or several match, or it is not a number.
        """
        rows = self.select(name, **labels)
        if len(rows) != 1:
            raise LookupError(f"{self._what}: {len(rows)} series match {name}{labels or ''}, wanted one")
        return self._number(rows[0])

    def sum(self, name: str, **labels: str) -> float:
        """The sum over all matching series; 0 where none matches (a counter that never moved is not exported).

        Raises:
            LookupError: a value is not a number.
        """
        return math.fsum(map(self._number, self.select(name, **labels)))

    def buckets(self, name: str, **labels: str) -> list[tuple[float, float]]:
        """Cumulative histogram: (upper bound, count) in rising order, summed over the matching series.

        The last bound is infinite; where the page leaves that bucket out, the histogram's `_count` stands for it.

        Raises:
            LookupError: a bucket has no bound, or the histogram has neither that bucket nor a count.
        """
        base = name.removesuffix("_bucket")
        counts: dict[float, float] = {}
        for row in self.select(f"{base}_bucket", **labels):
            bound = _bound(row)
            counts[bound] = counts.get(bound, 0.0) + self._number(row)
        if counts and math.inf not in counts:
            if not self.select(f"{base}_count", **labels):
                raise LookupError(f"{self._what}: histogram {base} of {rows_of(self, base)} lacks its bucket +Inf")
            counts[math.inf] = self.sum(f"{base}_count", **labels)
        return sorted(counts.items())

    def _number(self, row: Manifest) -> float:
        value = float(row["value"])
        if math.isnan(value):
            raise LookupError(
                f"{self._what}: {row['name']}{row['labels'] or ''} of {row['source']} has no value: its page says NaN, "
                "or gives that series two values"
            )
        return value


def rows_of(samples: Samples, base: str) -> str:
    """The sources of a histogram, for messages."""
    return ", ".join(dict.fromkeys(str(row["source"]) for row in samples.select(f"{base}_bucket")))


def _bound(row: Manifest) -> float:
    try:
        return float(row["labels"]["le"])
    except (KeyError, ValueError):
        raise LookupError(f"{row['name']}{row['labels']} of {row['source']} is no bucket: it has no bound le") from None


def delta(before: Samples, after: Samples, name: str, labels: Mapping[str, str]) -> float:
    """How much a metric grew between two scrapes, summed over matching series; a gauge may fall.

    Raises:
        LookupError: a value is not a number.
        ValueError: a counter fell, or its server restarted: as `grown`.
    """
    if not name.endswith(COUNTED):
        return after.sum(name, **labels) - before.sum(name, **labels)
    sources = dict.fromkeys([*before.sources, *after.sources])
    return math.fsum(grown(before, after, source, name, labels) for source in sources)


def grown(before: Samples, after: Samples, source: str, name: str, labels: Mapping[str, str] | None = None) -> float:
    """How much a counter of one source grew between two scrapes, summed over its matching series.

    A series that did not exist before counts from 0. Restarts are found by a counter that fell or is gone, by the
    start that the page or the container's status tells (`STARTED`), and by the counter's own `_created`; one that has
    grown beyond its old value since is found only where one of these is told (`untold_starts`).

    Raises:
        LookupError: a value is not a number.
        ValueError: the source restarted in between, is gone, or was there before without having been scraped.
    """
    wanted = dict(labels or {})
    old, new = before.of(source), after.of(source)
    olds, news = old.series(name, **wanted), new.series(name, **wanted)
    if not olds and not news:
        return 0.0
    _require_same_server(old, new, source, name, before.last_at)
    total: list[float] = []
    require_no_fall(Samples(old.select(name, **wanted)), Samples(new.select(name, **wanted)), source, (name,))
    for key, value in news.items():
        if not 0 <= value < math.inf:
            raise ValueError(f"{name}{_shown(key)} of {source} is {value:g}: no counter has such a value")
        total.append(value - olds.get(key, 0.0))
    return math.fsum(total)


def _require_same_server(old: Samples, new: Samples, source: str, name: str, before_at: int) -> None:
    created = f"{_base(name)}_created"
    for start in (*STARTED, created):
        olds, news = old.series(start), new.series(start)
        for key in olds.keys() & news.keys():
            if abs(news[key] - olds[key]) > (0 if start == created else STARTED_TOLERANCE):
                raise ValueError(
                    f"{name} of {source}: a server restarted between the scrapes ({start}{_shown(key)} went from "
                    f"{olds[key]:.3f} to {news[key]:.3f}); what it had counted is lost, so ask again"
                )
        if not len(old) and before_at and start in STARTED and any(value * 1e9 < before_at for value in news.values()):
            raise ValueError(
                f"{name} of {source}: it ran when the others were scraped first, but was not: what it had counted then "
                "is not known"
            )
    require_no_fall(old, new, source, (AGE,))
    if len(old) and not len(new):
        raise ValueError(f"{name} of {source}: the server is gone; what it counted since the first scrape is not known")


def require_no_fall(before: Samples, after: Samples, source: str, names: Iterable[str]) -> None:
    """Refuse a source of which any of these counters fell: then all of them began anew, those that rose as well.

    Raises:
        LookupError: a value is not a number.
        ValueError: one fell, or is gone after it had counted.
    """
    old, new = before.of(source), after.of(source)
    for name in names:
        news = new.series(name)
        for key, value in old.series(name).items():
            lost = value - news.get(key, 0.0)
            if lost > 0:
                gone = "" if key in news else " (it is gone)"
                raise ValueError(
                    f"{name}{_shown(key)} of {source} fell by {lost:g}{gone}: a server restarted between the scrapes; "
                    "what it had counted is lost, so ask again"
                )


def untold_starts(samples: Samples, name: str) -> list[str]:
    """Sources of a counter that tell no start: a restart after which it grew beyond its old value stays unseen."""
    starts = (*STARTED, f"{_base(name)}_created")
    having = dict.fromkeys(str(row["source"]) for row in samples.select(name))
    return [source for source in having if not any(samples.of(source).select(start) for start in starts)]


def _base(name: str) -> str:
    return next((name.removesuffix(end) for end in COUNTED if name.endswith(end)), name)


def _shown(labels: Sequence[tuple[str, str]]) -> str:
    return "{" + ", ".join(f'{key}="{value}"' for key, value in labels) + "}" if labels else ""


def labels_of(rows: Sequence[Manifest]) -> list[str]:
    """The labels under which samples were taken, in order of first use."""
    return list(dict.fromkeys(str(row["label"]) for row in rows))
