"""Reading somebody's GPU Operator: what is kept of objects, what a mutant changes, how long is watched."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from gpuassay.cluster.errors import ApiRefused, ClusterError
from gpuassay.engine.environment import Host
from gpuassay.engine.pools import ClusterPool, Unavailable
from gpuassay.engine.provider import provider_for
from gpuassay.manifest import Manifest
from gpuassay.scenarios import mutants
from gpuassay.settings import Settings
from gpuassay.system import pool
from gpuassay.systems.gpu_operator.acts.keep import since
from gpuassay.systems.gpu_operator.acts.mig_manager import recut
from gpuassay.systems.gpu_operator.acts.probe import probe
from gpuassay.systems.gpu_operator.acts.watch import EVERY, QUIET, WINDOW, note_operator
from gpuassay.systems.gpu_operator.judge import (
    attribution,
    exporter,
    installed,
    mig_config,
    moving,
    offers,
    operands,
    probes,
    watch,
)
from gpuassay.systems.gpu_operator.judge.objects import OPERATOR
from gpuassay.systems.gpu_operator.system import POOL
from gpuassay.systems.kueue.acts.lab import Lab
from tests import operators
from tests.noting import Noting
from tests.operator_shapes.build import SEVENTHS, cluster
from tests.operator_shapes.parts import CONFIGS, cut

EVERY_JUDGE = (
    installed.policy_findings, operands.operand_findings, operands.revision_findings, moving.stuck_findings,
    installed.unlabelled_findings, installed.runtime_class_findings, installed.version_findings,
    offers.capacity_findings, offers.stale_findings, offers.unhealthy_findings, offers.doubled_findings,
    mig_config.applied_findings, exporter.metric_findings, exporter.coverage_findings,
)  # fmt: skip
CONFIG = "version: v1\nmig-configs:\n  all-disabled: [{devices: all, mig-enabled: false}]\n  other: []\n"


class StubApi:
    """Answers as an API server on which the stand-in's objects are; `at_look` changes them at each look."""

    def __init__(self, metrics: str | None = operators.METRICS) -> None:
        self.metrics, self.looks = metrics, 0
        self.objects = operators.healthy()
        self.at_look: Callable[[int, dict[str, list[Manifest]]], object] = lambda number, objects: None
        self.holding, self.asked = list[Manifest](), 0
        self.refused: tuple[str, ...] = ()

    def pages(
        self, path: str, label_selector: str | None = None, *, field_selector: str | None = None
    ) -> Sequence[Manifest]:
        """A list; of a node's pods, those that hold GPUs."""
        del label_selector
        if field_selector is not None:
            self.asked += 1
            return [one for one in self.holding if field_selector == f"spec.nodeName={one['spec']['nodeName']}"]
        plural = path.rpartition("/")[2]
        if plural in self.refused:
            raise ApiRefused(403, "Forbidden", f"{plural} is forbidden")
        if plural == "clusterpolicies":
            self.looks += 1
            self.at_look(self.looks, self.objects)
        for kind, some in self.objects.items():
            if plural in (f"{kind.lower()}s", f"{kind.lower()}es", f"{kind.lower()[:-1]}ies"):
                return copy.deepcopy(some)
        raise ApiRefused(404, "NotFound", f"{path} is not served")

    def read(self, path: str) -> Manifest:
        """The MIG manager's ConfigMap."""
        if path.endswith("/gpu-operator/configmaps/default-mig-parted-config"):
            return {"data": {"config.yaml": CONFIG, "broken.yaml": "a: ["}}
        raise ApiRefused(404, "NotFound", f"{path} is not there")

    def raw(self, path: str) -> str:
        """What an exporter tells."""
        assert path.endswith(":9400/proxy/metrics")
        if self.metrics is None:
            raise ApiRefused(503, "ServiceUnavailable", "error trying to reach service")
        return self.metrics

    def list(self, kind: str) -> list[Manifest]:
        """The nodes."""
        assert kind == "Node"
        labels = {"gpuassay.io/mig-trial": "same", "nvidia.com/mig.config": "same"}
        return [{"metadata": {"name": "gpu-a", "labels": labels}}]


class StubLab(Noting):
    """As much of a lab as reading takes."""

    def __init__(self, api: StubApi, mutant: str | None = None) -> None:
        super().__init__()
        self.api, self.said = api, list[str]()
        self.mutant = mutants.chosen(mutant)

    def progress(self, text: str) -> None:
        """What a person is told."""
        self.said.append(text)


