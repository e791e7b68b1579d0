"""What a ruling on a claim amounts to as a verdict."""

from __future__ import annotations

from gpuassay.stats.claims import Claim, Ruling
from gpuassay.verdict import Inconclusive


def sentence(claim: Claim, ruling: Ruling, unit: str = "") -> str:
    """`0.921 (0.893 to 0.949, 5 rounds), paper 0.904: decided after 5 rounds`."""
    after = f" {unit}" if unit else ""
    known = "" if claim.paper is None else f", paper {claim.paper:.3g}{after}"
    span = f"{ruling.low:.3g} to {ruling.high:.3g}, " if ruling.confidence else ""
    return (
        f"{ruling.value:.3g}{after} ({span}{ruling.rounds} round{'s' * (ruling.rounds != 1)}){known}: {ruling.reason}"
    )


def settle(claim: Claim, ruling: Ruling, unit: str = "") -> None:
    """Pass where the claim holds.

    Raises:
        Inconclusive: it is not decided.
        AssertionError: it is refuted.
    """
    told = sentence(claim, ruling, unit)
    if ruling.outcome in ("undecided", "hopeless"):
        raise Inconclusive(told)
    if ruling.outcome == "refuted":
        raise AssertionError(f"not reproduced: {told}")
