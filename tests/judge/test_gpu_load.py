"""The judge of a GPU's utilisation: content where it follows a load, a finding for each way in which it does not."""

from __future__ import annotations

from typing import Any

import pytest

from gpuassay.systems.gpu_operator.judge.load import load_findings

Rows = list[dict[str, Any]]


def _rows(*percents: float, gpu: str = "GPU-1", pod: str = "") -> Rows:
    return [{"gpu": gpu, "pod": pod, "percent": percent} for percent in percents]


def _load(**changes: Rows) -> dict[str, Any]:
    during = _rows(0, 30, 97, pod="load")
    return {"pod": "load", "before": _rows(0), "during": during, "after": _rows(80, 0), **changes}


def test_a_gpu_that_follows_its_load_has_no_findings() -> None:
    """Red when the judge accuses what is as it should be; another pod's load does not matter."""
    assert load_findings(_load()) == []
    assert load_findings(_load(during=_rows(99, gpu="GPU-2", pod="other") + _rows(60, pod="load"))) == []


@pytest.mark.parametrize(
    ("part", "rows", "words"),
    [
        ("during", _rows(97), "no sample names pod load"),
        ("during", [], "no sample names pod load"),
        ("during", _rows(0, 12, pod="load"), "GPU GPU-1 is 12 % busy at most under the load, expected 50 %"),
        ("before", _rows(100), "GPU GPU-1 is 100 % busy before the load"),
        ("before", [], "nothing is told of GPU GPU-1 before the load"),
        ("after", _rows(97, 97), "GPU GPU-1 is 97 % busy after the load"),
        ("after", _rows(0, gpu="GPU-2"), "nothing is told of GPU GPU-1 after the load"),
    ],
)
def test_a_gpu_that_does_not_is_found(part: str, rows: Rows, words: str) -> None:
    """Red when a number that stands still, or is of another GPU or pod, passes."""
    (found,) = load_findings(_load(**{part: rows}))
    assert found.startswith(words)
