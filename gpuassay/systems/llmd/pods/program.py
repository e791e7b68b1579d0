"""A program of an arm as a pod, with what tests do to it: what a process is stopped by, a pod is deleted by.

To kill is to delete the pod without grace, to stop is to delete it (a Deployment is scaled to nothing before), to start
is to make it anew. Logs come by the pod's log and are kept in the file where a process would have written them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from urllib3.exceptions import HTTPError

from gpuassay.access.connection import NoAnswer
from gpuassay.access.errors import AccessError
from gpuassay.cluster.api import Api
from gpuassay.cluster.base import Cluster
from gpuassay.cluster.errors import ApiRefused, ClusterError, NotFromOutside
from gpuassay.cluster.port_forward import Tunnels
from gpuassay.cluster.process import Process
from gpuassay.cluster.program import Child
from gpuassay.manifest import Manifest, dig
from gpuassay.systems.llmd.pods import manifests
from gpuassay.systems.llmd.pods.manifests import Program
from gpuassay.toolchain.errors import UnobtainableError
from gpuassay.waiting import wait

START_SECONDS = 120.0
"""How long a pod may take until its program runs: its image may have to be pulled."""
END_SECONDS = 60.0
LOG_SECONDS = 300.0
_BAD = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "CreateContainerConfigError"})


@dataclass
class Place:
    """Where an arm stands.

    Attributes:
        cluster: somebody's.
        namespace: the arm's own.
        folder: of this machine, for logs.
        labels: put on every object.
        tunnels: the way to ports of its pods.
    """

    cluster: Cluster
    namespace: str
    folder: Path
    labels: Mapping[str, str]
    tunnels: Tunnels = field(repr=False)

    @property
    def api(self) -> Api:
        """Access to the cluster."""
        return self.cluster.api


class PodChild(Child):
    """A program in a pod that can be started again with the same arguments.

    Attributes:
        program: image, ports and environment.
        files: content of its files by name, read at each start.
    """

    def __init__(
        self,
        place: Place,
        program: Program,
        arguments: Sequence[str],
        *,
        files: Mapping[str, str] | None = None,
        controlled: bool = False,
    ) -> None:
        """Nothing is made yet; `controlled`: a Deployment holds the pod."""
        log = place.folder / "logs" / f"{program.name}.log"
        super().__init__(place.cluster, f"{place.namespace}-{program.name}", log, list(arguments))
        self.program, self.files, self.env = program, dict(files or {}), dict(program.env)
        self._place, self._controlled = place, controlled
        self._starts, self._kept = 0, ""
        self._pod = "" if controlled else program.name

    # --- what there is ---------------------------------------------------------------------------------------------

    @property
    def process(self) -> Process | None:
        """Never.

        Raises:
            NotFromOutside: always: what asks for it sends signals of its own, or reads an exit code.
        """
        raise NotFromOutside(f"{self.program.name} is a pod: signals and exit codes take a process of ours")

    def pod(self) -> Manifest | None:
        """The pod as it is now, None while there is none; one that is being deleted counts only if it is the last."""
        selector = f"{manifests.PROGRAM}={self.program.name}"
        found = self._place.api.list("Pod", self._place.namespace, selector)
        found.sort(key=lambda one: bool(one["metadata"].get("deletionTimestamp")))
        if found:
            self._pod = str(found[0]["metadata"]["name"])
        return found[0] if found else None

    @property
    def pod_name(self) -> str:
        """Name of the latest pod that was seen."""
        return self._pod

    @property
    def alive(self) -> bool:
        """Whether its container runs now."""
        pod = self.pod()
        return pod is not None and _state(pod, "running") is not None

    def start_seen(self) -> str | None:
        """As of a process: the pod, and how often its container was started; None while it does not run."""
        pod = self.pod()
        if pod is None or _state(pod, "running") is None:
            return None
        return f"{pod['metadata']['uid']}/{_restarts(pod)}"

    def reach(self, port: int) -> int:
        """The port of 127.0.0.1 that leads to one of its ports."""
        return self._place.tunnels.open(self._place.namespace, self._named, port)

    def _named(self) -> str:
        """Name of the pod that a connection goes to now; one that there is not has none."""
        if not self._pod:
            self.pod()
        return self._pod or "none"

    # --- what is done to it ----------------------------------------------------------------------------------------

    def launch(self) -> None:
        """Make the pod; what makes its program ready is the caller's to wait for.

        Raises:
            ClusterError: it runs already, or the API server refuses it.
        """
        if self.alive:
            raise ClusterError(f"{self.name} runs already")
        if self.pod() is not None:  # its program has ended
            self._delete(0)
        self.begin()

    def arguments(self) -> list[str]:
        """Arguments of the container."""
        return [str(one) for one in self.command]

    def begin(self) -> None:
        """Make the pod; nothing of it is there."""
        if self._controlled:
            self._pod = ""  # the next one has another name
        self._starts += 1
        place, name = self._place, self._files_name()
        if self.files:
            place.api.apply(manifests.files(name, place.namespace, self.files, place.labels))
        program = replace(self.program, env=self.env)
        make = manifests.deployment if self._controlled else manifests.pod
        wanted = make(program, place.namespace, self.arguments(), name, place.labels)
        self._offset = self.log.stat().st_size if self.log.exists() else 0
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self._controlled:
            place.api.apply(wanted)
        else:
            place.api.create(wanted)

    def _files_name(self) -> str:
        return f"{self.program.name}-{self._starts}" if self.files else ""

    def await_running(self) -> Manifest:
        """Wait until the container runs, and begin to keep its log; returns the pod.

        Raises:
            gpuassay.waiting.WaitError: its image cannot be had; the kubelet's words are shown.
            UnobtainableError: likewise, of a program that a cluster may lack.
            gpuassay.waiting.WaitTimeout: it does not run in time.
        """

        def begun() -> Manifest | None:
            pod = self.pod()
            begun = pod is not None and (_state(pod, "running") or _state(pod, "terminated") or _restarts(pod))
            return pod if begun else None

        def error(_: Manifest | None) -> str | None:
            pod = self.pod()
            waits = _state(pod, "waiting") if pod else None
            if not waits or waits.get("reason") not in _BAD:
                return None
            said = f"{waits['reason']}: {waits.get('message', '')}"
            if self.program.lacking:
                raise UnobtainableError(f"{self.program.lacking} ({said})")
            return said

        found = wait(
            begun, lambda pod: pod is not None, what=f"the pod of {self.name} to run", timeout=START_SECONDS,
            error=error, delay=0.1,
        )  # fmt: skip
        assert found is not None
        instance = f"{found['metadata']['uid']}/{_restarts(found)}"
        if self._kept != instance:
            self._kept = instance
            self._keep_log(str(found["metadata"]["name"]))
        return found

    def _keep_log(self, pod: str) -> None:
        path = f"/api/v1/namespaces/{self._place.namespace}/pods/{pod}/log"
        target = self.log.open("ab", buffering=0)
        place = self._place

        def keep() -> None:
            with target, suppress(NoAnswer, AccessError, HTTPError, OSError):
                answer = place.api.connection.request(
                    "get", path, query={"follow": "true"}, timeout=(5.0, LOG_SECONDS), read=False
                )
                if answer.status == 200:
                    for block in answer.stream(1 << 16):
                        target.write(block)

        threading.Thread(target=keep, name=f"log-{pod}", daemon=True).start()

    def await_ready(self, look: Callable[[], bool], *, what: str, timeout: float = 60, delay: float = 0.1) -> None:
        """As of a process, once the pod runs."""
        self.await_running()
        super().await_ready(look, what=what, timeout=timeout, delay=delay)

    def refusal(self) -> ClusterError:
        """Why it ended, in its own words."""
        pod = self.pod()
        ended: Manifest = (_state(pod, "terminated") or _before(pod) or {}) if pod else {}
        with suppress(ApiRefused, ClusterError):
            path = f"/api/v1/namespaces/{self._place.namespace}/pods/{self._pod}/log?tailLines=200"
            said = self._place.api.raw(path)
            if not self.log_text():
                with self.log.open("a") as log:
                    log.write(said)
        return ClusterError(
            f"{self.name} refuses to start (exit code {ended.get('exitCode')}): "
            f"{self.complaint() or '(it printed nothing)'}"
        )

    def terminate(self, timeout: float = 10.0) -> None:
        """SIGTERM by the kubelet, then wait until the pod is gone; SIGKILL after `timeout` seconds."""
        self.disturbances.append("stop")
        self._delete(max(1, round(timeout)))

    stop = terminate

    def kill(self) -> None:
        """Delete the pod without grace, and wait until it is gone."""
        self.disturbances.append("kill")
        self._delete(0)

    def _delete(self, grace: int) -> None:
        place = self._place
        if self._controlled:
            with suppress(ApiRefused):
                place.api.patch("Deployment", self.program.name, {"spec": {"replicas": 0}}, place.namespace)
        pod = self.pod()
        if pod is not None:
            place.api.delete("Pod", pod["metadata"]["name"], place.namespace, grace_seconds=grace)
        self._await_gone()

    def _await_gone(self) -> None:
        wait(
            self.pod, lambda pod: pod is None, what=f"the pod of {self.name} to be gone", timeout=END_SECONDS, delay=0.1
        )

    def may_die(self) -> None:
        """Nobody takes a pod's end for a death of the cluster."""

    def suspend(self) -> None:
        """Never: a signal needs a process of ours."""
        raise NotFromOutside(f"{self.program.name} cannot be suspended in a pod: that takes a process of ours")

    def resume(self) -> None:
        """Nothing is suspended."""

    def remove(self) -> None:
        """Delete what it consists of, without waiting for the pod's end. Idempotent."""
        place = self._place
        kind = "Deployment" if self._controlled else "Pod"
        place.api.delete(kind, self.program.name, place.namespace, grace_seconds=0)


def _restarts(pod: Manifest) -> int:
    return int(dig(pod, "status", "containerStatuses", 0, "restartCount", default=0))


def _before(pod: Manifest) -> Manifest | None:
    """How its container ended the last time."""
    found: Manifest | None = dig(pod, "status", "containerStatuses", 0, "lastState", "terminated")
    return found


def _state(pod: Manifest, name: str) -> Manifest | None:
    """`running`, `waiting` or `terminated` of its container, None where it is in another state."""
    found: Manifest | None = dig(pod, "status", "containerStatuses", 0, "state", name)
    return found
