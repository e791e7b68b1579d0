"""`gpuassay reach`: what counts as judged, and why the rest was not."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from gpuassay import capabilities
from gpuassay.capabilities import Why
from gpuassay.cli import main
from gpuassay.report.exhibits import EXHIBIT
from gpuassay.report.reach import NOISE, NOT_ASKED, RECORDED, UNLISTED, Asked, exhibit, lines, reach
from gpuassay.session.declared import everything
from gpuassay.session.exhibits import MEASURED
from gpuassay.session.names import capabilities as known_capabilities
from gpuassay.system import why_lacking
from gpuassay.verdict import State
from tests.report.synthetic import run_json, verdict

ONE = "kueue.order.burst"
OWN = {"own-arms": Why.FAULTS}


def _why(name: str) -> Why | None:
    return capabilities.why(name, OWN)


@pytest.mark.parametrize("state", list(State))
def test_only_a_live_judgement_counts(state: State) -> None:
    counted = reach([Asked(ONE, "kueue")], [[verdict(ONE, state)]], _why)
    assert counted.whole.judged == (state in {State.PASS, State.FAIL, State.KNOWN_DEFECT})
    assert counted.whole.declared == 1
    assert sum(one.total() for one in counted.reasons.values()) == 1 - counted.whole.judged


@pytest.mark.parametrize(
    ("state", "said", "reason"),
    [
        (State.SKIP, "the cluster lacks: own-arms (it starts gateways of its own)", Why.FAULTS),
        (State.SKIP, "the cluster lacks: kueue, own-arms", Why.FAULTS),  # the hardest to give
        (State.SKIP, "the cluster lacks: gate:PartialAdmission", Why.SWITCHED_OFF),
        (State.SKIP, "the cluster lacks: program:vllm (bring it)", Why.ABSENT),
        (State.SKIP, "from outside: the pods of somebody's gateway cannot be touched from outside", Why.FAULTS),
        (State.SKIP, "from outside: this identity may not watch workloads.kueue.x-k8s.io, so ...", Why.RIGHTS),
        (State.ERROR, "ScenarioBroke: scenario a: this identity may not create jobs.batch", Why.RIGHTS),
        (State.SKIP, "the cluster lacks: nobody-knows", UNLISTED),
        (State.SKIP, "not today", UNLISTED),
        (State.INCONCLUSIVE, "2 % of noise", NOISE),
        (State.PASS_RECORDED, "of DAS", RECORDED),
    ],
)
def test_the_reason_is_one_of_a_closed_list(state: State, said: str, reason: str) -> None:
    counted = reach([Asked(ONE, "kueue")], [[verdict(ONE, state, reason=said)]], _why)
    assert list(counted.reasons) == [reason]


def test_what_a_run_did_not_select_still_counts_as_declared() -> None:
    counted = reach([Asked(ONE, "kueue"), Asked("kueue.order.other", "kueue")], [[verdict(ONE)]], _why)
    assert str(counted.whole) == "1 of 2 (50.0 %)"
    assert counted.reasons[NOT_ASKED].total() == 1


def test_of_two_runs_the_one_that_judged_counts() -> None:
    skipped, judged = [verdict(ONE, State.SKIP, reason="the cluster lacks: kueue")], [verdict(ONE)]
    for runs in ([skipped, judged], [judged, skipped]):
        assert reach([Asked(ONE, "kueue")], runs, _why).whole.judged == 1


def test_measurements_are_counted_apart() -> None:
    counted = reach([Asked(ONE, "kueue", measured=True)], [[verdict(ONE)]], _why)
    assert (str(counted.whole), counted.all_measured.judged) == ("none declared", 1)
    assert "1 of 1 (100.0 %)" in "\n".join(lines(counted))


def test_the_exhibit_can_be_drawn() -> None:
    counted = reach([Asked(ONE, "kueue"), Asked("slices.a.b", "slices", measured=True)], [[verdict(ONE)]], _why)
    drawn = EXHIBIT.validate_python(exhibit(counted, "this cluster"))
    assert drawn.kind == "table"
    assert drawn.cells[0][:3] == ["kueue", "1", "1"]


def test_every_capability_has_its_reason() -> None:
    assert [name for name in sorted(known_capabilities()) if why_lacking(name) is None] == []


def test_measurements_of_a_report_are_those_of_the_markers() -> None:
    assert [one.id for one in everything() if one.measured != (one.behaviour.feature in MEASURED)] == []


def _run(folder: Path, **changes: object) -> Path:
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps(run_json(**changes)))
    (folder / "verdicts.jsonl").write_text(json.dumps(verdict("kueue.ordering.same-second-burst").to_json()) + "\n")
    return folder


def test_the_command_counts_and_holds_the_run_to_a_share(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = _run(tmp_path / "run")
    assert main(["reach", str(run)]) == 0
    assert re.search(r"^kueue +1 of [0-9]+ ", capsys.readouterr().out, re.MULTILINE)
    assert main(["reach", str(run), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rules"]["kueue"]["judged"] == 1
    assert main(["reach", str(run), "--least", "85"]) == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"mode": "replay", "replay_of": "x"}, "REPLAY of x: only a live run of a sound system"),
        ({"mutant": "kueue-sleeps"}, "MUTANT kueue-sleeps: only a live run of a sound system"),
        ({"cluster": None}, "no cluster stands in run.json"),
    ],
)
def test_a_run_that_judged_no_cluster_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, object], said: str
) -> None:
    assert main(["reach", str(_run(tmp_path / "run", **changes))]) == 2
    assert said in capsys.readouterr().err


def test_runs_on_different_clusters_are_not_added_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [_run(tmp_path / name, cluster={"provider": name}) for name in ("embedded", "existing")]
    assert main(["reach", *map(str, runs)]) == 2
    assert "different clusters" in capsys.readouterr().err
