"""Every endpoint picker (EPP) that the EPP-core profile is proved of, and where each is known to deviate from it.

One more picker is one more line in `EPPS`; what it is known to do wrong goes into `KNOWN`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gpuassay.systems.llmd.acts.lab import RoutingLab
from suites.variants import Deviation, per_variant

PROTOCOL = (
    "https://github.com/kubernetes-sigs/gateway-api-inference-extension/tree/main/docs/proposals"
    "/004-endpoint-picker-protocol"
)
"""The endpoint picker protocol: what a gateway and a picker may expect of each other."""


@dataclass(frozen=True)
class Epp:
    """One endpoint picker.

    Attributes:
        name: of `gpuassay.systems.llmd.component.picker.IMPLEMENTATIONS`.
        needs: capabilities without which its behaviours are skipped; `program:X` is had by `gpuassay build X`.
    """

    name: str
    needs: tuple[str, ...] = ()


EPPS = (
    Epp("llm-d"),
    Epp("gaie", needs=("program:gaie-epp",)),
)


_SOURCE = "https://github.com/kubernetes-sigs/gateway-api-inference-extension/blob/v1.4.0/pkg/epp"
_ISSUES = "https://github.com/kubernetes-sigs/gateway-api-inference-extension/issues"
BOTH = ("llm-d", "gaie")

KNOWN: dict[str, Deviation] = {
    "llmd.epp.request-numbers-kept": Deviation(
        BOTH,
        "https://github.com/llm-d/llm-d-router/issues/2518",
        "a body is parsed into doubles and written anew",
        shows=r"with the same meaning; 1 of 1 were not so: #\d+: [\d.]+:\d+",
    ),
    "llmd.epp.trailers-end-the-body": Deviation(
        BOTH,
        f"{_SOURCE}/handlers/server.go",
        "request trailers are ignored, so that the end of the body is never seen",
        shows="the stream ended with DEADLINE_EXCEEDED",
    ),
    "llmd.epp.prompt-forms": Deviation(
        BOTH,
        f"{_ISSUES}/2721",
        "only a prompt that is a string is understood",
        shows="refused with 400 .*must have prompt field",
    ),
    "llmd.epp.hint-names-ports": Deviation(
        BOTH,
        f"{_ISSUES}/415",
        "endpoints are compared by address alone (DatastorePodLocator.Locate)",
        shows=r"(address of one, port of another|an address of the pool with another port): [\d.]+:\d+",
    ),
    "llmd.epp.hint-obeyed-bodyless": Deviation(
        BOTH,
        f"{_SOURCE}/handlers/request.go",
        "requests without a body go to any endpoint of the pool",
        shows=r"endpoint of the gateway's list; \d+ of \d+ were not so: #\d+( [\d.:]+)?: [\d.]+:\d+",
    ),
    "llmd.epp.none-ready-refused-bodyless": Deviation(
        BOTH,
        f"{_SOURCE}/handlers/request.go",
        "without endpoints a request without a body is refused with 500",
        shows="refused with 500 .*no pods available in datastore",
    ),
    "llmd.epp-metrics.tokens-split-event": Deviation(
        BOTH,
        f"{_SOURCE}/handlers/response.go",
        "chunks are parsed one by one, as if each ended with an event",
        shows="input_tokens: expected to grow by 2, seen 0",
    ),
    "llmd.epp-metrics.cached-tokens": Deviation(
        BOTH,
        "https://github.com/llm-d/llm-d-router/issues/1273",
        "the field is looked for under a misspelt name",
        shows="cached_tokens: expected observations of 448 in sum(, seen 0|; no series)",
    ),
    "llmd.epp-metrics.server-errors": Deviation(
        BOTH,
        f"{_SOURCE}/handlers/server.go",
        "the status is looked for in a header `status`, Envoy sends `:status`",
        shows="request_errors: expected to grow by 2, seen 0",
    ),
}
"""By behaviour id. Verified with llm-d-inference-scheduler v0.7.1; Inference Extension v1.5.0 has the same code."""


def per_epp(*, timeout: float) -> Callable[[Callable[[RoutingLab, str], None]], Any]:
    """Declare a scenario once per picker. Tests take it by name and run once per picker, on that picker's recording.

    The function takes the lab and the picker's name.
    """
    needs = {epp.name: epp.needs for epp in EPPS}
    return per_variant(needs, lambda behaviour, _: KNOWN.get(behaviour), system="routing", timeout=timeout)
