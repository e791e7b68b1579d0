"""Which inference engine a metrics page is of, and how each engine spells what is asked of it: data, no code.

Sources: each project's documentation of metrics and its exporter. vLLM (V1; 0.8 and 0.9 said `gpu_prefix_cache_*`, 0.8
in blocks; V0 has no such counters), SGLang's production metrics, TensorRT-LLM's `trtllm_*` (without prefix up to 1.1,
as NVIDIA NIM), Triton Inference Server, Text Generation Inference, LMDeploy, llama.cpp, NVIDIA Dynamo.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from gpuassay.record.metrics import Samples

TOKENS, BLOCKS, UNSURE = "tokens", "blocks", "tokens or blocks"
"""What prefix-cache counters count; UNSURE: one or the other, by the engine's version."""


def _of_hits(why: str) -> dict[str, str]:
    return {"prefix_cache_queries": why, "prefix_cache_hits": why}


_NO_HITS = _of_hits("this engine counts no prefix-cache hits")


@dataclass(frozen=True)
class Counted:
    """Names under which a page has one thing.

    Attributes:
        names: counters that are added up; without `_total`, which is added where the page has it.
        unit: of prefix-cache counters.
    """

    names: tuple[str, ...]
    unit: str = TOKENS


@dataclass(frozen=True)
class Engine:
    """One engine.

    Attributes:
        name: for messages.
        marks: beginnings of metric names by which its page is known.
        metrics: spellings of each of our names, the newest first; the first that a page has counts.
        instead: what a page has instead of a counter, and why that does not do, by metric.
        rates: gauges above 0 where anything was found in a prefix cache: without a counter of hits, that is untold.
    """

    name: str
    marks: tuple[str, ...]
    metrics: Mapping[str, tuple[Counted, ...]]
    instead: Mapping[str, str] = field(default_factory=dict[str, str])
    rates: tuple[str, ...] = ()


def _each(*spellings: str, unit: str = TOKENS) -> tuple[Counted, ...]:
    return tuple(Counted((one,), unit) for one in spellings)


def _family(prefix: str, **metrics: str) -> dict[str, tuple[Counted, ...]]:
    return {metric: _each(prefix + name) for metric, name in metrics.items()}


def _trtllm(prefix: str) -> dict[str, tuple[Counted, ...]]:
    reused, missed = f"{prefix}kv_cache_reused_blocks", f"{prefix}kv_cache_missed_blocks"
    return _family(
        prefix,
        requests_running="num_requests_running", requests_waiting="num_requests_waiting",
        kv_cache_usage="kv_cache_utilization", prompt_tokens="prompt_tokens", generation_tokens="generation_tokens",
        ttft="time_to_first_token_seconds", e2e="e2e_request_latency_seconds",
    ) | {
        "requests_succeeded": _each(f"{prefix}request_success", f"{prefix}num_requests_completed"),
        "prefix_cache_queries": (Counted((reused, missed), BLOCKS),),
        "prefix_cache_hits": (Counted((reused,), BLOCKS),),
    }  # fmt: skip


_TRTLLM_INSTEAD = _of_hits(
    "its page has no kv_cache_reused_blocks_total and kv_cache_missed_blocks_total, and kv_cache_hit_rate is a rate "
    "since its start; upgrade the engine",
)

ENGINES = (
    Engine(
        "vLLM",
        ("vllm:",),
        _family(
            "vllm:",
            requests_running="num_requests_running", requests_waiting="num_requests_waiting",
            cache_config="cache_config_info", prompt_tokens="prompt_tokens", generation_tokens="generation_tokens",
            requests_succeeded="request_success", ttft="time_to_first_token_seconds", e2e="e2e_request_latency_seconds",
            lora="lora_requests_info",
        )
        | {
            "prefix_cache_queries": (
                *_each("vllm:prefix_cache_queries"), *_each("vllm:gpu_prefix_cache_queries", unit=UNSURE),
            ),
            "prefix_cache_hits": (
                *_each("vllm:prefix_cache_hits"), *_each("vllm:gpu_prefix_cache_hits", unit=UNSURE),
            ),
            "kv_cache_usage": _each("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"),
        },
        _of_hits(
            "its page has no prefix-cache counters: the V0 engine tells a rate since its start only "
            "(vllm:gpu_prefix_cache_hit_rate), and a prefix cache that is off counts nothing",
        ),
        ("vllm:gpu_prefix_cache_hit_rate", "vllm:cpu_prefix_cache_hit_rate"),
    ),
    Engine(
        "SGLang",
        ("sglang:",),
        _family(
            "sglang:",
            requests_running="num_running_reqs", requests_waiting="num_queue_reqs", kv_cache_usage="token_usage",
            prompt_tokens="prompt_tokens", generation_tokens="generation_tokens", requests_succeeded="num_requests",
            ttft="time_to_first_token_seconds", e2e="e2e_request_latency_seconds",
            prefix_cache_queries="prompt_tokens", prefix_cache_hits="cached_tokens",
        ),
        {
            "prefix_cache_hits": "its page has no sglang:cached_tokens_total: nothing was found in a cache since its "
            "start, or it is older than that counter; sglang:cache_hit_rate is of its last batch only",
        },
        ("sglang:cache_hit_rate",),
    ),
    Engine("TensorRT-LLM", ("trtllm_", "trtllm:"), _trtllm("trtllm_"), _TRTLLM_INSTEAD, ("trtllm_kv_cache_hit_rate",)),
    Engine(
        "LMDeploy",
        ("lmdeploy:",),
        _family(
            "lmdeploy:",
            requests_running="num_requests_running", requests_waiting="num_requests_waiting",
            kv_cache_usage="gpu_cache_usage_perc", prompt_tokens="prompt_tokens", generation_tokens="generation_tokens",
            requests_succeeded="request_success", ttft="time_to_first_token_seconds", e2e="e2e_request_latency_seconds",
        ),
        _NO_HITS,
    ),
    Engine(
        "Text Generation Inference",
        ("tgi_",),
        _family(
            "tgi_",
            requests_running="batch_current_size", requests_waiting="queue_size", requests_succeeded="request_success",
        ),
        _NO_HITS,
    ),
    Engine(
        "llama.cpp",
        ("llamacpp:",),
        _family(
            "llamacpp:",
            requests_running="requests_processing", requests_waiting="requests_deferred",
            kv_cache_usage="kv_cache_usage_ratio", prompt_tokens="prompt_tokens", generation_tokens="tokens_predicted",
        ),
        {**_NO_HITS, "requests_succeeded": "this engine counts no finished requests"},
    ),
    Engine(
        "Triton",
        ("nv_inference_", "nv_trt_llm_"),
        _family("nv_", requests_succeeded="inference_request_success"),
        _NO_HITS,
    ),
    Engine(
        "Dynamo",
        ("dynamo_component_",),
        _family("dynamo_component_", requests_succeeded="requests"),
        _NO_HITS,
    ),
    Engine(
        "TensorRT-LLM or NIM, names without prefix",
        ("request_success", "num_requests_running", "num_requests_waiting", "time_to_first_token_seconds",
         "e2e_request_latency_seconds", "kv_cache_hit_rate", "kv_cache_utilization", "gpu_cache_usage_perc"),
        _trtllm(""),
        _TRTLLM_INSTEAD,
        ("kv_cache_hit_rate",),
    ),
)  # fmt: skip
"""Every engine, in the order in which pages of several are read: an engine behind another's server comes first."""

