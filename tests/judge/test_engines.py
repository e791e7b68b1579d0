"""Model servers' pages of every engine we know: hit rates and finished requests are right, or said to be not known."""

from __future__ import annotations

import pytest

from gpuassay.manifest import Manifest
from gpuassay.record.exposition import parse_page
from gpuassay.record.facts import Outside
from gpuassay.record.metrics import Samples
from gpuassay.systems.llmd.judge.engines import ENGINES, engines_of, finished, missing, named, running
from gpuassay.systems.llmd.judge.metrics import SERVER, agreement_findings, counter_hit_rate, delta
from gpuassay.systems.llmd.judge.outside import counted_hit_rate, restarts_untold
from gpuassay.verdict import Inconclusive
from tests.judge.routes import row

GO = "go_goroutines 12\nprocess_cpu_seconds_total 3\n"


def scraped(**pages: str) -> Samples:
    """The samples of these pages, by server."""
    return Samples(
        {"at": 1, "source": server, "label": "x", "name": one.name, "labels": one.labels, "value": one.value}
        for server, page in pages.items()
        for one in parse_page(page)
    )


def page(*names: str, labels: str = 'model_name="m"', values: tuple[float, ...]) -> str:
    return "".join(f"{name}{{{labels}}} {value}\n" for name, value in zip(names, values, strict=True))


HITS = {
    "vLLM": ("vllm:prefix_cache_queries_total", "vllm:prefix_cache_hits_total"),
    "vLLM simulator": ("vllm:prefix_cache_queries", "vllm:prefix_cache_hits"),
    "vLLM 0.8, 0.9": ("vllm:gpu_prefix_cache_queries_total", "vllm:gpu_prefix_cache_hits_total"),
    "vLLM 0.8 without _total": ("vllm:gpu_prefix_cache_queries", "vllm:gpu_prefix_cache_hits"),
    "vLLM by OpenTelemetry": ("vllm_prefix_cache_queries_total", "vllm_prefix_cache_hits_total"),
    "vLLM by Ray": ("ray_vllm_prefix_cache_queries_total", "ray_vllm_prefix_cache_hits_total"),
    "vLLM by Ray with colon": ("ray_vllm:prefix_cache_queries_total", "ray_vllm:prefix_cache_hits_total"),
    "SGLang": ("sglang:prompt_tokens_total", "sglang:cached_tokens_total"),
    "SGLang with _": ("sglang_prompt_tokens_total", "sglang_cached_tokens_total"),
}


@pytest.mark.parametrize("engine", HITS)
def test_the_hit_rate_of_each_engine(engine: str) -> None:
    """Red when the counters of an engine are not found under its own names."""
    before, after = page(*HITS[engine], values=(100, 50)), page(*HITS[engine], values=(500, 350))
    assert counter_hit_rate(scraped(a=before), scraped(a=after)) == 0.75
    assert counter_hit_rate(scraped(), scraped(a=after)) == 0.7
    assert counted_hit_rate([row(0, prompt_tokens=400)], scraped(a=before), scraped(a=after)) == 0.75


@pytest.mark.parametrize("prefix", ["trtllm_", "trtllm:", ""])
def test_the_hit_rate_of_tensorrt_llm_is_of_blocks(prefix: str) -> None:
    """Red when blocks that were missed do not count as looked up, or blocks are compared with tokens."""
    names = (f"{prefix}kv_cache_reused_blocks_total", f"{prefix}kv_cache_missed_blocks_total")
    names += (f"{prefix}prompt_tokens_total", f"{prefix}num_requests_running")
    before, after = (scraped(a=page(*names, values=values)) for values in ((5, 5, 0, 0), (35, 15, 640, 1)))
    assert counter_hit_rate(before, after) == 0.75
    assert counted_hit_rate([row(0, prompt_tokens=640)], before, after) == 0.75
    with pytest.raises(Inconclusive, match="640 prompt tokens were looked up, 320 were ours"):
        counted_hit_rate([row(0, prompt_tokens=320)], before, after)
    assert agreement_findings([row(0)], before, after) == ["prefix-cache counters count blocks: answers count tokens"]


def test_engines_side_by_side_are_added_up_if_they_count_the_same() -> None:
    """Red when servers of another engine or version are left out of a sum, or blocks are added to tokens."""
    before = {"a": page(*HITS["vLLM"], values=(0, 0)), "b": page(*HITS["SGLang"], values=(0, 0))}
    after = {"a": page(*HITS["vLLM"], values=(100, 100)), "b": page(*HITS["SGLang"], values=(300, 100))}
    assert counter_hit_rate(scraped(**before), scraped(**after)) == 0.5
    after["b"] = page(*HITS["vLLM 0.8, 0.9"], values=(300, 100))
    with pytest.raises(ValueError, match="some servers count tokens, others tokens or blocks"):
        counter_hit_rate(scraped(), scraped(**after))


