"""Counters of model servers and endpoint pickers under the names of both generations, and what they add up to.

Sources: llm-d-inference-sim v0.10.2 exports prefix-cache counters without `_total`, vLLM 0.32 and the simulator's
successors with it; endpoint pickers up to llm-d-inference-scheduler v0.7.1 and Inference Extension v1.5.0 say
`inference_pool_*`, `inference_objective_*`, `inference_extension_*`, llm-d-router v0.10 says `llm_d_epp_*` (and for a
while both). A metric is looked up by one name of ours, and the first generation that has it counts: never both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from gpuassay.record.metrics import Samples
from gpuassay.systems.llmd.judge.routing import Row, answered, shown

SERVER: Mapping[str, tuple[str, ...]] = {
    "prefix_cache_queries": ("vllm:prefix_cache_queries_total", "vllm:prefix_cache_queries"),
    "prefix_cache_hits": ("vllm:prefix_cache_hits_total", "vllm:prefix_cache_hits"),
    "requests_running": ("vllm:num_requests_running",),
    "requests_waiting": ("vllm:num_requests_waiting",),
    "kv_cache_usage": ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"),
    "cache_config": ("vllm:cache_config_info",),
    "prompt_tokens": ("vllm:prompt_tokens_total", "vllm:prompt_tokens"),
    "generation_tokens": ("vllm:generation_tokens_total", "vllm:generation_tokens"),
    "requests_succeeded": ("vllm:request_success_total", "vllm:request_success"),
    "ttft": ("vllm:time_to_first_token_seconds",),
    "e2e": ("vllm:e2e_request_latency_seconds",),
    "lora": ("vllm:lora_requests_info",),
}
"""Metrics of a model server; prefix-cache counters count tokens."""

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


def name_in(samples: Samples, metric: str, table: Mapping[str, tuple[str, ...]] = SERVER) -> str:
    """The name under which these samples hold a metric of a table; of a histogram the name without its suffix.

    Raises:
        LookupError: under none of its names.
    """
    for name in table[metric]:
        if any(samples.select(name + suffix) for suffix in ("", "_bucket")):
            return name
    raise LookupError(f"no series of {metric}: looked for {' and '.join(table[metric])}; was it scraped?")


def delta(
    before: Samples,
    after: Samples,
    metric: str,
    table: Mapping[str, tuple[str, ...]] = SERVER,
    labels: Mapping[str, str] | None = None,
) -> float:
    """How much a counter grew, summed over all matching series; of a histogram, how many observations it took.

    A series that did not exist before counts from 0.

    Raises:
        LookupError: it is not in `after`.
        ValueError: it fell, so that something restarted in between.
    """
    name = name_in(after, metric, table)
    if not after.select(name):
        name += "_count"
    wanted = dict(labels or {})
    grown = after.sum(name, **wanted) - before.sum(name, **wanted)
    if grown < 0:
        raise ValueError(f"{name} fell by {-grown:g}: a server restarted between the scrapes")
    return grown


def counter_hit_rate(before: Samples, after: Samples, labels: Mapping[str, str] | None = None) -> float:
    """Prefix-cache hits over queries, in tokens, between two scrapes. Errors as `delta`; ValueError without queries."""
    queries = delta(before, after, "prefix_cache_queries", labels=labels)
    if not queries:
        raise ValueError("no prompt token was looked up in a prefix cache: it is off, or nothing was asked")
    return delta(before, after, "prefix_cache_hits", labels=labels) / queries


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
    rows: Sequence[Row], before: Samples, after: Samples, labels: Mapping[str, str] | None = None
) -> list[str]:
    """Whether the servers' counters and the answers' own usage tell of the same prompt and cached tokens.

    Holds if nobody but this load asked between the scrapes, and every answer was complete.
    """
    good = answered(rows)
    if not good:
        return ["no answered requests: nothing to compare the counters with"]
    if mute := [row for row in good if row.get("prompt_tokens") is None]:
        return [f"answers that do not say their prompt tokens: {shown(mute)}"]
    return growth_findings(
        before,
        after,
        {
            "prefix_cache_queries": _sum(good, "prompt_tokens"),
            "prefix_cache_hits": _sum(good, "cached_tokens"),
        },
        labels=labels,
    )


def _sum(rows: Iterable[Row], key: str) -> int:
    return sum(int(row.get(key) or 0) for row in rows)
