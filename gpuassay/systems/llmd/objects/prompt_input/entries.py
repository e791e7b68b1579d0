"""One entry of a file as prompts: under which names programs write prompts, chats, lengths and answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from gpuassay.systems.llmd.objects.prompt_input.chats import Turn, embedded, ended_by_its_owner, is_message, turns_of
from gpuassay.systems.llmd.objects.prompt_input.errors import BadEntry, Remarks, shown
from gpuassay.systems.llmd.objects.prompt_input.lengths import LENGTHS, length_of
from gpuassay.systems.llmd.objects.prompts import Prompt
from gpuassay.systems.llmd.objects.tokens import chat_text, count, readable

TEXT = (
    "prompt", "text", "transcript", "text_input", "texts", "user_prompt", "instruction", "question", "query", "input",
    "inputs", "content", "user_input", "problem", "transcription", "sentence", "article", "document", "user", "human",
)  # fmt: skip
"""Columns or keys that hold the prompt; the first one that is not empty counts. Sources: our own three; GuideLLM's and
inference-perf's columns; vLLM's, SGLang's and AIPerf's data sets; Alpaca, Dolly, GSM8K, SQuAD; TGI; speech corpora."""

MATTER = {name: ("input", "context") for name in ("instruction", "question", "query")}
"""What belongs to a prompt of this name: Alpaca's input, Dolly's and SQuAD's context."""

CHAT = ("messages", "conversations", "conversation", "dialog", "dialogue", "chat", "turns", "contents")
"""Columns or keys that hold a chat: OpenAI, ShareGPT, LMSYS and WildChat, DailyDialog, MT-Bench, Gemini."""

SYSTEM = ("system_prompt", "system", "system_message", "systeminstruction", "system_instruction")
"""What a chat begins with, beside it."""

REPLY = (
    "output", "response", "completion", "answer", "reply", "output_text", "generated_text", "highlights", "summary",
    "target", "assistant", "gpt", "chosen",
)  # fmt: skip
"""Columns or keys that hold an answer, whose length is asked for where no number tells it."""

LABEL = ("label", "custom_id")

KNOWN = frozenset({*TEXT, *CHAT, *SYSTEM, *REPLY, *LABEL, *LENGTHS, "prefix", "context", "history"})
"""Names that decide what is asked: none may stand twice."""

_LENGTHS_ONLY = (
    "input_length", "hash_ids", "contexttokens", "context_tokens", "request tokens", "num_prefill_tokens",
    "prompt_tokens", "input_tokens", "input_len", "prompt_len", "prompt_tokens_count", "input_tokens_count",
)  # fmt: skip
"""Keys of a recorded trace without text: Mooncake, Azure, BurstGPT, Vidur."""

_SHOWN = ("image", "images", "image_url", "image_urls", "video", "videos", "audio", "audios", "input_audio")
_SPOKEN = ("transcript", "transcription", "sentence", "text")
"""A recording's words: there the sound is where they come from, not what is asked."""

_SENT = frozenset({
    "model", "messages", "prompt", "stream", "stream_options", "store", "metadata", "user", "n", "max_tokens",
    "max_completion_tokens", "system", "ignore_eos",
})  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """A value of a file: where it stands ("line 3"), how it is called for want of a label, and what it is."""

    where: str
    label: str
    value: object


@dataclass(frozen=True)
class Draft:
    """A prompt, and whether its label is the file's: a name, or only a number (which data sets use for classes)."""

    prompt: Prompt
    fallback: str
    numbered: bool = False
    named: bool = False


def drafts_of(entry: Entry, remarks: Remarks) -> Iterator[Draft]:
    """The prompts of an entry: one, but for a list of texts, which is as many.

    Raises:
        BadEntry: it has none, or holds what cannot be asked.
    """
    try:
        yield from _drafts(entry, remarks)
    except BadEntry as error:
        raise error if error.where else BadEntry(entry.where, str(error)) from error


