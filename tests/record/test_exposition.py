"""Metrics pages as programs send them: what is read of a good one, and the one line that a bad one gets."""

from __future__ import annotations

import gzip
import math
from typing import Any

import pytest

from gpuassay.record.exposition import PageError, parse_page

GOOD: dict[str, tuple[str | bytes, list[tuple[Any, ...]]]] = {
    "text": ('# HELP a b\n# TYPE a gauge\na{x="1"} 2\n', [("a", {"x": "1"}, 2.0)]),
    "no newline at its end": ("a 1\nb 2", [("a", {}, 1.0), ("b", {}, 2.0)]),
    "CRLF": ("a 1\r\nb 2\r\n", [("a", {}, 1.0), ("b", {}, 2.0)]),
    "BOM": (b"\xef\xbb\xbfa 1\n", [("a", {}, 1.0)]),
    "gzip without a word": (gzip.compress(b"a 1\n"), [("a", {}, 1.0)]),
    "tabs": ("a\t1\n", [("a", {}, 1.0)]),
    "blank lines and comments": ("\n# anything\na 1\n\n# TYPE\n", [("a", {}, 1.0)]),
    "powers": ("a 1e+06\nb 1.5E-3\nc 12.\n", [("a", {}, 1e6), ("b", {}, 0.0015), ("c", {}, 12.0)]),
    "infinite": ("a +Inf\nb -Inf\nc inf\n", [("a", {}, math.inf), ("b", {}, -math.inf), ("c", {}, math.inf)]),
    "time in ms": ("a 1 1700000000500\n", [("a", {}, 1.0, 1700000000.5)]),
    "escaped labels": ('a{x="\\"q\\" \\\\ \\n }{,=#"} 1\n', [("a", {"x": '"q" \\ \n }{,=#'}, 1.0)]),
    "separators of other alphabets": ('a{x="1\u20282\x853"} 1\n', [("a", {"x": "1\u20282\x853"}, 1.0)]),
    "broken UTF-8": (b'a{x="\xff"} 1\n', [("a", {"x": "\\xff"}, 1.0)]),
    "comma at the end": ('a{x="1",} 1\n', [("a", {"x": "1"}, 1.0)]),
    "name in quotes": ('{"my.metric",x="1"} 5\n', [("my.metric", {"x": "1"}, 5.0)]),
    "counter without _total": ('# TYPE a counter\na{x="1"} 2\n', [("a_total", {"x": "1"}, 2.0)]),
    "counter with others between": (
        '# TYPE a counter\na{x="1"} 1\nb 3\na{x="2"} 2\n',
        [("a_total", {"x": "1"}, 1.0), ("b", {}, 3.0), ("a_total", {"x": "2"}, 2.0)],
    ),
    "both spellings": (
        "# TYPE a counter\na 1\n# TYPE a_total counter\na_total 1\n", [("a", {}, 1.0), ("a_total", {}, 1.0)],
    ),
    "no type": ("a 1\n", [("a", {}, 1.0)]),
    "OpenMetrics": (
        '# TYPE a counter\n# UNIT a s\na_total{x="1"} 5 # {trace_id="x y"} 0.5 1.6e9\na_created{x="1"} 1.7e9\n# EOF\n',
        [("a_total", {"x": "1"}, 5.0), ("a_created", {"x": "1"}, 1.7e9)],
    ),
    "OpenMetrics, time in s": ("a 1 1700000000.5\n# EOF\n", [("a", {}, 1.0, 1700000000.5)]),
    "OpenMetrics, exemplar without labels": ("a_total 5 # {} 1\n# EOF\n", [("a_total", {}, 5.0)]),
    "a series twice": ("a 1\na 1\n", [("a", {}, 1.0)]),
    "a series twice, times differ": ("a 1 1000\na 2 2000\n", [("a", {}, 2.0, 2.0)]),
    "a series twice, newest first": ("a 2 2000\na 1 1000\n", [("a", {}, 2.0, 2.0)]),
    "comments alone": ("# HELP a b\n# TYPE a counter\n", []),
    "html in a label": ('a{x="<html>"} 1\n', [("a", {"x": "<html>"}, 1.0)]),
}  # fmt: skip


@pytest.mark.parametrize("case", GOOD)
def test_a_good_page_is_read(case: str) -> None:
    """Red when a page that Prometheus reads is refused, or read as something else."""
    page, expected = GOOD[case]
    assert [tuple(one) for one in parse_page(page)] == [(*one, None) if len(one) == 3 else one for one in expected]


