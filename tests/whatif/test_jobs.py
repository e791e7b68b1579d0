"""Lists of jobs: what can be read, and one line for what cannot."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpuassay.systems.kueue.whatif.errors import WhatIfError
from gpuassay.systems.kueue.whatif.jobs import read

HEADER = "arrival,gpus,seconds,queue,name,priority\n"


def test_jobs_are_sorted_and_arrivals_begin_at_zero(tmp_path: Path) -> None:
    place = tmp_path / "jobs.csv"
    place.write_text("\ufeffQueue;arrival;GPUs;seconds;user\nb;2h;4;1.5h;eve\n\na;90m;1;30;\n", encoding="utf-8")
    first, second = read(place)
    assert (first.queue, first.arrival, first.gpus, first.seconds, first.name) == ("a", 0, 1, 30, "job-4")
    assert (second.queue, second.arrival, second.seconds, second.user) == ("b", 1800, 5400, "eve")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "is empty: begin with a header line"),
        (HEADER, "holds no jobs"),
        ("arrival,gpus,queue\n1,1,q\n", "line 1: column 'seconds' is missing"),
        ("arrival,gpus,seconds,queue,prio\n", "line 1: column 'prio' is not known"),
        ("arrival,gpus,seconds,queue,gpus\n", "line 1: column 'gpus' stands there twice"),
        (HEADER + "0,1,60,q\n", "line 2: 4 fields under 6 columns"),
        (HEADER + "0,1,60,q,a,0\n0,,60,q,b,0\n", "line 3, column gpus: is empty"),
        (HEADER + "0,1.5,60,q,a,0\n", "line 2, column gpus: '1.5' is no whole number"),
        (HEADER + "0,-1,60,q,a,0\n", "line 2, column gpus: '-1' is no whole number"),
        (HEADER + "0,0,60,q,a,0\n", "column gpus: '0' is no whole number"),
        (HEADER + "0,9999999999999999999999,60,q,a,0\n", "is no whole number"),
        (HEADER + "-5,1,60,q,a,0\n", "column arrival: '-5' is no time"),
        (HEADER + "0,1,0,q,a,0\n", "column seconds: '0' is out of range"),
        (HEADER + "0,1,nan,q,a,0\n", "column seconds: 'nan' is no time"),
        (HEADER + "0,1,60,,a,0\n", "column queue: is empty"),
        (HEADER + "0,1,60,q,a,0\n0,1,60,q,a,0\n", "line 3, column name: 'a' is the name of line 2 too"),
        (HEADER + '0,1,60,"q,a,0\n', "is a quotation mark left open"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_told_by_line_and_column(tmp_path: Path, text: str, line: str) -> None:
    place = tmp_path / "jobs.csv"
    place.write_text(text)
    with pytest.raises(WhatIfError) as caught:
        read(place)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "jobs.csv").write_bytes(b"PK\x03\x04\xff\xfe")
    with pytest.raises(WhatIfError, match="no UTF-8 text"):
        read(tmp_path / "jobs.csv")
    with pytest.raises(WhatIfError, match="No such file"):
        read(tmp_path / "other.csv")
