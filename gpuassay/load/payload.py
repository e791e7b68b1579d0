"""What the JSON of an OpenAI-like server says: text, its end, usage, or an error in whatever form.

The shape that almost every event has is decoded by type, fast. Whatever does not fit is looked at again, slowly and
leniently: bytes that are no UTF-8, NaN, numbers as 3.0 or "3", lists where text is usual, null where a list is.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, cast

import msgspec

GOOD_ENDS = frozenset({
    "stop", "length", "tool_calls", "function_call",  # OpenAI
    "eos_token", "stop_sequence", "max_tokens", "end_turn", "tool_use",  # TGI, Anthropic behind a gateway
    "model_length", "tool_call", "eos", "complete", "completed", "stop_token", "max_length", "repetition",
})  # fmt: skip
"""Reasons that say that the answer is complete; whatever else a server says is no word of that."""

_NO_END = ("", "null", "none")
"""Servers are about that write these in place of null."""

_IDLE = frozenset({"ping", "pong", "heartbeat", "keepalive", "keep-alive", "keep_alive"})
_FAILED = frozenset({"error", "failed", "failure", "exception"})
_FINE = frozenset({"", "0", "200", "ok", "success", "none"})


class NotJson(ValueError):  # noqa: N818 - reads as what it is
    """It is not the JSON of an OpenAI-like server."""


class _Text(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: Any = None
    function_call: Any = None
    audio: Any = None

    def other(self) -> bool:
        """Whether there is output in it beside text."""
        return bool(self.refusal) or any(map(_holds_text, (self.tool_calls, self.function_call, self.audio)))


class Choice(msgspec.Struct):
    """One of the answers that a payload tells of."""

    index: int = 0
    text: str | None = None
    delta: _Text | None = None
    finish_reason: str | None = None
    message: _Text | None = None
    token_ids: Any = None
    usage: Usage | None = None
    error: Any = None

    def has_output(self) -> bool:
        """Whether there is output in it, text, tool calls or another: an empty role chunk has none."""
        said = self.delta
        return bool(self.text or (said and (said.content or said.reasoning_content or said.reasoning))) or self._other()

    def _other(self) -> bool:
        whole = self.message
        return bool(
            (self.delta and self.delta.other())
            or (whole and (whole.content or whole.reasoning_content or whole.reasoning or whole.other()))
            or self.token_ids
        )

    def end(self) -> str:
        """Why it ended, in lower case; "" while it has not."""
        reason = (self.finish_reason or "").strip().lower()
        return "" if reason in _NO_END else reason


class _Details(msgspec.Struct):
    cached_tokens: int | None = None


class Usage(msgspec.Struct):
    """What the server says that it counted; each by the names that are in use."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Details | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    input_tokens_details: _Details | None = None
    cached_tokens: int | None = None
    num_cached_tokens: int | None = None
    prompt_cache_hit_tokens: int | None = None
    cache_read_input_tokens: int | None = None

    @property
    def prompt(self) -> int | None:
        """Tokens of the prompt; None where it does not say, or says what cannot be: every prompt has some."""
        return _first_above(0, self.prompt_tokens, self.input_tokens)

    @property
    def output(self) -> int | None:
        """Tokens of the answer; None as `prompt`. An answer without text may have 0."""
        return _first_above(-1, self.completion_tokens, self.output_tokens)

    @property
    def cached(self) -> int | None:
        """Tokens of the prompt that came from a cache; None as `prompt`."""
        told = [one.cached_tokens for one in (self.prompt_tokens_details, self.input_tokens_details) if one]
        told += [self.cached_tokens, self.num_cached_tokens, self.prompt_cache_hit_tokens, self.cache_read_input_tokens]
        return _first_above(-1, *told)


class _Groq(msgspec.Struct):
    usage: Usage | None = None


class Payload(msgspec.Struct):
    """One event, or one whole answer."""

    choices: list[Choice] | None = None
    usage: Usage | None = None
    error: Any = None
    x_groq: _Groq | None = None

    def counted(self) -> Usage | None:
        """The usage, wherever it stands."""
        if self.usage is not None:
            return self.usage
        if self.x_groq is not None and self.x_groq.usage is not None:
            return self.x_groq.usage
        return next((one.usage for one in self.choices or () if one.usage is not None), None)


_decoder = msgspec.json.Decoder(Payload)
decode = _decoder.decode
"""The usual shape. Raises one of `UNUSUAL`."""

UNUSUAL = (msgspec.DecodeError, ValueError, RecursionError)


def idle(text: str) -> bool:
    """Whether an event's data says nothing, and only keeps the connection alive; an empty object says nothing, too."""
    bare = text.strip('"').strip()
    return bare in ("", "null", "{}", "[]", ":") or bare.strip("[]: ").lower() in _IDLE


def decode_unusual(data: bytes) -> Payload:
    """As `decode`, of any JSON object that tells the same in an unusual way. Raises NotJson with one line."""
    told = _object(data)
    choices = told.get("choices")
    if choices is not None and not isinstance(choices, list):
        raise NotJson(f"Expected `array`, got `{_kind(choices)}` - at `$.choices`")
    groq = told.get("x_groq")
    return Payload(
        choices=[_choice(one, place) for place, one in enumerate(cast("list[Any]", choices or []))],
        usage=_usage(told.get("usage")),
        error=told.get("error"),
        x_groq=_Groq(_usage(cast("dict[str, Any]", groq).get("usage"))) if isinstance(groq, dict) else None,
    )


