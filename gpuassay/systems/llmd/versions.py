"""What llm-d's endpoint pickers call things, by version. Pure.

A version that is not here is not judged by these names: nobody has read what it calls things. Series have a table of
their own (`judge.metrics`), since they carry their names with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

X_GROUP = "inference.networking.x-k8s.io"
POOL_GROUP = "inference.networking.k8s.io"
LLMD_GROUP = "llm-d.ai"


@dataclass(frozen=True)
class PickerNames:
    """Names of one minor release.

    Attributes:
        module: Go module of the picker.
        group: API group of InferenceObjective and InferenceModelRewrite, and of its own configuration.
        accepts: older groups whose configuration it still loads.
        objective: header that names an InferenceObjective.
        fairness: header that names a tenant.
        active_ports: annotation of a pod that says which ports are served.
        gates: feature gates of our configurations that it does not refuse.
    """

    module: str
    group: str
    accepts: tuple[str, ...]
    objective: str
    fairness: str
    active_ports: str
    gates: frozenset[str]


_BEFORE = PickerNames(
    "github.com/llm-d/llm-d-inference-scheduler", X_GROUP, (), "x-gateway-inference-objective",
    "x-gateway-inference-fairness-id", f"{POOL_GROUP}/active-ports", frozenset({"prepareDataPlugins", "flowControl"}),
)  # fmt: skip
_ROUTER = PickerNames(
    "github.com/llm-d/llm-d-router", LLMD_GROUP, (X_GROUP,), "x-llm-d-inference-objective",
    "x-llm-d-inference-fairness-id", f"{LLMD_GROUP}/active-ports", frozenset({"flowControl"}),
)  # fmt: skip

NAMES = {"0.7": _BEFORE, "0.10": _ROUTER}
"""By minor release: llm-d-inference-scheduler v0.7.1, which runs here, and llm-d-router v0.10.0 by its source."""


def picker_names(version: str) -> PickerNames:
    """The names of a release such as v0.10.0.

    Raises:
        LookupError: nobody has read that release; one line says which are known, and what to do.
    """
    minor = _minor(version)
    if minor not in NAMES:
        raise LookupError(
            f"what llm-d's endpoint picker {version} calls its API groups and headers is not known here, only that of "
            f"{', '.join(NAMES)}: add it to {__name__}.NAMES from its source"
        )
    return NAMES[minor]


def gates_taken(version: str, asked: Sequence[str]) -> list[str]:
    """Of the feature gates of a configuration those that a picker of this version does not refuse.

    A gate that another release knows and this one does not is left out: what it stood for is always on, or gone. Of a
    version that nobody has read, all stay: it says itself what it does not know.
    """
    names = NAMES.get(_minor(version))
    known = frozenset[str]().union(*(one.gates for one in NAMES.values()))
    return [one for one in asked if names is None or one in names.gates or one not in known]


def _minor(version: str) -> str:
    return ".".join(version.removeprefix("v").split(".")[:2])
