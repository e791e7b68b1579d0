"""The judge of a GPU's utilisation: content where it follows a load, a finding for each way in which it does not."""

from __future__ import annotations

import msgspec
import pytest

from gpuassay.systems.gpu_operator.judge.dcgm import gpu_of, pod_of, why_blank, why_no_percent
from gpuassay.systems.gpu_operator.judge.load import Load, Row, load_findings

Rows = list[Row]


def _rows(*percents: float | None, gpu: str = "GPU-1", pod: str = "") -> Rows:
    return [Row(gpu, pod, percent) for percent in percents]


def _load(**changes: Rows) -> Load:
    healthy = Load("load", before=_rows(0), during=_rows(0, 30, 97, pod="load"), after=_rows(80, 0))
    return msgspec.structs.replace(healthy, **changes)


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


NOT_A_NUMBER = float("nan")


@pytest.mark.parametrize(
    "garbage",
    [
        4294967295.0,
        9223372036854775794.0,
        9223372036854775792.0 * 100,
        18446744073709551615.0,
        140737488355328.0 * 100,
        140737488355330.0,
        2147483632.0,
        2147483635.0,
        250.0,
        -1.0,
        float("inf"),
        NOT_A_NUMBER,
        None,
    ],
)
def test_what_is_no_percentage_is_no_load(garbage: float) -> None:
    """Red when DCGM's blank, or a value that no utilisation can have, passes for a busy or an idle GPU."""
    under = load_findings(_load(during=_rows(0, garbage, 0, pod="load")))
    assert under == ["GPU GPU-1 is 0 % busy at most under the load, expected 50 % (1 of 3 samples have no value)"]
    [nothing] = load_findings(_load(during=_rows(garbage, pod="load")))
    assert nothing.startswith("DCGM has no value of GPU GPU-1's utilisation under the load: ")
    for when in ("before", "after"):
        [nothing] = load_findings(_load(**{when: _rows(garbage)}))
        assert nothing.startswith(f"DCGM has no value of GPU GPU-1's utilisation {when} the load: ")
        assert load_findings(_load(**{when: _rows(0, garbage)})) == [], "what it last measured counts"
    assert load_findings(_load(during=_rows(0, garbage, 97, pod="load"))) == []


def test_a_ratio_that_is_rounded_up_is_busy() -> None:
    """Red when a profiling ratio a little above 1 is thrown away."""
    assert load_findings(_load(during=_rows(0, 100.4, pod="load"))) == []


def test_every_field_of_a_gpu_counts() -> None:
    """Red when the field that stands last on the page hides one that tells a busy GPU."""
    rows = [Row("GPU-1", "", percent, field) for field, percent in (("UTIL", 97.0), ("ACTIVE", 0.0))]
    assert load_findings(_load(after=rows)) == ["GPU GPU-1 is 97 % busy after the load"]
    assert load_findings(_load(after=[Row("GPU-1", "", 0.0, "UTIL"), rows[1]])) == []


def test_what_is_told_again_is_old() -> None:
    """Red when an exporter whose own times stand still passes for one that saw the load."""
    old = [Row("GPU-1", "load", 0.0, at=5.0)]
    busy = [Row("GPU-1", "load", 97.0, at=9.0)]
    idle = [Row("GPU-1", "", 0.0, at=12.0)]
    assert load_findings(_load(before=old, during=busy, after=idle)) == []
    [still] = load_findings(_load(before=old, during=old, after=idle))
    assert still.endswith("under the load: its time stands still")
    [still] = load_findings(_load(before=old, during=busy, after=[Row("GPU-1", "", 0.0, at=9.0)]))
    assert still.endswith("after the load: its time stands still")


def test_what_kept_an_exporter_from_telling_is_said() -> None:
    """Red when a finding does not say that an exporter did not answer, or a passing moment of that is a finding."""
    problems = ["DCGM exporter of node a: 503"]
    assert load_findings(msgspec.structs.replace(_load(during=[]), problems=problems))[1:] == problems
    assert load_findings(msgspec.structs.replace(_load(), problems=problems)) == []


@pytest.mark.parametrize(
    ("labels", "gpu", "pod"),
    [
        ({"UUID": "GPU-1", "gpu": "0", "pod": "p"}, "GPU-1", "p"),
        ({"UUID": "GPU-1", "GPU_I_ID": "0", "GPU_I_PROFILE": "1g.10gb"}, "GPU-1/0", ""),
        ({"uuid": "GPU-1", "pod_name": "p"}, "GPU-1", "p"),
        ({"gpu": "0", "Hostname": "n"}, "n:0", ""),
        ({"UUID": "", "device": "nvidia0", "Hostname": "n", "GPU_I_ID": "7"}, "n:nvidia0/7", ""),
        ({"UUID": "GPU-1", "exported_pod": "p", "pod": "nvidia-dcgm-exporter-x"}, "GPU-1", "p"),
        ({}, "", ""),
    ],
)
def test_whose_a_sample_is(labels: dict[str, str], gpu: str, pod: str) -> None:
    """Red when GPUs of two nodes are one, a slice is its GPU, or a collector's label hides the pod."""
    assert (gpu_of(labels), pod_of(labels)) == (gpu, pod)


def test_values_that_dcgm_has_not_measured() -> None:
    """Red when a blank of DCGM is a value, or a large value is a blank."""
    assert all(
        why_blank(float(value)) for value in (0x7FFFFFF0, 0x7FFFFFF3, 0x7FFFFFFFFFFFFFF0, 2**47, 2**47 + 3, 2**32 - 1)
    )
    assert why_blank(NOT_A_NUMBER) and not any(map(why_blank, (0.0, -5.0, 81559.0, 2.0**31, 4e12)))
    assert why_no_percent(2.0**47) == "1.40737e+14 is no percentage"
