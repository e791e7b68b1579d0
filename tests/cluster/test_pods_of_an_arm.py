"""Parts of an arm as objects of a cluster: what is made, what is taken away, and what a pod cannot give."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any, cast

import pytest

from gpuassay.cluster.errors import ApiRefused, ClusterError, NotFromOutside
from gpuassay.systems.llmd.component.images import PICKER
from gpuassay.systems.llmd.component.picker import implementation
from gpuassay.systems.llmd.component.simulator import Cache
from gpuassay.systems.llmd.component.spec import Arm
from gpuassay.systems.llmd.pods import hands, manifests
from gpuassay.systems.llmd.pods.deployment import routing_in_pods, turn
from gpuassay.systems.llmd.pods.endpoints import PodEndpoints
from gpuassay.systems.llmd.pods.gateway import PodEnvoy
from gpuassay.systems.llmd.pods.manifests import Program
from gpuassay.systems.llmd.pods.parts import PodPicker, PodReplica
from gpuassay.systems.llmd.pods.program import PodChild
from gpuassay.toolchain.errors import UnobtainableError
from gpuassay.waiting import WaitError
from tests.cluster.pods_of_an_arm import NAMESPACE, Place, Store, Tunnels, place

ARM = Arm(replicas=2)


@pytest.fixture(autouse=True)
def no_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    def keep(*_: object) -> None:
        """Nothing is logged here."""

    monkeypatch.setattr(PodChild, "_keep_log", keep)


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def here(tmp_path: Path, store: Store) -> Place:
    return place(tmp_path, store)


def _made(replica: PodReplica) -> None:
    assert isinstance(replica.child, PodChild)
    replica.child.begin()


def test_a_pod_asks_for_no_rights_and_carries_the_labels_of_the_run() -> None:
    """Red when a cluster of restricted pods refuses an arm, or what stays of it cannot be found by its label."""
    made = manifests.pod(Program("one", "image:1", (80,), gate=True), NAMESPACE, ["-v"], "", {"gpuassay.io/run": "r"})
    container = made["spec"]["containers"][0]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert made["metadata"]["labels"] == {"gpuassay.io/run": "r", manifests.PROGRAM: "one"}
    assert made["spec"]["readinessGates"] == [{"conditionType": manifests.IN_POOL}]
    assert not made["spec"]["automountServiceAccountToken"]
    assert "volumes" not in made["spec"]


def test_the_picker_reads_the_configuration_of_each_start(tmp_path: Path) -> None:
    """Red when a picker that is started anew reads what it was given before, or two of its pods are there at once."""
    store = Store("34")
    here = place(tmp_path, store)
    picker = PodPicker(here, implementation("llm-d"), ARM, {"plugins": [{"type": "first"}]})
    picker.launch()
    picker.child.kill()
    assert store.of_kind("pods") == {}
    picker.configuration = {"plugins": [{"type": "second"}]}
    picker.launch()
    ((pod_name, pod),) = store.of_kind("pods").items()
    assert {way() for way in cast("Tunnels", cast("Any", here.tunnels)).pods.values()} == {pod_name}
    name = pod["spec"]["volumes"][0]["configMap"]["name"]
    assert json.loads(store.of_kind("configmaps")[name]["data"]["picker.yaml"]) == picker.configuration
    assert store.of_kind("deployments")[picker.service]["spec"]["strategy"] == {"type": "Recreate"}


def test_a_second_picker_is_one_more_deployment(here: Place, store: Store) -> None:
    """Red when it takes the first one's place, or is to be somebody that a pod cannot be."""
    picker = PodPicker(here, implementation("llm-d"), ARM, {})
    second = picker.sibling("second", extra=("--ha-enable-leader-election",))
    picker.make()
    assert isinstance(second, PodPicker)
    second.make()
    assert set(store.of_kind("deployments")) == {"endpoint-picker", "second"}
    assert second.child.command[-1] == "--ha-enable-leader-election"
    spec = store.of_kind("deployments")["second"]["spec"]["template"]["spec"]
    assert [one["image"]["reference"].partition(":")[0] for one in spec["volumes"] if "image" in one] == [PICKER]
    assert spec["serviceAccountName"] == "endpoint-picker"
    with pytest.raises(NotFromOutside, match="env"):
        picker.sibling("third", env={"KUBECONFIG": "x"})