NAMES = ", ".join(one.name for one in ENGINES)

_SERVED_MODEL = "model"


def spellings(name: str) -> tuple[str, ...]:
    """How collectors pass a name on: as it is, with `_` for `:` (OpenTelemetry), behind `ray_` (Ray); `trtllm:`."""
    passed = [name, name.replace(":", "_", 1)]
    if name.startswith("trtllm_"):
        passed.append(name.replace("_", ":", 1))
    if ":" in name:
        passed += [f"ray_{one}" for one in passed]
    return tuple(dict.fromkeys(passed))


def engines_of(names: Iterable[str]) -> list[Engine]:
    """The engines whose metrics are among these names, in the order of `ENGINES`; none: it is no engine we know."""
    there = tuple(names)
    return [
        one for one in ENGINES
        if any(name.startswith(mark) for mark in _marks(one) for name in there)
    ]  # fmt: skip


def _marks(engine: Engine) -> list[str]:
    return [spelt for mark in engine.marks for spelt in spellings(mark)]


def named(names: Iterable[str], metric: str) -> tuple[tuple[str, ...], str] | None:
    """The names under which a page has a metric of ours, and their unit; None if it has it under none.

    Of a histogram the name without its suffix counts.
    """
    there = set(names)
    for engine in engines_of(there):
        for counted in engine.metrics.get(metric, ()):
            found = [_there(one, there) for one in counted.names]
            if any(found):
                return tuple(one for one in found if one), counted.unit
    return None


def _there(name: str, there: set[str]) -> str | None:
    for spelt in spellings(name):
        for one in (f"{spelt}_total", spelt):
            if one in there or f"{one}_bucket" in there:
                return one
    return None


def rate_told(samples: Samples) -> bool:
    """Whether one server's page tells that something was found in its prefix cache, by a rate."""
    rates = [spelt for engine in engines_of(samples.names) for rate in engine.rates for spelt in spellings(rate)]
    return any(value > 0 for rate in rates for value in samples.series(rate).values())


def missing(names: Sequence[str], metric: str) -> str:
    """Why a page lacks a metric, as the end of a sentence that names the server."""
    found = engines_of(names)
    if not found:
        some = ", ".join(list(names)[:3]) or "nothing"
        return f"no engine that is known ({NAMES}); its page begins with {some}: name the engine's own metrics port"
    engine = next((one for one in found if metric in one.metrics or metric in one.instead), found[0])
    return f"{engine.name}: {engine.instead.get(metric, f'its page has no {metric}')}"


def finished(samples: Samples, model: str = "") -> float | None:
    """Requests that one server has finished; 0 before the first, None of an engine that does not count them.

    Args:
        samples: of that server alone.
        model: as it is served. Where a page counts several models, such as the steps of a Triton ensemble, this one
            counts, or else the one with the most.

    Raises:
        LookupError: the count is not a number.
    """
    found = named(samples.names, "requests_succeeded")
    if found is None:
        known = [one for one in engines_of(samples.names) if "requests_succeeded" in one.metrics]
        return 0.0 if known else None
    by_model: dict[str, float] = {}
    for name in found[0]:
        for labels, value in samples.series(name).items():
            of = dict(labels).get(_SERVED_MODEL, "")
            by_model[of] = by_model.get(of, 0.0) + value
    return by_model.get(model, max(by_model.values(), default=0.0))


def running(samples: Samples) -> float | None:
    """Requests that one server has under way; None of an engine whose page does not tell."""
    found = named(samples.names, "requests_running")
    if found is None:
        return None
    return sum(value for name in found[0] for value in samples.series(name).values())
