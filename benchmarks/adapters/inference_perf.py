"""inference-perf: a plan as its configuration, and its per-request report as rows of ours.

Its report has the time of every event with text, so both definitions of ITL can be had from it. It wants a tokenizer
although the server counts: it gets one of ours that splits at blanks. Its exit code is 0 whatever failed.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.adapters.prompts import prompt_of
from benchmarks.adapters.tool import SECOND_NS, Ran, Tool, result_of, run_tool
from gpuassay.load.errors import LoadError
from gpuassay.load.plan import CHAT_COMPLETIONS, COMPLETIONS, ClosedLoop, Plan
from gpuassay.load.rows import LoadResult, Row

TOOL = Tool(
    name="inference-perf",
    version="0.7.0",
    advice="install it into a virtual environment of its own: pip install inference-perf==0.7.0 "
    "(about 0.8 GB, Python 3.12 or newer)",
    lacks="response headers, end of the answer apart from reading it, the event loop's lag",
)
_REPORT = "per_request_lifecycle_metrics.json"
_HTTP = "HTTP Error "


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Response(msgspec.Struct):
    chunk_times: list[float] = []
    response_chunks: list[str] = []
    server_usage: _Usage | None = None


class _Info(msgspec.Struct):
    response_metrics: _Response | None = None


class _Error(msgspec.Struct):
    error_type: str
    error_msg: str


class _Entry(msgspec.Struct):
    start_time: float
    end_time: float
    info: _Info
    error: _Error | None


class _Chunk(msgspec.Struct):
    id: str = ""


def carry_out(
    plan: Plan, directory: Path, *, program: Path, realtime: bool = False, name: str = "inference-perf"
) -> LoadResult:
    """Carry out `plan` by inference-perf; leaves configuration, data, tokenizer, report and log in `directory`.

    Raises:
        LoadError: the plan is none that it can carry out, the program is of another version, it failed, or its report
            is not understood.
        CountsDoNotClose: it sent fewer or more requests than asked.
        gpuassay.waiting.WaitTimeout: it does not end.
    """
    TOOL.check_version(version_of(program), str(program))
    folder = directory.resolve() / name
    folder.mkdir(parents=True, exist_ok=True)
    report = folder / "reports" / _REPORT
    report.unlink(missing_ok=True)
    (folder / "data.json").write_bytes(msgspec.json.encode(data_of(plan)))
    write_tokenizer(folder / "tokenizer")
    (folder / "config.json").write_bytes(msgspec.json.encode(configuration(plan, folder)))
    command = [program, "--config_file", folder / "config.json"]
    ran = run_tool(name, command, plan, folder / "log", cwd=folder, realtime=realtime)
    return read_report(report, plan, ran)


def version_of(program: Path) -> str:
    """The installed version, by the metadata beside the program. Raises LoadError if there is none."""
    for found in program.resolve().parent.parent.glob("lib/python*/site-packages/inference_perf-*.dist-info"):
        return found.name.removeprefix("inference_perf-").removesuffix(".dist-info")
    raise LoadError(f"{program}: no metadata of inference-perf beside it, so its version is unknown; {TOOL.advice}")


def data_of(plan: Plan) -> list[dict[str, object]]:
    """The plan's prompts as conversations of two turns, whose second is as many words as tokens are asked for.

    The first entry is a dummy: inference-perf reads it to see whether there is any.
    """
    prompts = [prompt_of(plan.bodies[ask.label], ask.label, TOOL.name) for ask in plan.asks]
    turns = [("dummy", 1), *prompts]
    return [
        {"conversations": [{"from": "human", "value": prompt}, {"from": "gpt", "value": " ".join(["word"] * tokens)}]}
        for prompt, tokens in turns
    ]


def configuration(plan: Plan, folder: Path) -> dict[str, object]:
    """The plan as inference-perf's configuration file. Raises LoadError if it has no such shape."""
    if not isinstance(plan.shape, ClosedLoop):
        raise LoadError("inference-perf is asked for closed loops only; use ClosedLoop or our own generator")
    if plan.path not in (COMPLETIONS, CHAT_COMPLETIONS) or any(ask.headers for ask in plan.asks):
        raise LoadError(
            "inference-perf sends no headers of single requests, and to no other path than OpenAI's; use ours"
        )
    fields = {"request": False, "response": False, "info": True, "response_chunks": True}
    return {
        "api": {"type": "completion" if plan.path == COMPLETIONS else "chat", "streaming": True},
        "data": {"type": "shareGPT", "path": str(folder / "data.json")},
        "load": {
            "type": "concurrent",
            "stages": [{"num_requests": len(plan.asks), "concurrency_level": plan.shape.concurrency}],
            "request_timeout": plan.timeout,
        },
        "server": {"type": "vllm", "model_name": plan.model, "base_url": plan.url.rstrip("/")},
        "tokenizer": {"pretrained_model_name_or_path": str(folder / "tokenizer")},
        "storage": {"local_storage": {"path": str(folder / "reports")}},
        "report": {"request_lifecycle": {"per_request": True, "per_request_fields": fields}},
    }