def _drafts(entry: Entry, remarks: Remarks) -> Iterator[Draft]:
    fields = _fields(entry.value, remarks)
    label = next((fields[name] for name in LABEL if _there(fields.get(name))), None)
    if isinstance(label, bool | list | dict | float):
        label = None
    asked, answer = length_of(fields), 0
    chat = next((name for name in CHAT if _holds_a_chat(fields.get(name))), None)
    key = _text_key(fields)
    turns: list[Turn] | None = None
    texts: list[str] = []
    if chat is not None:
        turns = turns_of(chat, fields[chat], remarks)
        if not turns and chat != "messages":
            remarks.add("left out: a conversation without a turn of a user")
            return
        if turns and turns[0].alone:
            turns, texts = None, [turns[0].text]
    elif key is not None:
        given = embedded(fields[key])
        if _holds_a_chat(given) and any(is_message(one) for one in cast("list[object]", given)):
            turns = turns_of(key, given, remarks)
        else:
            texts = _texts(key, given, fields)
    else:
        raise BadEntry(entry.where, nothing_asked(fields))
    _refuse_pictures(fields, key if chat is None else chat)
    if turns is not None:
        turns, answer = ended_by_its_owner(chat or str(key), turns)
        if not any(one.role in ("user", "tool", "function") for one in turns) and chat not in (None, "messages"):
            remarks.add("left out: a conversation without a turn of a user")
            return
    system = next((_system(name, fields[name]) for name in SYSTEM if _there(fields.get(name))), None)
    wanted = asked or answer or _reply(fields, entry)
    if turns is None and (system or fields.get("history")):
        turns = [*_history(fields), Turn("user", texts[0])]
    name = str(label) if label is not None else entry.label
    if turns is not None:
        if system and turns[0].role not in ("system", "developer"):
            turns.insert(0, Turn("system", system))
        yield _draft(entry, name, label, _chat_prompt(name, turns, wanted))
        return
    for place, text in enumerate(texts, start=1):
        one = name if len(texts) == 1 else f"{name}.{place}"
        yield _draft(entry, one, label, Prompt(one, text, count(readable(text)), max_tokens=wanted))


def _draft(entry: Entry, name: str, label: object, prompt: Prompt) -> Draft:
    for what, text in (("label", prompt.label), ("prompt", prompt.text)):
        try:
            text.encode()
        except UnicodeEncodeError as error:
            half = text[error.start].encode(errors="backslashreplace").decode()
            said = f"{what} holds half a character ({half}): its text was cut inside one; repair or remove the entry"
            raise BadEntry(entry.where, said) from None
    if not prompt.tokens:
        raise BadEntry(entry.where, "prompt holds no letter, digit or sign")
    numbered = str(label).lstrip("-").isdigit()
    fallback = entry.label + name.removeprefix(str(label)) if label is not None else name
    return Draft(prompt, fallback, numbered=label is not None and numbered, named=label is not None)


def _chat_prompt(label: str, turns: list[Turn], wanted: int | None) -> Prompt:
    messages = tuple((one.role, one.shown) for one in turns)
    text = chat_text(messages)
    chat = tuple(one.posted() for one in turns)
    return Prompt(label, text, count(readable(text)), messages=messages, max_tokens=wanted, chat=chat)


# --- the fields of an entry ------------------------------------------------------------------------------------------


def _fields(value: object, remarks: Remarks) -> dict[str, Any]:
    """An entry's keys in lower case, without the envelopes that programs put around them."""
    if isinstance(value, str):
        return {"prompt": value}
    if isinstance(value, list):
        items = cast("list[object]", value)
        if items and all(is_message(one) for one in items):
            return {"messages": items}
    if not isinstance(value, dict):
        raise BadEntry("", f"a JSON object is wanted, not {type(cast('object', value)).__name__}")
    fields = _lowered(cast("dict[str, Any]", value))
    inner = next((name for name in ("row", "body", "params", "payload", "request") if _inside(fields, name)), None)
    if inner is None:
        _note_unsent(fields, remarks, only=("tools", "functions"))
        return fields
    _check_batch(fields)
    body = _lowered(cast("dict[str, Any]", _inside(fields, inner)))
    if inner != "row":
        _note_unsent(body, remarks)
    return body | {name: fields[name] for name in LABEL if name in fields}


