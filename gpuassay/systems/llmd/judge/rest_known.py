"""What the referee of routing knows of upstream: findings that are defects with a name, and are shown by a behaviour.

A finding that is listed here is not held against every behaviour of a recording that shows it; the behaviour that
`shown_by` names fails because of it, as a known defect, and turns red when upstream mends it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Known:
    """One defect.

    Attributes:
        says: pattern of the finding.
        link: upstream's issue, or source.
        shown_by: id of the behaviour that shows it.
    """

    says: str
    link: str
    shown_by: str


KNOWN: tuple[Known, ...] = (
    Known(
        r"the picker refused with 500 \(.*no pods available",
        "https://github.com/kubernetes-sigs/gateway-api-inference-extension/blob/v1.4.0/pkg/epp/handlers/request.go",
        "llmd.epp.none-ready-refused-bodyless",
    ),
    Known(
        r"endpoint-picker crashed: panic: interface conversion: interface \{\} is ",
        "https://github.com/llm-d/llm-d-router/issues/981",
        "llmd.gateway.odd-usage-hurts-nobody",
    ),
    Known(
        r"model-server-\d+ still counts \d+ of vllm:num_requests_running",
        "https://github.com/llm-d/llm-d-inference-sim/blob/v0.10.2/pkg/communication/http.go",
        "llmd.gateway.leaving-frees-the-slot",
    ),
)


def unknown(findings: Sequence[str]) -> list[str]:
    """The findings that no known defect explains."""
    return [one for one in findings if not any(re.search(known.says, one) for known in KNOWN)]
