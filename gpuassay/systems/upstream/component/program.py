"""Upstream's conformance tests as a program: run to their end, and what they told."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from gpuassay.cluster.base import Cluster
from gpuassay.cluster.errors import ClusterError
from gpuassay.record import gotest
from gpuassay.record.upstream import Case, Results
from gpuassay.systems.llmd.gateway.istio_objects import CLASS
from gpuassay.systems.upstream.component.images import COMPONENT, Parts
from gpuassay.systems.upstream.component.objects import DEBOUNCE
from gpuassay.waiting import WaitTimeout, wait

SUITE = "gaie"
TEST = "TestConformance"
"""The Go test whose subtests are the cases."""

SOURCE = f"run by gpuassay on Istio with PILOT_DEBOUNCE_AFTER={DEBOUNCE}"

PATIENCE = {"MaxTimeToConsistency": 10, "HTTPRouteMustHaveCondition": 10, "RouteMustHaveParents": 10}
"""Seconds that a case waits for the answers, and the conditions of routes, that it wants. By default these are 300,
which every case that fails would spend; what comes at all comes within two."""
LIMIT_SECONDS = 500.0
"""For all of them: what has no result by then has none."""

_FEATURES = re.compile(r"^features (\S+) \[(.*)\]$", re.MULTILINE)


@dataclass(frozen=True)
class Told:
    """What a run of the tests left.

    Attributes:
        results: case by case.
        report: upstream's own conformance report (YAML), "" where it did not get that far.
        exit_code: of the program, None where it was ended for being too slow.
    """

    results: Results
    report: str
    exit_code: int | None


def run(cluster: Cluster, parts: Parts) -> Told:
    """Run all tests against the GatewayClass of Istio on a cluster on which everything stands.

    Raises:
        ClusterError: they run already.
    """
    folder = cluster.directory / "conformance"
    log, report = cluster.directory / "logs" / f"{COMPONENT}.log", folder / "report.yaml"
    if report.exists() or log.exists():
        raise ClusterError(f"{folder} holds the results of the conformance tests already")
    command = _command(parts, report)
    process = cluster.supervisor.start(COMPONENT, command, log, env={"KUBECONFIG": str(cluster.kubeconfig)})
    process.may_die()  # it ends when it is done
    try:
        wait(lambda: process.alive, lambda alive: not alive, what="the tests' end", timeout=LIMIT_SECONDS, delay=0.2)
        code, problem = process.exit_code, ""
    except WaitTimeout:
        code, problem = None, f"ended after {LIMIT_SECONDS:g} s"
    finally:
        process.stop(5)
    text = log.read_text(errors="replace")
    cases, said = gotest.read(text, TEST)
    if not cases:
        problem = f"no test was begun: {gotest.message(said.splitlines())}"
    else:
        cases += gotest.as_a_whole(cases, code, said)
    cases = _with_features(cases, text)
    results = Results(SUITE, parts.tests.version, SOURCE, tuple(cases), problem)
    return Told(results, report.read_text() if report.exists() else "", code)


def _with_features(cases: list[Case], text: str) -> list[Case]:
    features = {name: tuple(told.split()) for name, told in _FEATURES.findall(text)}
    return [replace(one, features=features.get(one.name, ())) for one in cases]


def _command(parts: Parts, report: Path) -> list[str | Path]:
    patience = ";".join(f"{name}:{seconds}" for name, seconds in PATIENCE.items())
    return [
        parts.tests.path(COMPONENT), "-test.v=test2json", f"-gateway-class={CLASS}",
        f"-timeout-config-overrides={patience}", f"-report-output={report}",
        "-organization=istio", "-project=istio", "-url=https://istio.io", f"-version={parts.istio.version}",
        "-contact=https://istio.io/latest/about/community",
    ]  # fmt: skip
