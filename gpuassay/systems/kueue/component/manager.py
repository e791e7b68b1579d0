"""Kueue's manager as a process on this machine: started, stopped, killed, configured anew, asked."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from gpuassay.cluster.base import Cluster
from gpuassay.cluster.certificates import write_private
from gpuassay.cluster.errors import ClusterError
from gpuassay.cluster.ports import free_ports, taken
from gpuassay.cluster.process import Process
from gpuassay.systems.kueue.component import logs
from gpuassay.systems.kueue.component.certificates import WebhookCertificates
from gpuassay.systems.kueue.component.manifests import WEBHOOKS
from gpuassay.systems.kueue.component.metrics import Sample, Scraper
from gpuassay.systems.kueue.component.profiles import Profile, merged, profile
from gpuassay.waiting import WaitTimeout, wait

NAME = "kueue"
READY_TIMEOUT = 60.0
METRICS_TIMEOUT = 15.0
CONTROLLERS_TIMEOUT = 10.0
PORT_ATTEMPTS = 4


@dataclass(frozen=True)
class Release:
    """One version of Kueue, as it is put on a cluster.

    Attributes:
        version: such as `v0.19.2`.
        program: its manager.
        prepare: applies its manifests for a webhook port (None: they are there already) and the CRDs of frameworks; of
            all of it the first share alone, from 0 to 1.
    """

    version: str
    program: Path
    prepare: Callable[[int | None, Collection[str], float], None]


class Kueue:
    """An installed Kueue whose manager is our child.

    Attributes:
        cluster: where it is installed.
        profile: the configuration it runs with.
        log_path: its log of all starts, JSON lines.
    """

    def __init__(
        self,
        cluster: Cluster,
        release: Release,
        certificates: WebhookCertificates,
        tested: Callable[[], Release],
    ) -> None:
        """Used by `install`; `tested` gives the release that an upgrade leads to."""
        self.cluster, self._release, self._tested = cluster, release, tested
        self.profile: Profile = profile("default")
        self.log_path = cluster.directory / "logs" / f"{NAME}.log"
        self._prepared: set[str] = set()
        self._folder = cluster.directory / NAME
        (self._folder / "certificates").mkdir(parents=True, exist_ok=True)
        for name, content in certificates.files.items():
            write_private(self._folder / "certificates" / name, content)
        self._ports: tuple[int, int, int] | None = None
        self._started_at = 0
        self.started_ns = 0
        """When it was started last, ns since the epoch; its own metrics tell it by a clock that may be a second off."""
        self._scraper: Scraper | None = None
        self._http = requests.Session()
        self._http.trust_env = False

    @property
    def version(self) -> str:
        """Such as `v0.19.2`."""
        return self._release.version

    @property
    def process(self) -> Process | None:
        """The manager's process of the latest start, None before the first."""
        return self.cluster.processes.get(NAME)

    @property
    def running(self) -> bool:
        """Whether the manager runs."""
        return self.process is not None and self.process.alive

    @property
    def configuration(self) -> Path:
        """The configuration file that it reads."""
        return self._folder / "configuration.yaml"

    def start(self) -> None:
        """Start the manager with the current profile and wait until it is ready.

        Raises:
            ClusterError: it ended; the message is its own complaint.
            gpuassay.waiting.WaitTimeout: it is not ready in time.
        """
        if self.process is not None and self.process.alive:
            raise ClusterError("Kueue runs already")
        for _ in range(PORT_ATTEMPTS):
            missing = set(self.profile.frameworks()) - self._prepared
            if self._ports is None:
                health, metrics, webhook = free_ports(3)
                self._ports = health, metrics, webhook
                self._release.prepare(webhook, missing, 1)
            elif missing:
                self._release.prepare(None, missing, 1)
            self._prepared |= missing
            if self._try_start(*self._ports):
                return
            self._ports = None
        raise ClusterError(f"Kueue lost its ports to other programs {PORT_ATTEMPTS} times in a row")

    def _launch(self, health: int, metrics: int, webhook: int) -> Process:
        """Start the process with the current profile, and wait for nothing."""
        own: dict[str, Any] = {
            "health": {"healthProbeBindAddress": f"127.0.0.1:{health}"},
            "metrics": {"bindAddress": f"127.0.0.1:{metrics}", "enableClusterQueueResources": True},
            "webhook": {"host": "127.0.0.1", "port": webhook, "certDir": str(self._folder / "certificates")},
        }
        body = merged(self.profile.configuration(), own)
        self.configuration.write_text(json.dumps(body, indent=1))  # JSON is YAML
        self._started_at = self.log_path.stat().st_size if self.log_path.exists() else 0
        self.started_ns = time.time_ns()
        self._scraper = Scraper(self.cluster.api, metrics)
        self.cluster.supervisor.forget(NAME)
        return self.cluster.supervisor.start(
            NAME,
            [self._release.program, f"--config={self.configuration}",
             f"--kubeconfig={self.cluster.kubeconfig_for(NAME)}", "--zap-log-level=2", "--zap-encoder=json"],
            self.log_path,
            cwd=self._folder,
        )  # fmt: skip

    def _try_start(self, health: int, metrics: int, webhook: int) -> bool:
        """Start once; False when a port was lost."""
        process = self._launch(health, metrics, webhook)

        def look() -> str:
            if not process.alive:
                return "ended"
            try:
                return self._http.get(f"http://127.0.0.1:{health}/readyz", timeout=5).text
            except requests.RequestException:
                return "no answer"

        done = ("ok", "ended")
        answer = wait(look, done.__contains__, what="Kueue to be ready", timeout=READY_TIMEOUT, delay=0.03)
        if answer == "ok":
            self._await_controllers(process)
            return True
        lines, _ = self.log_lines(self._started_at)
        self.cluster.supervisor.forget(NAME)
        if taken(process.tail(200)):
            return False
        why = logs.complaint(lines) or "(it printed nothing)"
        end = f"profile {self.profile.name!r}, exit code {process.exit_code}"
        raise ClusterError(f"Kueue refuses to start ({end}): {why}")

    def _await_controllers(self, process: Process) -> None:
        """Wait until every controller works: Kueue calls itself ready when its webhooks answer, up to a second before.

        What is created in between may be decided on without what was created before it: a cohort that nobody has read.
        """

        def lagging() -> bool:
            lines, _ = self.log_lines(self._started_at)
            begun, working = (
                {line.get("logger") for line in lines if line.get("msg") == msg}
                for msg in ("Starting EventSource", "Starting workers")
            )
            return process.alive and not (begun and begun <= working)

        with suppress(WaitTimeout):  # a Kueue that words it otherwise is as ready as it says
            wait(lagging, lambda late: not late, what="Kueue's controllers", timeout=CONTROLLERS_TIMEOUT, delay=0.05)

    def stop(self, grace: float = 1.0) -> None:
        """Stop the manager; webhooks stay, so jobs and pods are refused until it runs again.

        It keeps no state, so a short `grace` (seconds until SIGKILL) loses nothing.
        """
        self.cluster.supervisor.stop(NAME, grace=grace)

    def kill(self) -> None:
        """SIGKILL, as a crash that was ordered: it does not count as a component that died."""
        if self.process is not None:
            self.process.kill()

    def reconfigure(self, to: Profile | str) -> None:
        """Stop, start with another profile, wait until ready; nothing happens when it runs with it already.

        Raises:
            ClusterError: the profile is unknown, or Kueue refuses it.
        """
        wanted = profile(to) if isinstance(to, str) else to
        if self.running and wanted == self.profile:
            return
        self.stop(grace=0)
        self.profile = wanted
        self.start()

    def upgrade(self) -> None:
        """Put the version under test in the place of this one, as `kubectl apply` of its manifests does: objects stay.

        The manager is away while the new manifests are applied, and jobs and pods are refused meanwhile.

        Raises:
            gpuassay.toolchain.ToolchainError: it cannot be had.
            ClusterError: the API server refuses its manifests, or it does not start.
        """
        release = self._tested()
        self.stop()
        self._release, self._ports, self._prepared = release, None, set()
        self.start()

    def break_off_upgrade(self, applied: float, lived: float) -> None:
        """Begin an upgrade, and be killed in it: what was done by then stays, and no manager runs.

        Args:
            applied: the share of the new version's manifests that is applied by then, definitions before webhooks.
            lived: for how many seconds the new manager has run when it is killed; 0: it is not started.

        Raises:
            gpuassay.toolchain.ToolchainError: the version under test cannot be had.
            ClusterError: the API server refuses its manifests, or the new manager ends by itself.
        """
        release = self._tested()
        self.stop()
        self._release = release
        health, metrics, webhook = free_ports(3)
        release.prepare(webhook, set(self.profile.frameworks()), applied)
        if not lived:
            return
        process = self._launch(health, metrics, webhook)
        if process.wait(lived):  # the moment is what is tried, nothing is waited for
            raise ClusterError(f"the new Kueue ended before it was killed: {' '.join(process.tail(3))}")
        process.kill()

    def remove(self) -> None:
        """Delete the webhooks first, so that nothing is refused for want of an answer, then stop the manager."""
        for kind in WEBHOOKS:
            for found in self.cluster.api.list(kind):
                if found["metadata"]["name"].startswith(f"{NAME}-"):
                    self.cluster.api.delete(kind, found["metadata"]["name"])
        self.stop()

    def log_offset(self) -> int:
        """Where the log ends now: what to give to `log_lines` later."""
        return self.log_path.stat().st_size

    def log_lines(self, since: int = 0) -> tuple[list[dict[str, Any]], int]:
        """Complete log lines from byte `since` on, and the offset to go on from."""
        return logs.read_lines(self.log_path, since)

    def feature_gates(self) -> dict[str, bool]:
        """All feature gates as the latest start told them in the log.

        Raises:
            ClusterError: it told none.
        """
        for line in self.log_lines(self._started_at)[0]:
            if line.get("msg") == "Loaded feature gates":
                return {str(name): bool(on) for name, on in line["featureGates"].items()}
        raise ClusterError("Kueue's log has no line with its feature gates")

    def metrics(self) -> list[Sample]:
        """All metric samples now; first of all waits for the metrics server, which comes up a moment after Kueue.

        Raises:
            ClusterError: not running, or no answer.
        """
        scraper = self._scraper
        if scraper is None:
            raise ClusterError("Kueue was not started yet")

        def first() -> str:
            try:
                return "" if scraper.scrape() else "no samples"
            except ClusterError as error:
                return str(error)

        if not scraper.answered and self.process is not None and self.process.alive:
            try:
                wait(first, lambda problem: not problem, what="Kueue's metrics", timeout=METRICS_TIMEOUT, delay=0.1)
            except WaitTimeout as late:
                raise ClusterError(str(late.last)) from None
        return scraper.scrape()