def test_a_picker_with_rights_of_its_own_is_another_account(here: Place, store: Store) -> None:
    """Red when a picker that lacks a right on purpose runs as the one that has them all."""
    other = PodPicker(here, implementation("llm-d"), ARM, {}).sibling_as("without-pods")
    assert isinstance(other, PodPicker)
    other.make()
    spec = store.of_kind("deployments")["without-pods"]["spec"]["template"]["spec"]
    assert spec["serviceAccountName"] == "without-pods"


def test_a_certificate_goes_into_the_pod(tmp_path: Path) -> None:
    """Red when a picker in a pod is told to read a file that is on this machine alone, or silently makes its own."""
    folder = tmp_path / "certificate"
    folder.mkdir()
    (folder / "tls.crt").write_text("shown")
    (folder / "tls.key").write_text("kept")
    flags = ("--secure-serving=true", "--cert-path", str(folder))
    there = place(tmp_path, Store())
    second = PodPicker(there, implementation("llm-d"), ARM, {"plugins": []}).sibling("certified", extra=flags)
    assert isinstance(second, PodPicker) and isinstance(second.child, hands.HandChild)
    assert second.child.command[-3:] == ["--secure-serving=true", "--cert-path", hands.SCRATCH]
    asked: dict[str, Any] = {}
    second.child._ask = lambda path, *_, **more: asked.update({path: more}) or {}  # type: ignore[method-assign]
    second.launch()
    assert asked["start"]["files"].keys() == {"picker.yaml", "tls.crt", "tls.key"}
    older = PodPicker(place(tmp_path, Store("34")), implementation("llm-d"), ARM, {})
    with pytest.raises(NotFromOutside, match="image volumes"):
        older.sibling("certified", extra=flags)


@pytest.mark.parametrize(("minor", "images"), [("36", 1), ("35+", 1), ("34", 0)])
def test_model_servers_have_hands_where_the_cluster_can_mount_images(tmp_path: Path, minor: str, images: int) -> None:
    """Red when an old cluster is given a volume that it does not know."""
    there = Store(minor)
    replica = PodReplica(place(tmp_path, there), ARM, 1, "tcp://10.0.0.9:5556", {"app": ARM.pool})
    assert isinstance(replica.child, hands.HandChild) == bool(images)
    _made(replica)
    pod = there.of_kind("pods")["model-server-1"]
    assert len([one for one in pod["spec"].get("volumes", []) if "image" in one]) == images
    assert pod["metadata"]["labels"]["app"] == ARM.pool
    assert pod["metadata"]["annotations"] == {"inference.networking.k8s.io/active-ports": "8001"}


def test_a_replica_without_hands_is_killed_by_deleting_its_pod(tmp_path: Path) -> None:
    """Red when a killed replica goes on, is not started anew, or keeps an address that is no longer its own."""
    there = Store("30")
    replica = PodReplica(place(tmp_path, there), ARM, 0, None, {"app": ARM.pool})
    replica.launch()
    assert replica.child.alive
    replica.kill()
    assert not replica.child.alive
    assert ("delete", f"/api/v1/namespaces/{NAMESPACE}/pods/model-server-0") in [one[:2] for one in there.written]
    replica.launch()
    assert replica.child.alive
    with pytest.raises(NotFromOutside, match="suspended"):
        replica.suspend()
    with pytest.raises(NotFromOutside, match="signals"):
        _ = replica.child.process


