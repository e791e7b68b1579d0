"""The diagnosis of precise routing, on recordings with one thing wrong at a time."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from gpuassay.manifest import Manifest
from gpuassay.record.recording import RecordingMeta
from gpuassay.systems.llmd.judge import scheduling as judge
from gpuassay.systems.llmd.judge.scheduling_picks import (
    apart,
    apart_findings,
    drawn_findings,
    only_findings,
    placed_findings,
    reached_findings,
    refused_findings,
)
from gpuassay.systems.llmd.readings import RoutingRecording
from gpuassay.systems.llmd.rows import KvEvent, RequestRow

MODEL = "m/8b"
CONFIGURATION: dict[str, Any] = {
    "featureGates": ["prepareDataPlugins"],
    "plugins": [
        {"type": "single-profile-handler"},
        {
            "type": "precise-prefix-cache-scorer",
            "parameters": {
                "tokenProcessorConfig": {"blockSizeTokens": 16, "hashSeed": "42"},
                "speculativeIndexing": True,
                "kvEventsConfig": {"zmqEndpoint": "tcp://127.0.0.1:1", "discoverPods": False},
                "indexerConfig": {
                    "tokenizersPoolConfig": {"modelName": MODEL, "uds": {"socketFile": "127.0.0.1:2", "useTCP": True}}
                },
            },
        },
    ],
}


class Case:
    """A healthy episode of four replicas, to be doctored."""

    def __init__(self) -> None:
        self.replicas = [{"name": f"s{i}", "topic": f"kv@127.0.0.{i}:800{i}@{MODEL}"} for i in range(4)]
        self.warmed = {f"p{i}": f"s{i % 4}" for i in range(12)}
        self.found: list[RequestRow] = [self.row("e/found", i, f"p{i}", f"s{i % 4}") for i in range(12)]
        self.twins: list[RequestRow] = [self.row("e/twins", 12 + i, "t", "s1") for i in range(6)]
        self.events = [
            KvEvent(arm="arm", at=150, topic=self.replicas[i % 4]["topic"], sequence=i // 4) for i in range(12)
        ]
        self.facts: Manifest = {
            "arm": "arm", "began_ns": 100, "ended_ns": 200, "replicas": self.replicas,
            "configuration": copy.deepcopy(CONFIGURATION), "log": [], "picker_alive": True,
            "tokens": {"picker": [1, 2, 3], "server": [1, 2, 3]},
        }  # fmt: skip

    @staticmethod
    def row(wave: str, index: int, label: str, served: str) -> RequestRow:
        """An answer."""
        return RequestRow(wave=wave, index=index, label=label, status=200, served_by=served)

    def miss(self) -> None:
        """All requests went to one replica: three of four missed."""
        for row in self.found:
            row.served_by = "s0"

    def split(self) -> None:
        """Twins were sent apart."""
        for number, row in enumerate(self.twins):
            row.served_by = f"s{number % 4}"

    def diagnosis(self) -> judge.Diagnosis:
        """Of what it has become."""
        meta = RecordingMeta(scenario="doctored", notes={"warmed": self.warmed, "episodes": {"e": self.facts}})
        return judge.diagnose(
            RoutingRecording.of_parts(meta, requests=self.found + self.twins, kv_events=self.events), "e"
        )

    @property
    def parameters(self) -> dict[str, Any]:
        """Of the precise scorer."""
        return self.facts["configuration"]["plugins"][1]["parameters"]


def test_nothing_wrong_is_healthy() -> None:
    """No fault, no symptom, no finding; and any expected fault is missed."""
    found = Case().diagnosis()
    assert found.healthy
    assert not judge.diagnosis_findings(found)
    assert judge.diagnosis_findings(found, judge.EVENTS_LOST)


def no_port(case: Case) -> None:
    """Events come under the address alone."""
    for number, line in enumerate(case.events):
        line.topic = f"kv@127.0.0.{number % 4}@{MODEL}"
    case.miss()


def foreign(case: Case) -> None:
    """One replica publishes under another model's name beside its own."""
    case.events.append(replace(case.events[0], topic="kv@127.0.0.9:1@other", sequence=0))


def silent(case: Case) -> None:
    """No event passed."""
    case.events.clear()
    case.miss()


def one_silent(case: Case) -> None:
    """One warmed replica was not heard."""
    case.events = [line for line in case.events if line.topic != case.replicas[2]["topic"]]


def too_early(case: Case) -> None:
    """Events passed, but before replicas were warmed for this episode."""
    for line in case.events:
        line.at = 50


def other_arm(case: Case) -> None:
    """The events are those of another arm."""
    for line in case.events:
        line.arm = "elsewhere"


def gap(case: Case) -> None:
    """A number is missing between two events of one replica."""
    case.events[8].sequence = 3


def dropped(case: Case) -> None:
    """The picker says that it dropped prompts, the service is back by now."""
    case.facts["log"] = [{"msg": "Dropping tokenization task after max retries", "error": "unavailable"}]


def deaf(case: Case) -> None:
    """The tokenization service does not answer."""
    case.facts["tokens"]["picker"] = None


def shifted(case: Case) -> None:
    """Its tokens are others."""
    case.facts["tokens"]["picker"] = [2, 3, 4]
    case.miss()


def misspelt(case: Case) -> None:
    """A parameter's name is wrong."""
    case.parameters["speculativeIndexng"] = case.parameters.pop("speculativeIndexing")
    case.split()


def misspelt_inside(case: Case) -> None:
    """A nested parameter's name is wrong."""
    case.parameters["kvEventsConfig"]["topicFiltr"] = "kv@"


def ungated(case: Case) -> None:
    """The feature gate is missing."""
    case.facts["configuration"].pop("featureGates")
    case.split()


