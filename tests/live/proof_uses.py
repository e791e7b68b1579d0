"""What users do with each component, once, in namespace `default`; what they made is gone afterwards."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from gpuassay import toolchain
from gpuassay.cluster.base import Cluster
from gpuassay.manifest import Manifest, dig
from gpuassay.provision.objects import Objects, Ref
from gpuassay.systems.kueue.component.image import RELEASED, STAGING
from gpuassay.systems.kueue.component.installation import MODULE
from gpuassay.systems.llmd.provision import NAMESPACE, SERVICE
from gpuassay.systems.slices.component.das_cluster import SCHEDULER
from gpuassay.toolchain import Assets
from gpuassay.waiting import wait

SECONDS = 120.0
PLACE = "default"
KUEUE = "kueue.x-k8s.io/v1beta2"


def kueue_manifests(folder: Path, version: str = "") -> Sequence[str]:
    """Upstream's manifests, as `kubectl apply -k config/default` has them; with a `version`, its release's image."""
    assets = Assets().at("kueue", version) if version else Assets()
    at = folder / f"kueue{version}"
    if not at.exists():
        at.mkdir()
        kustomize = toolchain.programs("kustomize", Assets()).path("kustomize")
        source = toolchain.module_dir("kueue", MODULE, assets) / "config" / "default"
        done = subprocess.run([kustomize, "build", source], capture_output=True, text=True, timeout=SECONDS, check=True)
        text = done.stdout.replace(f"{STAGING}:main", f"{RELEASED}:v{version}") if version else done.stdout
        (at / "kueue.yaml").write_text(text)
    return ("--source", f"kueue={at}")


def made(version: str, kind: str, name: str, spec: Manifest, *, place: str = PLACE, queue: str = "") -> Manifest:
    """An object of a user's, in no namespace where `place` is ""; of a queue of Kueue where one is named."""
    marks = {"kueue.x-k8s.io/queue-name": queue} if queue else {}
    meta: Manifest = {"name": name, "labels": marks} | ({"namespace": place} if place else {})
    return {"apiVersion": version, "kind": kind, "metadata": meta, "spec": spec}


def pod_spec(script: str, **more: object) -> Manifest:
    """Of a pod that runs a script once."""
    container = {"name": "main", "image": "busybox:1.37", "command": ["sh", "-c", script]}
    spec: Manifest = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1}
    return spec | {"containers": [container | dict(more)]}


@contextmanager
def there(cluster: Cluster, *wanted: Manifest) -> Generator[Objects]:
    """Objects for the length of a `with` block, gone after it, the last first."""
    objects = Objects(cluster.api)
    try:
        for one in wanted:
            objects.apply(Ref.of(one), one)
        yield objects
    finally:
        for one in reversed(wanted):
            ref = Ref.of(one)
            objects.delete(ref)
            wait(lambda ref=ref: objects.get(ref), lambda found: found is None, what=f"{ref} to go", timeout=SECONDS)


def _await(objects: Objects, one: Manifest, reached: str, *path: str) -> None:
    """Until a field of an object has a value."""

    def look() -> str:
        return str(dig(objects.get(Ref.of(one)) or {}, *path, default=""))

    def failed(now: str) -> str | None:
        return "it has failed" if now == "Failed" else None

    what = f"{one['kind']} to say {reached}"
    wait(look, lambda now: now == reached, what=what, timeout=SECONDS, error=failed)


def a_job_is_admitted(cluster: Cluster) -> None:
    """A Job is admitted through a queue, and its pod runs to its end."""
    flavor = made(KUEUE, "ResourceFlavor", "plain", {}, place="")
    quota = {"name": "plain", "resources": [{"name": "cpu", "nominalQuota": 1}]}
    queue = made(
        KUEUE, "ClusterQueue", "users", place="",
        spec={"namespaceSelector": {}, "resourceGroups": [{"coveredResources": ["cpu"], "flavors": [quota]}]},
    )  # fmt: skip
    local = made(KUEUE, "LocalQueue", "users", {"clusterQueue": "users"})
    template = {"spec": pod_spec("true", resources={"requests": {"cpu": "10m"}})}
    job = made("batch/v1", "Job", "used", {"suspend": True, "template": template}, queue="users")
    with there(cluster, flavor, queue, local, job) as objects:
        _await(objects, job, "1", "status", "succeeded")


def a_pod_has_a_gpu(cluster: Cluster) -> None:
    """A pod that asks for a GPU is told its name; NVIDIA's runtime, which is not there, would add the device."""
    script = 'case "$NVIDIA_VISIBLE_DEVICES" in GPU-*) true;; *) false;; esac'
    pod = made("v1", "Pod", "used", pod_spec(script, resources={"limits": {"nvidia.com/gpu": 1}}))
    with there(cluster, pod) as objects:
        _await(objects, pod, "Succeeded", "status", "phase")


def a_claim_has_a_gpu(cluster: Cluster) -> None:
    """A pod with a claim for a GPU sees a device of one."""
    request = {"name": "gpu", "exactly": {"deviceClassName": "gpu.nvidia.com"}}
    claim = made("resource.k8s.io/v1", "ResourceClaim", "used", {"devices": {"requests": [request]}})
    spec = pod_spec("test -c /dev/nvidia0 -o -c /dev/nvidia1", resources={"claims": [{"name": "gpu"}]})
    pod = made("v1", "Pod", "used", spec | {"resourceClaims": [{"name": "gpu", "resourceClaimName": "used"}]})
    with there(cluster, claim, pod) as objects:
        _await(objects, pod, "Succeeded", "status", "phase")


def a_completion_comes(cluster: Cluster) -> None:
    """The gateway answers a question about the model that is served."""
    path = f"/api/v1/namespaces/{NAMESPACE}/services/{SERVICE}:8081/proxy/v1/completions"
    asked: Manifest = {"model": "llama", "prompt": "Who are you?", "max_tokens": 4}
    assert json.loads(cluster.api.request("post", path, asked))["choices"]


def a_pod_goes_to_das(cluster: Cluster) -> None:
    """A pod that asks for a slice is given to DAS's scheduler, another is not; neither is created."""
    path = f"/api/v1/namespaces/{PLACE}/pods"
    for limit, wanted in (("nvidia.com/mig-1g.5gb", SCHEDULER), ("cpu", "default-scheduler")):
        pod = made("v1", "Pod", "used", pod_spec("true", resources={"limits": {limit: 1}}))
        told = json.loads(cluster.api.request("post", path, pod, query={"dryRun": "All"}))
        assert dig(told, "spec", "schedulerName") == wanted, told


def a_jobset_ends(cluster: Cluster) -> None:
    """A JobSet makes its Jobs, and is completed with them."""
    job = {"name": "one", "replicas": 1, "template": {"spec": {"template": {"spec": pod_spec("true")}}}}
    one = made("jobset.x-k8s.io/v1alpha2", "JobSet", "used", {"replicatedJobs": [job]})
    with there(cluster, one) as objects:
        _await(objects, one, "Completed", "status", "terminalState")


def a_group_is_ready(cluster: Cluster) -> None:
    """A LeaderWorkerSet makes a leader and a worker, and counts them as ready."""
    spec = pod_spec("sleep 600") | {"restartPolicy": "Always"}
    template = {"size": 2, "workerTemplate": {"spec": spec}}
    one = made(
        "leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet", "used", {"replicas": 1, "leaderWorkerTemplate": template}
    )
    with there(cluster, one) as objects:
        _await(objects, one, "1", "status", "readyReplicas")
