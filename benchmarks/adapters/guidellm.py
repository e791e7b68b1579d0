"""GuideLLM: a plan as its configuration, and its report as rows of ours.

Its report has no time of any event but the first and the last with text: ITL is the mean of each request, and there
are no gaps to pool. Its exit code is 0 whatever failed, and it ends early, without a word but a note in its scheduler's
state, when its data has fewer prompts than it shall send: counts decide here, nothing else.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.adapters.prompts import prompt_of
from benchmarks.adapters.tool import Ran, Tool, result_of, run_tool
from gpuassay.load.errors import CountsDoNotClose, LoadError
from gpuassay.load.plan import CHAT_COMPLETIONS, COMPLETIONS, ClosedLoop, Plan, Poisson
from gpuassay.load.rows import LoadResult, Row

TOOL = Tool(
    name="guidellm",
    version="0.8.1",
    advice="install it into a virtual environment of its own: pip install guidellm==0.8.1 (about 6 GB, it needs torch)",
    lacks="gaps between events, response headers, the event loop's lag",
)
REPORT = 2
"""Version of the report's schema that is understood."""

EXHAUSTED = "requests_exhausted"
_STATUS = re.compile(r"'(\d{3}) ")


class _Timings(msgspec.Struct):
    resolve_start: float | None = None
    request_start: float | None = None
    first_token_iteration: float | None = None
    last_token_iteration: float | None = None
    request_end: float | None = None
    resolve_end: float | None = None


class _Info(msgspec.Struct):
    timings: _Timings
    error: str | None = None


class _Tokens(msgspec.Struct):
    text_tokens: int | None = None
    cached_tokens: int | None = None


class _Request(msgspec.Struct):
    request_id: str
    info: _Info
    input_metrics: _Tokens
    output_metrics: _Tokens
    response_id: str | None = None


class _Requests(msgspec.Struct):
    successful: list[_Request]
    errored: list[_Request]
    incomplete: list[_Request]


class _State(msgspec.Struct):
    end_queuing_constraints: dict[str, Any] = {}


class _Benchmark(msgspec.Struct):
    scheduler_state: _State
    requests: _Requests


class _Metadata(msgspec.Struct):
    version: int
    guidellm_version: str


class _Report(msgspec.Struct):
    metadata: _Metadata
    benchmarks: list[_Benchmark]


class _Versions(msgspec.Struct):
    metadata: _Metadata


def carry_out(
    plan: Plan, directory: Path, *, program: Path, realtime: bool = False, name: str = "guidellm"
) -> LoadResult:
    """Carry out `plan` by GuideLLM; leaves its configuration, data, report and log in `directory` (created).

    Raises:
        LoadError: the plan is none that it can carry out, it failed, or its report is not understood.
        CountsDoNotClose: it sent fewer or more requests than asked.
        gpuassay.waiting.WaitTimeout: it does not end.
    """
    directory.mkdir(parents=True, exist_ok=True)
    folder = directory.resolve()
    report = folder / f"{name}.report.json"
    report.unlink(missing_ok=True)
    data, config = folder / f"{name}.data.json", folder / f"{name}.config.json"
    data.write_bytes(msgspec.json.encode(data_of(plan)))
    config.write_bytes(msgspec.json.encode(configuration(plan, data, report)))
    command = [program, "run", "--config", config, "--disable-console"]
    ran = run_tool(name, command, plan, folder / f"{name}.log", cwd=folder, realtime=realtime)
    return read_report(report, plan, ran)


def data_of(plan: Plan) -> list[dict[str, object]]:
    """The plan's prompts in the order in which they are asked: one entry per request, as it never begins anew.

    Raises LoadError if a body is not one prompt and a number of tokens, or has its answer not streamed.
    """
    asked = [prompt_of(plan.bodies[ask.label], ask.label, TOOL.name) for ask in plan.asks]
    return [{"prompt": prompt, "output_tokens_count": tokens} for prompt, tokens in asked]


