"""The report of a run at somebody's endpoint picker: one JSON object with versions, for a list of pickers that conform.

`{"format": 1, "suite": {"name", "version"}, "protocol", "picker": {"target", "tls", "pool", "model"}, "run", "ended",
"counts": {STATE: n}, "conforms", "behaviours": [{"id", "level", "title", "spec", "state", "reason"}, ...]}`. A picker
conforms where every MUST was judged and held.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec

import gpuassay
from gpuassay.record.pack import RunError
from gpuassay.record.recording import RecordingError
from gpuassay.systems.llmd.acts.any_picker import TARGET
from gpuassay.systems.llmd.readings import RoutingRecording

FORMAT = 1
PROTOCOL = (
    "https://github.com/kubernetes-sigs/gateway-api-inference-extension/tree/main/docs/proposals"
    "/004-endpoint-picker-protocol"
)
SCENARIO, VARIANT = "llmd.any_picker.talked_target", "[target]"


def conformance(run: Path) -> dict[str, Any]:
    """The report of a run directory.

    Raises:
        RunError: it is no run, or one without `--epp-target`; one line.
    """
    try:
        told = json.loads((run / "run.json").read_text())
        verdicts = [json.loads(line) for line in (run / "verdicts.jsonl").read_text().splitlines()]
    except (OSError, ValueError) as error:
        raise RunError(f"{run}: no run directory that can be read: {error}") from None
    try:
        target = RoutingRecording.load(run / "recordings" / SCENARIO).note(TARGET)
    except (RecordingError, LookupError):
        target = None
    if target is None:
        raise RunError(f"{run}: no endpoint picker was asked there; run the suite with --epp-target HOST:PORT")
    mine = [
        {"id": one["behaviour"].removesuffix(VARIANT), **{name: one.get(name, "") for name in _KEPT}}
        for one in verdicts
        if one["behaviour"].startswith("llmd.any-picker.") and one["behaviour"].endswith(VARIANT)
    ]
    must = [one for one in mine if one["level"] == "MUST"]
    return {
        "format": FORMAT,
        "suite": {"name": "gpuassay", "version": gpuassay.__version__},
        "protocol": PROTOCOL,
        "picker": msgspec.to_builtins(target),
        "run": told["run_id"],
        "ended": told["ended"],
        "counts": dict(sorted(Counter(one["state"] for one in mine).items())),
        "conforms": bool(must) and all(one["state"] == "PASS" for one in must),
        "behaviours": mine,
    }


_KEPT = ("level", "title", "spec", "state", "reason")