class Clock:
    """Time that passes only by pauses."""

    def __init__(self) -> None:
        self.now = 0.0

    def pause(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


def _watch(api: StubApi, mutant: str | None = None, clock: Clock | None = None) -> StubLab:
    lab, time = StubLab(api, mutant), clock or Clock()
    note_operator(cast("Lab", lab), clock=lambda: time.now, pause=time.pause)
    return lab


def _read(api: StubApi, mutant: str | None = None) -> dict[str, list[Manifest]]:
    return _watch(api, mutant).noted(OPERATOR)


def test_what_is_read_is_what_judges_need() -> None:
    """Red when a judge misses something of a healthy GPU Operator in what was kept of it."""
    seen = _read(StubApi())
    assert [findings(seen) for findings in EVERY_JUDGE] == [[]] * len(EVERY_JUDGE)


def _keys(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in cast("dict[str, object]", value).items():
            yield key
            yield from _keys(inner)
    if isinstance(value, list):
        for inner in cast("list[object]", value):
            yield from _keys(inner)


def test_nothing_secret_is_kept() -> None:
    """Red when containers, and with them environment variables, or last words of somebody's cluster are recorded."""
    api = StubApi()
    secret = {"env": [{"name": "TOKEN", "value": "S3CRET"}], "args": ["S3CRET"]}
    api.objects["ClusterPolicy"][0]["spec"]["driver"] |= secret
    for pod in api.objects["Pod"]:
        ended = {"terminated": {"exitCode": 1, "message": "S3CRET"}}
        pod["status"]["containerStatuses"] = [{"name": "main", "ready": True, "lastState": ended}]
    seen = _read(api)
    assert not {"containers", "initContainers", "volumes", "env", "args", "message"} & set(_keys(seen))
    assert "S3CRET" not in repr(seen)
    assert {repr(sorted(one["spec"]["template"]["spec"])) for one in seen["DaemonSet"]} == {"['nodeSelector']"}


def test_a_mutant_changes_what_is_read() -> None:
    """Red when a mutant does not reach the judge."""
    assert installed.policy_findings(_read(StubApi(), "policy-not-ready")) != []
    assert exporter.metric_findings(_read(StubApi(), "metrics-nameless")) != []
    assert watch.unsteady_findings(_watch(StubApi(), "operand-restarts").noted(watch.LOOKS)) != []


def test_an_exporter_that_does_not_answer_is_noted() -> None:
    """Red when an exporter that cannot be reached breaks the scenario, or is content."""
    assert "503" in exporter.metric_findings(_read(StubApi(metrics=None)))[0]


def test_configurations_that_nodes_have_are_read_and_no_others() -> None:
    """Red when a node's MIG configuration is not looked up, or a broken file beside it hides it."""
    api = StubApi()
    for node in api.objects["Node"]:
        node["metadata"]["labels"] |= {
            "nvidia.com/mig.config": "all-disabled",
            "nvidia.com/mig.config.state": "success",
        }
    (found,) = _read(api)["MigConfig"]
    assert found["name"] == "default-mig-parted-config" and list(found["configs"]) == ["all-disabled"]


def test_without_the_right_to_read_revisions_counts_tell() -> None:
    """Red when the right to read ControllerRevisions is needed, or the lack of another right passes in silence."""
    api = StubApi()
    api.refused = ("controllerrevisions",)
    assert operands.revision_findings(_read(api)) == []
    api.refused = ("nvidiadrivers",)
    with pytest.raises(ApiRefused, match="nvidiadrivers is forbidden"):
        _read(api)


def test_a_sound_operator_is_watched_for_the_window() -> None:
    """Red when one look is all, or a sound operator is watched for longer than it takes."""
    clock = Clock()
    looks = _watch(StubApi(), clock=clock).noted(watch.LOOKS)
    assert WINDOW <= clock.now <= WINDOW + EVERY
    assert len(looks) == 2 and looks[-1].at >= WINDOW
    assert watch.unsteady_findings(looks) == []


PLUGIN = "nvidia-device-plugin-daemonset"


def _pod(objects: dict[str, list[Manifest]]) -> Manifest:
    return next(one for one in objects["Pod"] if one["metadata"]["name"] == f"{PLUGIN}-gpu-a")


def _is(status: str) -> dict[str, Any]:
    return {"phase": "Running", "conditions": [{"type": "Ready", "status": status}]}


def test_a_rollout_gets_its_time() -> None:
    """Red when a pod that is about to start is not waited for."""
    api, clock = StubApi(), Clock()
    _pod(api.objects)["status"] = {"phase": "Pending", "conditions": [{"type": "Ready", "status": "False"}]}
    api.at_look = lambda number, objects: number == 100 and _pod(objects).update(status=_is("True"))
    lab = _watch(api, clock=clock)
    assert clock.now >= 98 * EVERY + WINDOW
    assert operands.operand_findings(lab.noted(OPERATOR)) == []
    assert watch.unsteady_findings(lab.noted(watch.LOOKS)) == []


def test_what_does_not_get_ready_by_itself_is_not_waited_for() -> None:
    """Red when a container that crashes, or a pod that is not there, is waited for to the end."""
    api, clock = StubApi(), Clock()
    waiting = {"name": "main", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
    _pod(api.objects)["status"] = {"phase": "Running", "containerStatuses": [waiting]}
    found = operands.operand_findings(_watch(api, clock=clock).noted(OPERATOR))
    assert clock.now <= WINDOW + EVERY and "CrashLoopBackOff" in found[0]
    api, clock = StubApi(), Clock()
    api.objects["Pod"].remove(_pod(api.objects))
    found = operands.operand_findings(_watch(api, clock=clock).noted(OPERATOR))
    assert clock.now <= QUIET + EVERY and "there is no pod" in found[0]


def test_a_pod_that_flaps_is_found() -> None:
    """Red when a pod that is ready at the first look and at the last was not in between, and nobody says so."""
    api = StubApi()
    api.at_look = lambda number, objects: _pod(objects).update(status=_is(str(number != 5)))
    lab = _watch(api)
    assert operands.operand_findings(lab.noted(OPERATOR)) == []
    (found,) = watch.unsteady_findings(lab.noted(watch.LOOKS))
    assert found.startswith(f"pod {PLUGIN}-gpu-a on node gpu-a was ready, and 8 s after the first look it was not")


def test_a_policy_that_flaps_is_found_unless_pods_are_replaced() -> None:
    """Red when a state that comes and goes passes, or an update by its owner counts as one."""

    def flap(number: int, objects: dict[str, list[Manifest]]) -> None:
        objects["ClusterPolicy"][0]["status"]["state"] = "notReady" if number == 5 else "ready"

    api = StubApi()
    api.at_look = flap
    (found,) = watch.unsteady_findings(_watch(api).noted(watch.LOOKS))
    assert found.startswith("ClusterPolicy cluster-policy was ready")

    def update(number: int, objects: dict[str, list[Manifest]]) -> None:
        flap(number, objects)
        if number == 5:
            _pod(objects)["metadata"]["name"] += "-new"

    api = StubApi()
    api.at_look = update
    assert watch.unsteady_findings(_watch(api).noted(watch.LOOKS)) == []


def test_one_look_cannot_tell_whether_it_is_steady() -> None:
    """Red when a single look passes for a while of watching."""
    assert watch.unsteady_findings([watch.Look(0, {"a": "ready"}, {})]) != []


def test_an_upgrade_is_waited_for_and_told() -> None:
    """Red when a node in the middle of its upgrade is not waited for, or a person is not told at the end."""
    api, clock = StubApi(), Clock()
    api.objects["Node"][0]["metadata"]["labels"]["nvidia.com/gpu-driver-upgrade-state"] = "drain-required"
    lab = _watch(api, clock=clock)
    assert clock.now >= 600 and "drain-required" in lab.said[0]


def test_a_node_that_waits_for_its_turn_is_not_waited_for() -> None:
    """Red when a node that may wait for hours keeps a run for as long as it may wait."""
    api, clock = StubApi(), Clock()
    api.objects["Node"][0]["metadata"]["labels"]["nvidia.com/gpu-driver-upgrade-state"] = "upgrade-required"
    assert "upgrade-required" in _watch(api, clock=clock).said[0] and clock.now <= QUIET + EVERY


def test_who_holds_gpus_is_asked_once_more_where_exporters_do_not_know() -> None:
    """Red when a pod that has just ended, or begun, refutes anything at once; or one that is never named does not."""
    api, clock = StubApi(), Clock()
    pod: Manifest = {
        "metadata": {"name": "train", "namespace": "ml"},
        "status": {"phase": "Running", "startTime": "2026-01-01T00:00:00Z"},
        "spec": {"nodeName": "gpu-a", "containers": [{"resources": {"limits": {"nvidia.com/gpu": "1"}}}]},
    }  # fmt: skip
    api.holding = [pod]
    seen = _watch(api, clock=clock).noted(OPERATOR)
    assert api.asked == 8 and clock.now >= WINDOW + 60
    (found,) = attribution.attribution_findings(seen)
    assert found == "node gpu-a: pod ml/train holds 1 GPUs or slices, the exporter names it on 0"
    api.metrics = operators.METRICS.replace('UUID="GPU-1"', 'UUID="GPU-1",namespace="ml",pod="train"')
    assert attribution.attribution_findings(_read(api)) == [
        "node gpu-b: GPU-1 is told to be of pod ml/train, which holds nothing there"
    ]
    assert attribution.attribution_findings(_read(api, "metrics-of-nobody")) == [found]


def test_how_long_a_label_has_stood_is_told_by_its_writer() -> None:
    """Red when the age of a label is another writer's."""
    labels: Manifest = {"f:nvidia.com/mig.config.state": {}, "f:other": {}}
    fields: list[Manifest] = [
        {"time": "2026-01-01T00:00:00Z", "fieldsV1": {"f:metadata": {"f:labels": labels}}},
        {"time": "2026-01-01T00:59:00Z", "fieldsV1": {"f:metadata": {"f:labels": {"f:other": {}}}}},
        {"fieldsV1": {}},
    ]
    told = since({"metadata": {"managedFields": fields}}, datetime(2026, 1, 1, 1, tzinfo=UTC))
    assert told == {"nvidia.com/mig.config.state": 3600}


def test_a_trial_that_changes_nothing_is_refused() -> None:
    """Red when a node is to be cut as it is already, and nobody says so."""
    with pytest.raises(ClusterError, match="cut as same already"):
        recut(cast("Lab", StubLab(StubApi())))


def test_our_own_clusters_have_none(tmp_path: Path) -> None:
    """Red when something is started for what no cluster of ours has, or the skip does not say what to do."""

    class Run:
        directory, mutant = tmp_path, None

        def say(self, text: str) -> None:
            """Nothing."""

    provider = provider_for(Settings())
    with pytest.raises(Unavailable, match="--cluster existing"):
        provider.open(cast("Host", Run()), ClusterPool(pool(POOL), ()))


class ProbeLab(StubLab):
    """A cluster whose pods run at once, and say what a node that is cut shows them."""

    def __init__(self, phase: str, mutant: str | None = None) -> None:
        super().__init__(cast("StubApi", self), mutant)
        self.phase, self.marks, self.made = phase, {"gpuassay.io/run": "r"}, list[Manifest]()

    def pages(self, path: str) -> list[Manifest]:
        """The device plugin's DaemonSet."""
        assert path == "/apis/apps/v1/daemonsets"
        return [operators.daemonset(PLUGIN)]

    def create(self, pod: Manifest) -> None:
        """A pod is made."""
        self.made.append(pod)

    def raw(self, path: str) -> str:
        """What a pod has said."""
        assert path == f"/api/v1/namespaces/ours/pods/{self.made[-1]['metadata']['name']}/log"
        return "GPU 0: A100 (UUID: GPU-1)\n  MIG 1g.5gb     Device  0: (UUID: MIG-1)\n"

    def unique(self, base: str) -> str:
        """A name."""
        return f"{base}-1"

    def get(self, kind: str, name: str) -> Manifest:
        """A pod as it is in the end."""
        placed = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "Insufficient"}
        return {"status": {"phase": self.phase, "conditions": [placed]}}

    def observe(self, ready: Callable[[], bool], _: str, *, timeout: float) -> bool:
        """Look once."""
        assert timeout > 0
        return ready()

    def delete(self, _: str, __: str) -> None:
        """A pod goes."""


def _probed(phase: str, mutant: str | None = None) -> tuple[ProbeLab, list[probes.Probe]]:
    lab = ProbeLab(phase, mutant)
    lab.note(OPERATOR, cluster(cut("all-1g.5gb", [SEVENTHS] * 2), configs=CONFIGS))
    probe(cast("Lab", lab))
    return lab, lab.noted(probes.PROBES)


def test_a_pod_asks_for_one_slice_of_each_kind() -> None:
    """Red when a pod asks for something else than is judged, or runs another image than the node has."""
    lab, told = _probed("Succeeded")
    (pod,) = lab.made
    (container,) = pod["spec"]["containers"]
    assert container["resources"] == {"limits": {"nvidia.com/mig-1g.5gb": "1"}} and container["image"] == "none"
    assert pod["spec"]["runtimeClassName"] == "nvidia" and pod["metadata"]["labels"] == lab.marks
    assert probes.given_findings(told) == [] and not probes.undecided(told)


def test_a_pod_with_another_slice_is_found_and_one_without_a_place_is_not() -> None:
    """Red when the mutant does not reach the judge, or a pod that waits for a slice refutes anything."""
    assert probes.given_findings(_probed("Succeeded", "slice-of-another-profile")[1]) != []
    told = _probed("Pending")[1]
    assert probes.given_findings(told) == [] and "Unschedulable: Insufficient" in probes.undecided(told)