def test_other_caches_and_old_names_are_not_counted_too() -> None:
    """Red when a page with both generations, or with caches of other kinds, counts twice."""
    both = page(
        *HITS["vLLM"], *HITS["vLLM 0.8, 0.9"],
        "vllm:external_prefix_cache_queries_total", "vllm:external_prefix_cache_hits_total", "vllm:mm_cache_hits_total",
        "vllm:prompt_tokens_total", values=(100, 60, 7, 7, 900, 900, 900, 900),
    )  # fmt: skip
    assert counter_hit_rate(scraped(), scraped(a=both)) == 0.6


def test_every_rank_of_a_server_counts() -> None:
    """Red when only one of several engines (data parallel) or cache sources counts."""
    two = "".join(page(*HITS["vLLM"], labels=f'engine="{n}",model_name="m"', values=(100, 80 - 40 * n)) for n in (0, 1))
    assert counter_hit_rate(scraped(), scraped(a=two)) == 0.6
    sources = page(HITS["SGLang"][0], values=(100,)) + "".join(
        page(HITS["SGLang"][1], labels=f'cache_source="{one}"', values=(20,)) for one in ("device", "host")
    )
    assert counter_hit_rate(scraped(), scraped(a=sources)) == 0.4


def test_a_label_that_an_engine_names_otherwise_is_found() -> None:
    """Red when `model_name` finds nothing on a page that says `model`."""
    after = page(*HITS["vLLM"], labels='model="m",version="1"', values=(100, 60))
    assert counter_hit_rate(scraped(), scraped(a=after), {"model_name": "m"}) == 0.6


UNKNOWN = {
    "vLLM V0": (
        page("vllm:gpu_prefix_cache_hit_rate", "vllm:num_requests_running", values=(0.5, 1)),
        "vLLM: .*V0 engine",
    ),
    "SGLang's gauge": (
        page("sglang:prompt_tokens_total", "sglang:cache_hit_rate", values=(9, 0.5)),
        "cached_tokens_total",
    ),
    "vLLM without a cache": (page("vllm:request_success_total", values=(9,)), "vLLM: .*V0 engine"),
    "TensorRT-LLM's gauge": (page("trtllm_kv_cache_hit_rate", values=(0.5,)), "TensorRT-LLM: .*upgrade the engine"),
    "TensorRT-LLM 1.0": (page("request_success_total", values=(5,)), "names without prefix: its page has no"),
    "Triton": (page("nv_inference_request_success", values=(5,)), "Triton: this engine counts no prefix-cache hits"),
    "TGI": (page("tgi_request_success", values=(5,)), "Text Generation Inference: this engine counts no"),
    "LMDeploy": (page("lmdeploy:request_success_total", values=(5,)), "LMDeploy: this engine counts no"),
    "llama.cpp": (page("llamacpp:prompt_tokens_total", values=(5,)), "llama.cpp: this engine counts no"),
    "another service": (GO, "no engine that is known .*go_goroutines"),
}


@pytest.mark.parametrize("engine", UNKNOWN)
def test_what_an_engine_does_not_count_is_not_known(engine: str) -> None:
    """Red when a hit rate comes of a page without such counters, or the line names neither server nor engine."""
    text, words = UNKNOWN[engine]
    with pytest.raises(LookupError, match=words) as caught:
        counter_hit_rate(scraped(a=text), scraped(a=text.replace(" 9", " 99")))
    assert "model server a" in str(caught.value) and "\n" not in str(caught.value)
    good = page(*HITS["vLLM"], values=(100, 60))
    with pytest.raises(LookupError, match=words) as caught:
        counter_hit_rate(scraped(b=good), scraped(a=text, b=good.replace("100", "200")))
    assert "model server a" in str(caught.value)


def test_an_idle_server_counts_nothing_and_a_picker_is_none() -> None:
    """Red when a server without a request yet, whose counters are not exported, or the picker's page spoils the sum."""
    good, idle = page(*HITS["vLLM"], values=(100, 60)), page("vllm:num_requests_running", values=(0,))
    pages = {"a": good, "b": idle, "picker": GO, "epp-1": page("llm_d_epp_ready_endpoints", values=(2,)) + GO}
    assert counter_hit_rate(scraped(), scraped(**pages)) == 0.6


def test_a_page_cut_between_queries_and_hits_is_found() -> None:
    """Red when the hits of a server whose page ends too early count as 0."""
    good, cut = page(*HITS["vLLM"], values=(100, 60)), page(HITS["vLLM"][0], values=(100,))
    with pytest.raises(LookupError, match="b: its page has prefix-cache queries, but no hits: was it cut"):
        counter_hit_rate(scraped(), scraped(a=good, b=cut))


