"""The suite of an existing GPU Operator, on a cluster onto which a stand-in wrote what one would leave there.

No GPU Operator runs: ClusterPolicy and labels are written by the test, DaemonSets are Kubernetes' own, their pods are
run by KWOK. DCGM exporters have nobody to answer for them, which the suite has to say.
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from pathlib import Path

import pytest

from gpuassay.cluster.api import Api
from gpuassay.cluster.base import MIG_TRIAL, Cluster
from gpuassay.cluster.embedded import embedded
from gpuassay.manifest import dig
from gpuassay.systems.gpu_operator.judge.mig_manager import CONFIG, STATE
from gpuassay.waiting import wait
from tests import operators
from tests.live import gpu_operator_standin as standin
from tests.live.conftest import ROOT, LiveSuite, Outcome

MUTANTS = {
    "policy-not-ready": "gpu-operator.policy-ready",
    "operand-crashes": "gpu-operator.operands-ready",
    "operand-outdated": "gpu-operator.operands-current",
    "operand-restarts": "gpu-operator.operands-steady",
    "upgrade-failed": "gpu-operator.nodes-settled",
    "slices-outlive-recut": "gpu-operator.nothing-stale",
    "gpu-unhealthy": "gpu-operator.devices-healthy",
    "offered-twice": "gpu-operator.offered-once",
    "gpu-nodes-unknown": "gpu-operator.nodes-labelled",
    "runtime-class-of-runc": "gpu-operator.runtime-classes",
    "driver-label-stale": "gpu-operator.versions-agree",
    "capacity-lost": "gpu-operator.capacity-as-labelled",
}


@pytest.fixture(scope="module")
def theirs(programs: None, tmp_path_factory: pytest.TempPathFactory) -> Generator[Cluster]:
    """Somebody's cluster with what a healthy GPU Operator would have left there, and without Kueue."""
    with embedded(directory=tmp_path_factory.mktemp("operator"), nodes=2) as cluster:
        cluster.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": operators.NAMESPACE}})
        standin.install(cluster.api)
        yield cluster


@pytest.fixture
def operator_suite(suite: LiveSuite) -> LiveSuite:
    """A project that holds nothing but the suite of the GPU Operator."""
    (suite.folder / "suites" / "gpu_operator").symlink_to(ROOT / "suites" / "gpu_operator")
    return suite


def _run(suite: LiveSuite, theirs: Cluster, *more: str) -> Outcome:
    where = ("--cluster", "existing", "--gpuassay-kubeconfig", str(Path(theirs.kubeconfig)))
    return suite.run(*where, *more)


def test_a_healthy_operator_passes(operator_suite: LiveSuite, theirs: Cluster) -> None:
    """Red when the suite finds something in a healthy GPU Operator, or is content with exporters that do not answer."""
    outcome = _run(operator_suite, theirs)
    states = dict.fromkeys(MUTANTS.values(), "PASS")
    lacking = ("mig-manager", "mig-as-configured", "mig-in-a-pod", "utilisation-moves")
    others = {f"gpu-operator.{one}": "SKIP" for one in lacking}
    others |= dict.fromkeys(("gpu-operator.metrics", "gpu-operator.metrics-complete"), "FAIL")
    others["gpu-operator.metrics-attributed"] = "INCONCLUSIVE"  # no pod holds a GPU
    assert outcome.states == states | others, outcome.output
    assert "gpuassay.io/gpu-load=true" in outcome.verdicts["gpu-operator.utilisation-moves"]["reason"]
    assert "tells nothing" in outcome.verdicts["gpu-operator.metrics"]["reason"]
    told = (outcome.run / "run.json").read_text()
    assert '"gpu-operator"' in told
    assert "v25.10.0" in told


@pytest.mark.parametrize("mutant", sorted(MUTANTS))
def test_every_mutant_is_killed(operator_suite: LiveSuite, theirs: Cluster, mutant: str) -> None:
    """Red when a behaviour passes under the mutant that it names."""
    outcome = _run(operator_suite, theirs, "--mutant", mutant)
    assert outcome.refuted(MUTANTS[mutant]), outcome.output