def restarted(case: Case) -> None:
    """The picker was started after replicas were warmed."""
    case.facts["log"] = [{"msg": "Loaded raw configuration"}]
    case.miss()


def unknown(case: Case) -> None:
    """Prefixes are not found, and nothing says why."""
    case.miss()


@pytest.mark.parametrize(
    ("doctor", "fault"),
    [
        (no_port, judge.TOPIC_WITHOUT_PORT),
        (foreign, judge.TOPIC_UNKNOWN),
        (silent, judge.EVENTS_LOST),
        (one_silent, judge.EVENTS_LOST),
        (too_early, judge.EVENTS_LOST),
        (other_arm, judge.EVENTS_LOST),
        (gap, judge.EVENTS_LOST),
        (dropped, judge.TOKENIZER_DEAD),
        (deaf, judge.TOKENIZER_DEAD),
        (shifted, judge.TOKENIZER_WRONG),
        (misspelt, judge.PARAMETER_UNKNOWN),
        (misspelt_inside, judge.PARAMETER_UNKNOWN),
        (ungated, judge.GATE_MISSING),
        (restarted, judge.PICKER_RESTARTED),
        (unknown, judge.UNEXPLAINED),
    ],
)
def test_each_fault_is_named_and_no_other(doctor: Callable[[Case], None], fault: str) -> None:
    """One thing wrong, one name; red if the name is another, or there are two."""
    case = Case()
    doctor(case)
    found = case.diagnosis()
    assert not judge.diagnosis_findings(found, fault), found
    assert judge.diagnosis_findings(found)
    assert all(found.told)


def test_two_faults_are_both_named() -> None:
    """A dead tokenizer does not hide a missing gate."""
    case = Case()
    deaf(case)
    ungated(case)
    assert case.diagnosis().faults == {judge.TOKENIZER_DEAD, judge.GATE_MISSING}


def test_a_version_without_the_gate_lacks_none() -> None:
    """Red when a newer picker is blamed for a feature gate that it would refuse."""
    case = Case()
    case.facts["configuration"].pop("featureGates")
    case.facts["version"] = "v0.10.0"
    assert not case.diagnosis().faults


def test_twins_may_split_where_nobody_speculates() -> None:
    """Without speculative indexing in the configuration, split twins are no symptom."""
    case = Case()
    case.parameters.pop("speculativeIndexing")
    case.split()
    assert case.diagnosis().healthy


def test_an_episode_that_is_not_there() -> None:
    """The names of those that are there are told."""
    with pytest.raises(LookupError, match="no episode 'x'; there are none"):
        judge.diagnose(RoutingRecording.of_parts(RecordingMeta("s", notes={"episodes": {}})), "x")


def test_parameters_may_be_written_in_any_case() -> None:
    """Go's JSON reader takes field names in any case: such a name is not unknown."""
    configuration = copy.deepcopy(CONFIGURATION)
    parameters: dict[str, Any] = configuration["plugins"][1]["parameters"]
    parameters["SpeculativeTTL"] = "2s"
    assert judge.unknown_parameters(configuration) == []


def picks(*served: str | None) -> list[RequestRow]:
    """Rows of picks; None was refused with 429."""
    return [
        RequestRow(
            wave="w", index=i, label=f"p{i}", status=200 if name else 429, error="" if name else "http-429",
            served_by=name,
        )
        for i, name in enumerate(served)
    ]  # fmt: skip


def test_picks_elsewhere_refused_or_absent_are_found() -> None:
    """Red for a stray, a refusal, and for nothing at all."""
    assert not only_findings(picks("a", "b", "a"), {"a", "b"})
    assert only_findings(picks("a", "c"), {"a", "b"})
    assert only_findings(picks("a", None), {"a"})
    assert only_findings([], {"a"})
    assert not reached_findings(picks("a", "b"), {"a", "b"})
    assert "b" in reached_findings(picks("a", "a", None), {"a", "b"})[0]


def test_picks_are_held_against_their_own_prompt() -> None:
    """Red for the right replicas in the wrong order, unless so many may be wrong."""
    assert not placed_findings(picks("a", "b"), {"p0": "a", "p1": "b"})
    assert placed_findings(picks("b", "a"), {"p0": "a", "p1": "b"})
    assert not placed_findings(picks("b", "b"), {"p0": "a", "p1": "b"}, allowed=1)
    assert placed_findings(picks("a"), {})


def test_what_must_not_draw_requests_draws_no_more_than_chance() -> None:
    """Red where all go where their prompt is warm, and where one fails; an even spread is not red."""
    warmed = {f"p{i}": "a" for i in range(12)}
    assert not drawn_findings(picks("a", "b", "c", "d") * 3, warmed, 4)
    assert "12 times of 12" in drawn_findings(picks(*"a" * 12), warmed, 4)[0]
    assert drawn_findings(picks("b", None), warmed, 4)
    with pytest.raises(ValueError, match="no replica was warmed"):
        drawn_findings(picks("b"), {}, 4)


def test_refusals_are_of_the_right_kind() -> None:
    """Red for an answer, another status, and for nothing at all."""
    assert not refused_findings(picks(None, None), 429)
    assert refused_findings(picks(None, "a"), 429)
    assert refused_findings(picks(None), 503)
    assert refused_findings([], 429)


def test_twins_are_apart_from_most_of_their_kind() -> None:
    """The share of those that left the majority, by prompt; red above the limit, and impossible without rows."""
    rows = [replace(row, label=f"t{row.index // 4}") for row in picks("a", "a", "a", "b", "c", "c", "c", "c")]
    assert apart(rows) == 1 / 8
    assert not apart_findings(rows)
    assert apart_findings(rows, 0.1)
    assert apart(picks("a", None)) == 0.5
    with pytest.raises(ValueError, match="no requests"):
        apart([])
