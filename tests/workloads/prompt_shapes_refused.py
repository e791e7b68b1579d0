"""Files of which no prompts can be read, each with its line: the other table of `test_prompt_shapes`."""

from __future__ import annotations

import gzip
import json

from tests.workloads.prompt_shapes import BATCH, MESSAGES, SHAREGPT, TWO, Shape, bad, zipped

BAD: dict[str, Shape] = {
    "half-a-character": bad("p.jsonl", '{"prompt": "\\ud83d hi"}', r"line 1: prompt holds half a character (\ud83d)"),
    "half-a-character-in-a-label": bad(
        "p.jsonl", '{"prompt": "hi", "label": "\\udc00"}', "line 1: label holds half a char"
    ),
    "half-a-character-in-a-chat": bad(
        "p.jsonl", '{"messages": [{"role": "user", "content": "\\ud83d"}]}', "half a character"
    ),
    "picture": bad(
        "p.jsonl",
        json.dumps({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}),
        "message 1 of messages holds 'image_url': only text is sent",
    ),
    "llava": bad(
        "p.json",
        json.dumps([{"id": "1", "image": "x.jpg", "conversations": SHAREGPT[0]["conversations"]}]),
        "entry 1: image: only text is sent",
    ),
    "token-ids": bad("p.jsonl", '{"prompt": [1, 2, 3]}', "line 1: prompt is a list of token ids; text is needed"),
    "unknown-role": bad(
        "p.jsonl", '{"messages": [{"role": "narrator", "content": "x"}]}', "has the role 'narrator'; known are system"
    ),
    "answers-only": bad(
        "p.jsonl", '{"messages": [{"role": "assistant", "content": "x"}]}', "messages hold answers only"
    ),
    "blank-question": bad(
        "p.jsonl",
        json.dumps({"messages": [{"role": "user", "content": ""}, {"role": "assistant", "content": "x"}]}),
        "messages hold no text but that of the answer",
    ),
    "only-zeros": bad("p.jsonl", bytes(64), "neither text nor a known kind of file"),
    "blank-chat": bad("p.jsonl", '{"messages": [{"role": "user", "content": " "}]}', "messages hold no text"),
    "embeddings": bad(
        "p.jsonl",
        json.dumps(BATCH | {"url": "/v1/embeddings", "body": {"input": "hi"}}),
        "line 1: a request to /v1/embeddings: only /v1/chat/completions and /v1/completions are asked",
    ),
    "responses-api": bad(
        "p.jsonl", json.dumps(BATCH | {"url": "/v1/responses", "body": {"input": "hi"}}), "a request to /v1/responses"
    ),
    "batch-get": bad(
        "p.jsonl", json.dumps(BATCH | {"method": "GET", "body": {"messages": MESSAGES}}), "method GET: only POST"
    ),
    "batch-answers": bad(
        "p.jsonl",
        json.dumps({"id": "b", "custom_id": "r", "response": {"status_code": 200}, "error": None}),
        "line 1: an answer of the batch API",
    ),
    "mooncake": bad(
        "m.jsonl",
        '{"timestamp": 1, "input_length": 9, "output_length": 9, "hash_ids": [1]}',
        "line 1: lengths without text",
    ),
    "azure-trace": bad(
        "a.csv", "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16,4808,10\n", "line 1: lengths without text"
    ),
    "burstgpt": bad(
        "b.csv",
        "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n5,m,1,2,3,x\n",
        "lengths without text",
    ),
    "columns-of-one-name": bad(
        "p.csv", "prompt,prompt\na,b\n", "line 1: two columns 'prompt': which one counts cannot be told"
    ),
    "columns-but-for-capitals": bad("p.csv", "prompt,Prompt\na,b\n", "line 1: two columns 'prompt'"),
    "lengths-of-one-name": bad("p.csv", "prompt,max_tokens,max_tokens\na,5,6\n", "line 1: two columns 'max_tokens'"),
    "keys-of-one-name": bad("p.jsonl", '{"prompt": "a", "prompt": "b"}', "line 1: not JSON: key 'prompt' stands twice"),
    "keys-but-for-capitals": bad("p.jsonl", '{"prompt": "a", "Prompt": "b"}', "line 1: key 'prompt' stands twice"),
    "length-true": bad(
        "p.jsonl", '{"prompt": "a", "max_tokens": true}', "max_tokens must be a whole number of tokens above 0"
    ),
    "length-negative": bad("p.jsonl", '{"prompt": "a", "max_tokens": -1}', "max_tokens must be a whole number"),
    "length-in-words": bad("p.jsonl", '{"prompt": "a", "max_tokens": "many"}', "not 'many'"),
    "length-underscored": bad("p.jsonl", '{"prompt": "a", "max_tokens": "1_000"}', "not '1_000'"),
    "length-endless": bad("p.jsonl", '{"prompt": "a", "max_tokens": Infinity}', "max_tokens must be a whole number"),
    "length-huge": bad("p.jsonl", f'{{"prompt": "a", "max_tokens": {10**30}}}', "max_tokens must be a whole number"),
    "length-a-list": bad("p.jsonl", '{"prompt": "a", "max_tokens": [5]}', "max_tokens must be a whole number"),
    "length-in-csv": bad("p.csv", "prompt,max_tokens\na,True\n", "line 2: max_tokens must be a whole number"),
    "nan-prompt": bad("p.csv", "prompt,max_tokens\nnan,5\n", "line 2: prompt is empty"),
    "null-prompt": bad("p.jsonl", '{"prompt": null}', "line 1: prompt is empty"),
    "no-signs": bad("p.jsonl", '{"prompt": "\\u0000\\u0001"}', "line 1: prompt holds no letter, digit or sign"),
    "nested-too-deeply": bad("p.json", "[" * 200_000, "not JSON: nested too deeply"),
    "array-cut-off": bad("p.json", '[{"prompt": "a"}, {"prompt": "b', "line 1: not JSON"),
    "array-not-closed": bad("p.json", '[{"prompt": "a"}\n', "the array is not closed: the file is cut off"),
    "array-and-more": bad("p.json", '[\n{"prompt": "a"}]\n[]', "something follows the array"),
    "array-without-comma": bad(
        "p.json", '[\n{"prompt": "a"}\n{"prompt": "b"}]', "line 3: not JSON: ',' or ']' expected"
    ),
    "empty-array": bad("p.json", "[]", "empty; it needs at least one prompt"),
    "unused-conversations": bad(
        "p.json", json.dumps(SHAREGPT[2:4]), "empty; it needs at least one prompt (2 entries: left out"
    ),
    "gzip-cut-off": bad(
        "p.jsonl.gz", gzip.compress(TWO.encode() * 99)[:-9], "cannot be unpacked, it is cut off or damaged"
    ),
    "gzip-damaged": bad("p.jsonl.gz", gzip.compress(TWO.encode())[:12] + b"\x00" * 30, "cut off or damaged"),
    "zip-of-two": bad("p.zip", zipped(a__txt=b"x", b__txt=b"y"), "a zip archive of 2 files"),
    "excel": bad("p.xlsx", zipped(**{"xl/workbook__xml": b"x"}), "an Excel workbook; save it as CSV"),
    "zip-damaged": bad("p.zip", b"PK\x03\x04" + bytes(40), "cut off or damaged"),
    "zstd": bad("p.jsonl.zst", b"\x28\xb5\x2f\xfd" + bytes(20), "packed with zstd; unpack it first"),
    "git-lfs": bad("p.jsonl", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "git lfs pull"),
    "web-page": bad("p.json", "<!DOCTYPE html>\n<html></html>", "an HTML page"),
    "sqlite": bad("p.db", b"SQLite format 3\x00" + bytes(40), "an SQLite database"),
    "pickle": bad("p.pkl", b"\x80\x04\x95" + bytes(40), "a Python pickle"),
    "binary": bad("p.csv", b"\x01\x02\x00\x00\x03" * 9, "neither text nor a known kind of file"),
    "latin-1": bad("p.csv", "prompt\nd\xe9j\xe0 vu\n".encode("latin-1"), "line 2: not UTF-8; convert it"),
    "utf-16-cut": bad("p.jsonl", TWO.encode("utf-16")[:-3], "not UTF-16"),
    "history-broken": bad("p.jsonl", '{"instruction": "a", "history": [["b"]]}', "history is not a list of pairs"),
}
