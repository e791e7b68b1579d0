"""Fixtures that provision, in plain tests of somebody who knows nothing of scenarios."""

from __future__ import annotations

from pathlib import Path

from gpuassay.cluster.api import Api
from gpuassay.cluster.existing import connect
from tests.cluster.conftest import need_programs
from tests.live.conftest import LiveSuite
from tests.live.test_existing_cluster import up
from tests.outcome import Outcome

KUEUE = ("kueue", "controlplane", "kustomize", "kwok")
PLAIN = """
import pytest

def test_a_job_is_admitted(kueue, lab):
    queue = lab.queue(gpus=1)
    lab.job("mine", queue)
    lab.until_admitted("mine")
    assert kueue is None or kueue.version.startswith("v")

def test_the_cluster_alone(cluster, lab):
    meta = {"name": "mine", "namespace": lab.namespace}
    lab.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta})
    assert cluster.api.get("ConfigMap", "mine", lab.namespace)

def test_what_cannot_be_had(gpu_operator):
    raise AssertionError("there is none")
"""


def _plain(suite: LiveSuite) -> None:
    (suite.folder / "test_plain.py").write_text(PLAIN)


def _run(suite: LiveSuite, *arguments: str) -> Outcome:
    folder = str(suite.folder / "tmp")  # whatever runs in there does not outlive the run
    return suite.run("--basetemp", folder, *arguments, program=("pytest", "test_plain.py"))


def _everything(api: Api) -> list[str]:
    kinds = ("Namespace", "ClusterQueue", "ResourceFlavor", "ConfigMap", "Job", "Pod")
    return [f"{kind} {one['metadata']['name']}" for kind in kinds for one in api.list(kind)]


def test_a_plain_test_has_a_cluster_of_ours(tmp_path: Path) -> None:
    """Red when a fixture needs scenarios, its cluster outlives the session, or what is lacking is no typed skip."""
    need_programs(*KUEUE)
    suite = LiveSuite(tmp_path / "suite")
    _plain(suite)
    outcome = _run(suite, "-rs")
    assert outcome.code == 0 and "2 passed, 1 skipped" in outcome.output, outcome.output
    assert "the cluster lacks: gpu-operator" in outcome.output
    assert not (suite.folder / "reports").exists()


def test_a_plain_test_on_somebodys_cluster_leaves_nothing(tmp_path: Path) -> None:
    """Red when a fixture starts a cluster of its own, or leaves something on somebody's."""
    need_programs(*KUEUE)
    suite = LiveSuite(tmp_path / "suite")
    _plain(suite)
    with up(tmp_path / "theirs") as kubeconfig:
        api, _ = connect(kubeconfig, None)
        before = _everything(api)
        outcome = _run(suite, "--cluster", "existing", "--gpuassay-kubeconfig", str(kubeconfig))
        assert outcome.code == 0 and "2 passed, 1 skipped" in outcome.output, outcome.output
        assert _everything(api) == before
        api.close()
