"""Nobody is admitted beyond the quota of the tree: each reservation is held against the quotas as they stood then.

A quota that shrinks, or a queue that moves, leaves more in use than there is; that is no finding. A reservation that
was not possible is one: with any of the configurations that Kueue may have had before it when it decided. What a
deactivated Workload holds counts for nothing: Kueue gives that away at once (`workload.HasActiveQuotaReservation`).
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from gpuassay.manifest import Manifest, dig, is_true
from gpuassay.systems.kueue.judge.forest import grown
from gpuassay.systems.kueue.judge.rest import Usage, usage_of
from gpuassay.systems.kueue.readings import KueueRecording

LAG_NS = 3_000_000_000
"""Kueue may decide by a configuration that was replaced so long ago: its watches, and ours, are late."""

Configuration = tuple[dict[str, Manifest], dict[str, Manifest]]
"""ClusterQueues and Cohorts by name."""


def findings(recording: KueueRecording) -> list[str]:
    """Reservations that no quota allowed, as sentences."""
    versions: list[tuple[int, Configuration]] = [(0, ({}, {}))]
    held: dict[str, Usage] = {}
    decisions: list[tuple[int, str, Usage, dict[str, Usage]]] = []
    for event in recording.events:
        if event.kind in {"ClusterQueue", "Cohort"}:
            queues, cohorts = dict(versions[-1][1][0]), dict(versions[-1][1][1])
            into = queues if event.kind == "ClusterQueue" else cohorts
            if event.type == "DELETED":
                into.pop(event.name, None)
            elif event.name in into and into[event.name]["spec"] == event.object.get("spec"):
                continue
            else:
                into[event.name] = event.object
            versions.append((event.at, (queues, cohorts)))
        elif event.kind == "Workload":
            before = held.get(event.uid)
            given_up = event.type == "DELETED" or dig(event.object, "spec", "active", default=True) is False
            now = {} if given_up else usage_of(event.object)
            held[event.uid] = now
            if now and not before and not is_true(event.object, "Evicted"):
                decisions.append((event.at, event.name, now, {uid: one for uid, one in held.items() if one}))
    found: list[str] = []
    for at, name, mine, all_held in decisions:
        ends = [since for since, _ in versions[1:]] + [at + LAG_NS]
        possible = [
            one for (since, one), end in zip(versions, ends, strict=True) if since <= at + LAG_NS and end >= at - LAG_NS
        ]
        problems = [sorted(_beyond(one, mine, all_held)) for one in possible]
        if problems and all(problems):
            found.append(f"Workload {name} got quota that there was not: {problems[-1][0]}")
    return found


def _beyond(configuration: Configuration, mine: Usage, held: dict[str, Usage]) -> Iterator[str]:
    """What of a reservation the configuration does not allow, once it is counted."""
    queues, cohorts = configuration
    trees = grown(queues, cohorts)
    if trees is None:
        return  # a cycle: its queues are inactive, and nobody knows since when
    for usage in held.values():
        for (queue, flavor, resource), amount in usage.items():
            tree = trees.get((flavor, resource))
            if tree is not None and queue in tree.queues:
                tree.add(queue, amount)
    for (queue, flavor, resource), amount in mine.items():
        if not amount:
            continue
        tree = trees.get((flavor, resource))
        if tree is None or queue not in tree.queues:
            yield f"{queue} has no {resource} of flavor {flavor}"
            continue
        left = Fraction(tree.available(queue))
        if left < 0:
            had = float(left + amount)
            yield f"{float(amount):g} {resource} of flavor {flavor} in {queue}, where {had:g} were free"
