"""At rest every number in the status of a queue equals a recount of the Workloads."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from gpuassay.manifest import Manifest, dig, is_true, name_of
from gpuassay.systems.kueue.judge.rest import Rest, Usage
from gpuassay.systems.kueue.model.quota import parse_quantity
from gpuassay.systems.kueue.readings import KueueRecording


def findings(recording: KueueRecording) -> list[str]:
    """Every count and amount that differs from the recount, as sentences."""
    if not recording.at_rest:
        return []
    rest = Rest(recording)
    found: list[str] = []
    for name, queue in rest.cluster_queues.items():
        if "status" not in queue:
            continue
        mine = [one for one in rest.holding() if dig(one, "status", "admission", "clusterQueue") == name]
        waiting = [(one, sure) for one, sure in rest.waiting() if rest.queue_of(one) == name]
        left = sum(rest.left_by(one) == name for one, _ in rest.waiting()) + rest.deleted_since(name)
        found += _recount(
            f"ClusterQueue {name}", queue, queue, mine, waiting, rest, left=left,
            incomplete=len(rest.incomplete_in(name)),
        )  # fmt: skip
    for (_, name), local in rest.local_queues.items():
        cluster_queue = rest.cluster_queues.get(str(dig(local, "spec", "clusterQueue", default="")))
        if "status" not in local or cluster_queue is None:
            continue
        mine = [
            one for one in rest.holding()
            if rest.local_queue_of(one) is local
            and dig(one, "status", "admission", "clusterQueue") == name_of(cluster_queue)
        ]  # fmt: skip
        waiting = [(one, sure) for one, sure in rest.waiting() if rest.local_queue_of(one) is local]
        if dig(local, "spec", "stopPolicy", default="None") != "None":
            waiting = []
        incomplete = sum(rest.local_queue_of(one) is local for one in rest.incomplete_in(name_of(cluster_queue)))
        found += _recount(f"LocalQueue {name}", local, cluster_queue, mine, waiting, rest, incomplete=incomplete)
    return found


def _recount(
    what: str,
    obj: Manifest,
    queue: Manifest,
    mine: list[Manifest],
    waiting: list[tuple[Manifest, bool]],
    rest: Rest,
    *,
    left: int = 0,
    incomplete: int = 0,
) -> Iterator[str]:
    """Findings about the status of `obj`, whose quota is that of the ClusterQueue `queue`.

    `left`: how many Workloads waited in it until their LocalQueue was stopped or deleted, those deleted
    since too; `incomplete`: how many wait
    for replacement pods instead.
    """
    doubtful = [one for one in mine if dig(one, "spec", "active", default=True) is False]
    admitted = [one for one in mine if is_true(one, "Admitted")]
    sure = sum(certain for _, certain in waiting)
    for field, least, most in (
        ("pendingWorkloads", sure, len(waiting)),
        ("reservingWorkloads", len(mine) - len(doubtful), len(mine)),
        ("admittedWorkloads", len([one for one in admitted if one not in doubtful]), len(admitted)),
    ):
        told = int(dig(obj, "status", field, default=0))
        if field == "pendingWorkloads":
            if strays := min(incomplete, max(0, told - most)):
                yield f"{what} counts {strays} Workloads as waiting for quota that wait for replacement pods"
            told -= strays
        if field == "pendingWorkloads" and most < told <= most + left:
            yield f"{what} still counts {told - most} waiting Workloads of a LocalQueue that was stopped or deleted"
        elif field == "pendingWorkloads" and obj is not queue and told == least - 1:
            yield f"{what} counts one waiting Workload too few: {told} of {most}"
        elif not least <= told <= most:
            yield f"{what} counts {field}={told}, recount gives {most}"
    if doubtful:
        return
    yield from _amounts(what, "flavorsReservation", obj, queue, rest.held(mine))
    yield from _amounts(what, "flavorsUsage", obj, queue, rest.held(admitted))


def _amounts(what: str, field: str, obj: Manifest, queue: Manifest, held: Usage) -> Iterator[str]:
    """Amounts of every flavor and resource of the queue, and what of them is borrowed."""
    flavors: list[Manifest] = dig(obj, "status", field, default=[])
    told: dict[tuple[str, str], Manifest] = {}
    for flavor in flavors:
        resources: list[Manifest] = flavor.get("resources") or []
        told |= {(str(flavor["name"]), str(one["name"])): one for one in resources}
    for group in dig(queue, "spec", "resourceGroups", default=[]):
        for flavor in group["flavors"]:
            for entry in flavor["resources"]:
                key = (str(flavor["name"]), str(entry["name"]))
                mine = held.get((name_of(queue), *key), Fraction())
                said = _amount(told.get(key), "total")
                if said != mine:
                    seen = f"{what} tells {field} {float(said):g} of {key[1]} in flavor {key[0]}"
                    yield f"{seen}, recount gives {float(mine):g}"
                nominal = Fraction(parse_quantity(str(entry["nominalQuota"])))
                lent = max(Fraction(), mine - nominal) if dig(queue, "spec", "cohortName") else Fraction()
                over = _amount(told.get(key), "borrowed")
                if obj is queue and said == mine and over != lent:
                    yield f"{what} tells {field} borrowed {float(over):g} of {key[1]}, recount gives {float(lent):g}"


def _amount(entry: Manifest | None, field: str) -> Fraction:
    return Fraction(parse_quantity(str(dig(entry, field, default="0"))))
