"""inference-perf's per-request report as rows of ours, told by small reports of our own making."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.adapters.inference_perf import TOOL as INFERENCE_PERF
from benchmarks.adapters.inference_perf import configuration, data_of, read_report, version_of
from gpuassay.load.errors import CountsDoNotClose, LoadError
from gpuassay.load.figures import figures
from gpuassay.load.plan import Ask, Poisson
from tests.load.test_guidellm import RAN, plan


def entry(number: int, *, error: dict[str, str] | None = None, times: tuple[float, ...] = (0.02, 0.03, 0.07)) -> Any:
    """A request that starts `number` s after the run and sees text at `times`, s after its start."""
    start = 5 + number
    chunk = json.dumps({"id": f"echo-{number}", "choices": [{"text": "word"}]})
    seen = {
        "chunk_times": [start + time for time in times],
        "response_chunks": [chunk] * len(times),
        "server_usage": {"prompt_tokens": 10, "completion_tokens": 5},
    }
    return {
        "start_time": start,
        "end_time": start + 0.08,
        "info": {"response_metrics": None if error else seen, "input_tokens": 10},
        "error": error,
    }


def report(folder: Path, *entries: Any) -> Path:
    path = folder / "per_request.json"
    path.write_text(json.dumps(entries))
    return path


def test_rows_of_a_report_are_judged_like_ours_gaps_included(tmp_path: Path) -> None:
    # red when: a time is taken for another, or tokens are counted by events although the server told
    result = read_report(report(tmp_path, entry(2), entry(0), entry(1)), plan(), RAN)
    assert [row.request_id for row in result.rows] == ["echo-0", "echo-1", "echo-2"]
    assert result.rows[0].start_ns == RAN.started_ns
    seen = figures(result)
    assert (seen.asked, seen.ok, seen.warm_up) == (2, 2, 1)
    assert seen.ttft is not None and seen.itl_mean is not None and seen.itl_gaps is not None and seen.e2e is not None
    assert seen.ttft.p50 == pytest.approx(20, abs=0.001)
    assert seen.itl_mean.p50 == pytest.approx(50 / 4, abs=0.001)
    assert seen.itl_gaps.most == pytest.approx(40, abs=0.001) and seen.itl_gaps.n == 4
    assert seen.e2e.p50 == pytest.approx(80, abs=0.001)


def test_failures_that_it_ends_well_with_are_failed_rows(tmp_path: Path) -> None:
    # red when: exit code 0 is taken for answers
    bad = {"error_type": "HTTP Error 503", "error_msg": "busy"}
    lost = {"error_type": "ClientConnectorError", "error_msg": "refused"}
    late = {"error_type": "TimeoutError", "error_msg": "Request timed out"}
    entries = [entry(0, error=bad), entry(1, error=lost), entry(2, error=late), entry(3, times=())]
    result = read_report(report(tmp_path, *entries), plan(4), RAN)
    assert [row.error for row in result.rows] == ["http-503", "connect", "timeout", "empty"]
    assert result.rows[0].status == 503
    assert (result.tail.asked, result.tail.ok, result.tail.failed) == (4, 0, 4)


def test_lost_requests_and_other_shapes_are_refused_with_one_line(tmp_path: Path) -> None:
    # red when: half a run, or another version's fields, are judged
    with pytest.raises(CountsDoNotClose, match="asked for 3 requests and reports 2"):
        read_report(report(tmp_path, entry(0), entry(1)), plan(), RAN)
    other = entry(0)
    del other["start_time"]
    with pytest.raises(LoadError, match=r"no per-request report of inference-perf 0\.7\.0: .*start_time") as caught:
        read_report(report(tmp_path, other), plan(1, warm_up=0), RAN)
    assert "\n" not in str(caught.value)
    with pytest.raises(LoadError, match="left no report"):
        read_report(tmp_path / "none.json", plan(), RAN)


def test_the_version_is_read_beside_the_program(tmp_path: Path) -> None:
    # red when: a version that was never looked at is run
    program = tmp_path / "bin" / "inference-perf"
    program.parent.mkdir()
    program.touch()
    with pytest.raises(LoadError, match="its version is unknown"):
        version_of(program)
    (tmp_path / "lib" / "python3.12" / "site-packages" / "inference_perf-0.9.1.dist-info").mkdir(parents=True)
    with pytest.raises(LoadError, match=r"is by inference-perf 0\.9\.1; this version reads reports of 0\.7\.0"):
        INFERENCE_PERF.check_version(version_of(program), "it")


def test_a_dummy_comes_before_the_prompts_and_answers_have_as_many_words_as_tokens(tmp_path: Path) -> None:
    # red when: the first prompt is lost to inference-perf's look whether there is any
    entries: list[Any] = list(data_of(plan()))
    said = [[turn["value"] for turn in entry["conversations"]] for entry in entries]
    assert said == [["dummy", "word"], *[["a prompt", "word word word word"]] * 3]
    spec: Any = configuration(plan(), tmp_path)
    assert spec["load"]["stages"] == [{"num_requests": 3, "concurrency_level": 2}]
    with pytest.raises(LoadError, match="closed loops only"):
        configuration(plan(shape=Poisson(5, seed=1)), tmp_path)
    with pytest.raises(LoadError, match="no headers of single requests"):
        configuration(plan(asks=(Ask("p", headers={"x": "y"}),) * 3), tmp_path)
