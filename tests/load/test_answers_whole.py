"""Answers that are not streamed."""

from __future__ import annotations

import gzip

import pytest

from tests.load.answers import (
    COUNTED,
    DONE,
    THREE,
    Case,
    check,
    named,
    sse,
    whole,
)

CASES = [
    Case("completion", whole({"choices": [{"text": "a"}], "usage": COUNTED}), "3 by usage, prompt 5"),
    Case(
        "chat",
        whole({"choices": [{"message": {"content": "a"}, "finish_reason": "stop"}], "usage": COUNTED}),
        "3 by usage, prompt 5",
    ),
    Case(
        "usage as floats",
        whole({"choices": [{"text": "a"}], "usage": {"prompt_tokens": 5.0, "completion_tokens": 3.0}}),
        "3 by usage, prompt 5",
    ),
    Case(
        "usage zeros",
        whole({"choices": [{"text": "a"}], "usage": {"prompt_tokens": 0, "completion_tokens": 0}}),
        "None by nobody",
    ),
    Case(
        "no token was asked for",
        whole({"choices": [{"text": ""}], "usage": {"prompt_tokens": 5, "completion_tokens": 0}}),
        "0 by usage, prompt 5",
    ),
    Case(
        "tool calls",
        whole(
            {
                "choices": [
                    {
                        "message": {"content": None, "tool_calls": [{"function": {"name": "f"}}]},
                        "finish_reason": "tool_calls",
                    }
                ],
                "usage": COUNTED,
            }
        ),
        "3 by usage, prompt 5",
    ),
    Case(
        "content as parts",
        whole({"choices": [{"message": {"content": [{"text": "a"}]}}], "usage": COUNTED}),
        "3 by usage, prompt 5",
    ),
    Case("NaN", whole(b'{"choices": [{"text": "a", "logprobs": [NaN]}]}'), "None by nobody"),
    Case("no UTF-8", whole(b'{"choices": [{"text": "\xff"}]}'), "None by nobody"),
    Case(
        "gzip",
        whole(gzip.compress(b'{"choices": [{"text": "a"}]}'), more="content-encoding: gzip\r\n"),
        "None by nobody",
    ),
    Case("error", whole({"error": {"message": "died"}}), 'error-answer: {"message": "died"}'),
    Case("object error", whole({"object": "error", "message": "died"}), 'error-answer: {"object": "error"'),
    Case("detail", whole({"detail": "Not Found"}), 'error-answer: {"detail"'),
    Case(
        "error in a choice",
        whole({"choices": [{"error": {"message": "gone"}, "finish_reason": "error"}]}),
        'error-answer: {"message": "gone"}',
    ),
    Case("abort", whole({"choices": [{"text": "a", "finish_reason": "abort"}]}), "unfinished: finish_reason 'abort'"),
    Case("no choices", whole({"choices": []}), "malformed-answer: no choices: "),
    Case("choices null", whole({"choices": None}), "malformed-answer: no choices: "),
    Case("no body", whole(b""), "malformed-answer: HTTP 200 without a body"),
    Case("204", b"HTTP/1.1 204 No Content\r\n\r\n", "malformed-answer: HTTP 204 without a body"),
    Case("a page", sse(b"<html>", kind="text/html"), "malformed-answer: not JSON: "),
    Case("a stream", sse(THREE, DONE), "malformed-answer: a stream came although none was asked for: data: "),
    Case("a list", whole([1]), "malformed-answer: Expected `object`, got `array`: [1]"),
]


@pytest.mark.parametrize("case", named(CASES))
def test_a_whole_answer_comes_to(case: Case) -> None:
    """Red when a failed answer counts as served, a good one is refused, or a line does not say what is wrong."""
    check(case, streamed=False)
