"""What a picker is said to do, and scenarios that are acted out once for each of these claims.

At somebody's gateway the one that `--gateway-profile` names is acted out, the others are typed skips.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gpuassay.systems.llmd.acts.lab import RoutingLab
from suites.variants import per_variant

PRECISE, APPROXIMATE, LEAST_LOADED, RANDOM = "precise", "approximate", "least-loaded", "random"
CLAIMS = (PRECISE, APPROXIMATE, LEAST_LOADED, RANDOM)
REMEMBER = (PRECISE, APPROXIMATE)
"""Claims to send a prompt where it has been before."""
FORGET = (LEAST_LOADED, RANDOM)
"""Claims to look at no prompt."""


def _none_known(behaviour: str, claim: str) -> None:
    del behaviour, claim


def per_claim(*, timeout: float) -> Callable[[Callable[[RoutingLab, str], None]], Any]:
    """Declare a scenario once per claim, each also for a gateway that is said to be so; takes the lab and the claim."""
    return per_variant(dict.fromkeys(CLAIMS, ()), _none_known, system="routing", timeout=timeout, outside=True)


def of_claims(scenario: str, *claims: str) -> pytest.MarkDecorator:
    """Judge a scenario of `per_claim` for these claims alone."""
    cases = [pytest.param(f"{scenario}_{claim.replace('-', '_')}", id=claim) for claim in claims]
    return pytest.mark.parametrize(scenario, cases, indirect=True)