def test_a_restart_shows_in_any_counter_of_the_server() -> None:
    """Red when prefix-cache counters that have regrown pass, although the server's other counters fell."""
    names = (*HITS["vLLM"], "vllm:request_success_total")
    before, after = page(*names, values=(100, 50, 40)), page(*names, values=(120, 70, 3))
    with pytest.raises(ValueError, match=r"vllm:request_success_total\{.*\} of a fell by 37: a server restarted"):
        counter_hit_rate(scraped(a=before), scraped(a=after))
    hits = page(*names, values=(110, 90, 41))
    with pytest.raises(ValueError, match="a: prefix-cache hits grew by 40, queries by 10"):
        counter_hit_rate(scraped(a=before), scraped(a=hits))


FINISHED: dict[str, tuple[str, float | None]] = {
    "vLLM": (page("vllm:request_success_total", values=(5,)), 5),
    "vLLM by reason": (
        "".join(page("vllm:request_success_total", labels=f'reason="{n}"', values=(2,)) for n in ("stop", "length")),
        4,
    ),
    "vLLM before its first": (page("vllm:num_requests_running", values=(0,)), 0),
    "simulator": (page("vllm:request_success", values=(5,)), 5),
    "SGLang": (page("sglang:num_requests_total", values=(5,)), 5),
    "SGLang before its first": (page("sglang:num_running_reqs", values=(0,)), 0),
    "TensorRT-LLM": (page("trtllm_request_success_total", values=(5,)), 5),
    "TensorRT-LLM 1.0, NIM": (page("request_success_total", values=(5,)), 5),
    "Dynamo's TRT-LLM": (page("trtllm:request_success_total", "dynamo_component_requests_total", values=(5, 9)), 5),
    "Dynamo": (page("dynamo_component_requests_total", values=(5,)), 5),
    "Triton": (page("nv_inference_request_success", labels='model="other",version="1"', values=(5,)), 5),
    "Triton ensemble": (
        "".join(page("nv_inference_request_success", labels=f'model="{n}"', values=(v,)) for n, v in
                (("pre", 9), ("tensorrt_llm", 8), ("m", 7))),
        7,
    ),
    "Triton with vLLM behind it": (page("vllm:prompt_tokens_total", "nv_inference_request_success", values=(9, 5)), 5),
    "TGI": (page("tgi_request_success", values=(5,)), 5),
    "LMDeploy": (page("lmdeploy:request_success_total", values=(5,)), 5),
    "llama.cpp": (page("llamacpp:requests_processing", values=(5,)), None),
    "another service": (GO, None),
}  # fmt: skip


@pytest.mark.parametrize("engine", FINISHED)
def test_finished_requests_of_each_engine(engine: str) -> None:
    """Red when an engine's finished requests are counted under vLLM's name only, or twice."""
    text, expected = FINISHED[engine]
    samples = scraped(a=text)
    assert finished(samples, "m") == expected
    if expected:
        assert delta(scraped(), samples, "requests_succeeded") >= expected
    elif expected is None:
        assert missing(samples.names, "requests_succeeded")


def test_names_belong_to_one_engine_and_metric() -> None:
    """Red when a name was copied to the wrong line; a name is of one engine, and the first that has it is asked."""
    for engine in ENGINES:
        spelt = [one.names for metric, some in engine.metrics.items() if "cache" not in metric for one in some]
        assert len(spelt) == len(set(spelt)), engine.name
    assert [one.name for one in engines_of(["vllm:x", "nv_inference_count"])] == ["vLLM", "Triton"]
    assert named(["vllm:time_to_first_token_seconds_bucket"], "ttft") == (
        ("vllm:time_to_first_token_seconds",),
        "tokens",
    )
    assert "vllm:gpu_cache_usage_perc" in SERVER["kv_cache_usage"]


def test_servers_whose_restarts_stay_unseen_are_named() -> None:
    """Red when nobody hears that a restart could not have been seen; on servers of ours none goes unseen."""
    text = page(*HITS["vLLM"], values=(100, 60))
    told = text + page("process_start_time_seconds", labels="", values=(5,))
    after = scraped(a=text, b=told)
    assert restarts_untold(Outside({}, []), after) == ["a"] and restarts_untold(None, after) == []


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ({"vllm:num_requests_running": 3}, 3),
        ({"sglang:num_running_reqs": 3}, 3),
        ({"trtllm_num_requests_running": 3}, 3),
        ({"tgi_batch_current_size": 3}, 3),
        ({"llamacpp:requests_processing": 3}, 3),
        ({"nv_inference_request_success": 3}, None),
        ({"go_goroutines": 3}, None),
    ],
)
def test_requests_under_way_are_told_by_each_engine_or_not_at_all(
    rows: dict[str, float], expected: float | None
) -> None:
    """Red when an engine's name is not known, or one that does not tell, or is not known, counts as idle."""
    told: list[Manifest] = [
        {"source": "a", "at": 1, "name": name, "labels": {}, "value": value} for name, value in rows.items()
    ]
    assert running(Samples(told)) == expected