def write_tokenizer(folder: Path) -> None:
    """A tokenizer of one word, which every blank ends; only lengths are counted with it."""
    folder.mkdir(parents=True, exist_ok=True)
    model = {"type": "WordLevel", "vocab": {"[UNK]": 0, "word": 1}, "unk_token": "[UNK]"}
    tokenizer: dict[str, object] = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
        "pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": None, "decoder": None, "model": model,
    }  # fmt: skip
    (folder / "tokenizer.json").write_bytes(msgspec.json.encode(tokenizer))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "[UNK]"}
    (folder / "tokenizer_config.json").write_bytes(msgspec.json.encode(settings))


def read_report(path: Path, plan: Plan, ran: Ran) -> LoadResult:
    """inference-perf's per-request report as a load run of ours; its clock is ours (CLOCK_MONOTONIC).

    Raises:
        LoadError: the file is missing or not of the shape of 0.7.
        CountsDoNotClose: it has fewer or more requests than were asked, or their times are of another machine.
    """
    try:
        entries = msgspec.json.decode(path.read_bytes(), type=list[_Entry])
    except OSError as error:
        raise LoadError(f"inference-perf left no report {path}: {error.strerror}; see its log beside it") from None
    except (msgspec.DecodeError, ValueError) as error:
        raise LoadError(f"{path} is no per-request report of inference-perf {TOOL.version}: {error}") from None
    return result_of(TOOL, plan, [_row(entry) for entry in entries], ran)


def _row(entry: _Entry) -> Row:
    seen = entry.info.response_metrics or _Response()
    row = Row(index=0, label="", warm_up=False, request_id=_id_of(seen.response_chunks))
    row.start_ns, row.end_ns = _ns(entry.start_time), _ns(entry.end_time)
    if entry.error is not None:
        row.error, row.status = _class_of(entry.error)
        row.detail = " ".join(f"{entry.error.error_type}: {entry.error.error_msg}".split())[:300]
        return row
    if not seen.chunk_times:
        row.error, row.detail = "empty", "inference-perf saw no text in a stream that it calls successful"
        return row
    times = [_ns(time) for time in seen.chunk_times]
    row.first_ns, row.last_ns = times[0], times[-1]
    row.gaps_ns = [late - early for early, late in pairwise(times)]
    usage: Any = seen.server_usage
    if usage is not None and usage.completion_tokens is not None:
        row.tokens, row.tokens_from, row.prompt_tokens = usage.completion_tokens, "usage", usage.prompt_tokens
    else:
        row.tokens, row.tokens_from = len(times), "events"
    return row


def _ns(seconds: float) -> int:
    return round(seconds * SECOND_NS)


def _id_of(chunks: list[str]) -> str:
    """The id that the server gave its answer, "" if it gave none."""
    return msgspec.json.decode(chunks[0], type=_Chunk).id if chunks else ""


def _class_of(error: _Error) -> tuple[str, int | None]:
    kind = error.error_type
    if kind.startswith(_HTTP) and kind.removeprefix(_HTTP).isdigit():
        return f"http-{kind.removeprefix(_HTTP)}", int(kind.removeprefix(_HTTP))
    if "Timeout" in kind:
        return "timeout", None
    return ("connect" if "Connector" in kind else "failed"), None
