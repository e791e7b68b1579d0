"""What Allure needs beside the results that allure-pytest wrote.

A test that kills its worker leaves no Allure result at all, so that Allure would be greener than the run. Every verdict
without a result therefore gets one, written from `verdicts.jsonl`; an ERROR becomes `broken`.
"""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

from gpuassay.report.files import put
from gpuassay.report.findings import subject
from gpuassay.report.rundir import ReportError, RunDir
from gpuassay.report.templates import ROOT, is_url
from gpuassay.report.text import clip, one_line
from gpuassay.verdict import State, Verdict

STATUS: dict[State, str] = {
    State.PASS: "passed",
    State.FAIL: "failed",
    State.ERROR: "broken",
    State.SKIP: "skipped",
    State.KNOWN_DEFECT: "skipped",
    State.INCONCLUSIVE: "skipped",
    State.PASS_RECORDED: "skipped",
    State.FAIL_RECORDED: "failed",
    State.KNOWN_DEFECT_RECORDED: "skipped",
}
"""Allure's status for each state; `categories.json` tells the skipped ones apart by the start of the message."""

SEVERITY = {"MUST": "blocker", "SHOULD": "normal", "MAY": "minor", "INFO": "trivial"}
"""Allure's severity for each level."""

_ID = "as_id"
"""Label by which the plugin names the behaviour of an Allure result (allure-pytest's `LabelType.ID`)."""

_NAMESPACE = uuid.UUID("8f0c9d0e-5a0c-5f0e-9a55-6f1d1d2f7a10")


def extras(rundir: RunDir) -> list[Path]:
    """Write environment.properties, executor.json, categories.json and the missing results; return what was written.

    Raises:
        ReportError: the categories file is not in the checkout.
    """
    folder = rundir.path / "allure-results"
    folder.mkdir(exist_ok=True)
    files = {
        "environment.properties": environment(rundir),
        "executor.json": json.dumps(executor(rundir), indent=1, ensure_ascii=False) + "\n",
        "categories.json": _categories(),
    }
    mine = {name: verdict for verdict in rundir.verdicts for name in [result_name(rundir, verdict)]}
    seen = _seen(folder, set(mine))
    for name, verdict in mine.items():
        if not _has_result(verdict, seen):
            files[name] = json.dumps(result(rundir, verdict), ensure_ascii=False) + "\n"
    for name in files:
        put(folder / name, files[name])
    return [folder / name for name in files]


def environment(rundir: RunDir) -> str:
    """`environment.properties`: the cluster, what is emulated, every version."""
    run = rundir.run
    values = {
        "mode": "REPLAY" if run.mode == "replay" else run.mode,
        "mutant": run.mutant or "none",
        "cluster": run.cluster.provider if run.cluster else "unknown",
        "kubernetes": (run.cluster.kubernetes if run.cluster else None) or "unknown",
        "emulated": "; ".join(dict.fromkeys(part.what for part in run.emulated)) or "nothing declared",
        **{f"version.{part.name}": part.version or "unknown" for part in run.components},
        **{f"machine.{key}": str(value) for key, value in run.machine.items()},
    }
    return "".join(f"{_property_key(key)}={_property(value)}\n" for key, value in values.items())


def executor(rundir: RunDir) -> dict[str, Any]:
    """`executor.json`: which run this is."""
    banner = f"{rundir.run.banner}: " if rundir.run.banner else ""
    return {
        "name": "gpuassay",
        "type": "gpuassay",
        "buildName": f"{banner}{rundir.run.run_id}",
        "reportName": f"{banner}{subject(rundir)}",
    }


def result_name(rundir: RunDir, verdict: Verdict) -> str:
    """File name of the result written for `verdict`: the same each time, so that a second report replaces it."""
    return f"{uuid.uuid5(_NAMESPACE, _identity(rundir, verdict))}-result.json"


def result(rundir: RunDir, verdict: Verdict) -> dict[str, Any]:
    """An Allure 2 result for a verdict whose test left none."""
    state = State(verdict.state)
    identity = _identity(rundir, verdict)
    return {
        "uuid": str(uuid.uuid5(_NAMESPACE, identity)),
        "historyId": str(uuid.uuid5(_NAMESPACE, f"{verdict.test} {verdict.behaviour}")),
        "fullName": full_name(verdict.test),
        "name": one_line(verdict.title) or verdict.behaviour,
        "status": STATUS[state],
        "statusDetails": {"message": clip(f"{state}: {verdict.reason}", 20_000)},
        "stage": "finished",
        "description": "Written from verdicts.jsonl: this test left no Allure result of its own.",
        "labels": [
            {"name": "epic", "value": verdict.suite},
            {"name": "feature", "value": verdict.feature},
            {"name": "severity", "value": SEVERITY[verdict.level]},
            {"name": "as_id", "value": verdict.behaviour},
            {"name": "tag", "value": verdict.level},
        ],
        "links": [
            {"type": kind, "name": one_line(url, 80), "url": url}
            for kind, url in (("link", verdict.spec), ("issue", verdict.link))
            if is_url(url)
        ],
    }


def full_name(node_id: str) -> str:
    """`suites.kueue.test_order#test_x` for the pytest node `suites/kueue/test_order.py::test_x[case]`."""
    path, _, rest = node_id.partition("::")
    parts = rest.split("[", 1)[0].split("::")
    module = path.removesuffix(".py").replace("/", ".")
    return f"{'.'.join([module, *parts[:-1]])}#{parts[-1]}"


def _identity(rundir: RunDir, verdict: Verdict) -> str:
    return f"{rundir.run.run_id} {verdict.test} {verdict.behaviour}"


def _categories() -> str:
    path = ROOT / "allure" / "categories.json"
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        raise ReportError(f"{path}: missing; run from a checkout of the repository") from None


def _seen(folder: Path, mine: set[str]) -> set[tuple[str, str]]:
    """What results of other writers stand for: ("as_id", behaviour) and (full name, name without a title)."""
    seen: set[tuple[str, str]] = set()
    for path in folder.glob("*-result.json"):
        if path.name in mine:
            continue
        found = _parse(path)
        seen.add((str(found.get("fullName", "")), ""))
        seen.add((str(found.get("fullName", "")), str(found.get("name", ""))))
        labels: list[dict[str, Any]] = found.get("labels") or []
        seen.update((_ID, str(label.get("value"))) for label in labels if label.get("name") == _ID)
    return seen


def _parse(path: Path) -> dict[str, Any]:
    """A result file; empty when a killed worker left it half written, which is as good as none."""
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found


def _has_result(verdict: Verdict, seen: set[tuple[str, str]]) -> bool:
    """By its id label if the plugin wrote one, else by full name; a parametrised test also by its case."""
    name = verdict.test.rsplit("::", 1)[-1]
    return (_ID, verdict.behaviour) in seen or (full_name(verdict.test), name if "[" in name else "") in seen


def _property_key(key: str) -> str:
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in key)


def _property(value: str) -> str:
    return one_line(value, 500).replace("\\", "\\\\")