BAD: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "the page is empty"),
    "blank": (" \n\n", "the page is empty"),
    "login page": (
        "\n<!DOCTYPE html><html><head>\n<title>Sign\n in</title></head></html>",
        "an HTML page ('Sign in'), no Prometheus metrics: a login page or another service answers at this address",
    ),
    "XML": ("<?xml version='1.0'?><error/>", "an HTML page, no Prometheus metrics"),
    "404 as text": ("404 page not found\n", "no Prometheus metrics: line 1 is '404 page not found'; another service"),
    "health page": ("ok", "no Prometheus metrics: line 1 is 'ok'"),
    "JSON list": ('[{"gpuMemUsage": 1}]', "JSON, no Prometheus metrics"),
    "JSON object": ('{"error": "x"}\n', "JSON, no Prometheus metrics"),
    "expvar": ('{\n"cmdline": ["x"],\n"memstats": {}\n}\n', "JSON, no Prometheus metrics"),
    "binary": (b"\n\x84\x00\x01go_goroutines", "binary data, no page"),
    "UTF-16": ("a 1\n".encode("utf-16"), "the page is UTF-16"),
    "gzip cut": (gzip.compress(b"a 1\n" * 100)[:20], "its gzip data has no end"),
    "empty value": ('# TYPE a gauge\na{x="1"} \nb 1\n', "line 2: the sample has no value"),
    "empty value without labels": ("b 1\na\n", "line 2: the sample has no value"),
    "raw line break in a label": ('a{b="x\ny"} 1\n', "line 1: the labels have no end"),
    "cut in labels": ('b 1\na{b="x', "line 2: the labels have no end"),
    "cut between labels": ('b 1\na{b="x",', "line 2: the labels have no end"),
    "cut in a name": ("b 1\nvllm:request_succ", "line 2: the sample has no value"),
    "cut behind the dot": ("a 1.5\nb 12.", "the page is cut: its last line has no end"),
    "cut in a number of Python's": ("a 1.0\nb 2.0\nc 3.0\nd 12", "the page is cut: its last line has no end"),
    "cut in a comment": ("a 1\n# TYPE vllm:prefix_ca", "the page is cut: its last line has no end"),
    "words for a value": ("b 1\na <nil>\n", "line 2: this is no sample of a metric"),
    "decimal comma": ("b 1\na 1,5\n", "line 2: this is no sample"),
    "thousands apart": ("b 1\na 1 234 567\n", "line 2: this is no sample"),
    "no time": ("b 1\na 1 soon\n", "line 2: what follows the value is no timestamp"),
    "underscores": ("b 1\na 1_000\n", "line 2: this is no sample"),
    "labels without quotes": ("b 1\na{x=1} 1\n", "line 2: this is no sample"),
    "labels in single quotes": ("b 1\na{x='1'} 1\n", "line 2: this is no sample"),
    "a label twice": ('b 1\na{x="1",x="2"} 1\n', "line 2: this is no sample"),
    "no space before the value": ("b 1\na5\n", "line 2: "),
    "what float() takes alone": ("nan\n", "no Prometheus metrics: line 1 is 'nan'"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_page_gets_one_line(case: str) -> None:
    """Red when a page that is none, or not a whole one, gives samples, another error, or several lines."""
    page, words = BAD[case]
    with pytest.raises(PageError) as caught:
        parse_page(page)
    assert words in str(caught.value) and "\n" not in str(caught.value) and len(str(caught.value)) < 300


def test_two_values_of_one_series_are_none() -> None:
    """Red when one of two values is taken: which one is right cannot be known."""
    [sample] = parse_page("a 1\na 2\na 1\n")
    assert math.isnan(sample.value)


@pytest.mark.parametrize(
    ("page", "kind", "whole", "words"),
    [
        ("a 12", "text/plain", False, "the page is cut: its last line has no end: 'a 12'"),
        ("a_total 1\n", "application/openmetrics-text; version=1.0.0", True, "OpenMetrics ends with '# EOF'"),
        ("a 1\n", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily", True, "come as protobuf"),
    ],
)
def test_what_the_transport_says_counts(page: str, kind: str, whole: bool, words: str) -> None:
    """Red when a page is taken for whole although nothing vouches for its end, or its type says otherwise."""
    with pytest.raises(PageError, match=words.replace("(", "\\(")):
        parse_page(page, kind, whole=whole)
    assert parse_page("a 12\n", "text/plain", whole=False)


def test_a_large_page_is_read_in_its_order() -> None:
    """Red when samples of a long page are mixed up."""
    page = "".join(f'# TYPE m{n} counter\nm{n}{{i="{n}"}} {n}.0\n' for n in range(5000))
    assert [(one.name, one.labels, one.value) for one in parse_page(page)] == [
        (f"m{n}_total", {"i": str(n)}, float(n)) for n in range(5000)
    ]
