from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gpuassay.load.errors import LoadError
from gpuassay.load.plan import Poisson, Schedule, chat_body, due_seconds, read_plan
from tests.load.servers import plan_for

GOOD: dict[str, Any] = json.loads(plan_for("http://127.0.0.1:1", 3).to_json())


def test_a_plan_survives_its_file(tmp_path: Path) -> None:
    plan = plan_for("http://127.0.0.1:1", 3, Schedule((0.0, 0.5, 0.5)), warm_up=1)
    (tmp_path / "plan.json").write_bytes(plan.to_json())
    assert read_plan(tmp_path / "plan.json") == plan


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"url": "127.0.0.1:80"}, "url: '127.0.0.1:80' is no http"),
        ({"url": "http://"}, "no http:// or https:// address"),
        ({"path": "v1"}, "path: 'v1' does not begin with a slash"),
        ({"asks": []}, "asks: there are none"),
        ({"asks": [{"label": "nobody"}]}, "no body is labelled 'nobody'"),
        ({"asks": [{"label": "a", "path": "v1"}]}, "asks: path: 'v1' does not begin with a slash"),
        ({"asks": [{"label": "a", "path": "/v1 HTTP/1.1"}]}, "asks: path"),
        ({"asks": [{"label": 3}]}, r"\$.asks\[0\].label"),
        ({"shape": {"kind": "closed", "concurrency": 0}}, "concurrency must be at least 1, not 0"),
        ({"shape": {"kind": "poisson", "rate": -1.0}}, "positive number of requests per second"),
        ({"shape": {"kind": "schedule", "at": [0, 2, 1]}}, "fall at entry 2"),
        ({"shape": {"kind": "schedule", "at": [0, 1]}}, "2 times for 3 asks"),
        ({"shape": {"kind": "schedule", "at": []}}, "no times"),
        ({"shape": {"kind": "burst"}}, "'burst'"),
        ({"warm_up": 3}, "warm_up: 3 of 3 asks leave none"),
        ({"timeout": 0.0}, "timeout: must be a positive"),
        ({"failure_pause": -1.0}, "failure_pause"),
        ({"streams": 3}, "unknown field `streams`"),
    ],
)
def test_a_plan_that_cannot_be_carried_out_is_refused_with_one_line(
    change: dict[str, Any], words: str, tmp_path: Path
) -> None:
    # red when: a misspelt or impossible setting is taken silently
    (tmp_path / "plan.json").write_text(json.dumps({**GOOD, **change}))
    with pytest.raises(LoadError, match=words) as caught:
        read_plan(tmp_path / "plan.json")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"url": "http://x"}'])
def test_a_file_that_is_no_plan_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(LoadError, match=r"plan\.json"):
        read_plan(tmp_path / "plan.json")
    with pytest.raises(LoadError, match="No such file"):
        read_plan(tmp_path / "missing.json")


def test_poisson_arrivals_follow_the_seed_and_the_rate() -> None:
    # red when: two arms of an experiment get different arrivals, or another rate than asked for
    one, again = (due_seconds(plan_for("http://h", 2000, Poisson(50.0, seed=7))) for _ in range(2))
    other = due_seconds(plan_for("http://h", 2000, Poisson(50.0, seed=8)))
    assert one is not None and one == again != other
    assert one == sorted(one) and 2000 / one[-1] == pytest.approx(50, rel=0.08)


def test_chat_bodies_take_a_text_or_messages() -> None:
    assert chat_body("hi", 1)["messages"] == chat_body([{"role": "user", "content": "hi"}], 1)["messages"]
    assert chat_body("hi", 1, stream=False)["stream"] is False