def complaint(data: bytes) -> str:
    """The error that an object without choices tells of, in whatever form; "" if it tells of none.

    Forms: `{"error": ...}`, `{"object": "error", ...}` (vLLM), `{"detail": ...}` (FastAPI), `{"message", "code"}`
    (gateways), `{"type": "error"}`, `{"errors": [...]}`, `{"error_code": ..., "text": ...}` (FastChat), and RFC 9457.
    """
    try:
        told = _object(data)
    except NotJson:
        return ""
    if said := error_words(told.get("error")):
        return said
    whole = json.dumps(told, ensure_ascii=False, default=str)
    if any(_holds(told.get(name)) for name in ("errors", "error_code", "error_msg", "error_message", "exception")):
        return whole
    if any(str(told.get(name)).lower() in _FAILED for name in ("object", "type", "status", "event", "level")):
        return whole
    code = told.get("code", told.get("status"))
    if told.get("success") is False or (isinstance(code, int) and code >= 400):
        return whole
    if str(code).lower() in _FINE and code is not None:
        return ""
    words = [told.get(name) for name in ("message", "msg", "reason")]
    if _holds(told.get("detail")) or any(isinstance(one, str) and one.lower() not in _FINE for one in words):
        return whole
    return ""


def error_words(error: object) -> str:
    """What the value of a field `error` says; "" if that there is none, as null, "", {} and false do."""
    if not _holds(error):
        return ""
    return error if isinstance(error, str) else json.dumps(error, ensure_ascii=False, default=str)


def several(data: bytes) -> bool:
    """Whether data is several events that no blank line separates: each of its lines is one by itself."""
    lines = data.split(b"\n")
    return len(lines) > 1 and all(line.strip() == b"[DONE]" or _is_object(line) for line in lines if line.strip())


def _is_object(line: bytes) -> bool:
    try:
        _object(line)
    except NotJson:
        return False
    return True


def _object(data: bytes) -> dict[str, Any]:
    try:
        told: object = json.loads(data.decode(errors="replace"))
    except RecursionError:
        raise NotJson("JSON is nested too deeply") from None
    except ValueError as why:
        raise NotJson(f"not JSON: {why}") from None
    if not isinstance(told, dict):
        raise NotJson(f"Expected `object`, got `{_kind(told)}`")
    return cast("dict[str, Any]", told)


def _kind(told: object) -> str:
    """What JSON calls it."""
    if told is None:
        return "null"
    names = ((dict, "object"), (list, "array"), (str, "str"), (bool, "bool"))
    return next((name for kind, name in names if isinstance(told, kind)), "number")


def _choice(told: object, place: int) -> Choice:
    if not isinstance(told, dict):
        raise NotJson(f"Expected `object`, got `{_kind(told)}` - at `$.choices[{place}]`")
    one = cast("dict[str, Any]", told)
    reason = one.get("finish_reason")
    if isinstance(reason, dict):  # SGLang's own form: {"type": "abort", "message": ...}
        reason = cast("dict[str, Any]", reason).get("type")
    return Choice(
        index=_whole(one.get("index")) or 0,
        text=_words(one.get("text")),
        delta=_text(one.get("delta")),
        finish_reason=str(reason) if reason else None,
        message=_text(one.get("message")),
        token_ids=one.get("token_ids"),
        usage=_usage(one.get("usage")),
        error=one.get("error"),
    )


def _text(told: object) -> _Text | None:
    if not isinstance(told, dict):
        return _Text(content=told) if isinstance(told, str) else None
    one = cast("dict[str, Any]", told)
    return _Text(
        content=_words(one.get("content")),
        reasoning_content=_words(one.get("reasoning_content")),
        reasoning=_words(one.get("reasoning")),
        refusal=_words(one.get("refusal")),
        tool_calls=one.get("tool_calls"),
        function_call=one.get("function_call"),
        audio=one.get("audio"),
    )


def _words(told: object) -> str | None:
    """Text, also where it comes as a list of parts or as a number; only whether there is any counts."""
    if isinstance(told, str):
        return told
    number = isinstance(told, int | float) and not isinstance(told, bool)
    return "..." if number or _holds_text(told) else None


def _holds_text(told: object) -> bool:
    """Whether there is a text within, other than a name that only says what something is."""
    if isinstance(told, str):
        return bool(told)
    if isinstance(told, Mapping):
        members = cast("Mapping[str, object]", told).items()
        return any(_holds_text(value) for name, value in members if name not in ("id", "type", "role", "format"))
    return isinstance(told, list) and any(map(_holds_text, cast("list[object]", told)))


def _holds(told: object) -> bool:
    """Whether it says anything: null, false, "", {} and a map of such do not."""
    if isinstance(told, Mapping):
        return any(map(_holds, cast("Mapping[str, object]", told).values()))
    return bool(told)


def _usage(told: object) -> Usage | None:
    if not isinstance(told, dict):
        return None
    one = cast("dict[str, Any]", told)
    found: dict[str, Any] = {}
    for name in Usage.__struct_fields__:
        value = one.get(name)
        if name.endswith("_details"):
            inner = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
            found[name] = {"cached_tokens": _whole(inner.get("cached_tokens"))}
        else:
            found[name] = _whole(value)
    return msgspec.convert(found, Usage)


def _whole(told: object) -> int | None:
    """A whole number, also written as 3.0 or "3"; None for anything else."""
    if isinstance(told, bool):
        return None
    if isinstance(told, str):
        try:
            told = float(told)
        except ValueError:
            return None
    if isinstance(told, float):
        return int(told) if math.isfinite(told) and told.is_integer() else None
    return told if isinstance(told, int) else None


def _first_above(least: int, *values: int | None) -> int | None:
    return next((one for one in values if one is not None and least < one < 1 << 53), None)
