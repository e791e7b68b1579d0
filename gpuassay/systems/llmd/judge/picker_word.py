"""Why a gateway fails the decisive test, by what its endpoint pickers' own metrics say of the time it was asked in.

A gateway's answers tell that requests did not find the warm replica; only the picker can tell why. Each cause is a
sentence of what was counted; where nothing fits, that is said, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gpuassay.record.metrics import Samples
from gpuassay.systems.llmd.judge.metrics import PICKER

PRECISE = ("precise-prefix-cache-scorer", "precise-prefix-cache-producer")
"""Types of plugins that know what model servers cache."""

_INDEX = ("kvcache_index_{}_total", "llm_d_router_epp_kv_cache_index_{}_total", "llm_d_epp_kv_cache_index_{}_total")


def causes(before: Samples, after: Samples, asked: int, endpoints: int) -> list[str]:
    """What ails the pickers between two scrapes, as sentences; empty where nothing does.

    Args:
        before: their metrics before the gateway was asked; sources are their Pods.
        after: the same afterwards.
        asked: requests that the gateway answered in between.
        endpoints: ready endpoints of the pool.
    """
    handled = {one: _grown(before.of(one), after.of(one), PICKER["requests"]) for one in after.sources}
    busy = [name for name, count in handled.items() if count]
    found: list[str] = []
    if not busy:
        found.append(
            f"{asked} requests were answered, the pickers ({', '.join(after.sources)}) have counted none: the gateway "
            "does not ask them"
        )
    elif len(busy) > 1:
        found.append(
            f"{len(busy)} pickers were asked in turn ({', '.join(busy)}): each must hear of all model servers' caches"
        )
    for name in busy or after.sources:
        mine = after.of(name)
        found += [f"picker {name}: {said}" for said in _of_one(before.of(name), mine, endpoints) if said]
    return found


def _of_one(before: Samples, after: Samples, endpoints: int) -> list[str]:
    looks: Sequence[Callable[[], str]] = (
        lambda: _pool(after, endpoints), lambda: _plugins(after), lambda: _index(before, after),
    )  # fmt: skip
    return [said for look in looks if (said := look())]


def _pool(after: Samples, endpoints: int) -> str:
    ready = _value(after, PICKER["ready_endpoints"])
    if ready is None or ready >= endpoints:
        return ""
    return f"counts {ready:g} ready endpoints, the pool has {endpoints}"


def _plugins(after: Samples) -> str:
    """Whether a plugin runs that knows the caches, by the durations that a picker tells of its plugins."""
    types = {
        str(row["labels"].get("plugin_type", ""))
        for name in PICKER["plugin_duration"]
        for row in after.select(f"{name}_count")
    } - {""}
    if not types or types & set(PRECISE):
        return ""
    return f"runs no plugin that knows the caches ({' or '.join(PRECISE)}); it runs {', '.join(sorted(types))}"


def _index(before: Samples, after: Samples) -> str:
    """Whether KV-cache events arrive, and whether lookups find what they told."""
    admitted, looked, hit = (_counter(before, after, what) for what in ("admissions", "lookup_requests", "lookup_hits"))
    if admitted is None:
        return "does not tell of its index (enableMetrics of kvBlockIndexConfig)" if _is_precise(after) else ""
    if not admitted:
        return "no KV-cache event has reached its index meanwhile: topic, port or address of the events is wrong"
    if looked and not hit:
        return (
            f"{admitted:g} blocks came into its index and {looked:g} lookups found none of them: tokens, block size, "
            "hash seed or model name differ from the model servers'"
        )
    return ""


def _is_precise(after: Samples) -> bool:
    return any(
        row["labels"].get("plugin_type") in PRECISE
        for name in PICKER["plugin_duration"]
        for row in after.select(f"{name}_count")
    )


def _counter(before: Samples, after: Samples, what: str) -> float | None:
    names = [one.format(what) for one in _INDEX]
    return _grown(before, after, names) if any(after.select(one) for one in names) else None


def _grown(before: Samples, after: Samples, names: Sequence[str]) -> float:
    return (_value(after, names) or 0.0) - (_value(before, names) or 0.0)


def _value(samples: Samples, names: Sequence[str]) -> float | None:
    """The sum of the first of these metrics that is there."""
    for name in names:
        if rows := samples.select(name):
            return sum(float(row["value"]) for row in rows)
    return None