def test_readiness_is_said_by_the_gate(here: Place, store: Store) -> None:
    """Red when a scenario's word does not reach the Pod's Ready condition, or the pool is not told of it."""
    replica = PodReplica(here, ARM, 0, None, {"app": ARM.pool})
    _made(replica)
    endpoints = PodEndpoints(store, ARM.pool, NAMESPACE, [replica])
    endpoints.create(9002, "FailClose")
    told: list[list[str]] = []
    endpoints.on_change = told.append
    endpoints.set_ready(replica.name, True)
    endpoints.set_ready(replica.name, False)
    address = store.of_kind("pods")[replica.name]["status"]["podIP"]
    assert told == [[f"{address}:8000"], []]
    with pytest.raises(NotFromOutside, match="address"):
        endpoints.set_address(replica.name, "10.9.9.9")
    assert store.of_kind("inferencepools")[ARM.pool]["spec"]["endpointPickerRef"]["name"] == "endpoint-picker"


def test_a_gateway_asks_the_picker_and_takes_members_from_its_file(here: Place, store: Store) -> None:
    """Red when Envoy listens where nobody reaches it, asks itself, or a change of members waits for the kubelet."""
    picker = PodPicker(here, implementation("llm-d"), ARM, {})
    envoy = PodEnvoy(here, ARM, picker, "10.0.0.7")
    envoy.child.launch()
    (pod,) = store.of_kind("pods").values()
    written = json.loads(store.of_kind("configmaps")["gateway-1"]["data"]["envoy.json"])["static_resources"]
    assert written["listeners"][0]["address"]["socket_address"] == {"address": "0.0.0.0", "port_value": 8081}
    asked = next(one for one in written["clusters"] if one["name"] == "picker")
    at = asked["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]["socket_address"]
    assert at == {"address": "10.0.0.7", "port_value": 9002}
    mounted = {one["name"]: one["mountPath"] for one in pod["spec"]["containers"][0]["volumeMounts"]}
    pool = next(one for one in written["clusters"] if one["name"] == "pool")
    path = pool["eds_cluster_config"]["eds_config"]["path_config_source"]["path"]
    assert path == f"{mounted['members']}/endpoints.json"
    before = dict(pod["metadata"].get("annotations", {}))
    envoy._write(["10.1.0.5:8000"])  # pyright: ignore[reportPrivateUsage]
    assert "10.1.0.5" in store.of_kind("configmaps")["members"]["data"]["endpoints.json"]
    (pod,) = store.of_kind("pods").values()
    assert pod["metadata"]["annotations"] != before


def test_an_image_that_cannot_be_pulled_is_told_at_once(here: Place, store: Store) -> None:
    """Red when somebody waits for two minutes to learn that an image has another name there."""
    store.stuck = "ErrImagePull"
    child = PodChild(here, Program("one", "image:1", (80,)), [])
    child.launch()
    with pytest.raises(WaitError, match="ErrImagePull: it says"):
        child.await_running()


def test_a_refusal_of_the_server_is_not_swallowed(here: Place, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Red when a quota or a missing right looks like a pod that does not start."""

    def refuse(*_: object, **__: object) -> str:
        raise ApiRefused(403, "Forbidden", "exceeded quota")

    child = PodChild(here, Program("one", "image:1", (80,)), [])
    monkeypatch.setattr(store, "create", refuse)
    with pytest.raises(ApiRefused, match="exceeded quota"):
        child.launch()


def test_what_no_pod_can_be_is_a_typed_skip(here: Place) -> None:
    """Red when an arm of processes is half made on a cluster before it turns out that it cannot stand there."""
    for arm in (
        Arm(gateway="istio"),
        Arm(profile="prefill-decode", replicas=2, prefillers=1),
        Arm(own_address=True),
        Arm(engine="vllm"),
    ):
        with pytest.raises(NotFromOutside), routing_in_pods(here.cluster, here.folder, NAMESPACE, arm):
            pass
    with pytest.raises(NotFromOutside, match="light"):
        PodPicker(here, implementation("light"), Arm(picker="light", profile="built-in"), None)


@pytest.mark.parametrize(("minor", "starts"), [("36", "/program/epp"), ("34", "")])
def test_the_inference_extensions_own_picker_is_a_pod_of_its_own_image(tmp_path: Path, minor: str, starts: str) -> None:
    """Red when behaviours of one picker are judged on another one's image, or with another one's program."""
    where = place(tmp_path, Store(minor))
    arm = Arm(picker="gaie", cache=Cache(blocks=0), profile="random")
    child = PodPicker(where, implementation("gaie"), arm, {}).child
    (image,) = child.program.images if starts else (child.program.image,)
    assert image.startswith("registry.k8s.io/gateway-api-inference-extension/epp:v")
    assert str(child.command[0]) == starts or not starts


@pytest.mark.parametrize(("picker", "skipped"), [("gaie", True), ("llm-d", False)])
def test_a_picker_whose_image_is_nowhere_is_lacking_where_clusters_may_lack_it(
    tmp_path: Path, picker: str, skipped: bool
) -> None:
    """Red when 69 behaviours of a second picker are errors on a cluster without its image, or the first one's are
    skipped.
    """
    store = Store()
    where = place(tmp_path, store)
    child = PodPicker(where, implementation(picker), Arm(picker=picker, profile="random"), {}).child
    child.begin()
    for pod in store.of_kind("pods").values():
        pod["status"]["containerStatuses"] = [
            {"state": {"waiting": {"reason": "ErrImagePull", "message": "not found"}}}
        ]
    expected = UnobtainableError if skipped else WaitError
    with pytest.raises(expected, match="ErrImagePull: not found") as raised:
        child.await_running()
    assert str(raised.value).startswith("program:gaie-epp (") is skipped


def test_a_start_in_a_pod_is_told_from_the_next_and_what_was_done_is_kept(here: Place, store: Store) -> None:
    """Red when the referee cannot look at an arm in pods, or blames a picker for a crash that was ordered."""
    child = PodChild(here, Program("one", "image:1", (80,)), [])
    assert child.start_seen() is None
    child.launch()
    first = child.start_seen()
    child.kill()
    assert child.start_seen() is None
    child.launch()
    assert first is not None and child.start_seen() not in (first, None)
    assert child.disturbances == ["kill"]
    store.stuck = "CrashLoopBackOff"
    child.kill()
    child.launch()
    assert child.start_seen() is None


def test_a_program_in_hands_tells_its_starts(here: Place) -> None:
    """Red when a program that hangs is asked for its metrics, or a pod that does not answer breaks the referee."""
    picker = PodPicker(here, implementation("llm-d"), ARM, {})
    child = picker.child
    assert isinstance(child, hands.HandChild)
    state = {"running": True, "exit": None, "pid": 7, "stopped": False}
    child._ask = lambda *_, **__: dict(state)  # type: ignore[method-assign]
    child.address = "10.0.0.9"
    assert child.start_seen() == "10.0.0.9/7"
    child.suspend()
    child.kill()
    child.stop()
    assert child.disturbances == ["suspend", "kill", "stop"]
    state["stopped"] = True
    assert child.start_seen() is None

    def silent(*_: object, **__: object) -> dict[str, Any]:
        raise ClusterError("the pod does not answer")

    child._ask = silent  # type: ignore[method-assign]
    assert child.start_seen() is None


def test_a_program_that_runs_is_not_started_twice(here: Place) -> None:
    """Red when a second start takes the place of the first one."""
    child = PodChild(here, Program("one", "image:1", (80,)), [])
    child.launch()
    with pytest.raises(ClusterError, match="runs already"):
        child.launch()


def test_a_scenario_with_two_arms_waits_for_its_turn_once() -> None:
    """Red when scenarios that bring up a second arm beside their first one wait for each other for ever."""
    both, done = threading.Barrier(2), list[str]()

    def act(name: str) -> None:
        with turn():
            both.wait(10)
            with turn():
                done.append(name)

    threads = [threading.Thread(target=act, args=(name,), daemon=True) for name in ("one", "other")]
    for one in threads:
        one.start()
    for one in threads:
        one.join(10)
    assert sorted(done) == ["one", "other"]
    with turn():
        pass
