"""When the rounds of the paper's Table 3 stop, and what is played again."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gpuassay.stats.claims import Outcome, Ruling
from gpuassay.systems.kueue.acts.lab import KueueLab
from suites.kueue.performance import paper_rounds
from suites.kueue.performance.table3 import ROUNDS


class Hall:
    """A lab that keeps what is noted, and a bench that plays in no time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, recorded: int, outcomes: Mapping[int, Outcome]) -> None:
        self.notes: dict[str, Any] = {}
        self.played: list[int] = []
        self.looked: list[int] = []

        def take(lab: object, names: list[str]) -> bool:
            del lab
            return all(int(name.rpartition("-")[2]) <= recorded for name in names)

        def play(lab: object, on: object, number: int) -> None:
            del lab, on
            self.played.append(number)

        def so_far(lab: object, rounds: int) -> int:
            del lab
            return rounds

        def makespans(rounds: int, plan: object) -> dict[str, Ruling]:
            del plan
            self.looked.append(rounds)
            return {"a": Ruling(outcomes.get(rounds, "undecided"), 0.9, 0.8, 1.0, 0.99, rounds, "")}

        monkeypatch.setattr(paper_rounds, "take", take)
        monkeypatch.setattr(paper_rounds, "_round", play)
        monkeypatch.setattr(paper_rounds, "_recorded", so_far)
        monkeypatch.setattr(paper_rounds.paper_claims, "makespans", makespans)
        monkeypatch.setattr(paper_rounds, "bench", Bench)

    def note(self, note: Any, value: object) -> None:
        self.notes[note.name] = value

    def note_next(self, note: Any, value: object) -> None:
        self.notes.setdefault(note.name, []).append(value)

    def progress(self, text: str) -> None:
        del text


class Bench(SimpleNamespace):
    def __init__(self, lab: object) -> None:
        super().__init__(lab=lab)

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *raised: object) -> None: ...


@pytest.mark.parametrize(
    ("outcomes", "rounds"),
    [({3: "holds"}, 3), ({5: "hopeless"}, 5), ({5: "refuted"}, 5), ({}, 7)],
    ids=["decided", "hopeless", "refuted", "never"],
)
def test_rounds_end_when_all_is_decided_or_hopeless(
    monkeypatch: pytest.MonkeyPatch, outcomes: Mapping[int, Outcome], rounds: int
) -> None:
    hall = Hall(monkeypatch, 0, outcomes)
    paper_rounds.act(cast("KueueLab", hall))
    assert hall.played == list(range(1, rounds + 1))
    assert hall.looked == [look for look in paper_rounds.PLAN.looks if look <= rounds]
    assert hall.notes[ROUNDS.name] == rounds


def test_rounds_that_are_recorded_are_not_played_again(monkeypatch: pytest.MonkeyPatch) -> None:
    hall = Hall(monkeypatch, 4, {5: "holds"})
    paper_rounds.act(cast("KueueLab", hall))
    assert hall.played == [5]
    assert hall.notes[paper_rounds.TAKEN.name] == [1, 2, 3, 4]


def test_no_cluster_is_started_where_all_rounds_are_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    hall = Hall(monkeypatch, 7, {7: "holds"})

    def none(lab: object) -> Bench:
        raise AssertionError("nothing is to be played")

    monkeypatch.setattr(paper_rounds, "bench", none)
    paper_rounds.act(cast("KueueLab", hall))
    assert hall.played == []
    assert hall.notes[ROUNDS.name] == 7