def _inside(fields: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    """The request or row that stands in an envelope: of the batch APIs, of data set viewers, of genai-perf."""
    given = fields.get(name)
    if isinstance(given, list) and len(cast("list[object]", given)) == 1:
        given = cast("list[object]", given)[0]
    return cast("dict[str, Any]", given) if isinstance(given, dict) else None


def _lowered(fields: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in fields.items():
        key = str(name).strip().lower()
        if key in found and key in KNOWN:
            raise BadEntry("", f"key {key!r} stands twice, in capitals and not: which one counts cannot be told")
        found[key] = value
    return found


def _check_batch(fields: Mapping[str, Any]) -> None:
    url, method = fields.get("url"), fields.get("method")
    if url is not None and not str(url).rstrip("/").endswith(("/chat/completions", "/v1/completions")):
        raise BadEntry("", f"a request to {url}: only /v1/chat/completions and /v1/completions are asked")
    if method is not None and str(method).upper() != "POST":
        raise BadEntry("", f"a request with method {method}: only POST is sent")


def _note_unsent(body: Mapping[str, Any], remarks: Remarks, only: tuple[str, ...] = ()) -> None:
    for name in body:
        if name in only or (not only and name not in _SENT and name not in LENGTHS and name not in (*TEXT, *CHAT)):
            remarks.add(f"its {name!r} is not sent: prompts and their lengths are taken, nothing else")


def _there(value: object) -> bool:
    """Whether a field says something: null, NaN and blank text are how programs write that it does not."""
    if value is None or (isinstance(value, float) and value != value):
        return False
    return not (isinstance(value, str) and not value.strip())


def _text_key(fields: Mapping[str, Any]) -> str | None:
    there = [name for name in TEXT if name in fields]
    return next((name for name in there if _there(fields[name])), there[0] if there else None)


def _holds_a_chat(value: object) -> bool:
    return isinstance(value, list) or isinstance(embedded(value), list)


def nothing_asked(fields: Mapping[str, Any]) -> str:
    """Why there is no prompt among these fields."""
    if any(name in fields for name in _LENGTHS_ONLY):
        return "lengths without text, as recorded traces have them: there is nothing to ask; give a file with the texts"
    if {"response", "error", "custom_id"} <= fields.keys():
        return "an answer of the batch API, not a request; give the file that was sent"
    empty = next((name for name in CHAT if name in fields), None)
    if empty is not None and fields[empty] is not None:
        return f"{empty} must be a list with at least one message"
    there = ", ".join(name for name in fields if name) or "none"
    return f"no {', '.join(TEXT[:3])} or {CHAT[0]}; there are {there[:300]}"


def _texts(key: str, given: object, fields: Mapping[str, Any]) -> list[str]:
    if isinstance(given, list) and given:
        items = cast("list[object]", given)
        if all(isinstance(one, int | list) for one in items):
            raise BadEntry("", f"{key} is a list of token ids; text is needed, for other models have other tokens")
        texts = [_text(key, one) for one in items]
    else:
        texts = [_text(key, cast("object", given))]
    matter = next((fields[name] for name in MATTER.get(key, ()) if _there(fields.get(name))), None)
    prefix = fields.get("prefix")
    for place, text in enumerate(texts):
        whole = f"{text}\n\n{matter}" if isinstance(matter, str) else text
        texts[place] = f"{prefix} {whole}" if isinstance(prefix, str) and prefix.strip() else whole
    return texts


def _text(key: str, given: object) -> str:
    if not isinstance(given, str):
        raise BadEntry("", f"{key} is {'empty' if not _there(given) or given == [] else 'not text'}")
    if not given.strip():
        raise BadEntry("", f"{key} is empty")
    return given


def _system(name: str, given: object) -> str:
    if isinstance(given, str):
        return given
    parts = cast("dict[str, Any]", given).get("parts") if isinstance(given, dict) else given
    found = [
        str(cast("dict[str, Any]", one)["text"])
        for one in (cast("list[object]", parts) if isinstance(parts, list) else [])
        if isinstance(one, dict) and "text" in one
    ]
    if not found:
        raise BadEntry("", f"{name} is not text")
    return "\n".join(found)


def _history(fields: Mapping[str, Any]) -> list[Turn]:
    """Earlier turns beside a prompt, as pairs of question and answer (LLaMA-Factory)."""
    given = fields.get("history")
    if not _there(given) or given == []:
        return []
    found: list[Turn] = []
    for pair in cast("list[object]", given) if isinstance(given, list) else [given]:
        texts = cast("list[object]", pair) if isinstance(pair, list) else []
        if len(texts) != 2 or not all(isinstance(one, str) for one in texts):
            raise BadEntry("", f"history is not a list of pairs of question and answer: {shown(cast('object', pair))}")
        found += [Turn("user", str(texts[0])), Turn("assistant", str(texts[1]))]
    return found


def _refuse_pictures(fields: Mapping[str, Any], key: str | None) -> None:
    for name in _SHOWN:
        if _there(fields.get(name)) and fields[name] not in ([], {}):
            if name.startswith("audio") and key in _SPOKEN:
                continue
            raise BadEntry("", f"{name}: only text is sent; remove the entry, or its {name} if its text stands alone")


def _reply(fields: Mapping[str, Any], entry: Entry) -> int | None:
    """Tokens of the answer that stands beside a prompt; None where there is none."""
    for name in REPLY:
        given = fields.get(name)
        if isinstance(given, list):
            said = [
                cast("dict[str, Any]", one).get("content") for one in cast("list[object]", given) if is_message(one)
            ]
            given = "\n".join(one for one in said if isinstance(one, str))
        if isinstance(given, str) and given.strip():
            return count(readable(given)) or None
    return None
