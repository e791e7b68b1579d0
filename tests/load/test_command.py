"""`gpuassay load`: what it says of the pods that carried a load out."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpuassay import cli
from gpuassay.cluster import existing
from gpuassay.load import spread_job
from gpuassay.load.spread import Spread, merge_pods
from tests.load.test_spread import plan_of, reports_of


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A command line, and a cluster whose two pods have carried the plan out without a control."""

    def connect(*_: object) -> tuple[None, None]:
        return None, None

    def carried_out(*_: object) -> Spread:
        return merge_pods(reports_of([10, 20, 30], 2), 2)

    monkeypatch.setattr(existing, "connect", connect)
    monkeypatch.setattr(spread_job, "spread", carried_out)
    plan = tmp_path / "plan.json"
    plan.write_bytes(plan_of(3).to_json())
    return ["load", str(plan), str(tmp_path / "rows"), "--kubeconfig", "any", "--image", "any", "--pods", "2"]


def test_pods_that_cannot_tell_the_effect_are_named(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Red when one bad generator hides among good ones, or rows are refused where nothing is to be told of them."""
    assert cli.main(words) == 0
    assert "3 asked, 3 ok, 0 failed by 2 pods" in capsys.readouterr().out
    words[2] += "-again"
    assert cli.main([*words, "--effect", "5"]) == 1
    assert "load-1 on node-1: it measured no error of its own" in capsys.readouterr().out


@pytest.mark.parametrize("effect", ["0", "-1", "nan", "much"])
def test_an_effect_is_a_number_above_zero(words: list[str], effect: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Red when nonsense ends in a traceback or is taken."""
    with pytest.raises(SystemExit, match="2"):
        cli.main([*words, f"--effect={effect}"])
    assert f"'{effect}' is no number above 0" in capsys.readouterr().err
