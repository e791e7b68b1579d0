"""The quota trees of a recording's end: one per flavor and resource, from ClusterQueues and Cohorts as they stand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from gpuassay.manifest import Manifest, dig
from gpuassay.systems.kueue.judge.rest import Rest
from gpuassay.systems.kueue.model.quota import Quota, QuotaTree, parse_quantity

FlavorResource = tuple[str, str]


def forest(rest: Rest) -> dict[FlavorResource, QuotaTree] | None:
    """The tree of each flavor and resource, without any usage; None where cohorts form a cycle."""
    return grown(rest.cluster_queues, rest.cohorts)


def grown(
    cluster_queues: Mapping[str, Manifest], declared_cohorts: Mapping[str, Manifest]
) -> dict[FlavorResource, QuotaTree] | None:
    """The trees of these ClusterQueues and Cohorts, by name; None where cohorts form a cycle."""
    queues: dict[FlavorResource, dict[str, Quota]] = defaultdict(dict)
    cohorts: dict[FlavorResource, dict[str, Quota]] = defaultdict(dict)
    for into, objects in ((queues, cluster_queues), (cohorts, declared_cohorts)):
        for name, obj in objects.items():
            for key, quota in entries(obj):
                into[key][name] = quota
    above_queue = {
        name: str(parent) for name, obj in cluster_queues.items() if (parent := dig(obj, "spec", "cohortName"))
    }
    above_cohort = {
        name: str(parent) for name, obj in declared_cohorts.items() if (parent := dig(obj, "spec", "parentName"))
    }
    try:
        return {
            key: QuotaTree(
                declared := queues.get(key, {}),
                {name: parent for name, parent in above_queue.items() if name in declared},
                cohorts.get(key, {}),
                above_cohort,
            )
            for key in {*queues, *cohorts}
        }
    except ValueError:
        return None


def filled(rest: Rest) -> dict[FlavorResource, QuotaTree] | None:
    """The trees with what is held at the end counted as used; None where cohorts form a cycle."""
    trees = forest(rest)
    for (queue, flavor, resource), amount in rest.held().items() if trees is not None else ():
        tree = trees.get((flavor, resource)) if trees else None
        if tree is not None and queue in tree.queues:
            tree.add(queue, amount)
    return trees


def entries(obj: Manifest) -> Iterator[tuple[FlavorResource, Quota]]:
    """Flavor, resource and quota of each entry of a ClusterQueue or Cohort."""
    for group in dig(obj, "spec", "resourceGroups", default=[]):
        for flavor in group["flavors"]:
            for entry in flavor["resources"]:
                limits = [entry.get("borrowingLimit"), entry.get("lendingLimit")]
                borrowing, lending = (None if one is None else parse_quantity(one) for one in limits)
                key = (str(flavor["name"]), str(entry["name"]))
                yield key, Quota(parse_quantity(entry["nominalQuota"]), borrowing, lending)
