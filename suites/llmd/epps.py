"""Every endpoint picker (EPP) that the EPP-core profile is proved of, and where each is known to deviate from it.

One more picker is one more line in `EPPS`; what it is known to do wrong goes into `KNOWN`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from gpuassay.record.recording import Recording
from gpuassay.scenario.declare import scenario
from gpuassay.scenario.lab import Lab

PROTOCOL = (
    "https://github.com/kubernetes-sigs/gateway-api-inference-extension/tree/main/docs/proposals"
    "/004-endpoint-picker-protocol"
)
"""The endpoint picker protocol: what a gateway and a picker may expect of each other."""


@dataclass(frozen=True)
class Epp:
    """One endpoint picker.

    Attributes:
        name: of `gpuassay.components.llmd.picker.IMPLEMENTATIONS`.
        needs: capabilities without which its behaviours are skipped; `program:X` is had by `gpuassay build X`.
    """

    name: str
    needs: tuple[str, ...] = ()


EPPS = (
    Epp("llm-d"),
    Epp("gaie", needs=("program:gaie-epp",)),
)


@dataclass(frozen=True)
class Deviation:
    """A known defect: which pickers have it, where that is written, and what they do instead."""

    pickers: tuple[str, ...]
    link: str
    reason: str


_SOURCE = "https://github.com/kubernetes-sigs/gateway-api-inference-extension/blob/v1.4.0/pkg/epp"
_ISSUES = "https://github.com/kubernetes-sigs/gateway-api-inference-extension/issues"
BOTH = ("llm-d", "gaie")

KNOWN: dict[str, Deviation] = {
    "llmd.epp.request-numbers-kept": Deviation(
        BOTH, "https://github.com/llm-d/llm-d-router/issues/2518", "a body is parsed into doubles and written anew"
    ),
    "llmd.epp.trailers-end-the-body": Deviation(
        BOTH, f"{_SOURCE}/handlers/server.go", "request trailers are ignored, so that the end of the body is never seen"
    ),
    "llmd.epp.prompt-forms": Deviation(BOTH, f"{_ISSUES}/2721", "only a prompt that is a string is understood"),
    "llmd.epp.hint-names-ports": Deviation(
        BOTH, f"{_ISSUES}/415", "endpoints are compared by address alone (DatastorePodLocator.Locate)"
    ),
    "llmd.epp.hint-obeyed-bodyless": Deviation(
        BOTH, f"{_SOURCE}/handlers/request.go", "requests without a body go to any endpoint of the pool"
    ),
    "llmd.epp.none-ready-refused-bodyless": Deviation(
        BOTH, f"{_SOURCE}/handlers/request.go", "without endpoints a request without a body is refused with 500"
    ),
    "llmd.epp-metrics.tokens-split-event": Deviation(
        BOTH, f"{_SOURCE}/handlers/response.go", "chunks are parsed one by one, as if each ended with an event"
    ),
    "llmd.epp-metrics.cached-tokens": Deviation(
        BOTH, "https://github.com/llm-d/llm-d-router/issues/1273", "the field is looked for under a misspelt name"
    ),
    "llmd.epp-metrics.server-errors": Deviation(
        BOTH, f"{_SOURCE}/handlers/server.go", "the status is looked for in a header `status`, Envoy sends `:status`"
    ),
}
"""By behaviour id. Verified with llm-d-inference-scheduler v0.7.1; Inference Extension v1.5.0 has the same code."""


def per_epp(*, timeout: float) -> Callable[[Callable[[Lab, str], None]], Any]:
    """Declare a scenario once per picker. Tests take it by name and run once per picker, on that picker's recording.

    The function takes the lab and the picker's name.
    """

    def declare(act: Callable[[Lab, str], None]) -> Any:
        module = sys.modules[act.__module__]

        def of(epp: Epp) -> str:
            def acted(lab: Lab) -> None:
                act(lab, epp.name)

            acted.__name__ = f"{act.__name__}_{epp.name.replace('-', '_')}"
            acted.__module__, acted.__doc__ = act.__module__, act.__doc__
            made = scenario(system="routing", needs=epp.needs, timeout=timeout)(acted)
            setattr(module, acted.__name__, made)
            return acted.__name__

        pickers = {of(epp): epp.name for epp in EPPS}

        @pytest.fixture(name=act.__name__, params=[pytest.param(name, id=pickers[name]) for name in pickers])
        def recording(request: pytest.FixtureRequest) -> Recording:
            _expect_deviation(request, pickers[request.param])
            return request.getfixturevalue(request.param)

        return recording

    return declare


def _expect_deviation(request: pytest.FixtureRequest, picker: str) -> None:
    """Mark the test as one that fails (strict) where the picker is known to deviate."""
    marker = request.node.get_closest_marker("behaviour")
    deviation = KNOWN.get(marker.args[0].id) if marker is not None else None
    if deviation is None or picker not in deviation.pickers:
        return
    request.node.add_marker(pytest.mark.known_defect(deviation.link))
    reason = f"{deviation.reason} ({deviation.link})"
    request.node.add_marker(pytest.mark.xfail(reason=reason, strict=True, raises=AssertionError))
