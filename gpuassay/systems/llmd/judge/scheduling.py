"""Why does precise prefix routing not route? Every fault of its path answers 200; this names the one that is there.

A diagnosis looks at an *episode* of a recording: some replicas were warmed, then the gateway was asked. From the
answers it reads the symptom; the cause it reads from what every station of the path says: topics and times of KV-cache
events, the picker's log and configuration, and what tokenization service and model server make of one sample. A symptom
without a cause is a finding of its own (`UNEXPLAINED`); a cause is named whether or not luck hid its symptom.

An episode (`notes.EPISODES`): `arm` (whose events count), `began_ns` and `ended_ns` (ns since the epoch),
`replicas` (each with `name`, `topic`), `configuration` and `version` of the picker, and the lines of its `log` since
replicas were warmed (`msg`, `error`), `tokens` (`picker`, `server`: the ids that both make of one text, None where
nobody answers).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, cast

from gpuassay.manifest import dig
from gpuassay.systems.llmd import notes
from gpuassay.systems.llmd.judge import routing
from gpuassay.systems.llmd.judge.scheduling_picks import apart_findings
from gpuassay.systems.llmd.readings import RoutingRecording
from gpuassay.systems.llmd.rows import KvEvent
from gpuassay.systems.llmd.versions import gates_taken

TOPIC_WITHOUT_PORT = "topic-without-port"
TOPIC_UNKNOWN = "topic-unknown"
TOKENIZER_DEAD = "tokenizer-dead"
TOKENIZER_WRONG = "tokenizer-wrong"
PARAMETER_UNKNOWN = "parameter-unknown"
GATE_MISSING = "feature-gate-missing"
PICKER_RESTARTED = "picker-restarted"
EVENTS_LOST = "events-lost"
UNEXPLAINED = "unexplained"

GATE = "prepareDataPlugins"
"""Feature gate without which speculative indexing is configured and does nothing (llm-d-inference-scheduler v0.7.1)."""

_DROPPED = ("Dropping tokenization task", "failed to render tokens")
_STARTED = "Loaded raw configuration"

_PRECISE = "precise-prefix-cache-scorer"
_ANY: Mapping[str, Any] = {"*": None}
KNOWN_PARAMETERS: Mapping[str, Any] = {
    "tokenProcessorConfig": {"blockSize": None, "blockSizeTokens": None, "hashSeed": None},
    "indexerConfig": {
        "kvBlockIndexConfig": _ANY,
        "kvCacheBackendConfigs": _ANY,
        "tokenizersPoolConfig": {
            "modelName": None, "workersCount": None, "uds": {"socketFile": None, "useTCP": None},
            "local": _ANY, "hf": _ANY, "minPrefixOverlapRatio": None,
        },
    },
    "kvEventsConfig": {
        "zmqEndpoint": None, "topicFilter": None, "concurrency": None, "engineType": None, "discoverPods": None,
        "podDiscoveryConfig": {"podLabelSelector": None, "podNamespace": None, "socketPort": None},
    },
    "speculativeIndexing": None,
    "speculativeTTL": None,
}  # fmt: skip
"""Parameters of the precise scorer as its own types declare them (llm-d-inference-scheduler v0.7.1, llm-d-kv-cache
v0.9.0). Others are dropped without a word when the picker reads its configuration."""


@dataclass(frozen=True)
class Diagnosis:
    """What ails an episode.

    Attributes:
        faults: names of what is wrong; empty for a healthy one.
        told: a sentence for each fault, and for the symptoms.
        lost_prefixes: whether requests did not find the replicas that were warmed.
        split_twins: whether equal requests that came together were sent apart.
    """

    faults: frozenset[str]
    told: tuple[str, ...]
    lost_prefixes: bool
    split_twins: bool

    @property
    def healthy(self) -> bool:
        """No fault and no symptom."""
        return not (self.faults or self.lost_prefixes or self.split_twins)


def diagnose(recording: RoutingRecording, episode: str) -> Diagnosis:
    """Name what is wrong in an episode.

    Raises:
        LookupError: there is no such episode, or nothing was asked in it.
    """
    episodes = recording.note(notes.EPISODES)
    if episode not in episodes:
        raise LookupError(f"{recording.name}: no episode {episode!r}; there are {', '.join(episodes) or 'none'}")
    facts = episodes[episode]
    events = [
        one
        for one in recording.kv_events
        if one.arm == facts["arm"] and facts["began_ns"] <= one.at <= facts["ended_ns"]
    ]
    asked = recording.asks(f"{episode}/found")
    warmed = recording.note(notes.WARMED)
    lost = routing.direct_warm_findings(routing.direct_warm(asked, warmed, len(facts["replicas"])))
    twins = [row for row in recording.requests if row.wave == f"{episode}/twins"]
    split = apart_findings(twins) if twins and _speculates(facts["configuration"]) else []
    causes: dict[str, str] = {}
    for look in (_topics, _silence, _tokens, _parameters, _gate, _restarts):
        causes |= look(facts, events, {row.label: warmed[row.label] for row in asked})
    told = [*(f"{name}: {text}" for name, text in causes.items()), *lost, *split]
    if (lost or split) and not causes:
        causes[UNEXPLAINED] = "a symptom without a cause"
    return Diagnosis(frozenset(causes), tuple(told), bool(lost), bool(split))


def diagnosis_findings(found: Diagnosis, *expected: str) -> list[str]:
    """Whether an episode was diagnosed with exactly these faults; with none: as healthy."""
    if found.faults == frozenset(expected) and (expected or found.healthy):
        return []
    wanted = ", ".join(sorted(expected)) or "healthy"
    seen = ", ".join(sorted(found.faults)) or ("healthy" if found.healthy else "symptoms alone")
    return [f"expected the diagnosis {wanted}, seen {seen}: {'; '.join(found.told) or 'nothing remarkable'}"]


# --- stations of the path, each {fault: sentence} ------------------------------------------------------------------

_Facts = Mapping[str, Any]


def _topics(facts: _Facts, events: Sequence[KvEvent], warmed: Mapping[str, str]) -> dict[str, str]:
    """Topics under which events came, against those of the endpoints: the picker knows a pod by address and port."""
    expected = {str(one["topic"]) for one in facts["replicas"]}
    bare = {_without_port(topic) for topic in expected}
    strange = {one.topic for one in events} - expected
    found: dict[str, str] = {}
    if portless := sorted(strange & bare):
        found[TOPIC_WITHOUT_PORT] = f"events come under {portless[0]}, endpoints have a port: {sorted(expected)[0]}"
    if unknown := sorted(strange - bare):
        found[TOPIC_UNKNOWN] = f"events come under {', '.join(unknown[:3])}, which is the topic of no endpoint"
    return found


def _without_port(topic: str) -> str:
    head, address, model = topic.split("@", 2)
    return f"{head}@{address.rpartition(':')[0]}@{model}"


def _silence(facts: _Facts, events: Sequence[KvEvent], warmed: Mapping[str, str]) -> dict[str, str]:
    """Replicas that were warmed and of which no event passed, and numbers that are missing between two events."""
    if events:
        gaps = [gap for topic in {one.topic for one in events} for gap in _gaps(topic, events)]
        if gaps:
            return {EVENTS_LOST: f"numbers are missing: {'; '.join(gaps[:3])}"}
    heard = {one.topic for one in events}
    heard |= {_without_port(topic) for topic in heard if ":" in topic}
    silent = sorted(
        str(one["name"])
        for one in facts["replicas"]
        if one["name"] in warmed.values() and not {str(one["topic"]), _without_port(str(one["topic"]))} & heard
    )
    return {EVENTS_LOST: f"warmed, and no event of it passed the tap: {', '.join(silent)}"} if silent else {}


def _gaps(topic: str, events: Iterable[KvEvent]) -> list[str]:
    numbers = [one.sequence for one in events if one.topic == topic]
    return [f"{topic} {a} then {b}" for a, b in pairwise(numbers) if b > a + 1]


def _tokens(facts: _Facts, events: Sequence[KvEvent], warmed: Mapping[str, str]) -> dict[str, str]:
    """What the tokenization service says, against what a model server says; and what the picker says of it."""
    service, server = facts["tokens"]["picker"], facts["tokens"]["server"]
    dropped = [line for line in facts["log"] if any(part in str(line.get("msg")) for part in _DROPPED)]
    if service is None and dropped:
        return {TOKENIZER_DEAD: f"the service does not answer, the picker dropped {len(dropped)} prompts"}
    if service is None and _precise(facts["configuration"]):
        return {TOKENIZER_DEAD: "the service does not answer"}
    if dropped:
        return {TOKENIZER_DEAD: f"the picker dropped {len(dropped)} prompts: {dropped[-1].get('error')}"}
    if service is not None and server is not None and service != server:
        return {TOKENIZER_WRONG: f"of one text the service makes {service[:4]}..., a model server {server[:4]}..."}
    return {}


def _parameters(facts: _Facts, events: Sequence[KvEvent], warmed: Mapping[str, str]) -> dict[str, str]:
    """Parameters that no type declares: they were dropped without a word."""
    found = unknown_parameters(facts["configuration"])
    return {PARAMETER_UNKNOWN: f"the picker knows no {', '.join(found)}"} if found else {}


def unknown_parameters(configuration: Mapping[str, Any]) -> list[str]:
    """Dotted names of the precise scorer's parameters in a picker configuration that it does not know."""
    parameters: Mapping[str, Any] = dig(_precise(configuration) or {}, "parameters", default={})
    return _unknown(parameters, KNOWN_PARAMETERS, "")