class MigManager:
    """A stand-in for the MIG manager: it follows `nvidia.com/mig.config` of one node through the documented states."""

    def __init__(self, api: Api, node: str) -> None:
        self.api, self.node, self.done = api, node, threading.Event()
        self.thread = threading.Thread(target=self._follow, daemon=True)

    def _label(self, **labels: str) -> None:
        named = {f"nvidia.com/{key.replace('_', '.')}": value for key, value in labels.items()}
        self.api.patch("Node", self.node, {"metadata": {"labels": named}})

    def _follow(self) -> None:
        current = "old"
        plugin = "nvidia.com/gpu.deploy.device-plugin"
        while not self.done.wait(0.2):
            labels: dict[str, str] = dig(self.api.get("Node", self.node) or {}, "metadata", "labels", default={})
            if (wanted := labels.get(CONFIG, current)) != current:
                self.api.patch("Node", self.node, {"metadata": {"labels": {plugin: "paused-for-mig-change"}}})
                self._label(mig_config_state="pending")
                self.done.wait(0.5)
                self._label(mig_config_state="success")
                self.api.patch("Node", self.node, {"metadata": {"labels": {plugin: "true"}}})
                current = wanted


@pytest.fixture
def marked(theirs: Cluster) -> Generator[str]:
    """A node that its owner has marked for a trial, and a stand-in for the MIG manager."""
    node: str = theirs.api.list("Node")[0]["metadata"]["name"]
    labels = {MIG_TRIAL: "new", CONFIG: "old", STATE: "success"}
    theirs.api.patch("Node", node, {"metadata": {"labels": labels}})
    api = Api.from_kubeconfig(theirs.kubeconfig, direct=True)
    manager = MigManager(api, node)
    manager.thread.start()
    yield node
    manager.done.set()
    manager.thread.join(10)
    api.close()
    theirs.api.patch("Node", node, {"metadata": {"labels": dict.fromkeys(labels)}})


def test_a_marked_node_is_cut_and_put_back(operator_suite: LiveSuite, theirs: Cluster, marked: str) -> None:
    """Red when a node is cut without both permissions, a right course is a finding, or the node is not put back."""
    outcome = _run(operator_suite, theirs, "-k", "cuts_a_node_and_back")
    assert outcome.states == {"gpu-operator.mig-manager": "SKIP"}, outcome.output
    outcome = _run(operator_suite, theirs, "-k", "cuts_a_node_and_back", "--allow-cluster-mutation")
    assert outcome.states == {"gpu-operator.mig-manager": "PASS"}, outcome.output
    found = theirs.api.get("Node", marked)
    assert dig(found or {}, "metadata", "labels", CONFIG) == "old"
    broken = ("--allow-cluster-mutation", "--mutant", "mig-config-lost")
    outcome = _run(operator_suite, theirs, "-k", "cuts_a_node_and_back", *broken)
    assert outcome.states == {"gpu-operator.mig-manager": "FAIL"}, outcome.output


def test_an_operand_that_goes_is_missed(operator_suite: LiveSuite, theirs: Cluster) -> None:
    """Red when the device plugin's DaemonSet is gone from the cluster and the suite is content."""
    app = "nvidia-device-plugin-daemonset"
    theirs.api.delete("DaemonSet", app, operators.NAMESPACE)

    def left() -> list[str]:
        names = [str(one["metadata"]["name"]) for one in theirs.api.list("Pod", operators.NAMESPACE)]
        return [name for name in names if name.startswith(app)]

    wait(left, lambda found: not found, what="its pods to go", timeout=60)
    try:
        outcome = _run(operator_suite, theirs)
    finally:
        theirs.api.create(operators.daemonset(app))
    assert outcome.refuted("gpu-operator.operands-ready"), outcome.output
    assert outcome.states["gpu-operator.policy-ready"] == "PASS", outcome.output
