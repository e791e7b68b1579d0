"""GuideLLM's report as rows of ours, told by small reports of our own making."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.adapters.guidellm import TOOL as GUIDELLM
from benchmarks.adapters.guidellm import configuration, data_of, read_report
from benchmarks.adapters.tool import Ran, Tool, ToolMissing
from gpuassay.load.errors import CountsDoNotClose, LoadError
from gpuassay.load.figures import figures
from gpuassay.load.plan import Ask, ClosedLoop, Plan, Poisson, Schedule, chat_body, completion_body

WALL = 1_800_000_000
RAN = Ran(started_ns=5_000_000_000, wall_ns=WALL * 10**9, ended_ns=9_000_000_000)


def plan(count: int = 3, **more: Any) -> Plan:
    settings: dict[str, Any] = {
        "url": "http://127.0.0.1:1",
        "model": "m",
        "bodies": {"p": completion_body("a prompt", 4)},
        "asks": (Ask("p"),) * count,
        "shape": ClosedLoop(2),
        "warm_up": 1,
    }
    return Plan(**{**settings, **more})


def request(number: int, *, error: str | None = None, first: float | None = 0.02) -> dict[str, Any]:
    """A request that starts `number` s after the run, sees text after `first` s and three more tokens at 10 ms."""
    start = WALL + number
    tokens = None if first is None else {"first_token_iteration": start + first, "last_token_iteration": start + 0.05}
    timings = {"resolve_start": start - 1, "request_start": start, "request_end": start + 0.06, **(tokens or {})}
    return {
        "request_id": f"own-{number}",
        "response_id": None if error else f"echo-{number}",
        "info": {"timings": timings, "error": error, "status": "errored" if error else "completed"},
        "input_metrics": {"text_tokens": 10, "cached_tokens": 5},
        "output_metrics": {"text_tokens": 4},
    }


def report(folder: Path, **change: Any) -> Path:
    """A report of three answered requests, or as `change` has it."""
    requests = {"successful": [request(2), request(0), request(1)], "errored": [], "incomplete": []}
    document: dict[str, Any] = {
        "metadata": {"version": 2, "guidellm_version": "0.8.1"},
        "benchmarks": [
            {
                "scheduler_state": {"end_queuing_constraints": change.pop("ended", {})},
                "requests": {**requests, **change.pop("requests", {})},
            }
        ],
    }
    path = folder / "report.json"
    path.write_text(json.dumps({**document, **change}))
    return path


def test_rows_of_a_report_are_judged_like_ours(tmp_path: Path) -> None:
    # red when: a time of GuideLLM is taken for another, or rows are not in the order in which they started
    result = read_report(report(tmp_path), plan(), RAN)
    assert [row.request_id for row in result.rows] == ["echo-0", "echo-1", "echo-2"]
    assert [row.warm_up for row in result.rows] == [True, False, False]
    assert result.rows[1].start_ns == 6_000_000_000
    seen = figures(result)
    assert (seen.asked, seen.ok, seen.failed, seen.warm_up) == (2, 2, 0, 1)
    assert seen.ttft is not None and seen.itl_mean is not None and seen.e2e is not None
    assert seen.ttft.p50 == pytest.approx(20, abs=0.001)
    assert seen.itl_mean.p50 == pytest.approx(10, abs=0.001)
    assert seen.e2e.p50 == pytest.approx(60, abs=0.001)
    assert seen.hit_rate == 0.5


def test_pooled_gaps_are_absent_and_named_so(tmp_path: Path) -> None:
    # red when: gaps are made up from the mean of a request
    result = read_report(report(tmp_path), plan(), RAN)
    assert figures(result).itl_gaps is None
    assert "does not tell: gaps between events" in result.head.generator


def test_failures_that_guidellm_ends_well_with_are_failed_rows(tmp_path: Path) -> None:
    # red when: exit code 0 is taken for answers
    errors = {
        "successful": [request(0)],
        "errored": [request(1, error="Server error '503 Service Unavailable' for url 'http://x'", first=None)],
        "incomplete": [request(2, error=None, first=None)],
    }
    result = read_report(report(tmp_path, requests=errors), plan(), RAN)
    assert [(row.error, row.status) for row in result.rows] == [("", None), ("http-503", 503), ("interrupted", None)]
    assert (result.tail.asked, result.tail.ok, result.tail.failed) == (3, 1, 2)


def test_a_success_without_text_is_empty(tmp_path: Path) -> None:
    found = {"successful": [request(0), request(1), request(2, first=None)]}
    assert read_report(report(tmp_path, requests=found), plan(), RAN).rows[2].error == "empty"


def test_counts_that_do_not_close_are_refused_and_exhausted_prompts_named(tmp_path: Path) -> None:
    # red when: a run that ended silently after a part of its requests is judged as if it were whole
    with pytest.raises(CountsDoNotClose, match=r"asked for 4 requests and reports 3$"):
        read_report(report(tmp_path), plan(4), RAN)
    with pytest.raises(CountsDoNotClose, match="reports 3: it ran out of prompts"):
        read_report(report(tmp_path, ended={"requests_exhausted": {}}), plan(100), RAN)


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({"version": 2, "guidellm_version": "0.9.0"}, r"is by guidellm 0\.9\.0.*install guidellm==0\.8\.1"),
        ({"version": 3, "guidellm_version": "0.8.2"}, "report schema 3, this version reads 2"),
        ({"guidellm_version": "0.8.1"}, r"is no report of guidellm 0\.8\.1: .*version"),
        ({}, "is no report of guidellm"),
    ],
)
def test_another_versions_shape_is_refused_with_one_line(tmp_path: Path, metadata: dict[str, Any], words: str) -> None:
    # red when: fields of another version are read as if they meant the same
    with pytest.raises(LoadError, match=words) as caught:
        read_report(report(tmp_path, metadata=metadata), plan(), RAN)
    assert "\n" not in str(caught.value)


def test_a_report_that_lacks_what_we_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match=r"is no report of guidellm 0\.8\.1: .*scheduler_state"):
        read_report(report(tmp_path, benchmarks=[{}]), plan(), RAN)
    with pytest.raises(LoadError, match="holds 0 benchmarks"):
        read_report(report(tmp_path, benchmarks=[]), plan(), RAN)
    with pytest.raises(LoadError, match="left no report"):
        read_report(tmp_path / "none.json", plan(), RAN)


def test_prompts_are_repeated_as_often_as_they_are_asked() -> None:
    # red when: 32 prompts asked 8 times are 32 rows of data: GuideLLM ends after them
    bodies = {"a": completion_body("A", 4), "b": chat_body("B", 5)}
    asked = plan(bodies=bodies, asks=(Ask("a"), Ask("b"), Ask("a")))
    assert [entry["prompt"] for entry in data_of(asked)] == ["A", "B", "A"]
    assert data_of(asked)[1]["output_tokens_count"] == 5


def test_a_plan_that_guidellm_cannot_carry_out_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="one streamed prompt"):
        data_of(plan(bodies={"p": completion_body("a", 4, stream=False)}))
    with pytest.raises(LoadError, match="no schedule"):
        configuration(plan(shape=Schedule((0, 1, 2))), tmp_path, tmp_path)
    with pytest.raises(LoadError, match="no headers of single requests"):
        configuration(plan(asks=(Ask("p", headers={"x": "y"}),) * 3), tmp_path, tmp_path)
    spec: Any = configuration(plan(shape=Poisson(5, seed=1)), tmp_path, tmp_path)["spec"]
    assert spec["profile"] == {"kind": "poisson", "rate": [5]}
    assert spec["constraints"] == [{"kind": "max_requests", "count": 3}]


def test_a_missing_tool_says_how_it_is_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # red when: a folder without the program is taken for an installation
    tool = Tool("guidellm-of-nobody", "1.0", "install it", "nothing")
    monkeypatch.delenv("GPUASSAY_ASSET_GUIDELLM_OF_NOBODY", raising=False)
    with pytest.raises(ToolMissing, match=r"not on PATH; install it, then .*--asset guidellm-of-nobody=DIR"):
        tool.find()
    with pytest.raises(ToolMissing, match="holds no program"):
        tool.find(tmp_path)
    program = tmp_path / "bin" / tool.name
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert tool.find(tmp_path) == program
    monkeypatch.setenv("GPUASSAY_ASSET_GUIDELLM_OF_NOBODY", str(tmp_path))
    assert tool.find() == program
    assert "pip install guidellm==0.8.1" in GUIDELLM.advice