def _unknown(given: Mapping[str, Any], known: Mapping[str, Any], path: str) -> list[str]:
    found: list[str] = []
    for name, value in given.items():
        # Go takes a field's name in any case
        declared = next((entry for entry in known if entry.lower() == name.lower()), None)
        if "*" in known:
            continue
        if declared is None:
            found.append(path + name)
        elif isinstance(known[declared], Mapping) and isinstance(value, Mapping):
            inner = cast("Mapping[str, Any]", known[declared])
            found += _unknown(cast("Mapping[str, Any]", value), inner, f"{path}{name}.")
    return found


def _gate(facts: _Facts, events: Sequence[KvEvent], warmed: Mapping[str, str]) -> dict[str, str]:
    """Speculative indexing that is asked for, and the gate that it needs."""
    configuration, version = facts["configuration"], str(facts.get("version", ""))
    needed = GATE in gates_taken(version, [GATE])  # a newer picker refuses it, and speculates without
    if needed and _speculates(configuration) and GATE not in configuration.get("featureGates", []):
        return {GATE_MISSING: f"speculativeIndexing is on and does nothing without the feature gate {GATE}"}
    return {}


def _restarts(facts: _Facts, events: Sequence[KvEvent], warmed: Mapping[str, str]) -> dict[str, str]:
    """Starts of the picker after replicas were warmed: it has forgotten them, and nobody tells it again."""
    starts = [line for line in facts["log"] if str(line.get("msg")) == _STARTED]
    return {PICKER_RESTARTED: f"it started {len(starts)}x after the replicas were warmed"} if starts else {}


def _precise(configuration: Mapping[str, Any]) -> Mapping[str, Any] | None:
    return next((one for one in configuration.get("plugins", []) if one.get("type") == _PRECISE), None)


def _speculates(configuration: Mapping[str, Any]) -> bool:
    """Whether it asks for speculative indexing, were it by a misspelt name."""
    parameters: Mapping[str, Any] = dig(_precise(configuration) or {}, "parameters", default={})
    return any(str(name).lower().startswith("speculative") for name in parameters)
