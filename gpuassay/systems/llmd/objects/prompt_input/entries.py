"""One entry of a file as prompts: its text or chat, its label, and how long its answer is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from gpuassay.systems.llmd.objects.prompt_input.chats import Turn, embedded, ended_by_its_owner, is_message, turns_of
from gpuassay.systems.llmd.objects.prompt_input.errors import BadEntry, Remarks, shown
from gpuassay.systems.llmd.objects.prompt_input.fields import (
    CHAT,
    LABEL,
    MATTER,
    REPLY,
    SYSTEM,
    TEXT,
    fields_of,
    nothing_asked,
    there,
)
from gpuassay.systems.llmd.objects.prompt_input.lengths import length_of
from gpuassay.systems.llmd.objects.prompts import Prompt
from gpuassay.systems.llmd.objects.tokens import chat_text, count, readable

_SHOWN = ("image", "images", "image_url", "image_urls", "video", "videos", "audio", "audios", "input_audio")
_SPOKEN = ("transcript", "transcription", "sentence", "text")
"""A recording's words: there the sound is where they come from, not what is asked."""


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
    fields = fields_of(entry.value, remarks)
    label = next((fields[name] for name in LABEL if there(fields.get(name))), None)
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
            asked = asked or _length_of_first(fields[chat])
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
        asks = [one for one in turns if one.role in ("user", "tool", "function") and one.shown.strip()]
        if not asks and chat not in (None, "messages"):
            remarks.add("left out: a conversation without a turn of a user")
            return
        if not any(one.shown.strip() for one in turns):
            raise BadEntry(entry.where, f"{chat or key} hold no text but that of the answer")
    system = next((_system(name, fields[name]) for name in SYSTEM if there(fields.get(name))), None)
    wanted = asked or answer or _reply(fields, entry)
    before = _history(fields) if turns is None else []
    name = str(label) if label is not None else entry.label
    if turns is not None:
        yield _draft(entry, name, label, _chat_prompt(name, turns, system, wanted))
        return
    for place, text in enumerate(texts, start=1):
        one = name if len(texts) == 1 else f"{name}.{place}"
        if system or before:
            prompt = _chat_prompt(one, [*before, Turn("user", text)], system, wanted)
        else:
            prompt = Prompt(one, text, count(readable(text)), max_tokens=wanted)
        yield _draft(entry, one, label, prompt)


def _length_of_first(turns: object) -> int | None:
    """The length of the first answer where every turn tells its own (AIPerf)."""
    first = cast("list[object]", turns)[0] if isinstance(turns, list) else None
    return length_of(cast("dict[str, Any]", first)) if isinstance(first, dict) else None


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
    return Draft(prompt, fallback, numbered=label is not None and numbered)


def _chat_prompt(label: str, turns: list[Turn], system: str | None, wanted: int | None) -> Prompt:
    if system and turns[0].role not in ("system", "developer"):
        turns = [Turn("system", system), *turns]
    messages = tuple((one.role, one.shown) for one in turns)
    text = chat_text(messages)
    chat = tuple(one.posted() for one in turns)
    return Prompt(label, text, count(readable(text)), messages=messages, max_tokens=wanted, chat=chat)


def _text_key(fields: Mapping[str, Any]) -> str | None:
    names = [name for name in TEXT if name in fields]
    return next((name for name in names if there(fields[name])), names[0] if names else None)


def _holds_a_chat(value: object) -> bool:
    return isinstance(value, list) or isinstance(embedded(value), list)


def _texts(key: str, given: object, fields: Mapping[str, Any]) -> list[str]:
    if isinstance(given, list) and given:
        items = cast("list[object]", given)
        if all(isinstance(one, int | list) for one in items):
            raise BadEntry("", f"{key} is a list of token ids; text is needed, for other models have other tokens")
        texts = [_text(key, one) for one in items]
    else:
        texts = [_text(key, cast("object", given))]
    matter = next((fields[name] for name in MATTER.get(key, ()) if there(fields.get(name))), None)
    prefix = fields.get("prefix")
    for place, text in enumerate(texts):
        whole = f"{text}\n\n{matter}" if isinstance(matter, str) else text
        texts[place] = f"{prefix} {whole}" if isinstance(prefix, str) and prefix.strip() else whole
    return texts


def _text(key: str, given: object) -> str:
    if not isinstance(given, str):
        raise BadEntry("", f"{key} is {'empty' if not there(given) or given == [] else 'not text'}")
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
    if not there(given) or given == []:
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
        if there(fields.get(name)) and fields[name] not in ([], {}):
            if name.startswith("audio") and key in _SPOKEN:
                continue
            raise BadEntry("", f"{name}: only text is sent; remove the entry, or its {name} if its text stands alone")


def _reply(fields: Mapping[str, Any], entry: Entry) -> int | None:
    """Tokens of the answer that stands beside a prompt; None where there is none."""
    for name in REPLY:
        given = fields.get(name)
        if isinstance(given, list):
            items = cast("list[object]", given)
            said = [cast("dict[str, Any]", one).get("content") for one in items if is_message(one)] or items[:1]
            given = "\n".join(one for one in said if isinstance(one, str))
        if isinstance(given, str) and given.strip():
            return count(readable(given)) or None
    return None
