"""Counters of model servers and endpoint pickers under the names of both generations, and what they add up to.

Sources: llm-d-inference-sim v0.10.2 exports prefix-cache counters without `_total`, vLLM 0.32 and the simulator's
successors with it; endpoint pickers up to llm-d-inference-scheduler v0.7.1 and Inference Extension v1.5.0 say
`inference_pool_*`, `inference_objective_*`, `inference_extension_*`, llm-d-router v0.10 says `llm_d_epp_*` (and for a
while both). A metric is looked up by one name of ours, and the first generation that has it counts: never both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from gpuassay.record.metrics import Samples, grown, require_no_fall
from gpuassay.systems.llmd.judge.engines import ENGINES, NAMES, TOKENS, engines_of, finished, missing, named, rate_told
from gpuassay.systems.llmd.judge.routing import answered, shown
from gpuassay.systems.llmd.rows import RequestRow

SERVER: Mapping[str, tuple[str, ...]] = {
    metric: tuple(
        dict.fromkeys(
            f"{name}{end}"
            for engine in ENGINES
            for counted in engine.metrics.get(metric, ())
            for name in counted.names
            for end in ("_total", "")
        )
    )
    for metric in (
        "prefix_cache_queries", "prefix_cache_hits", "requests_running", "requests_waiting", "kv_cache_usage",
        "cache_config", "prompt_tokens", "generation_tokens", "requests_succeeded", "ttft", "e2e", "lora",
    )
}  # fmt: skip
"""Metrics of a model server under the names of all engines (`engines`); prefix caches count tokens or blocks."""

PICKER: Mapping[str, tuple[str, ...]] = {
    "ready_endpoints": ("llm_d_epp_ready_endpoints", "inference_pool_ready_pods"),
    "average_queue_size": ("llm_d_epp_average_queue_size", "inference_pool_average_queue_size"),
    "average_kv_cache_utilization": (
        "llm_d_epp_average_kv_cache_utilization",
        "inference_pool_average_kv_cache_utilization",
    ),
    "queue_size_by_endpoint": ("llm_d_epp_per_endpoint_queue_size", "inference_pool_per_pod_queue_size"),
    "requests": ("llm_d_epp_request_total", "inference_objective_request_total"),
    "request_errors": ("llm_d_epp_request_error_total", "inference_objective_request_error_total"),
    "request_duration": ("llm_d_epp_request_duration_seconds", "inference_objective_request_duration_seconds"),
    "input_tokens": ("llm_d_epp_request_input_tokens", "inference_objective_input_tokens"),
    "output_tokens": ("llm_d_epp_request_output_tokens", "inference_objective_output_tokens"),
    "requests_running": ("llm_d_epp_request_running", "inference_objective_running_requests"),
    "scheduler_duration": (
        "llm_d_epp_scheduler_e2e_duration_seconds",
        "inference_extension_scheduler_e2e_duration_seconds",
    ),
    "plugin_duration": ("llm_d_epp_plugin_duration_seconds", "inference_extension_plugin_duration_seconds"),
    "prefix_index_size": ("llm_d_epp_prefix_indexer_size", "inference_extension_prefix_indexer_size"),
    "prefix_index_hit_ratio": ("llm_d_epp_prefix_indexer_hit_ratio", "inference_extension_prefix_indexer_hit_ratio"),
}
"""Metrics of an endpoint picker."""


_OF_PICKERS = ("llm_d_epp_", "inference_pool_", "inference_objective_", "inference_extension_", "inference_model_")

_ALIKE = {"model_name": "model"}
"""Labels that engines name otherwise."""


def name_in(samples: Samples, metric: str, table: Mapping[str, tuple[str, ...]] = SERVER) -> str:
    """The name under which these samples hold a metric of a table; of a histogram the name without its suffix.

    Raises:
        LookupError: under none of its names.
    """
    for name in table[metric]:
        if any(samples.select(name + suffix) for suffix in ("", "_bucket")):
            return name
    known = f"the names of {NAMES}" if table is SERVER else " and ".join(table[metric])
    raise LookupError(f"no series of {metric}: looked for {known}; was it scraped?")


def delta(
    before: Samples,
    after: Samples,
    metric: str,
    table: Mapping[str, tuple[str, ...]] = SERVER,
    labels: Mapping[str, str] | None = None,
) -> float:
    """How much a counter grew, summed over all matching series; of a histogram, how many observations it took.

    Each server's counter is looked up under the names of its own engine. A series that did not exist before counts
    from 0.

    Raises:
        LookupError: it is not in `after`, or a model server is of an engine that is not known or does not count it.
        ValueError: it fell, or a server restarted or went away in between; the message names it.
    """
    return math.fsum(by_server(before, after, metric, table, labels).values())


def by_server(
    before: Samples,
    after: Samples,
    metric: str,
    table: Mapping[str, tuple[str, ...]] = SERVER,
    labels: Mapping[str, str] | None = None,
) -> dict[str, float]:
    """How much a counter grew at each server that has it. Raises as `delta`."""
    found: dict[str, float] = {}
    for source in dict.fromkeys([*before.sources, *after.sources]):
        names = _names_at(before, after, source, metric, table)
        if names:
            if table is SERVER and after.of(source).names:
                require_no_fall(before, after, source, _counters_at(before, source))
            found[source] = math.fsum(_grown(before, after, source, name, labels) for name in names)
    if not found:
        without = [
            f"{source} is of {missing(after.of(source).names, metric)}"
            for source in (model_servers(after) if table is SERVER else ())
        ]
        if without:
            raise LookupError(f"no series of {metric}: model server {'; '.join(without)}")
        name_in(after, metric, table)
    return found


_COUNTERS = ("requests_succeeded", "prompt_tokens", "generation_tokens", "prefix_cache_queries", "prefix_cache_hits")
"""What any engine counts: if one of them fell, its server restarted."""


def _counters_at(samples: Samples, source: str) -> list[str]:
    there = samples.of(source).names
    return [name for metric in _COUNTERS for name in (named(there, metric) or ((), ""))[0]]


def model_servers(samples: Samples) -> list[str]:
    """The sources that are no endpoint picker."""
    return [
        source for source in samples.sources
        if source != "picker" and not any(name.startswith(_OF_PICKERS) for name in samples.of(source).names)
    ]  # fmt: skip


def _names_at(
    before: Samples, after: Samples, source: str, metric: str, table: Mapping[str, tuple[str, ...]]
) -> tuple[str, ...]:
    """The names of a metric at one server; none where it is not exported yet, and of a source that is no server."""
    for samples in (after.of(source), before.of(source)):
        if table is not SERVER:
            for name in table[metric]:
                if any(samples.select(name + suffix) for suffix in ("", "_bucket")):
                    return (name,)
            continue
        there = named(samples.names, metric)
        if there is not None:
            return there[0]
    if table is not SERVER or source not in model_servers(after):
        return ()
    names = after.of(source).names
    if not any(metric in engine.metrics for engine in engines_of(names)):
        raise LookupError(f"{metric} of model server {source} is not known: {missing(names, metric)}")
    return ()


def _grown(before: Samples, after: Samples, source: str, name: str, labels: Mapping[str, str] | None) -> float:
    if not any(samples.of(source).select(name) for samples in (before, after)):
        name += "_count"
    wanted = dict(labels or {})
    rows = after.of(source).select(name)
    for label, other in _ALIKE.items():
        if label in wanted and rows and not any(label in row["labels"] for row in rows):
            wanted[other] = wanted.pop(label)
    return grown(before, after, source, name, wanted)


def counter_hit_rate(before: Samples, after: Samples, labels: Mapping[str, str] | None = None) -> float:
    """Prefix-cache hits over queries between two scrapes, in what the servers count: tokens, or blocks of some engines.

    Raises:
        LookupError: as `delta`; or a server's page has queries without hits, as a cut one has.
        ValueError: as `delta`; without queries; if a server's hits grew by more than its queries; if servers count
            different things.
    """
    units = sorted(set(hit_units(after).values()))
    if len(units) > 1:
        raise ValueError(f"prefix-cache counters cannot be added up: some servers count {', others '.join(units)}")
    queries = by_server(before, after, "prefix_cache_queries", labels=labels)
    if not any(queries.values()):
        raise ValueError("no prompt token was looked up in a prefix cache: it is off, or nothing was asked")
    hits = by_server(before, after, "prefix_cache_hits", labels=labels)
    _require_all(before, after, queries, hits)
    for server, asked in queries.items():
        if hits.get(server, 0.0) > asked:
            raise ValueError(
                f"{server}: prefix-cache hits grew by {hits[server]:g}, queries by {asked:g}: its counters do not fit "
                "together, so it restarted between the scrapes or counts something else"
            )
        if server not in hits and asked and _at_once(after.of(server)):
            raise LookupError(f"{server}: its page has prefix-cache queries, but no hits: was it cut?")
    return math.fsum(hits.values()) / math.fsum(queries.values())


def _require_all(before: Samples, after: Samples, queries: Mapping[str, float], hits: Mapping[str, float]) -> None:
    """Refuse to leave out a server that worked and does not count: one of another engine or version than the others."""
    for server in model_servers(after):
        mine = after.of(server)
        worked = (finished(mine) or 0) > (finished(before.of(server)) or 0)
        for metric, counted in (("prefix_cache_queries", queries), ("prefix_cache_hits", hits)):
            if server not in counted and (rate_told(mine) or (server not in queries and worked)):
                raise LookupError(f"{metric} of model server {server} is not known: {missing(mine.names, metric)}")


def _at_once(samples: Samples) -> bool:
    """Whether an engine has the counter of hits from the first query on."""
    return any(engine.name == "vLLM" for engine in engines_of(samples.names))


def hit_units(samples: Samples) -> dict[str, str]:
    """What the prefix-cache counters of each server count."""
    found = {source: named(samples.of(source).names, "prefix_cache_queries") for source in samples.sources}
    return {source: one[1] for source, one in found.items() if one is not None}


def growth_findings(
    before: Samples,
    after: Samples,
    expected: Mapping[str, float],
    table: Mapping[str, tuple[str, ...]] = SERVER,
    labels: Mapping[str, str] | None = None,
) -> list[str]:
    """Counters that did not grow by exactly what was expected of them: k requests move a counter by k."""
    found: list[str] = []
    for metric, wanted in expected.items():
        try:
            seen = delta(before, after, metric, table, labels)
        except (LookupError, ValueError) as error:
            found.append(f"{metric}: expected to grow by {wanted:g}; {error}")
            continue
        if seen != wanted:
            found.append(f"{metric}: expected to grow by {wanted:g}, seen {seen:g}")
    return found


def agreement_findings(
    rows: Sequence[RequestRow], before: Samples, after: Samples, labels: Mapping[str, str] | None = None
) -> list[str]:
    """Whether the servers' counters and the answers' own usage tell of the same prompt and cached tokens.

    Holds if nobody but this load asked between the scrapes, and every answer was complete.
    """
    good = answered(rows)
    if not good:
        return ["no answered requests: nothing to compare the counters with"]
    if others := {unit for unit in hit_units(after).values() if unit != TOKENS}:
        return [f"prefix-cache counters count {', '.join(sorted(others))}: answers count tokens"]
    if mute := [row for row in good if row.prompt_tokens is None]:
        return [f"answers that do not say their prompt tokens: {shown(mute)}"]
    return growth_findings(
        before,
        after,
        {
            "prefix_cache_queries": sum(row.prompt_tokens or 0 for row in good),
            "prefix_cache_hits": sum(row.cached_tokens or 0 for row in good),
        },
        labels=labels,
    )
