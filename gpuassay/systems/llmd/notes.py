"""What scenarios of routing hand to their judges, where more than one module reads or writes it."""

from __future__ import annotations

from gpuassay.load.gate import Control
from gpuassay.manifest import Manifest
from gpuassay.record.notes import Note

WARMED = Note("warmed", dict[str, str], "name of the replica that each prompt was given to directly, by its label")
SERVERS = Note("servers", list[str], "names of the model servers behind the gateway, each once")
CLAIM = Note("claim", str, "by what rule the picker is said to choose", default="precise")
PICKERS_UNSEEN = Note("pickers_unseen", str, "why the pickers' own metrics could not be read", default="")
MEMBERS = Note("members", list[str], "`address:port` of each replica in the pool")
POD_CONTROLS = Note(
    "pod_controls", dict[str, Control], "by wave, the error of the worst generator of those that were pods", default={}
)
CPU_BUSY = Note(
    "cpu_busy", dict[str, float | None], "share of all CPUs' time in use during a wave; null where nobody can tell",
    default={},
)  # fmt: skip
START_SECONDS = Note("start_seconds", dict[str, dict[str, float]], "s that the steps of each arm's start took")
EVENT_LAG = Note("event_lag_seconds", float, "how long the picker needs to know of KV-cache events, in s")

EPISODES = Note("episodes", dict[str, Manifest], "what was seen of picker, tokenizer and events, by episode")

NOT_POSSIBLE = Note(
    "not_possible", dict[str, str], "what could not be done to an arm on somebody's cluster, and why", default={}
)  # fmt: skip
CHANGES = Note("changes", list[Manifest], "how long picks took to follow a change of the pool, in s")
GAUGES = Note("gauges", list[Manifest], "how long the count of ready endpoints took to follow, in s")
HEALTHS = Note("healths", list[Manifest], "how long the health service took to follow, in s")

PICTURES = Note("pictures", dict[str, dict[str, Manifest]], "status of Gateway, route, pool and class, by step")
TOOK = Note("took_s", dict[str, float], "how long the status was waited for, in s, by step")
XDS_REFUSALS = Note("xds_refusals", list[str], "what Envoy refused of istiod's configuration, as istiod logs it")

POOLS = {name: Note(name, str, f"namespace of the {name} of two pools") for name in ("first", "second")}

WAYS = Note("arms", list[str], "names of the ways or profiles that were measured, in the order of the rounds")
ROUNDS = Note("rounds", int, "in how many rounds all were asked")
