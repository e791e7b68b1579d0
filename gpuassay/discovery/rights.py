"""Rights that the caller lacks, by asking the API server (SelfSubjectAccessReview) instead of by running into them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gpuassay.cluster.access_review import Right, lacking
from gpuassay.cluster.errors import ClusterError
from gpuassay.discovery.reading import Reading
from gpuassay.system import Rule


@dataclass(frozen=True)
class Rights:
    """What the caller lacks.

    Attributes:
        missing: a line each, `GROUP: RESOURCES: VERBS`; None where the API server does not say.
        unserved: API groups that the cluster does not serve, whose rights were not asked.
    """

    missing: tuple[str, ...] | None
    unserved: tuple[str, ...] = ()


def rights(reading: Reading, rules: Iterable[Rule]) -> Rights:
    """Which of `rules` the caller lacks, each right asked and told once.

    What a rule says of a verb in brackets (`patch (only with --allow-cluster-mutation)`) is told with it.
    """
    wanted: dict[Right, str] = {}
    for rule in rules:
        verbs, _, remark = rule.verbs.partition(" (")
        for resource in rule.resources.split():
            for verb in verbs.split():
                right = Right(rule.group, resource, verb)
                # a right that is needed without condition is needed
                wanted[right] = remark.rstrip(")") if remark and wanted.get(right, remark) else ""
    groups = {one.group for one in wanted}
    unserved = sorted(group for group in groups if group and reading.serves(group) is False)
    asked = [one for one in sorted(wanted) if one.group not in unserved]
    try:
        missing = lacking(reading.api, asked)
    except ClusterError as error:
        reading.unreadable["rights"] = " ".join(str(error).split())[:200]
        return Rights(None, tuple(unserved))
    return Rights(_lines({one: wanted[one] for one in missing}), tuple(unserved))


def _lines(missing: dict[Right, str]) -> tuple[str, ...]:
    """One line for resources of a group that lack the same verbs under the same condition."""
    verbs: dict[tuple[str, str, str], list[str]] = {}
    for right, remark in missing.items():
        verbs.setdefault((right.group, right.resource, remark), []).append(right.verb)
    alike: dict[tuple[str, str, str], list[str]] = {}
    for (group, resource, remark), some in verbs.items():
        alike.setdefault((group, " ".join(some), remark), []).append(resource)
    return tuple(
        f"{group or 'core'}: {' '.join(resources)}: {some}{f' ({remark})' if remark else ''}"
        for (group, some, remark), resources in alike.items()
    )