def configuration(plan: Plan, data: Path, report: Path) -> dict[str, object]:
    """The plan as GuideLLM's configuration file. Raises LoadError if it has no such shape or headers cannot be sent."""
    match plan.shape:
        case ClosedLoop(concurrency=streams):
            profile: dict[str, object] = {"kind": "concurrent", "streams": [streams]}
        case Poisson(rate=rate):
            profile = {"kind": "poisson", "rate": [rate]}
        case _:
            raise LoadError("guidellm plays no schedule of ours; use ClosedLoop, Poisson or our own generator")
    if plan.path not in (COMPLETIONS, CHAT_COMPLETIONS) or any(ask.headers for ask in plan.asks):
        raise LoadError("guidellm sends no headers of single requests, and to no other path than OpenAI's; use ours")
    backend: dict[str, object] = {
        "kind": "openai_http",
        "target": plan.url.rstrip("/"),
        "model": plan.model,
        "request_format": plan.path,
        "timeout": plan.timeout,
        "verify": plan.verify_tls,
        "validate_backend": plan.preflight,
    }
    return {
        "spec": {
            "backend": backend,
            "profile": profile,
            "constraints": [{"kind": "max_requests", "count": len(plan.asks)}],
            "data": [{"kind": "json_file", "path": str(data)}],
            "outputs": [{"kind": "json", "path": str(report)}],
            # texts of prompts and answers would make most of the report
            "metrics": {"kind": "generative", "sample_size": 0},
        }
    }


def read_report(path: Path, plan: Plan, ran: Ran) -> LoadResult:
    """GuideLLM's report as a load run of ours.

    Raises:
        LoadError: the file is missing, of another version, or not of the shape of 0.8.1.
        CountsDoNotClose: it has fewer or more requests than were asked.
    """
    try:
        text = path.read_bytes()
        found = msgspec.json.decode(text, type=_Versions).metadata
        TOOL.check_version(found.guidellm_version, str(path))
        if found.version != REPORT:
            raise LoadError(f"{path} has report schema {found.version}, this version reads {REPORT}")
        report = msgspec.json.decode(text, type=_Report)
    except OSError as error:
        raise LoadError(f"guidellm left no report {path}: {error.strerror}; see its log beside it") from None
    except (msgspec.DecodeError, ValueError) as error:
        raise LoadError(f"{path} is no report of guidellm {TOOL.version}: {error}") from None
    if len(report.benchmarks) != 1:
        raise LoadError(f"{path} holds {len(report.benchmarks)} benchmarks; one is asked for at a time")
    benchmark = report.benchmarks[0]
    by = benchmark.requests
    rows = [
        *(_row(one, "", ran) for one in by.successful),
        *(_row(one, _class_of(one.info.error), ran) for one in by.errored),
        *(_row(one, "interrupted", ran) for one in by.incomplete),
    ]
    try:
        return result_of(TOOL, plan, rows, ran)
    except CountsDoNotClose as error:
        if EXHAUSTED in benchmark.scheduler_state.end_queuing_constraints:
            raise CountsDoNotClose(f"{error}: it ran out of prompts ({EXHAUSTED})") from None
        raise


def _row(one: _Request, error: str, ran: Ran) -> Row:
    at = one.info.timings
    start, end = at.request_start or at.resolve_start, at.request_end or at.resolve_end
    if start is None or end is None:
        raise CountsDoNotClose(f"guidellm reports request {one.request_id} without its start or end")
    row = Row(index=0, label="", warm_up=False, request_id=one.response_id or one.request_id, error=error)
    row.start_ns, row.end_ns = ran.monotonic(start), ran.monotonic(end)
    if at.first_token_iteration is not None and at.last_token_iteration is not None:
        row.first_ns = ran.monotonic(at.first_token_iteration)
        row.last_ns = ran.monotonic(at.last_token_iteration)
    elif not error:
        row.error, row.detail = "empty", "guidellm saw no text in a stream that it calls successful"
    row.tokens = one.output_metrics.text_tokens
    row.tokens_from = "usage" if row.tokens is not None else ""
    row.prompt_tokens, row.cached_tokens = one.input_metrics.text_tokens, one.input_metrics.cached_tokens
    if error:
        row.detail = " ".join((one.info.error or "not completed").split())[:300]
        if error.startswith("http-"):
            row.status = int(error.removeprefix("http-"))
    return row


def _class_of(error: str | None) -> str:
    """Our class of a failure that GuideLLM tells in words."""
    words = error or ""
    if status := _STATUS.search(words):
        return f"http-{status[1]}"
    if "timeout" in words.lower():
        return "timeout"
    return "connect" if "connect" in words.lower() else "failed"
