"""What a run shows at its end beside its verdicts: reach on somebody's cluster, claims of the paper, GPU activity."""

from __future__ import annotations

from pathlib import Path

from gpuassay.session.ledger import Ledger
from gpuassay.session.measure import Measure
from gpuassay.system import why_lacking

MEASURED = frozenset({"performance", "throughput"})
"""Features that are measurements, by the ids of their behaviours."""


def tell_reach(ledger: Ledger, directory: Path) -> None:
    """On somebody's cluster: what of the declared behaviours was judged there."""
    from gpuassay.report import reach

    verdicts = list(ledger.verdicts.values())
    asked = [reach.Asked(one.behaviour, one.suite, one.feature in MEASURED) for one in verdicts]
    counted = reach.reach(asked, [verdicts], why_lacking)
    Measure(directory).exhibit(**reach.exhibit(counted, "this cluster"))


def tell_claims(ledger: Ledger, directory: Path) -> None:
    """Claims of the paper, where some were judged."""
    from gpuassay.report import claims

    if found := claims.claims(list(ledger.verdicts.values())):
        Measure(directory).exhibit(**claims.exhibit(found))


def tell_activity(ledger: Ledger, directory: Path, prometheus: str) -> None:
    """What a Prometheus knows of the time of measurements, where one was named by its base URL."""
    if not prometheus:
        return
    from gpuassay.session import activity

    measured = [one for one in ledger.verdicts.values() if one.feature in MEASURED]
    names = dict.fromkeys(name for one in measured for name in one.recordings)
    Measure(directory).exhibit(**activity.exhibit(prometheus, activity.windows(directory, list(names))))
