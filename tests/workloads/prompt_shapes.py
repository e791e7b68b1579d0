"""Files as programs and data sets make them, each with what it says: the table of `test_prompt_shapes`."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import zipfile
from dataclasses import dataclass
from typing import Any

Chat = list[tuple[str, str]]
Wanted = tuple[str | Chat, int | None]


@dataclass(frozen=True)
class Shape:
    """A file: name, content, its prompts (text or messages, and the length of the answer), or what is wrong with it."""

    name: str
    body: bytes
    wanted: tuple[Wanted, ...] = ()
    line: str = ""
    labels: tuple[str, ...] = ()


def shape(name: str, body: str | bytes, *wanted: Wanted, labels: tuple[str, ...] = ()) -> Shape:
    return Shape(name, body if isinstance(body, bytes) else body.encode(), wanted, labels=labels)


def entry(value: Any, *wanted: Wanted, name: str = "p.jsonl", labels: tuple[str, ...] = ()) -> Shape:
    return shape(name, json.dumps(value), *wanted, labels=labels)


def bad(name: str, body: str | bytes, line: str) -> Shape:
    return Shape(name, body if isinstance(body, bytes) else body.encode(), line=line)


def zipped(**files: bytes) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name, body in files.items():
            archive.writestr(name.replace("__", "."), body)
    return held.getvalue()


HI: Wanted = ("hi", None)
ASKED: Chat = [("user", "hi")]
SHAREGPT: list[dict[str, Any]] = [
    {"id": "a_0", "conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "well hello there"}]},
    {"id": "a_0", "conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "yes"},
                                    {"from": "human", "value": "ho"}, {"from": "gpt", "value": "no no"}]},
    {"id": "b_1", "conversations": []},
    {"id": "c_2", "conversations": [{"from": "gpt", "value": "so"}]},
    {"id": "d_3", "conversations": [{"from": "gpt", "value": "so"}, {"from": "human", "value": "hi"}]},
]  # fmt: skip
OF_SHAREGPT: tuple[Wanted, ...] = (
    (ASKED, 3), ([("user", "hi"), ("assistant", "yes"), ("user", "ho")], 2), (ASKED, None),
)  # fmt: skip
USER = [{"role": "user", "content": "hi"}]
MESSAGES = [{"role": "system", "content": "s"}, {"role": "user", "content": "hi"}]
CHAT: Chat = [("system", "s"), ("user", "hi")]
SAID = [*MESSAGES, {"role": "assistant", "content": "two words"}]
CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
BATCH: dict[str, Any] = {"custom_id": "r-1", "method": "POST", "url": "/v1/chat/completions"}
TWO = '{"prompt": "hi"}\n{"prompt": "ho"}\n'
BOTH: tuple[Wanted, ...] = (HI, ("ho", None))
PLAIN_CSV = "prompt,max_tokens\nhi,5\n"

GOOD: dict[str, Shape] = {
    # --- layouts of JSON ---
    "sharegpt-array": entry(SHAREGPT, *OF_SHAREGPT, name="ShareGPT_V3.json"),
    "sharegpt-array-as-jsonl": entry(SHAREGPT, *OF_SHAREGPT),
    "sharegpt-indented": shape("s.json", json.dumps(SHAREGPT, indent=2), *OF_SHAREGPT),
    "sharegpt-indented-as-jsonl": shape("s.jsonl", json.dumps(SHAREGPT, indent=2), *OF_SHAREGPT),
    "sharegpt-lines": shape("s.json", "\n".join(map(json.dumps, SHAREGPT)), *OF_SHAREGPT),
    "ndjson": shape("p.ndjson", TWO, *BOTH, labels=("line1", "line2")),
    "jsonlines": shape("p.jsonlines", TWO, *BOTH),
    "upper-case-suffix": shape("P.JSONL", TWO, *BOTH),
    "objects-indented-one-after-the-other": shape("p.json", '{\n "prompt": "hi"\n}\n{\n "prompt": "ho"\n}\n', *BOTH),
    "crlf": shape("p.jsonl", TWO.replace("\n", "\r\n"), *BOTH),
    "old-line-ends": shape("p.jsonl", TWO.replace("\n", "\r"), *BOTH),
    "blank-lines": shape("p.jsonl", "\n\n" + TWO.replace("\n", "\n\n"), *BOTH, labels=("line3", "line5")),
    "record-separators": shape("p.jsonl", "\x1e" + TWO.replace("\n{", "\n\x1e{"), *BOTH),
    "byte-order-mark": shape("p.jsonl", "\ufeff" + TWO, *BOTH),
    "utf-16": shape("p.jsonl", TWO.encode("utf-16"), *BOTH),
    "utf-16-without-mark": shape("p.jsonl", TWO.encode("utf-16-le"), *BOTH),
    "utf-32": shape("p.jsonl", TWO.encode("utf-32"), *BOTH),
    "array-of-texts": entry(["hi", "ho"], *BOTH, name="p.json", labels=("entry1", "entry2")),
    "lines-of-texts": shape("p.jsonl", '"hi"\n"ho"\n', *BOTH),
    "lines-of-message-lists": shape(
        "p.jsonl", f"{json.dumps(MESSAGES)}\n{json.dumps(SAID)}\n", (CHAT, None), (CHAT, 2)
    ),
    "one-list-of-messages": entry(SAID, (CHAT, 2), name="chat.json"),
    "array-of-message-lists": entry([MESSAGES, SAID], (CHAT, None), (CHAT, 2), name="p.json"),
    "one-object": entry({"prompt": "hi"}, HI, name="p.json", labels=("line1",)),
    "one-object-indented": shape("p.json", json.dumps({"prompt": "hi"}, indent=1), HI),
    "wrapped-data": entry({"data": [{"prompt": "hi"}, {"prompt": "ho"}]}, *BOTH, name="p.json"),
    "wrapped-splits": entry({"train": [{"text": "hi"}], "test": [{"text": "ho"}]}, *BOTH, name="p.json"),
    "wrapped-prompts": entry({"version": 1, "prompts": ["hi", "ho"]}, *BOTH, name="p.json"),
    "wrapped-rows": entry({"features": [], "rows": [{"row_idx": 0, "row": {"prompt": "hi"}}]}, HI, name="rows.json"),
    "genai-perf-payload": entry({"data": [{"payload": [{"model": "m", "messages": MESSAGES}]}]}, (CHAT, None)),
    "pandas-columns": entry(
        {"prompt": {"0": "hi", "1": "ho"}, "max_tokens": {"0": 5.0, "1": None}}, ("hi", 5), ("ho", None), name="p.json"
    ),
    "pandas-split": entry({"columns": ["prompt"], "index": [0, 1], "data": [["hi"], ["ho"]]}, *BOTH, name="p.json"),
    "pandas-index": entry({"0": {"prompt": "hi"}, "1": {"prompt": "ho"}}, *BOTH, name="p.json", labels=("0", "1")),
    "columns-of-lists": entry({"prompt": ["hi", "ho"], "max_tokens": [5, 6]}, ("hi", 5), ("ho", 6), name="p.json"),
    "whisper": entry({"text": "hi", "segments": [{"id": 0, "text": "hi"}], "language": "en"}, HI, name="w.json"),
    "nan-elsewhere": shape("p.jsonl", '{"prompt": "hi", "score": NaN, "max_tokens": NaN}', HI),
    # --- packed, and named otherwise ---
    "gzip": shape("p.jsonl.gz", gzip.compress(TWO.encode()), *BOTH),
    "gzip-of-two-members": shape(
        "p.jsonl.gz", gzip.compress(b'{"prompt": "hi"}\n') + gzip.compress(b'{"prompt": "ho"}'), *BOTH
    ),
    "gzip-without-suffix": shape("p.jsonl", gzip.compress(TWO.encode()), *BOTH),
    "bzip2": shape("p.jsonl.bz2", bz2.compress(TWO.encode()), *BOTH),
    "xz": shape("p.csv.xz", lzma.compress(PLAIN_CSV.encode()), ("hi", 5)),
    "zip": shape("p.zip", zipped(p__jsonl=TWO.encode()), *BOTH),
    "json-named-csv": shape("p.csv", TWO, *BOTH),
    "json-named-txt": shape("p.txt", json.dumps(SHAREGPT, indent=1), *OF_SHAREGPT),
    "csv-named-json": shape("p.json", PLAIN_CSV, ("hi", 5)),
    "csv-named-txt": shape("p.txt", PLAIN_CSV, ("hi", 5)),
    "no-suffix": shape("prompts", TWO, *BOTH),
    "unknown-suffix": shape("p.dat", TWO, *BOTH),
    # --- chats ---
    "openai-fine-tuning": entry({"messages": SAID}, (CHAT, 2)),
    "openai-fine-tuning-weight": entry(
        {"messages": [*MESSAGES, {"role": "assistant", "content": "one", "weight": 0}]}, (CHAT, 1)
    ),
    "developer": entry(
        {"messages": [{"role": "developer", "content": "s"}, *USER]}, ([("developer", "s"), ("user", "hi")], None)
    ),
    "content-parts": entry(
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]},
        ([("user", "a\nb")], None),
    ),
    "responses-parts": entry(
        {"messages": [{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}]}, (ASKED, None)
    ),
    "tool-call": entry(
        {
            "messages": [
                USER[0],
                {"role": "assistant", "content": None, "tool_calls": [CALL]},
                {"role": "tool", "tool_call_id": "1", "content": "42"},
            ]
        },
        ([("user", "hi"), ("assistant", json.dumps([CALL])), ("tool", "42")], None),
    ),
    "tool-call-without-content": entry(
        {
            "messages": [
                USER[0],
                {"role": "assistant", "tool_calls": [CALL]},
                {"role": "tool", "tool_call_id": "1", "content": "42"},
            ]
        },
        ([("user", "hi"), ("assistant", json.dumps([CALL])), ("tool", "42")], None),
    ),
    "number-beats-answer": entry({"messages": SAID, "max_tokens": 99}, (CHAT, 99)),
    "lmsys": entry(
        {"conversation_id": "x", "model": "m", "conversation": SAID, "turn": 1, "redacted": False}, (CHAT, 2)
    ),
    "wildchat": entry(
        {"conversation": [{"content": "hi", "role": "user", "toxic": False, "turn_identifier": 1}]}, (ASKED, None)
    ),
    "sharegpt-human-chatgpt": entry(
        {"conversations": [{"from": "user", "value": "hi"}, {"from": "chatgpt", "value": "a b"}]}, (ASKED, 2)
    ),
    "sharegpt-system-key": entry({"system": "s", "conversations": [{"from": "human", "value": "hi"}]}, (CHAT, None)),
    "gemini": entry(
        {"contents": [{"role": "user", "parts": [{"text": "hi"}]}, {"role": "model", "parts": [{"text": "a b"}]}]},
        (ASKED, 2),
    ),
    "vertex-batch": entry(
        {
            "request": {
                "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
                "generationConfig": {"maxOutputTokens": 7},
            }
        },
        (ASKED, 7),
    ),
    "pairs": entry({"conversation": [{"human": "hi", "assistant": "a b"}]}, (ASKED, 2)),
    "alternating-texts": entry(
        {"dialog": ["hi", "yes", "ho"]}, ([("user", "hi"), ("assistant", "yes"), ("user", "ho")], None)
    ),
    "pairs-of-role-and-text": entry({"messages": [["user", "hi"], ["assistant", "a b"]]}, (ASKED, 2)),
    "conversation-without-a-question": shape(
        "p.jsonl",
        '{"conversations": [{"from": "human", "value": ""}, {"from": "gpt", "value": "x"}]}\n{"prompt": "hi"}',
        HI,
    ),
    "answers-listed": entry({"question": "hi", "answer": ["a b", "c"]}, ("hi", 2)),
    "mt-bench": entry({"question_id": 81, "category": "writing", "turns": ["hi", "ho"]}, HI),
    "aiperf-turns": entry({"session_id": "s", "turns": [{"text": "hi", "output_length": 3}]}, ("hi", 3)),
    "system-before-several-texts": entry(
        {"system_prompt": "s", "prompt": ["hi", "ho"]},
        (CHAT, None),
        ([("system", "s"), ("user", "ho")], None),
        name="p.jsonl",
    ),
    "trl-prompt": entry({"prompt": USER, "completion": [{"role": "assistant", "content": "a b c"}]}, (ASKED, 3)),
    "ultrachat": entry({"prompt": "hi", "prompt_id": "x", "messages": SAID}, (CHAT, 2)),
    "messages-null": entry({"messages": None, "prompt": "hi"}, HI),
    "messages-in-csv": shape(
        "p.csv", 'messages,max_tokens\n"[{""role"": ""user"", ""content"": ""hi""}]",5\n', (ASKED, 5)
    ),
    "messages-in-csv-by-pandas": shape("p.csv", "messages\n\"[{'role': 'user', 'content': 'hi'}]\"\n", (ASKED, None)),
    "system-prompt": entry({"system_prompt": "s", "question": "hi", "response": "a b c"}, (CHAT, 3)),
    "system-prompt-blank": entry({"system_prompt": "", "question": "hi"}, HI),
    "history": entry(
        {"instruction": "ho", "history": [["hi", "yes"]], "output": "a"},
        ([("user", "hi"), ("assistant", "yes"), ("user", "ho")], 1),
    ),
    # --- requests of batch APIs ---
    "batch-chat": entry(
        BATCH | {"body": {"model": "m", "messages": MESSAGES, "max_tokens": 7}}, (CHAT, 7), labels=("r-1",)
    ),
    "batch-max-completion-tokens": entry(
        BATCH | {"body": {"messages": MESSAGES, "max_completion_tokens": 7}}, (CHAT, 7)
    ),
    "batch-completions": entry(
        BATCH | {"url": "/v1/completions", "body": {"model": "m", "prompt": "hi", "max_tokens": 7}}, ("hi", 7)
    ),
    "batch-completions-list": entry(
        BATCH | {"url": "/v1/completions", "body": {"prompt": ["hi", "ho"]}}, *BOTH, labels=("r-1.1", "r-1.2")
    ),
    "batch-whole-url": entry(
        BATCH | {"url": "http://host/v1/chat/completions", "body": {"messages": MESSAGES}}, (CHAT, None)
    ),
    "anthropic-batch": entry(
        {"custom_id": "r", "params": {"model": "m", "max_tokens": 9, "system": "s", "messages": USER}},
        (CHAT, 9),
        labels=("r",),
    ),
    "bare-request": entry(
        {"model": "m", "messages": MESSAGES, "max_tokens": 7, "stream": True, "temperature": 0}, (CHAT, 7)
    ),
    "tgi": entry({"inputs": "hi", "parameters": {"max_new_tokens": 20}}, ("hi", 20)),
    # --- columns and keys ---
    "guidellm": entry({"prompt": "hi", "prompt_tokens_count": 1, "output_tokens_count": 128}, ("hi", 128)),
    "guidellm-other-names": entry({"question": "hi", "completion_tokens_count": 128}, ("hi", 128)),
    "guidellm-prefix": entry({"prefix": "so", "prompt": "hi", "output_tokens_count": 2}, ("so hi", 2)),
    "vllm-custom": entry({"prompt": "hi", "output_tokens": 5}, ("hi", 5)),
    "vllm-expected": entry({"prompt": "hi", "prompt_len": 1, "expected_output_len": 5}, ("hi", 5)),
    "sglang": entry({"prompt": "hi", "output_len": 5}, ("hi", 5)),
    "aiperf": entry({"type": "single_turn", "text": "hi", "output_length": 5}, ("hi", 5)),
    "genai-perf": entry({"text_input": "hi"}, HI),
    "alpaca": entry({"instruction": "say", "input": "hi", "output": "one two"}, ("say\n\nhi", 2)),
    "alpaca-without-input": entry({"instruction": "hi", "input": "", "output": "one two"}, ("hi", 2)),
    "dolly": entry({"instruction": "why", "context": "hi", "response": "one", "category": "qa"}, ("why\n\nhi", 1)),
    "squad": entry(
        {"context": "it is so", "question": "is it", "answers": {"text": ["so"]}}, ("is it\n\nit is so", None)
    ),
    "gsm8k": entry({"question": "hi", "answer": "1 2 3"}, ("hi", 3)),
    "prompt-and-completion": entry({"prompt": "hi", "completion": "one two three"}, ("hi", 3)),
    "classes-as-labels": shape(
        "p.jsonl", '{"text": "hi", "label": 1}\n{"text": "ho", "label": 1}\n', *BOTH, labels=("line1", "line2")
    ),
    "classes-as-labels-in-csv": shape("p.csv", "text,label\nhi,1\nho,1\n", *BOTH, labels=("line2", "line3")),
    "numbers-as-labels": shape("p.csv", "text,label\nhi,7\nho,8\n", *BOTH, labels=("7", "8")),
    "speech-corpus": entry({"audio": {"path": "x.wav"}, "sentence": "hi"}, HI),
    "null-prompt-then-text": entry({"prompt": None, "text": "hi"}, HI),
    "capitals": entry({"Prompt": "hi", "Max_Tokens": 5}, ("hi", 5)),
    # --- lengths ---
    "length-as-text": entry({"prompt": "hi", "max_tokens": "7"}, ("hi", 7)),
    "length-as-float": entry({"prompt": "hi", "max_tokens": 1e3}, ("hi", 1000)),
    "length-spaced": shape("p.csv", "Prompt ,Max Tokens\nhi,5\n", ("hi", 5)),
    "length-hyphens": entry({"prompt": "hi", "max-tokens": 5}, ("hi", 5)),
    "length-in-camel-case": entry({"prompt": "hi", "maxTokens": 5}, ("hi", 5)),
    "length-null": entry({"prompt": "hi", "max_tokens": None}, HI),
    # --- CSV ---
    "pandas-floats": shape("f.csv", "prompt,max_tokens\nhi,128.0\nho,\n", ("hi", 128), ("ho", None)),
    "pandas-index-column": shape("f.csv", ",prompt\n0,hi\n1,ho\n", *BOTH),
    "nan-as-text": shape("f.csv", "prompt,max_tokens\nhi,nan\nho,NaN\n", *BOTH),
    "semicolons": shape("p.csv", "prompt;max_tokens\nhi, you;5\n", ("hi, you", 5)),
    "tabs": shape("p.csv", "prompt\tmax_tokens\nhi, you\t5\n", ("hi, you", 5)),
    "tsv": shape("p.tsv", "prompt\tmax_tokens\nhi\t5\n", ("hi", 5)),
    "bars": shape("p.csv", "prompt|max_tokens\nhi, you|5\n", ("hi, you", 5)),
    "excel-sep": shape("p.csv", "sep=;\r\nprompt;max_tokens\r\nhi, you;5\r\n", ("hi, you", 5), labels=("line3",)),
    "excel-unicode": shape("p.txt", "prompt\tmax_tokens\r\nhi\t5\r\n".encode("utf-16"), ("hi", 5)),
    "excel-empty-cells": shape("p.csv", "prompt,max_tokens\nhi,5,,\n,\n", ("hi", 5)),
    "csv-old-line-ends": shape("p.csv", "prompt,max_tokens\rhi,5\r", ("hi", 5)),
    "quoted-header": shape("p.csv", '"prompt","max_tokens"\n"hi ""you""",5\n', ('hi "you"', 5)),
    "line-break-in-field": shape("p.csv", 'prompt,max_tokens\n"hi\r\nyou",5\n', ("hi\r\nyou", 5)),
    "odd-line-ends-in-field": shape(
        "p.csv", "prompt,max_tokens\nhi\u2028you\x0bthere,5\n", ("hi\u2028you\x0bthere", 5)
    ),
    "blank-lines-first": shape("p.csv", "\n\nprompt\nhi\n", HI),
    # --- plain text ---
    "lines-of-text": shape("p.txt", "hi\n\n  ho \r\n", *BOTH, labels=("line1", "line3")),
    "earnings-22": shape(
        "e22.txt", "Good morning, and welcome to the call.\n", ("Good morning, and welcome to the call.", None)
    ),
    "text-with-brackets": shape(
        "p.txt", "[INST] hi [/INST]\n{so} it is\n", ("[INST] hi [/INST]", None), ("{so} it is", None)
    ),
    # --- text without blanks ---
    "chinese": entry({"prompt": "你好。世界"}, ("你好。世界", None)),
    "emoji": entry({"prompt": "😀😀"}, ("😀😀", None)),
    "two-halves-of-an-emoji": shape("p.jsonl", '{"prompt": "\\ud83d\\ude00"}', ("😀", None)),
}
